"""Random grids for property-based tests: radial networks with every device, ties, few crews and storms."""

from hypothesis import strategies as st

from sim.grid import Grid, LoadPoint, Network, Replace, Section, Storms, SwitchSection, Transformer
from sim.grid.network import DEVICES, YEAR_H
from sim.laws import Deterministic, Exponential
from tests.sim.strategies import laws

SOURCE = "busbar"


@st.composite
def networks(draw, ties: bool = False) -> Network:
    count = draw(st.integers(1, 8))
    buses = [SOURCE]
    sections = []
    for i in range(count):
        sections.append(
            Section(
                f"s{i}",
                draw(st.sampled_from(buses)),
                f"n{i}",
                failures_per_km_year=draw(st.sampled_from([0.0, 0.01, 0.05])) * YEAR_H,
                repair=draw(laws(5.0, ties)),
                at_a=draw(st.sampled_from(DEVICES)),  # type: ignore[arg-type]
                at_b=draw(st.sampled_from(DEVICES)),  # type: ignore[arg-type]
                exposed=draw(st.booleans()),
            )
        )
        buses.append(f"n{i}")
    for i in range(draw(st.integers(0, 2))):
        a, b = draw(st.lists(st.sampled_from(buses), min_size=2, max_size=2, unique=True))
        capacity_kw = draw(st.sampled_from([float("inf"), 2.0]))
        sections.append(Section(f"tie{i}", a, b, 0.0, at_a="switch", at_b="switch", open=True, capacity_kw=capacity_kw))
    points = tuple(
        LoadPoint(
            f"LP{i}",
            draw(st.sampled_from(buses)),
            draw(st.integers(0, 9)),
            draw(st.sampled_from([0.0, 1.0, 3.0])),
            draw(st.none() | st.just(Transformer(0.02 * YEAR_H, Deterministic(8.0)))),
        )
        for i in range(draw(st.integers(1, 4)))
    )
    return Network((SOURCE,), tuple(draw(st.permutations(sections))), points)


@st.composite
def grids(draw) -> Grid:
    ties = draw(st.booleans())
    return Grid(
        draw(networks(ties)),
        crews=draw(st.none() | st.integers(1, 2)),
        switching_h=draw(st.sampled_from([0.0, 1.0, 6.0])),
        replacement=draw(laws(3.0, ties)),
        storms=draw(st.none() | st.just(Storms(YEAR_H / 20, Exponential(6.0), 5.0))),
    )


def grid_actions(grid: Grid):
    sections = st.sampled_from([section.name for section in grid.network.sections])
    return st.builds(SwitchSection, sections, st.booleans()) | st.sampled_from(grid.network.elements).map(Replace)
