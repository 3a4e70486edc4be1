"""Random lines that draw material and spares from random supply chains."""

from dataclasses import replace

from hypothesis import strategies as st

from sim.line import Line, Material
from tests.sim.strategies import line_actions, lines
from tests.sim.supplies import supplies, supply_actions


@st.composite
def supplied_lines(draw) -> Line:
    line, supply = draw(lines()), draw(supplies())
    names = st.sampled_from(supply.names)
    material = draw(st.none() | st.builds(Material, names, st.integers(1, 3)))
    stations = tuple(
        replace(s, spare=draw(names if k == 0 else st.none() | names)) for k, s in enumerate(line.stations)
    )
    return replace(line, stations=stations, supply=supply, material=material)


def supplied_actions(line: Line):
    assert line.supply
    return st.one_of(line_actions(line), supply_actions(line.supply))
