"""Effects and regret of plans to choose from, by hand; a predictor that knows has none, one that sees no effect all."""

import numpy as np
import pytest

from learn.scores.choices import choice_scores
from learn.scores.metrics import ForecastPrediction, ForecastTruth
from sim.errors import InputError

CAME = np.array([5.0, 3.0, 4.0, 1.0, 2.0, 0.5])  # two moments of three plans
FIRST = np.array([0, 0, 0, 3, 3, 3])


def truth(came=CAME, better=1.0):
    y = np.zeros((len(came), 2, 1))
    y[:, 1, 0] = came
    mask = np.zeros(y.shape, bool)
    mask[:, 1] = True
    return ForecastTruth(y, mask, percent_V=np.array([7.0, 10.0]), first_N=FIRST, better=better)


def scores(told, **how):
    mean = np.zeros((len(told), 2, 1), np.float32)
    mean[:, 0], mean[:, 1, 0] = 99.0, told  # the other variate is no target
    found = choice_scores(ForecastPrediction.point(mean), truth(**how))
    once = np.zeros(len(told), int), np.ones((1, 1))
    return {name: float(score(*once)[0]) for name, score in found.items()}


def test_who_knows_the_effects_errs_in_none_whatever_the_level():
    assert scores(CAME) == {"pehe": 0, "regret": 0}
    assert scores(CAME + np.repeat([3, -2], 3)) == pytest.approx({"pehe": 0, "regret": 0})


def test_no_effect_is_wrong_by_all_of_it_and_keeps_the_first_plan():
    found = scores(np.zeros(6))
    assert found["pehe"] == pytest.approx(10 * np.sqrt((4 + 1 + 1 + 0.25) / 4))
    assert found["regret"] == pytest.approx(10 * (2 + 0.5) / 2)


def test_regret_is_of_the_plan_that_the_prediction_favours():
    assert scores([0, 1, -1, 1, 1, 0])["regret"] == pytest.approx(10 * (1 + 0) / 2)
    assert scores([0, 1, -1, 1, 1, 0], better=-1.0)["regret"] == pytest.approx(10 * (2 + 1) / 2)


def test_nothing_is_scored_where_nothing_is_chosen_and_gaps_are_refused():
    plain = truth()._replace(first_N=None)
    assert choice_scores(ForecastPrediction.point(np.zeros((6, 2, 1), np.float32)), plain) == {}
    gap = truth()
    gap.mask_NxVxH[2] = False
    with pytest.raises(InputError, match="no outcome at its last step"):
        choice_scores(ForecastPrediction.point(np.zeros((6, 2, 1), np.float32)), gap)
