"""Random lines for property-based tests: small, quick to fail, and full of ties where times are deterministic."""

from hypothesis import strategies as st

from sim.laws import Deterministic, Exponential, Gamma, InverseGaussian, Lognormal, Weibull
from sim.line import (
    AgeReplacement,
    BlockReplacement,
    Hold,
    Inspection,
    Leaves,
    Line,
    Opportunistic,
    OrderMaintenance,
    RunToFailure,
    SetSpeed,
    Station,
    Sudden,
    WearThreshold,
)
from sim.wear import Cmapss, GammaProcess, Markov, Wiener

WEAR = [
    Wiener(0.05, 0.04, levels=8, spread_cv=0.3, load_exponent=1.5),
    GammaProcess(0.5, 0.1, tick_h=3.0, spread_cv=0.3),
    Markov(4.0, period_h=1.0),
    Markov(4.0, states=4, load_exponent=0.0),
    Cmapss(scale_h=0.4, levels=8),
]
whole_hours = st.integers(1, 9).map(float)


def laws(mean_h: float, ties: bool):
    if ties:
        return whole_hours.map(Deterministic)
    return st.sampled_from(
        [
            Exponential(mean_h),
            Gamma(mean_h, 0.5),
            Lognormal(mean_h, 0.3),
            Weibull(mean_h, 2.0),
            InverseGaussian(mean_h, 2 * mean_h),
            Deterministic(mean_h),
        ]
    )


@st.composite
def stations(draw, ties: bool):
    wear = draw(st.none() | st.sampled_from(WEAR))
    sudden = draw(st.none() | st.builds(Sudden, laws(20.0, ties), st.sampled_from(["operation", "time"])))
    policies = [RunToFailure(), AgeReplacement(7.0), BlockReplacement(9.0)]
    if wear is not None:
        looks = [Inspection(4.0, 0.5), Inspection(3.0, 0.6, draw(laws(0.5, ties)))]
        policies += [WearThreshold(0.6), *looks, Opportunistic(0.3), Opportunistic(0.3, 0.6)]
    left = draw(st.sampled_from([0.0, 0.0, 0.5])) if wear else 0.0
    age, kijima = draw(st.sampled_from([(0.0, 1), (0.4, 1), (1.0, 2)])) if sudden else (0.0, 1)
    return Station(
        repair_leaves=Leaves(left, age, kijima),
        maintenance_leaves=draw(st.sampled_from([Leaves(), Leaves(left, age, kijima)])),
        cycle=draw(laws(1.0, ties)),
        machines=draw(st.sampled_from([1, 1, 1, 2, 3])),
        sudden=sudden,
        wear=wear,
        load=draw(st.sampled_from([1.0, 1.7])),
        repair=draw(laws(3.0, ties)),
        maintenance=draw(laws(2.0, ties)),
        policy=draw(st.sampled_from(policies)),
    )


@st.composite
def lines(draw) -> Line:
    ties = draw(st.booleans())
    made = draw(st.lists(stations(ties), min_size=1, max_size=4))
    arrivals = draw(st.none() | laws(1.2, ties))
    return Line(
        stations=made,  # type: ignore[arg-type]
        buffers=draw(st.lists(st.sampled_from([0, 1, 3, None]), min_size=len(made) - 1, max_size=len(made) - 1)),  # type: ignore[arg-type]
        arrivals=arrivals,
        queue=None if arrivals is None else draw(st.sampled_from([None, 0, 2])),
        crew=draw(st.sampled_from([None, 1, 2])),
    )


@st.composite
def compiled_lines(draw) -> Line:
    """Lines that the compiled engine takes."""
    ties = draw(st.booleans())
    made = []
    for _ in range(draw(st.integers(1, 4))):
        wear = draw(st.none() | st.sampled_from([WEAR[0], Wiener(0.1, 0.05, levels=3)]))
        sudden = draw(st.none() | st.builds(Sudden, laws(9.0, ties)))
        policies = [RunToFailure(), AgeReplacement(7.0), *([WearThreshold(0.6)] if wear else [])]
        load, policy = draw(st.sampled_from([1.0, 1.7])), draw(st.sampled_from(policies))
        cycle, repair, maintenance = (draw(laws(mean_h, ties)) for mean_h in (1.0, 3.0, 2.0))
        made.append(
            Station(
                sudden=sudden,
                wear=wear,
                load=load,
                repair=repair,
                maintenance=maintenance,
                policy=policy,
                cycle=cycle,
            )
        )
    room = st.sampled_from([0, 1, 3, None])
    return Line(
        stations=tuple(made),
        buffers=tuple(draw(room) for _ in made[1:]),
        crew=draw(st.sampled_from([None, 1, 2])),
        engine="compiled",
    )


def line_actions(line: Line):
    machine = st.sampled_from(line.machines)
    speeds = st.sampled_from([0.5, 1.0, 1.3, 2.0])
    return st.one_of(
        st.builds(OrderMaintenance, machine), st.builds(Hold, machine), st.builds(SetSpeed, machine, speeds)
    )
