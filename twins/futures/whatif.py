"""What would have happened: futures of one state that differ in what was done, and in nothing that does not follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.trace import Trace
from sim.world import World


def branch(world: World, state: Any, actions: Mapping[str, Any | None], until_h: float) -> dict[str, Trace]:
    """One trace from *state* to *until_h* for each named action (None: leave it be).

    The branches share every draw that the action does not reach, so their differences are paired by common random
    numbers, and their noise is the same sample by sample.
    """
    starts = {name: state if action is None else world.act(state, action) for name, action in actions.items()}
    return {name: world.run(start, until_h).trace for name, start in starts.items()}
