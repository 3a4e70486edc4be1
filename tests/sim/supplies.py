"""Random supply chains for property-based tests: every policy and manner, and full of ties where times are
deterministic."""

from hypothesis import strategies as st

from sim.laws import Deterministic, Exponential
from sim.supply import BaseStock, Demand, FixedQuantity, Hold, MinMax, PlaceOrder, Point, SetPolicy, Supply
from tests.sim.strategies import laws

policies = st.one_of(
    st.integers(0, 8).map(BaseStock),
    st.integers(-1, 6).flatmap(lambda s: st.integers(1, 9).map(lambda more: MinMax(s, s + more))),
    st.builds(FixedQuantity, st.integers(-1, 6), st.integers(1, 5)),
)


@st.composite
def points(draw, name: str, suppliers: list[str], ties: bool) -> Point:
    lead = draw(st.none() | laws(3.0, ties))
    late = draw(st.sampled_from([0.0, 0.5])) if lead else 0.0
    sizes = st.sampled_from([Deterministic(3.0)] if ties else [Exponential(1.5), Deterministic(2.0)])
    review_h = draw(st.none() | st.sampled_from([2.0, 5.0]))
    return Point(
        name,
        draw(policies),
        supplier=draw(st.none() | st.sampled_from(suppliers)) if suppliers else None,
        lead=lead,
        demand=draw(st.none() | st.builds(Demand, laws(2.0, ties), st.none() | sizes)),
        lost_sales=draw(st.booleans()),
        review_h=review_h,
        perishable=review_h is not None and draw(st.booleans()),
        late=late,
        delay=draw(laws(4.0, ties)) if late else None,
        loss=draw(st.sampled_from([0.0, 0.3])) if lead else 0.0,
        initial=draw(st.none() | st.integers(0, 5)),
    )


@st.composite
def supplies(draw) -> Supply:
    ties, made = draw(st.booleans()), []
    for name in "abcd"[: draw(st.integers(1, 4))]:
        made.append(draw(points(name, [point.name for point in made], ties)))
    return Supply(tuple(draw(st.permutations(made))))


def supply_actions(world: Supply):
    point = st.sampled_from(world.names)
    return st.one_of(
        st.builds(PlaceOrder, point, st.integers(1, 6)), st.builds(SetPolicy, point, policies), st.builds(Hold, point)
    )
