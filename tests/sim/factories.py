"""Random factories for property-based tests: small, crowded, full of ties where times are deterministic."""

from hypothesis import assume
from hypothesis import strategies as st

from sim.errors import InputError
from sim.factory import (
    Arrivals,
    Band,
    Branch,
    Calendar,
    Changeover,
    Component,
    Conwip,
    Factory,
    Operation,
    Operator,
    Power,
    Product,
    Release,
    Saturated,
    SetPriority,
    Shift,
    Station,
    Tariff,
)
from sim.laws import Deterministic, Exponential, Gamma, Lognormal
from sim.line import AgeReplacement, Hold, Inspection, Opportunistic, OrderMaintenance, RunToFailure, SetSpeed, Sudden
from sim.wear import Markov, Wiener
from tests.sim.strategies import laws

SHIFTS = [
    Calendar((Shift(0, 8), Shift(16, 24))),
    Calendar((Shift(7, 13, ("mon", "tue", "wed")),)),
    Calendar((Shift(20, 30),)),
]
POWER = Power(5.0, 3.0, 1.0, 0.5, 0.1)


def calendars():
    return st.none() | st.sampled_from(SHIFTS)


@st.composite
def stations(draw, name: str, ties: bool):
    wear = draw(st.none() | st.sampled_from([Wiener(0.05, 0.04, levels=8, spread_cv=0.3), Markov(4.0, period_h=1.0)]))
    policies = [Inspection(3.0, 0.6, draw(laws(0.5, ties))), Opportunistic(0.3)] if wear else []
    return Station(
        name,
        machines=draw(st.sampled_from([1, 1, 2])),
        room=draw(st.sampled_from([0, 1, 3, None])),
        rule=draw(st.sampled_from(["fifo", "setup"])),
        setup=draw(st.none() | laws(0.7, ties)),
        changeovers=draw(st.sampled_from([(), (Changeover("red", "blue", Deterministic(2.0)),)])),
        family=draw(st.sampled_from(["", "red"])),
        calendar=draw(calendars()),
        power=POWER,
        wear=wear,
        sudden=draw(st.none() | st.builds(Sudden, laws(20.0, ties), st.sampled_from(["operation", "time"]))),
        repair=draw(laws(3.0, ties)),
        maintenance=draw(laws(2.0, ties)),
        policy=draw(st.sampled_from([AgeReplacement(7.0), *policies])),
    )


@st.composite
def factories(draw) -> Factory:
    ties = draw(st.booleans())
    made = [draw(stations(f"s{k}", ties)) for k in range(draw(st.integers(1, 3)))]
    names = st.sampled_from([s.name for s in made])
    skills = ["turn", "weld"]
    operators = [
        Operator(f"o{i}", draw(st.lists(st.sampled_from(skills), min_size=1, unique=True)), draw(calendars()))  # type: ignore[arg-type]
        for i in range(draw(st.integers(0, 2)))
    ]
    known = sorted({skill for who in operators for skill in who.skills})
    products: list[Product] = []
    for p in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 3))
        again = [Branch("first", 0.3), Branch("", 0.7)] if draw(st.booleans()) else []
        route = [
            Operation(
                draw(names),
                draw(laws(1.0, ties)),
                name="first" if j == 0 else "",
                family=draw(st.sampled_from(["", "red", "blue"])),
                skill=draw(st.sampled_from([None, *known])),
                takes=draw(st.lists(st.builds(Component, st.sampled_from([x.name for x in products])), max_size=1))  # type: ignore[arg-type]
                if products
                else (),
                next=again if j == count - 1 else (),  # type: ignore[arg-type]
            )
            for j in range(count)
        ]
        release = draw(
            st.sampled_from([Saturated(), Saturated(2.0), Conwip(1), Conwip(4), None]) | laws(1.5, ties).map(Arrivals)
        )
        products.append(Product(f"p{p}", route, release))  # type: ignore[arg-type]
    try:
        return Factory(made, products, operators, draw(st.sampled_from([None, 1])), deadlocks="report")  # type: ignore[arg-type]
    except InputError:
        assume(False)
        raise


def factory_actions(factory: Factory):
    machine = st.sampled_from(factory.machines)
    product = st.sampled_from([p.name for p in factory.products])
    return st.one_of(
        st.builds(OrderMaintenance, machine),
        st.builds(Hold, machine),
        st.builds(SetSpeed, machine, st.sampled_from([0.5, 1.0, 1.3])),
        st.builds(Release, product, st.integers(1, 2)),
        st.builds(SetPriority, product, st.integers(-1, 1)),
    )


FLAKY = Factory(
    [Station("mill", sudden=Sudden(Exponential(40.0), "time"), repair=Exponential(2.0))],  # type: ignore[arg-type]
    [Product("cube", [Operation("mill", Deterministic(5.0))], Saturated())],  # type: ignore[arg-type]
)
CLOCKWORK = Factory(
    [
        Station("saw", sudden=Sudden(Deterministic(7.0)), repair=Deterministic(1.7), calendar=SHIFTS[0]),
        Station("mill", machines=2, room=2, rule="setup", setup=Deterministic(0.4)),
    ],  # type: ignore[arg-type]
    [
        Product("peg", [Operation("saw", Deterministic(0.3), skill="saw")], Conwip(3)),  # type: ignore[arg-type]
        Product(
            "box",
            [  # type: ignore[arg-type]
                Operation("saw", Deterministic(0.5), skill="saw"),
                Operation("mill", Deterministic(0.7), family="box", takes=(Component("peg", 2),)),
            ],
            Arrivals(Deterministic(1.1)),
        ),
        Product("lid", [Operation("mill", Deterministic(0.9), family="lid")], Saturated()),  # type: ignore[arg-type]
    ],
    [Operator("ann", ("saw",), Calendar((Shift(6, 14), Shift(22, 30))))],  # type: ignore[arg-type]
    crew=1,
    deadlocks="report",
)


def plant(policy=None) -> Factory:
    """Two mills with an operator by day, and a bench that assembles what they make."""
    upkeep = {"wear": Wiener(0.05, 0.04, spread_cv=0.2), "sudden": Sudden(Exponential(60.0)), "repair": Gamma(2.0, 0.5)}
    day = Calendar((Shift(6, 14),))
    return Factory(
        (
            Station(
                "mill",
                machines=2,
                rule="setup",
                setup=Gamma(0.3, 0.3),
                power=POWER,
                policy=policy or RunToFailure(),
                **upkeep,  # type: ignore[arg-type]
            ),
            Station("bench", power=POWER, calendar=day, sudden=Sudden(Exponential(50.0))),
        ),
        (
            Product("cog", (Operation("mill", Lognormal(0.4, 0.2), family="cog", skill="mill"),), Conwip(5)),
            Product(
                "box",
                (
                    Operation("mill", Lognormal(0.5, 0.2), family="box", skill="mill"),
                    Operation("bench", Exponential(0.6), takes=(Component("cog"),)),
                    Operation("mill", Lognormal(0.2, 0.2), family="cog", skill="mill"),
                ),
                Arrivals(Gamma(3.0, 0.5)),
            ),
        ),
        (Operator("ann", ("mill",), day), Operator("bo", ("mill", "weld"), day)),
        crew=1,
        tariff=Tariff(0.2, (Band(0.3, Shift(7, 11)),)),
    )
