"""What work leaves behind, and the policies that ask for it, by exact histories."""

import math

import numpy as np
import pytest
from scipy import stats

from sim.errors import InputError
from sim.laws import Deterministic, Weibull
from sim.line import AgeReplacement, Leaves, Line, Station, Sudden
from sim.wear import Cmapss, GammaProcess, Markov, Wiener

NEVER = Deterministic(1e9)
BRIEF = Deterministic(1e-6)
LIFE = Weibull(10.0, 2.0)


def line(*stations, **rest) -> Line:
    return Line(tuple(stations), **rest)


def told(trace, machine="m1", kinds=("failure", "planned", "renewal")):
    return [(e.time_h, e.kind, e.cause) for e in trace.events if e.entity == machine and e.kind in kinds]


# What work leaves behind


def failures(leaves: Leaves, until_h: float, runs: int, clock="operation") -> np.ndarray:
    """Failures of a sudden Weibull life in each of several runs; int[runs]."""
    made = line(Station(NEVER, sudden=Sudden(LIFE, clock), repair=BRIEF, repair_leaves=leaves))  # type: ignore[arg-type]
    traces = (made.run(made.start(seed), until_h).trace for seed in range(runs))
    return np.array([len(told(trace, kinds=("failure",))) for trace in traces])


@pytest.mark.parametrize("kijima", [1, 2])
@pytest.mark.parametrize("clock", ["operation", "time"])
def test_minimal_repair_is_a_poisson_process(kijima, clock):
    """With q = 1 failures follow the hazard of the first life: (t/η)^β of them, Poisson."""
    count, near = failures(Leaves(age=1.0, kijima=kijima), 30.0, 500, clock), 4 * math.sqrt(9.0 / 500)
    assert count.mean() == pytest.approx(9.0, abs=near)
    assert count.var() == pytest.approx(9.0, rel=0.3)
    better = failures(Leaves(age=0.8, kijima=kijima), 30.0, 500, clock)
    assert better.mean() < 9.0 - near


@pytest.mark.parametrize("kijima", [1, 2])
def test_virtual_age_follows_kijimas_recursion(kijima):
    q = 0.5
    made = line(Station(NEVER, sudden=Sudden(LIFE), repair=BRIEF, repair_leaves=Leaves(age=q, kijima=kijima)))
    runs = [
        np.diff([0.0, *(t for t, *_ in told(made.run(made.start(seed), 200.0).trace, kinds=("failure",)))])
        for seed in range(60)
    ]

    def used_up(model: int) -> float:
        """The mean hazard that a life has used up when it ends: 1 where the ages are right (exponential of mean 1)."""
        hazards = []
        for lives in runs:
            virtual_h = 0.0
            for life_h in lives:
                hazards.append(((virtual_h + life_h) / 10.0) ** 2 - (virtual_h / 10.0) ** 2)
                virtual_h = virtual_h + q * life_h if model == 1 else q * (virtual_h + life_h)
        assert len(hazards) > 1500
        return float(np.mean(hazards))

    assert used_up(kijima) == pytest.approx(1.0, abs=0.1)
    assert used_up(3 - kijima) != pytest.approx(1.0, abs=0.25)


def test_whole_renewal_is_what_it_was():
    assert Leaves().new
    station = Station(NEVER, sudden=Sudden(LIFE), repair=BRIEF)
    again = Station(NEVER, sudden=Sudden(LIFE), repair=BRIEF, maintenance_leaves=Leaves(age=0.7))
    times = [told(made.run(made.start(1), 200.0).trace) for made in (line(station), line(again))]
    assert [t for t, _, _ in times[0]] == pytest.approx([t for t, _, _ in times[1]], rel=1e-12)


@pytest.mark.parametrize(
    ("wear", "left"),
    [
        (Wiener(0.05, 0.03, levels=10, spread_cv=0.3), 0.5),
        (Markov(4.0, states=5), 0.5),
        (GammaProcess(0.5, 0.1, spread_cv=0.3), 0.55),
        (Cmapss(), 0.55),
    ],
    ids=lambda x: type(x).__name__,
)
def test_partial_repair_leaves_its_share_of_wear_and_the_unit_its_own_rate(wear, left):
    station = Station(NEVER, wear=wear, repair=Deterministic(1.0), repair_leaves=Leaves(wear=0.55))
    trace = line(station).run(line(station).start(2), 900.0).trace
    path = trace["m1", "wear"]
    after = path.value[1:][np.diff(path.value) < 0]
    assert len(after) > 3
    assert after == pytest.approx(np.full(len(after), left))
    assert len(set(trace["m1", "rate"].value)) == 1
    whole = line(Station(NEVER, wear=wear, repair=Deterministic(1.0)))
    lives = [
        np.mean(np.diff([0.0, *[t for t, k, _ in told(trace) if k == "failure"]]))
        for trace in (trace, whole.run(whole.start(2), 900.0).trace)
    ]
    assert lives[0] < lives[1]


def test_wear_that_goes_on_from_where_it_was_left_has_the_law_of_what_remains():
    wear = Wiener(0.05, 0.05, levels=10)
    made = line(Station(NEVER, wear=wear, repair=BRIEF, repair_leaves=Leaves(wear=0.6)))
    times = [t for t, _, _ in told(made.run(made.start(0), 2e4).trace, kinds=("failure",))]
    lives = np.diff(times)
    mean_h, shape_h = 0.4 / 0.05, (0.4 / 0.05) ** 2
    cdf = stats.invgauss(mean_h / shape_h, scale=shape_h).cdf
    assert stats.kstest(lives, cdf).pvalue > 1e-3
    assert stats.kstest(1.07 * lives, cdf).pvalue < 1e-3


def test_planned_work_that_leaves_age_lets_the_life_go_on():
    """A certain life of 31 h, maintained every 12 h with q = 1, fails when it has run for 31 h in all."""
    station = Station(
        NEVER,
        sudden=Sudden(Deterministic(31.0)),
        maintenance=Deterministic(2.0),
        repair=Deterministic(5.0),
        maintenance_leaves=Leaves(age=1.0),
        policy=AgeReplacement(12.0),
    )
    assert told(line(station).run(line(station).start(0), 42.0).trace, kinds=("failure", "planned")) == [
        (12.0, "planned", "age"),
        (26.0, "planned", "age"),
        (35.0, "failure", "sudden"),
    ]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Leaves(wear=1.5), r"Leaves\.wear is 1\.5; it must be between 0 and 1"),
        (lambda: Leaves(age=-0.1), r"Leaves\.age"),
        (lambda: Leaves(kijima=3), r"Leaves\.kijima is 3; it must be 1 or 2"),  # type: ignore[arg-type]
        (lambda: Station(NEVER, repair_leaves=Leaves(wear=0.5)), r"repair_leaves .* where the station has no wear"),
        (lambda: Station(NEVER, maintenance_leaves=Leaves(age=0.5)), r"maintenance_leaves .* where no life is sudden"),
        (
            lambda: Station(NEVER, wear=Markov(1.0), repair_leaves=Leaves(wear=1.0)),
            r"repair_leaves .* fails again at once",
        ),
    ],
)
def test_nonsense_is_refused_by_name(make, says):
    with pytest.raises(InputError, match=says):
        make()
