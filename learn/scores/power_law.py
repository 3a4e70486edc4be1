"""How a score falls with what is spent on it: a power law of what is left above a floor, with its interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class PowerLaw(NamedTuple):
    """score = floor + scale · x^−exponent, in each of R draws; entry 0 is of all the data, the others of resamples."""

    exponent_R: np.ndarray
    scale_R: np.ndarray
    floor_R: np.ndarray
    misfit: float  # root mean square of the logarithms' distances from the line, of all the data


def power_law(x_P: np.ndarray, score_RxP: np.ndarray, floor_R: np.ndarray) -> PowerLaw:
    """Least squares of log(score − floor) on log x, draw by draw; of the oracle, the floor is known and not fitted.

    A straight line in logarithms, as in Kaplan et al. 2020 ("Scaling laws for neural language models", eq. 1.1 to 1.3),
    whose floor is 0. The exponent is the slope over these places: a limit that lies above the floor flattens it. Draws
    in which a score lies at or below the floor are NaN: of those there is no law. Raises ValueError for fewer than
    three places, or places that are not above 0 and apart.
    """
    x_P = np.asarray(x_P, np.float64)
    if len(np.unique(x_P)) < 3 or not (x_P > 0).all():
        raise ValueError(f"a power law takes at least three different places above 0; there are {x_P.tolist()}")
    left_RxP = score_RxP - floor_R[:, None]
    left_RxP = np.where(left_RxP > 0, left_RxP, np.nan)
    log_x_P, log_RxP = np.log(x_P), np.log(left_RxP)
    centred_P = log_x_P - log_x_P.mean()
    slope_R = log_RxP @ centred_P / (centred_P @ centred_P)
    level_R = log_RxP.mean(1) - slope_R * log_x_P.mean()
    off_P = log_RxP[0] - level_R[0] - slope_R[0] * log_x_P
    return PowerLaw(-slope_R, np.exp(level_R), floor_R, float(np.sqrt(np.mean(off_P**2))))
