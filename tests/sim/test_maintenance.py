"""What work leaves behind, and the policies that ask for it, by exact histories."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sim.errors import InputError
from sim.laws import Deterministic, Weibull
from sim.line import AgeReplacement, BlockReplacement, Hold, Inspection, Leaves, Line, Opportunistic, Station, Sudden
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


def test_a_unit_older_than_floats_can_tell_fails_at_once_and_is_repaired():
    worn_out = Station(NEVER, sudden=Sudden(LIFE), repair=Deterministic(1.0), repair_leaves=Leaves(age=1.0))
    state = line(worn_out).start(0)
    state.machines[0].virtual_h = 1e4
    assert len(told(line(worn_out).run(state, 50.0).trace, kinds=("failure",))) > 40


# Policies. Sure wear doubles 1 + wear every 10 h: it is seen at .4 from 4.85 h on and fails at 10 h.

SURE = Cmapss(a=(math.log(2), math.log(2)), b=(1.0, 1.0), d=(0.0, 0.0), scale_h=10.0, levels=10)


def worn(policy, **rest) -> Station:
    return Station(NEVER, wear=SURE, repair=Deterministic(3.0), maintenance=Deterministic(2.0), policy=policy, **rest)


def near(times):
    return [(pytest.approx(time_h, abs=1e-9), *rest) for time_h, *rest in times]


def test_block_replacement_keeps_to_the_calendar_and_passes_over_a_machine_that_is_down():
    sudden = Sudden(Deterministic(7.0))
    station = Station(
        NEVER,
        sudden=sudden,
        repair=Deterministic(2.0),
        maintenance=Deterministic(1.0),
        policy=BlockReplacement(5.0),
    )
    assert told(line(station).run(line(station).start(0), 21.5).trace) == [
        (5.0, "planned", "block"),
        (6.0, "renewal", "maintenance"),
        (10.0, "planned", "block"),
        (11.0, "renewal", "maintenance"),
        (15.0, "planned", "block"),
        (16.0, "renewal", "maintenance"),
        (20.0, "planned", "block"),
        (21.0, "renewal", "maintenance"),
    ]
    slow = replace(station, repair=Deterministic(4.0), policy=BlockReplacement(9.0))
    assert told(line(slow).run(line(slow).start(0), 19.0).trace, kinds=("failure", "planned")) == [
        (7.0, "failure", "sudden"),  # repaired until 11 h, so that 9 h passes
        (18.0, "failure", "sudden"),  # at the very time of the next: the clock of the unit comes first
    ]


def test_block_replacement_takes_down_machines_that_starve():
    made = line(
        Station(NEVER), Station(NEVER, policy=BlockReplacement(4.0), maintenance=Deterministic(1.0)), buffers=(1,)
    )
    assert [t for t, kind, _ in told(made.run(made.start(0), 13.0).trace, "m2") if kind == "planned"] == [
        4.0,
        8.0,
        12.0,
    ]


def test_an_inspection_sees_the_wear_and_acts_from_its_fraction_on():
    trace = line(worn(Inspection(3.0, 0.5))).run(line(worn(Inspection(3.0, 0.5))).start(0), 15.0).trace
    assert told(trace) == near(
        [(6.0, "planned", "inspection"), (8.0, "renewal", "maintenance"), (14.0, "planned", "inspection")]
    )
    looks = [(e.time_h, e.value) for e in trace.events if e.kind == "inspection"]
    assert looks == near([(3.0, 0.2), (6.0, 0.5), (11.0, 0.2), (14.0, 0.5)])


def test_an_inspection_that_takes_time_stops_the_machine_and_its_wear():
    station = replace(worn(Inspection(3.0, 0.5, Deterministic(0.5))), cycle=Deterministic(4.0))
    trace = line(station).run(line(station).start(0), 9.5).trace
    assert told(trace) == near([(7.0, "planned", "inspection"), (9.0, "renewal", "maintenance")])
    phase = trace["m1", "phase"]
    assert list(zip(phase.time_h, phase.value, strict=True)) == near(
        [(0.0, 1), (3.0, 6), (3.5, 1), (6.5, 6), (7.0, 5), (9.0, 1)]
    )
    assert trace["m1", "parts"].time_h[1:].tolist() == pytest.approx([4.5])


def test_a_calendar_clock_runs_on_during_an_inspection():
    station = worn(Inspection(3.0, 0.5, Deterministic(1.0)), sudden=Sudden(Deterministic(3.5), "time"))
    assert told(line(station).run(line(station).start(0), 7.0).trace)[0] == (3.5, "failure", "sudden")


def test_an_opportunity_takes_worn_machines_down_with_another_and_spares_the_others():
    flaky = Station(NEVER, sudden=Sudden(Deterministic(6.0)), repair=Deterministic(1.0))
    quick = replace(flaky, cycle=Deterministic(0.001))  # so that the others are soon at work
    made = line(
        quick, *(replace(worn(Opportunistic(f)), cycle=Deterministic(0.001)) for f in (0.4, 0.6)), buffers=(9, 9)
    )
    trace = made.run(made.start(0), 9.0).trace
    assert told(trace, "m2")[0] == (6.0, "planned", "opportunity")
    assert told(trace, "m3") == []
    assert told(trace, "m1")[0] == (6.0, "failure", "sudden")


def test_an_opportunistic_machine_goes_down_by_itself_at_its_limit():
    made = line(worn(Opportunistic(0.2, 0.7)))
    assert told(made.run(made.start(0), 9.0).trace)[0] == near([(10 * math.log2(1.7), "planned", "threshold")])[0]
    alone = line(worn(Opportunistic(0.2)))
    assert told(alone.run(alone.start(0), 11.0).trace)[0] == near([(10.0, "failure", "wear")])[0]


POLICIES = [
    BlockReplacement(4.0),
    Inspection(3.0, 0.2),
    Inspection(3.0, 0.2, Deterministic(0.5)),
    Opportunistic(0.2, 0.4),
    AgeReplacement(4.0),
]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_a_held_policy_lets_the_machine_run_to_failure(policy):
    made = line(worn(policy))
    plain = made.run(made.start(0), 60.0).trace
    held = made.run(made.act(made.start(0), Hold("m1")), 60.0).trace
    assert {kind for _, kind, _ in told(plain)} == {"planned", "renewal"}
    assert {kind for _, kind, _ in told(held)} == {"failure", "renewal"}
    late = made.act(made.run(made.start(0), 3.2).state, Hold("m1"))  # during the look, where there is one
    assert "planned" not in {kind for _, kind, _ in told(made.run(late, 60.0).trace)}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Leaves(wear=1.5), r"Leaves\.wear is 1\.5; it must be between 0 and 1"),
        (lambda: Leaves(age=-0.1), r"Leaves\.age"),
        (lambda: Leaves(kijima=3), r"Leaves\.kijima is 3; it must be 1 or 2"),  # type: ignore[arg-type]
        (lambda: Station(NEVER, repair_leaves=Leaves(wear=0.5)), r"repair_leaves .* where the station has no wear"),
        (lambda: Station(NEVER, maintenance_leaves=Leaves(age=0.5)), r"maintenance_leaves .* where no life is sudden"),
        (lambda: BlockReplacement(0.0), r"BlockReplacement\.every_h is 0\.0; it must be at least"),
        (lambda: Inspection(0.0, 0.5), r"Inspection\.every_h"),
        (lambda: Inspection(1.0, 1.0), r"Inspection\.fraction is 1\.0; it must be between 0 and 1"),
        (lambda: Opportunistic(0.5, 0.4), r"Opportunistic\.limit is 0\.4; it must be between the fraction and 1"),
        (lambda: Station(NEVER, policy=Inspection(1.0, 0.5)), r"policy .* where the station has no wear"),
        (lambda: Station(NEVER, policy=Opportunistic(0.5)), r"policy .* where the station has no wear"),
        (lambda: Station(NEVER, wear=Markov(1.0), policy=Inspection(1.0, 0.9)), r"policy .* asks at 0\.8"),
        (lambda: Station(NEVER, wear=Markov(1.0), policy=Opportunistic(0.5, 0.9)), r"policy .* asks at 0\.8"),
        (
            lambda: Station(NEVER, wear=Markov(1.0), repair_leaves=Leaves(wear=1.0)),
            r"repair_leaves .* fails again at once",
        ),
    ],
)
def test_nonsense_is_refused_by_name(make, says):
    with pytest.raises(InputError, match=says):
        make()
