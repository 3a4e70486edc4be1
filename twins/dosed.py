"""A drug's kinetics from measured concentrations: subjects that differ, fitted together.

Each subject's logarithms of absorption, clearance and volume are normal about the population's, all three correlated;
what is measured scatters about the concentration with one standard deviation. The likelihood is climbed by expectation
and maximisation, the expectation by Laplace's method about each subject's own mode (Beal & Sheiner 1982; Lindstrom &
Bates 1990 linearise alike). Research only, not for clinical use.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from sim.errors import InputError, require
from sim.patient.pharmacology import Drug

NAMES = ("absorption_per_h", "clearance_l_per_h_kg", "volume_l_kg")
START = (math.log(1.0), math.log(0.05), math.log(0.5))
FLOOR = 1e-8  # of eigenvalues, at which a spread counts as none


class Subject(NamedTuple):
    """One oral dose, and what was measured after it."""

    name: str
    dose_mg_kg: float
    time_h: np.ndarray
    mg_l: np.ndarray


@dataclass(frozen=True)
class Columns:
    """The table's columns by what they hold: hours, mg/l, and the dose in mg a kg of body weight."""

    subject: str = "Subject"
    dose: str = "Dose"
    time: str = "Time"
    concentration: str = "conc"

    def __post_init__(self):
        names = (self.subject, self.dose, self.time, self.concentration)
        require(all(names) and len(set(names)) == len(names), self, "subject", "a name, and the four of them different")


def read(path: str | Path, columns: Columns) -> list[Subject]:
    """The subjects of a CSV table, in their order. Raises InputError with the line of what cannot be used."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    table = csv.DictReader(lines)
    wanted = [columns.subject, columns.dose, columns.time, columns.concentration]
    if absent := [name for name in wanted if name not in (table.fieldnames or ())]:
        have = ", ".join(table.fieldnames or ()) or "none"
        raise InputError(f"{path}, line 1: no column {', '.join(absent)}; there are {have}")
    if twice := [name for name in wanted if list(table.fieldnames or ()).count(name) > 1]:
        raise InputError(f"{path}, line 1: {twice[0]} stands there twice; each column must have a name of its own")
    found: dict[str, list[tuple[float, float, float]]] = {}
    for row in table:
        try:
            numbers = tuple(float(row[name]) for name in wanted[1:])
        except (TypeError, ValueError):
            numbers = (math.nan,)
        if not all(map(math.isfinite, numbers)) or min(numbers) < 0:
            said = ", ".join(f"{name} {row[name]!r}" for name in wanted[1:])
            raise InputError(f"{path}, line {table.line_num}: {said}; each must be a number that is not below 0")
        name = str(row[columns.subject] or "").strip()
        if not name or numbers in found.get(name, ()):
            what = "repeats one above" if name else f"has no {columns.subject}"
            raise InputError(f"{path}, line {table.line_num} {what}; each row is one measurement of one subject")
        found.setdefault(name, []).append(numbers)  # type: ignore[arg-type]
    subjects = []
    for name, rows in found.items():
        dose, time_h, mg_l = np.array(rows).T
        if len(set(dose.tolist())) > 1 or dose[0] == 0:
            raise InputError(f"{path}: {columns.subject} {name} has doses {sorted(set(dose))}; it must be one above 0")
        subjects.append(Subject(name, float(dose[0]), time_h, mg_l))
    if len(subjects) < 4 or sum(len(s.time_h) for s in subjects) < 4 * len(subjects):
        measured = sum(len(s.time_h) for s in subjects)
        raise InputError(
            f"{path} has {len(subjects)} subjects with {measured} measurements; it takes at least 4 with 4 each"
        )
    times_h, mg_l = (np.concatenate([getattr(s, field) for s in subjects]) for field in ("time_h", "mg_l"))
    for what, name, values in (("times", columns.time, times_h), ("concentrations", columns.concentration, mg_l)):
        if len(np.unique(values)) < 4:
            raise InputError(f"{path}: {name} has {len(np.unique(values))} different {what}; a curve takes 4 or more")
    return subjects


def curve(log: Sequence[float] | np.ndarray, dose_mg_kg: float, time_h: np.ndarray) -> np.ndarray:
    """Concentrations in mg/l after one dose by mouth, of the logarithms of NAMES."""
    ka, clearance, volume = np.exp(np.clip(log, -20, 20)).tolist()
    drug = Drug(volume, clearance, ka)
    return np.array([drug.oral(dose_mg_kg, t) for t in time_h.tolist()])


@dataclass(frozen=True, eq=False)
class Kinetics:
    """A population of NAMES by their logarithms, the scatter of measurements, and each subject's own mode."""

    mean: np.ndarray  # float64[3]
    covariance: np.ndarray  # float64[3, 3]
    scatter_mg_l: float
    modes: np.ndarray  # float64[subjects, 3]
    rounds: int

    @property
    def half_life_h(self) -> float:
        """Of the typical subject."""
        return math.log(2) * math.exp(self.mean[2] - self.mean[1])

    def drawn(self, subjects: Sequence[Subject], replicates: int, seed: int = 0) -> list[np.ndarray]:
        """As many new tables of the same doses and times, of new people: of each subject float64[replicates, times]."""
        rng = np.random.default_rng(seed)
        root = np.linalg.cholesky(self.covariance + FLOOR * np.eye(3))
        found = []
        for subject in subjects:
            logs = self.mean + rng.standard_normal((replicates, 3)) @ root.T
            clean = np.array([curve(log, subject.dose_mg_kg, subject.time_h) for log in logs])
            found.append(clean + self.scatter_mg_l * rng.standard_normal(clean.shape))
        return found


def fit(subjects: Sequence[Subject], rounds: int = 200, tolerance: float = 1e-4) -> Kinetics:
    """The population that makes the measurements likeliest; it climbs until a round moves no mean by *tolerance*."""
    count, measured = len(subjects), sum(len(s.time_h) for s in subjects)
    now = Kinetics(
        np.array(START),
        np.eye(3),
        float(np.std(np.concatenate([s.mg_l for s in subjects]))),
        np.tile(START, (count, 1)),
        0,
    )
    for k in range(1, rounds + 1):
        whiten = np.linalg.inv(np.linalg.cholesky(now.covariance + FLOOR * np.eye(3)))
        modes, spreads, off = [], [], 0.0
        for subject, begin in zip(subjects, now.modes, strict=True):
            mode, spread, square = _mode(subject, begin, now, whiten)
            modes.append(mode)
            spreads.append(spread)
            off += square
        at = np.array(modes)
        mean = at.mean(0)
        covariance = (at - mean).T @ (at - mean) / count + np.mean(spreads, axis=0)
        if not (np.isfinite(covariance).all() and math.isfinite(off)):
            most = max(float(s.mg_l.max()) for s in subjects)
            raise InputError(f"no finite curve fits; concentrations go up to {most:g} mg/l: is the unit right?")
        moved = float(np.abs(mean - now.mean).max())
        now = replace(now, mean=mean, covariance=covariance, scatter_mg_l=math.sqrt(off / measured), modes=at, rounds=k)
        if moved < tolerance:
            break
    return now


def _mode(
    subject: Subject, begin: np.ndarray, now: Kinetics, whiten: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """A subject's likeliest logarithms, their covariance about it, and the expected sum of squared residuals."""

    def residuals(log: np.ndarray) -> np.ndarray:
        off = (subject.mg_l - curve(log, subject.dose_mg_kg, subject.time_h)) / now.scatter_mg_l
        return np.concatenate((off, whiten @ (log - now.mean)))

    found = least_squares(residuals, begin, x_scale="jac")
    spread = np.linalg.inv(found.jac.T @ found.jac)
    slope = found.jac[: len(subject.time_h)] * now.scatter_mg_l
    off = found.fun[: len(subject.time_h)] * now.scatter_mg_l
    return found.x, spread, float(off @ off + np.trace(slope @ spread @ slope.T))


class Bands(NamedTuple):
    """Percentiles of what was measured in bins of time, and the 95 % range of the same in new tables."""

    time_h: np.ndarray  # float64[bins], the mean of each
    levels: tuple[float, ...]
    measured: np.ndarray  # float64[levels, bins]
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    within: float  # share of all measurements inside the outer levels of their own bin's simulated ones


def predictive_check(
    kinetics: Kinetics,
    subjects: Sequence[Subject],
    replicates: int = 500,
    bins: int = 11,
    levels: tuple[float, ...] = (0.05, 0.5, 0.95),
    seed: int = 0,
) -> Bands:
    """A visual predictive check (Holford 2005): *bins* of equal counts, as far as times that occur together allow."""
    time_h = np.concatenate([s.time_h for s in subjects])
    measured = np.concatenate([s.mg_l for s in subjects])
    drawn = np.concatenate(kinetics.drawn(subjects, replicates, seed), axis=1)
    edges = np.unique(np.quantile(time_h, np.linspace(0, 1, bins + 1)[1:-1]))
    at = np.searchsorted(edges, time_h, side="right")
    parts = [at == b for b in np.unique(at)]
    of = np.array([np.quantile(drawn[:, part], levels, axis=1) for part in parts])  # bins, levels, replicates
    low, middle, high = np.quantile(of, (0.025, 0.5, 0.975), axis=2)
    outer = [np.quantile(drawn[:, part], (levels[0], levels[-1])) for part in parts]
    inside = sum(
        int(((a <= measured[part]) & (measured[part] <= b)).sum()) for part, (a, b) in zip(parts, outer, strict=True)
    )
    return Bands(
        np.array([time_h[part].mean() for part in parts]),
        tuple(levels),
        np.array([np.quantile(measured[part], levels) for part in parts]).T,
        low.T,
        middle.T,
        high.T,
        inside / len(measured),
    )
