"""Wear laws: lives have the law they should however coarse the breakpoints; one draw tells all that a step hides."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from sim.errors import InputError
from sim.laws import Deterministic
from sim.line import Line, SetSpeed, Station, WearThreshold
from sim.wear import Cmapss, GammaProcess, Markov, Wear, Wiener

NEVER = Deterministic(1e9)
GAMMA = GammaProcess(shape_per_h=0.2, scale=0.1)
LAWS = [
    Wiener(0.05, 0.05, levels=7),
    GAMMA,
    GammaProcess(0.2, 0.1, threshold=2.0, tick_h=500.0),
    GammaProcess(5.0, 0.01, tick_h=0.5),
    Markov(10.0),
    Markov(10.0, period_h=1.0),
    Markov(3.0, states=2, period_h=0.25),
    Cmapss(levels=9),
]


def unit_of(law: Wear, uniform) -> dict[str, float]:
    return {name: float(each.isf(uniform())) for name, each in law.parameters.items()}


def life_h(law: Wear, rng) -> float:
    """The life of one unit in wear hours, from breakpoint to breakpoint."""
    unit = unit_of(law, rng.random)
    wear, lived_h = law.begin(unit), 0.0
    while wear < 1:
        took_h, wear = law.step(wear, unit, float(law.draws.isf(1 - rng.random())))
        lived_h += took_h
    return lived_h


def lives_h(law: Wear, count: int = 3000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([life_h(law, rng) for _ in range(count)])


def unlike(lives: np.ndarray, cdf) -> bool:
    """Kolmogorov and Smirnov, at one in a thousand."""
    return stats.kstest(lives, cdf).pvalue < 1e-3


def passage(law: GammaProcess, faster: float = 1.0):
    """P(T ≤ t): the chance that gamma wear has grown past the threshold."""
    return lambda t: special.gammaincc(law.shape_per_h * faster * t, law.threshold / law.scale)


@pytest.mark.parametrize("tick_h", [0.5, 7.0, 60.0, 1e4])
def test_gamma_lives_are_first_passages_however_coarse_the_ticks(tick_h):
    law = GammaProcess(0.2, 0.1, tick_h=tick_h)
    lives = lives_h(law)
    assert not unlike(lives, passage(law))
    assert unlike(lives, passage(law, 1.08))


@pytest.mark.parametrize("tick_h", [3.0, 40.0])
def test_gamma_wear_at_a_tick_has_the_law_of_its_growth(tick_h):
    law = GammaProcess(0.2, 0.1, tick_h=tick_h)
    rng = np.random.default_rng(1)
    steps = [law.step(0.3, {}, rng.random()) for _ in range(4000)]
    there = np.array([wear for _, wear in steps if wear < 1])
    shape, room = law.shape_per_h * tick_h, 0.7 / law.scale
    assert len(there) / len(steps) == pytest.approx(special.gammainc(shape, room), abs=0.03)

    def cdf(wear, scale=law.scale):
        return special.gammainc(shape, (wear - 0.3) / scale) / special.gammainc(shape, 0.7 / scale)

    assert not unlike(there, cdf)
    assert unlike(there, lambda wear: cdf(wear, 0.115))


def test_markov_lives_are_sums_of_equal_steps_in_either_convention():
    assert not unlike(lives_h(Markov(10.0)), stats.gamma(5, scale=10.0).cdf)
    assert unlike(lives_h(Markov(10.0)), stats.gamma(5, scale=10.5).cdf)
    lives = lives_h(Markov(10.0, period_h=1.0))
    assert np.array_equal(lives, np.round(lives))
    counts = np.bincount(lives.astype(int), minlength=400)[5:400]
    failures = np.arange(5, 400) - 5

    def fits(p):
        expected = stats.nbinom.pmf(failures, 5, p) * len(lives)
        bins = np.add.reduceat(np.stack([counts, expected]), range(0, 395, 9), axis=1)[:, :11]
        bins = np.column_stack([bins, len(lives) - bins.sum(1)])
        return stats.chisquare(*bins).pvalue > 1e-3

    assert fits(0.1)
    assert not fits(0.105)


def test_cmapss_follows_the_papers_health_and_fails_at_none():
    law, rng = Cmapss(levels=20), np.random.default_rng(2)
    for _ in range(50):
        unit = unit_of(law, rng.random)
        wear, at_h = law.begin(unit), 0.0
        while wear < 1:
            t = at_h / law.scale_h
            health = 1 - unit["d"] - math.expm1(unit["a"] * t ** unit["b"])
            assert health == pytest.approx(1 - wear, abs=1e-9)
            took_h, wear = law.step(wear, unit, 0.5)
            at_h += took_h
        assert at_h == pytest.approx(law.scale_h * (math.log(2 - unit["d"]) / unit["a"]) ** (1 / unit["b"]))


def test_cmapss_lives_span_those_of_fd001():
    """Unscaled 30 to 107 (Saxena 2008); scaled, a hundred units live from about 128 to 362 cycles, 206 on average."""
    corners = [
        Cmapss(scale_h=1.0).time_h(1.0, {"a": a, "b": b, "d": d})
        for a in (0.001, 0.003)
        for b in (1.4, 1.6)
        for d in (0, 0.01)
    ]
    assert (round(min(corners)), round(max(corners))) == (30, 107)
    fleets = [lives_h(Cmapss(levels=1), 100, seed) for seed in range(60)]
    assert np.mean([fleet.min() for fleet in fleets]) == pytest.approx(128, rel=0.05)
    assert np.mean([fleet.max() for fleet in fleets]) == pytest.approx(362, rel=0.05)
    assert np.mean(fleets) == pytest.approx(206.3, rel=0.02)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(LAWS),
    st.floats(0, 0.95),
    st.floats(1e-9, 1.0),
    st.floats(0.001, 0.999),
    st.floats(0.01, 300.0),
)
def test_a_step_outlasts_a_time_where_its_survival_lies_below(law, wear, share, q, spent_h):
    """The law of a hidden draw given that nothing happened for a while: the one thing that `resample` rests on."""
    unit = unit_of(law, lambda: share)
    wear = law.leave(max(wear, law.begin(unit)), unit, 1.0)
    took_h, there = law.step(wear, unit, float(law.draws.isf(q)))
    survival = law.sf(wear, unit, spent_h)
    assert took_h >= 0
    assert wear <= there <= 1
    if not isinstance(law, Cmapss) and abs(q - survival) > 1e-9:
        assert (took_h >= spent_h * (1 - 1e-9)) == (q < survival) or took_h >= getattr(law, "tick_h", math.inf)
    again = law.step(wear, unit, float(law.draws.isf(q * 0.5)))
    assert again[0] >= took_h


def test_wear_that_stays_is_a_breakpoint_and_no_more_than_there_was():
    for law in LAWS:
        unit = unit_of(law, lambda: 0.5)
        for share in (0.0, 0.3, 0.999, 1.0):
            left = law.leave(0.9, unit, share)
            assert law.begin(unit) <= left <= max(share * 0.9 + 1e-9, law.begin(unit))
            assert law.leave(left, unit, 1.0) == pytest.approx(left)
            assert left < law.step(left, unit, float(law.draws.isf(0.5)))[1]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_a_line_wears_by_every_law(law):
    made = Line((Station(NEVER, wear=law, load=1.5, repair=Deterministic(1.0)),))
    state = made.act(made.start(5), SetSpeed("m1", 2.0))
    trace = made.run(state, 2000.0).trace
    fails_h = [e.time_h for e in trace.events if (e.kind, e.cause) == ("failure", "wear")]
    wear = trace["m1", "wear"]
    assert len(fails_h) > 5
    assert wear.time_h[wear.value >= 1].tolist() == fails_h
    plain = Line((Station(NEVER, wear=law, repair=Deterministic(1.0)),))
    slow_h = [e.time_h for e in plain.run(plain.start(5), 900.0).trace.events if e.kind == "failure"]
    assert fails_h[0] * 3 == pytest.approx(slow_h[0])


def test_a_threshold_may_lie_anywhere_below_what_is_seen_before_failure():
    Station(NEVER, wear=Markov(10.0), policy=WearThreshold(0.8))
    with pytest.raises(InputError, match=r"Station\.policy is .*; it must be one that asks at 0\.8 of"):
        Station(NEVER, wear=Markov(10.0), policy=WearThreshold(0.81))
    trace = (made := Line((Station(NEVER, wear=GAMMA, policy=WearThreshold(0.99)),))).run(made.start(0), 3e3).trace
    assert {e.cause for e in trace.events if e.kind in ("failure", "planned")} == {"wear", "threshold"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: GammaProcess(0.0, 1.0), r"GammaProcess\.shape_per_h is 0\.0; it must be above 0"),
        (lambda: GammaProcess(1.0, math.inf), r"GammaProcess\.scale"),
        (lambda: GammaProcess(1.0, 1.0, tick_h=0.0), r"GammaProcess\.tick_h"),
        (lambda: GammaProcess(1.0, 1.0, spread_cv=-1.0), r"GammaProcess\.spread_cv"),
        (lambda: Markov(10.0, states=1), r"Markov\.states is 1; it must be at least 2"),
        (lambda: Markov(10.0, period_h=10.0), r"Markov\.period_h is 10\.0; it must be 0, or .* below step_h"),
        (lambda: Markov(10.0, load_exponent=math.nan), r"Markov\.load_exponent"),
        (lambda: Cmapss(a=(0.003, 0.001)), r"Cmapss\.a is \(0\.003, 0\.001\); it must be a range"),
        (lambda: Cmapss(d=(0.0, 1.0)), r"Cmapss\.d"),
        (lambda: Cmapss(scale_h=0.0), r"Cmapss\.scale_h"),
        (lambda: Cmapss(levels=0), r"Cmapss\.levels"),
    ],
)
def test_nonsense_is_refused_by_name(make, says):
    with pytest.raises(InputError, match=says):
        make()
