"""What Bayes' rule knows of a tumour: right on average, all of it in the end, and more than a regression does."""

from dataclasses import replace

import numpy as np
import pytest

from learn.baselines import Known, MarginalStructural
from learn.scores.evaluate import forecast_truth
from learn.tasks import Counterfactual
from learn.windows.batch import Windows, anchors
from learn.windows.counterfactual import planned, told
from sim.errors import InputError
from sim.tumour import DAY_H, KnownEquation, Tumour
from twins.tumour import TumourTwin


def asked(horizon=1, patients=150, gamma=2.0):
    plans = "all" if horizon == 1 else "random"
    twin = TumourTwin(Tumour(patients, gamma=gamma), horizon=horizon, plans=plans)
    episodes = list(twin.observe(twin.world.run(twin.world.start(3), 60 * DAY_H)))
    task = Counterfactual(horizon, quantiles=(0.5,), actions=("chemo_dose", "radio_dose"))
    windows = Windows.of(episodes, context=32, task=task)
    found = planned(windows, episodes, task)
    return task, windows, found, told(windows, episodes, found.rows_Nx3, "expected")[:, 0]


def errors(method, task, windows, found):
    points = anchors(found.windows)
    y = forecast_truth(found.windows, points, windows).y_NxVxH[:, 0]
    return method.fit(windows, windows, task)(found.windows, points).mean_NxVxH[:, 0] - y


@pytest.mark.parametrize("horizon", [1, 4])
def test_it_is_better_than_a_regression_and_worse_than_the_parameters(horizon):
    task, windows, found, floor = asked(horizon)
    y = forecast_truth(found.windows, anchors(found.windows), windows).y_NxVxH[:, 0]
    mine, other = (
        np.sqrt((errors(m, task, windows, found) ** 2).mean(0)) for m in (Known(KnownEquation()), MarginalStructural())
    )
    assert (mine < 0.75 * other).all()
    assert (np.sqrt(((floor - y) ** 2).mean(0)) < mine).all()


def test_it_is_right_on_average_and_knows_a_patient_in_the_end():
    task, windows, found, floor = asked(patients=400)
    wrong, at = errors(Known(KnownEquation()), task, windows, found)[:, 0], found.rows_Nx3[:, 1]
    first = wrong[at == 0]
    assert abs(first.mean()) < 4 * first.std() / np.sqrt(len(first) / 4)
    y = forecast_truth(found.windows, anchors(found.windows), windows).y_NxVxH[:, 0, 0]
    volume = windows.scale.restore(np.asarray(found.windows.values_ExVxL))[:, 0, 31]
    late = (at > 12) & (volume > 1)
    assert late.sum() > 100
    assert np.sqrt((wrong[late] ** 2).mean()) < 1.5 * np.sqrt(((floor[:, 0] - y)[late] ** 2).mean())


def test_patients_of_another_population_are_told_worse():
    task, windows, found, _ = asked()
    right = KnownEquation()
    meek = replace(right.world.population, alpha_mean=0.4, alpha_sd=0.05)
    wrong = KnownEquation(replace(right.world, population=meek))
    mine, theirs = (np.mean(errors(Known(m), task, windows, found) ** 2) for m in (right, wrong))
    assert mine < 0.8 * theirs


def test_what_it_cannot_know_is_refused():
    with pytest.raises(InputError, match=r"noise_sd 0\.0; it must be above 0"):
        KnownEquation(Tumour(noise_sd=0.0))
    task, windows, _, _ = asked(patients=2)
    named = replace(windows, scale=replace(windows.scale, names=("size", *windows.scale.names[1:])))
    with pytest.raises(InputError, match="needs the channel 'volume'; there are size"):
        Known(KnownEquation()).fit(named, named, task)
