"""What-ifs: branches of one state agree up to where they part, and share what the action does not reach."""

import numpy as np

from sim.laws import Exponential, Lognormal
from sim.line import Line, OrderMaintenance, SetSpeed, Station, Sudden
from twins.futures.whatif import branch
from twins.line import LineTwin
from twins.sensors.render import render

STATION = Station(Lognormal(0.25, 0.2), sudden=Sudden(Exponential(20.0)), repair=Exponential(2.0))
TWIN = LineTwin(Line((STATION, STATION, STATION), (2, 2)))
ACTIONS = {"as it is": None, "order": OrderMaintenance("m2"), "faster": SetSpeed("m3", 1.5)}


def branches(seed=5):
    first = TWIN.world.run(TWIN.world.start(seed), 30.0)
    return first.trace, branch(TWIN.world, first.state, ACTIONS, 90.0), first.state


def test_without_an_action_nothing_changes():
    past, found, state = branches()
    whole = TWIN.world.run(TWIN.world.start(5), 90.0).trace
    joined = past + found["as it is"]
    assert joined.events == whole.events
    assert all(joined[key] == whole[key] for key in whole.signals)
    assert (state.time_h, list(found)) == (30.0, list(ACTIONS))


def test_branches_share_the_past_and_its_noise_sample_by_sample():
    past, found, _ = branches()
    for channel in TWIN.channels:
        readings = [render(past + trace, channel) for trace in found.values()]
        assert len({values[:180].tobytes() for values in readings}) == 1, channel.key
    assert len({trace.events for trace in found.values()}) == len(ACTIONS)


def test_what_the_action_does_not_reach_is_drawn_alike():
    """The saturated first machine does not feel how fast the last one works, while there is room behind it."""
    wide = LineTwin(Line((STATION, STATION), (None,)))
    first = wide.world.run(wide.world.start(1), 30.0)
    found = branch(wide.world, first.state, {"": None, "faster": SetSpeed("m2", 2.0)}, 90.0)
    assert found[""]["m1", "parts"] == found["faster"]["m1", "parts"]
    assert found[""]["m2", "parts"] != found["faster"]["m2", "parts"]


def test_branches_are_paired():
    """The difference that an action makes varies less between paired branches than between unpaired runs."""
    pairs = [branches(seed)[1] for seed in range(30)]
    parts = {name: np.array([pair[name]["m3", "parts"].value[-1] for pair in pairs]) for name in ("as it is", "faster")}
    paired = (parts["faster"] - parts["as it is"]).var()
    assert paired < 0.5 * (parts["faster"].var() + parts["as it is"].var())
