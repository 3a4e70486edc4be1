"""The integer score of the MAGGIC group for deaths in heart failure. Research only, not for clinical use.

Points and probabilities are those of Pocock et al., European Heart Journal 34 (2013), figures 2 and 3. Of its thirteen
inputs seven exist here: age, sex, ejection fraction, systolic pressure, creatinine, β-blocker, ACE inhibitor. The other
six are the same in every patient: NYHA class II (2 points), a body-mass index of 25 to 29 (2), diagnosed 18 months ago
or more (2), and no diabetes, chronic lung disease or smoking.
"""

from __future__ import annotations

import bisect
import math

FIXED = 6  # points of what does not exist here
UMOL_PER_MG = 88.42  # µmol/l of creatinine in 1 mg/dl
EF = ((20, 25, 30, 35, 40), (7, 6, 5, 3, 2, 0))
CREATININE = ((90, 110, 130, 150, 170, 210, 250), (0, 1, 2, 3, 4, 5, 6, 8))  # µmol/l
AGE = (55, 60, 65, 70, 75, 80)
BY_AGE = ((0, 1, 2, 4, 6, 8, 10), (0, 2, 4, 6, 8, 10, 13), (0, 3, 5, 7, 9, 12, 15))  # EF below 30 %, below 40 %, above
SBP = (110, 120, 130, 140, 150)
BY_SBP = ((5, 4, 3, 2, 1, 0), (3, 2, 1, 1, 0, 0), (2, 1, 1, 0, 0, 0))
THREE_YEARS = ((10, 0.10), (20, 0.25), (30, 0.52), (40, 0.84))  # score, chance of death


def score(age: float, male: bool, ef: float, sbp: float, creatinine: float, beta_blocker: bool, ace: bool) -> int:
    """Years, %, mmHg and mg/dl to points."""
    kind = bisect.bisect_right((30, 40), ef)
    points = EF[1][bisect.bisect_right(EF[0], ef)]
    points += BY_AGE[kind][bisect.bisect_right(AGE, age)] + BY_SBP[kind][bisect.bisect_right(SBP, sbp)]
    points += CREATININE[1][bisect.bisect_right(CREATININE[0], creatinine * UMOL_PER_MG)]
    return FIXED + points + int(male) + 3 * (not beta_blocker) + (not ace)


def three_year_death(score: float) -> float:
    """The published chance; between the published scores ln(−ln(1 − p)) is linear, and beyond them it goes on so."""
    logs = [(s, math.log(-math.log(1 - p))) for s, p in THREE_YEARS]
    k = min(max(bisect.bisect_right([s for s, _ in logs], score), 1), len(logs) - 1)
    (a, low), (b, high) = logs[k - 1 : k + 1]
    return 1 - math.exp(-math.exp(low + (high - low) * (score - a) / (b - a)))
