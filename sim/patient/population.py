"""Virtual patients: parameters scattered around a reference, and kept where a person could live so. Research only,
not for clinical use.

Each parameter is log-normal around its reference, ln p ~ N(ln reference, spread²), and the logarithms are correlated.
A draw is rejected where a parameter is out of the range of a living adult, where its heart has no steady state, or
where an output of the steady state is out of the phenotype's limits. Spreads and correlations are tuned for this
project so that the ejection fraction of the normal adults is that of the UK Biobank, 58 ± 5 % in men (Petersen 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from sim.errors import InputError, require
from sim.laws import UNIT
from sim.patient import orbit
from sim.patient.circulation import HFPEF, HFREF, NORMAL, RANGES, Circulation, solve
from sim.streams import Stream, stream_key

SPREAD = (
    *(("hr_per_min", 0.12), ("ees", 0.16), ("v0_ml", 0.20), ("alpha", 0.08), ("beta", 0.15), ("ra", 0.14)),
    *(("vs_ml", 0.08), ("eer", 0.14), ("rap", 0.20), ("pset", 0.08), ("cas", 0.14), ("cvs", 0.08)),
)
CORRELATION = (  # stiff arteries go with resistance and pressure, a slow heart with a low resistance, a stiff heart too
    *(("ra", "pset", 0.5), ("cas", "pset", -0.4), ("ra", "cas", -0.3), ("ees", "eer", 0.4)),
    *(("ees", "v0_ml", -0.3), ("vs_ml", "cvs", 0.4), ("alpha", "cas", -0.2), ("hr_per_min", "ra", -0.2)),
)
LIVING = (("hr", 40.0, 130.0), ("map", 55.0, 130.0), ("co", 2.2, 9.0), ("pcwp", 3.0, 36.0), ("mpap", 6.0, 50.0))
LEAST_KEPT, TRIES = 0.02, 4000  # a population of which fewer draws are kept is refused, as is one patient after TRIES


class Draw(NamedTuple):
    """One patient, and how many draws were made for it, those rejected included."""

    patient: Circulation
    tries: int


class Sample(NamedTuple):
    """Patients of a population and what became of all draws."""

    rows: np.ndarray  # (N, 28): as `sim.patient.circulation.solve` takes them
    outputs: dict[str, np.ndarray]  # of each patient's steady state, (N,)
    rejected: float  # share of the draws


@dataclass(frozen=True)
class Population:
    """A phenotype: its reference, how far its parameters scatter, and the limits of its steady state."""

    reference: Circulation = NORMAL
    spread: tuple[tuple[str, float], ...] = SPREAD  # standard deviation of ln p by parameter; others do not vary
    correlation: tuple[tuple[str, str, float], ...] = CORRELATION  # of ln p; other pairs are independent
    limits: tuple[tuple[str, float, float], ...] = (*LIVING, ("ef", 50.0, 75.0), ("pcwp", 3.0, 15.0))

    def __post_init__(self):
        for field in ("spread", "correlation", "limits"):
            object.__setattr__(self, field, tuple(tuple(row) for row in getattr(self, field)))
        own = {f.name for f in fields(Circulation)} - {"blood_ml"}
        names = [name for name, _ in self.spread]
        require(len(set(names)) == len(names) > 0 and set(names) <= own, self, "spread", "of parameters, each once")
        require(all(0 < sd <= 0.6 for _, sd in self.spread), self, "spread", "above 0 and at most 0.6")
        known = all(a != b and {a, b} <= set(names) and -1 < r < 1 for a, b, r in self.correlation)
        require(known, self, "correlation", "between -1 and 1, of two parameters that spread")
        require(len({frozenset(c[:2]) for c in self.correlation}) == len(self.correlation), self, "correlation", "once")
        positive = float(np.linalg.eigvalsh(self._matrix)[0]) > 1e-6
        require(positive, self, "correlation", "one that can be, of a positive definite matrix")
        ok = all(name in orbit.OUTPUTS and low < high for name, low, high in self.limits)
        require(ok, self, "limits", f"low before high, of {', '.join(orbit.OUTPUTS)}")

    @cached_property
    def _matrix(self) -> np.ndarray:
        names = [name for name, _ in self.spread]
        matrix = np.eye(len(names))
        for a, b, r in self.correlation:
            i, j = names.index(a), names.index(b)
            matrix[i, j] = matrix[j, i] = r
        return matrix

    @cached_property
    def _columns(self) -> list[int]:
        return [orbit.COLUMNS.index(name) for name, _ in self.spread]

    @cached_property
    def _mix(self) -> np.ndarray:
        return np.array([sd for _, sd in self.spread])[:, None] * np.linalg.cholesky(self._matrix)

    def rows(self, normals: np.ndarray) -> np.ndarray:
        """Parameters, (N, 28), of standard normals (N, number of parameters that spread)."""
        rows = np.tile(self.reference.row, (len(normals), 1))
        rows[:, self._columns] *= np.exp(normals @ self._mix.T)
        return rows

    def plausible(self, rows: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Which of *rows* could be a person of this phenotype, bool (N,), and their outputs."""
        low, high = np.array([RANGES[name] for name in orbit.COLUMNS]).T
        kept = ((rows >= low) & (rows <= high)).all(1)
        most = rows[:, orbit.VS] * (1 + rows[:, orbit.K_VS] / 2) + rows[:, orbit.V0] + rows[:, orbit.RV_V0]
        kept &= self.reference.blood_ml >= most
        told = solve(np.where(kept[:, None], rows, self.reference.row)).outputs
        for name, least, greatest in self.limits:
            kept &= (told[name] >= least) & (told[name] <= greatest)  # never true where there is no steady state
        return kept, told

    def draw(self, uniform: Callable[[], float]) -> Draw:
        """A patient from uniforms in (0, 1], as many a try as there are parameters; refuses what hardly ever lives."""
        for tries in range(1, TRIES + 1):
            normals = ndtri(np.clip([uniform() for _ in self.spread], 1e-16, 1 - 1e-16))[None, :]
            row = self.rows(normals)
            if self.plausible(row)[0][0]:
                return Draw(replace(self.reference, **dict(zip(orbit.COLUMNS, row[0].tolist(), strict=True))), tries)
        raise InputError(f"no draw of {TRIES} is a plausible patient; spread and limits must be of people who can live")

    def sample(self, seed: int, count: int) -> Sample:
        """*count* patients; refuses a population of which less than 2 % of the draws could live."""
        if count < 1:
            raise InputError(f"count is {count!r}; it must be at least 1")
        stream, kept, told, tries = Stream(stream_key(seed, "population")), [], [], 0
        have, block = 0, 256
        while have < count:
            uniforms = [[stream.draw(UNIT) for _ in self.spread] for _ in range(block)]
            rows = self.rows(ndtri(np.clip(uniforms, 1e-16, 1 - 1e-16)))
            ok, outputs = self.plausible(rows)
            take = np.flatnonzero(ok)[: count - have]
            tries += int(take[-1]) + 1 if len(take) == count - have else block
            kept.append(rows[take])
            told.append({name: values[take] for name, values in outputs.items()})
            have += len(take)
            if have < LEAST_KEPT * tries:
                raise InputError(f"{have} of {tries} draws are plausible; at least {LEAST_KEPT:.0%} must be")
        merged = {name: np.concatenate([part[name] for part in told]) for name in told[0]}
        return Sample(np.concatenate(kept), merged, 1 - count / tries)


HEALTHY = Population()
REDUCED = Population(HFREF, limits=(*LIVING, ("ef", 10.0, 40.0)))
PRESERVED = Population(HFPEF, limits=(*LIVING, ("ef", 50.0, 75.0), ("pcwp", 12.0, 36.0)))


def leaking(mitral_leak: float = 0.8, spread: float = 0.5) -> Population:
    """Patients of reduced ejection fraction whose mitral valve leaks: its median, ml/s for each mmHg, and spread."""
    sick, wide = replace(HFREF, mitral_leak=mitral_leak), (*SPREAD, ("mitral_leak", spread))
    return Population(sick, wide, limits=(*LIVING, ("ef", 10.0, 45.0)))
