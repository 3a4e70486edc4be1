"""What can be known of a tumour from its record by one who knows the equation and the population, but no patient.

Research only, not for clinical use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy.special import log_ndtr

from sim.errors import InputError
from sim.tumour.process import Tumour

NODES = 24  # of the quadrature over alpha
LEAST_CM3 = 0.05  # of less than this the windows' float32 does not tell how fast it grows


@dataclass(frozen=True)
class KnownEquation:
    """Bayes' rule: alpha, rho and beta_c of each patient given the record, from the population they were drawn from.

    A day's growth is linear in them and its noise normal, so that what is known of them is a normal law, cut off where
    alpha or rho would not be positive. What a plan comes to is its mean over a quadrature in alpha, at the mean rho and
    beta_c given alpha, day by day without noise.
    """

    world: Tumour = field(default_factory=Tumour)

    channels: ClassVar[tuple[str, ...]] = ("volume", "chemo_dose", "radio_dose", "kind")

    def __post_init__(self):
        if not self.world.noise_sd > 0:
            raise InputError(f"KnownEquation.world has noise_sd {self.world.noise_sd!r}; it must be above 0")

    def __call__(self, seen: Mapping[str, np.ndarray], plan: Mapping[str, np.ndarray]) -> np.ndarray:
        """The mean volume after each step of a plan in cm³, float64[N, H].

        *seen* holds each of channels up to now, float64[N, T], NaN where it is missing; *plan* the doses of the H steps
        to come, of which the last is given too late to matter: the first is the newest that was seen.
        """
        w, p = self.world, self.world.population
        volume, chemo, gray = (seen[name] for name in ("volume", "chemo_dose", "radio_dose"))
        kind = np.rint(seen["kind"][:, -1])
        concentration = _faded(chemo, w.left_a_day)
        mean, gram = self._prior(kind)
        with np.errstate(all="ignore"):
            grew = volume[:, 1:] / volume[:, :-1] - 1.0
            x = np.stack(
                (
                    -(gray + gray**2 / p.alpha_over_beta)[:, :-1],
                    np.log(w.capacity_cm3 / volume[:, :-1]),
                    -concentration[:, :-1],
                ),
                axis=-1,
            )
        there = np.isfinite(grew) & np.isfinite(x).all(-1) & (volume[:, :-1] > LEAST_CM3) & (volume[:, 1:] > LEAST_CM3)
        x, grew = np.where(there[..., None], x, 0.0), np.where(there, grew, 0.0)
        precision = w.noise_sd**-2
        moment = np.einsum("nij,nj->ni", gram, mean) + precision * np.einsum("ntk,nt->nk", x, grew)
        gram = gram + precision * np.einsum("ntk,ntl->nkl", x, x)
        law = np.linalg.solve(gram, moment[..., None])[..., 0], np.linalg.inv(gram)
        doses = (
            np.concatenate((past[:, -1:], np.nan_to_num(plan[name])[:, :-1]), 1)
            for name, past in (("radio_dose", gray), ("chemo_dose", chemo))
        )
        before = concentration[:, -2] if concentration.shape[1] > 1 else np.zeros(len(kind))
        return self._mean(*law, volume[:, -1], before, *doses)

    def _prior(self, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (N, 3) and precision (N, 3, 3) of alpha, rho and beta_c before they are cut off."""
        p = self.world.population
        shared = p.correlation * p.alpha_sd * p.rho_sd
        cov = np.array([[p.alpha_sd**2, shared, 0], [shared, p.rho_sd**2, 0], [0, 0, p.beta_c_sd**2]])
        mean = np.tile([p.alpha_mean, p.rho_mean, p.beta_c_mean], (len(kind), 1))
        mean[:, 0] += p.more * p.alpha_mean * (kind == 1)
        mean[:, 2] += p.more * p.beta_c_mean * (kind == 3)
        return mean, np.tile(np.linalg.inv(cov), (len(kind), 1, 1))

    def _mean(self, mean, cov, volume, before, dose_NxH, drug_NxH) -> np.ndarray:
        """Mean volumes over the law of alpha, rho and beta_c, kept to positive alpha and rho: float64[N, H]."""
        w, p = self.world, self.world.population
        node, weight = np.polynomial.legendre.leggauss(NODES)
        u = (node + 1) / 2
        sd = np.sqrt(cov[:, 0, 0])
        low = np.maximum(mean[:, 0] - 6 * sd, 0.0)
        high = np.maximum(mean[:, 0] + 6 * sd, low + 6 * sd)
        slope = cov[:, 1, 0] / cov[:, 0, 0]
        left = np.sqrt(np.maximum(cov[:, 1, 1] - slope * cov[:, 1, 0], 1e-30))[:, None]
        alpha = low[:, None] + (high - low)[:, None] * u
        far = alpha - mean[:, :1]
        rho_mean = mean[:, 1:2] + slope[:, None] * far
        share = -((far / sd[:, None]) ** 2) / 2 + log_ndtr(rho_mean / left)
        share = weight * np.exp(share - share.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        rho = rho_mean + left * np.exp(-((rho_mean / left) ** 2) / 2 - log_ndtr(rho_mean / left)) / np.sqrt(2 * np.pi)
        weights = np.linalg.solve(cov[:, :2, :2], cov[:, :2, 2:])
        beta_c = mean[:, 2:] + weights[:, 0] * far + weights[:, 1] * (rho - mean[:, 1:2])
        now, level = np.repeat(volume[:, None], NODES, 1), before
        out = np.zeros(dose_NxH.shape)
        for h in range(dose_NxH.shape[1]):
            level = level * w.left_a_day + drug_NxH[:, h]
            gray = dose_NxH[:, h]
            kill = alpha * (gray + gray**2 / p.alpha_over_beta)[:, None] + beta_c * level[:, None]
            growth = rho * np.log(w.capacity_cm3 / np.maximum(now, 1e-300))
            ended = (now <= 0) | (now >= w.death_cm3)
            now = np.where(ended, now, np.clip(now * (1 + growth - kill), 0.0, w.death_cm3))
            out[:, h] = (share * now).sum(1)
        return out


def _faded(dose_NxT: np.ndarray, left: float) -> np.ndarray:
    """The concentration of doses a day; a missing one is none."""
    out, level = np.zeros_like(dose_NxT), np.zeros(len(dose_NxT))
    for t in range(dose_NxT.shape[1]):
        level = level * left + np.nan_to_num(dose_NxT[:, t])
        out[:, t] = level
    return out
