"""Virtual patients: within limits, correlated as said, told how many draws were rejected, nonsense refused."""

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import UNIT
from sim.patient import HEALTHY, HFPEF, NORMAL, PRESERVED, REDUCED, Population, solve
from sim.streams import Stream

POPULATIONS = {"healthy": HEALTHY, "reduced": REDUCED, "preserved": PRESERVED}


@pytest.mark.parametrize("name", POPULATIONS)
def test_every_patient_has_a_steady_state_within_the_limits(name):
    population = POPULATIONS[name]
    found = population.sample(5, 300)
    again = solve(found.rows)
    assert again.found.all()
    for output, low, high in population.limits:
        assert low <= again.outputs[output].min() <= again.outputs[output].max() <= high
        assert np.array_equal(again.outputs[output], found.outputs[output])


def test_healthy_hearts_eject_as_those_of_the_uk_biobank():
    ef = HEALTHY.sample(0, 1500).outputs["ef"]
    assert ef.mean() == pytest.approx(58, abs=1)
    assert ef.std() == pytest.approx(5, abs=1)


def test_logarithms_have_the_stated_spread_and_correlation_where_nothing_is_rejected():
    free = replace(REDUCED, limits=())
    found = free.sample(2, 4000)
    assert found.rejected < 0.02
    logs = np.log(found.rows[:, free._columns])
    assert logs.std(0) == pytest.approx([sd for _, sd in free.spread], rel=0.06)
    assert np.abs(np.corrcoef(logs.T) - free._matrix).max() < 0.07


def test_the_rejected_share_counts_every_draw():
    found = PRESERVED.sample(7, 200)
    stream = Stream(1)
    tries = sum(PRESERVED.draw(lambda: stream.draw(UNIT)).tries for _ in range(600))
    se = (found.rejected * (1 - found.rejected) / 200) ** 0.5
    assert found.rejected > 0.05
    assert 1 - 600 / tries == pytest.approx(found.rejected, abs=4 * se)


def test_more_patients_leave_the_first_as_they_are():
    assert np.array_equal(REDUCED.sample(4, 400).rows[:50], REDUCED.sample(4, 50).rows)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spread": (("ees", 0.7),)}, "above 0 and at most 0.6"),
        ({"spread": (("heart", 0.1),)}, "of parameters, each once"),
        ({"correlation": (("ees", "ees", 0.1),)}, "of two parameters"),
        ({"correlation": (("ra", "pset", 0.95), ("ra", "cas", 0.95), ("cas", "pset", -0.9))}, "positive definite"),
        ({"limits": (("ef", 60.0, 50.0),)}, "low before high"),
    ],
)
def test_nonsense_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        Population(**change)


def test_physiology_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="plausible"):
        replace(HEALTHY, reference=HFPEF, limits=(("pcwp", 3.0, 5.0),)).sample(0, 10)
    stream = Stream(1)
    with pytest.raises(InputError, match="plausible"):
        Population(NORMAL, limits=(("ef", 5.0, 8.0),)).draw(lambda: stream.draw(UNIT))
