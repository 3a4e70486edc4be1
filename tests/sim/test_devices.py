"""Devices: what comes first happens, work is done in order, nobody is moved by another device, checks catch faults."""

from dataclasses import replace

import pytest

from sim.devices import PUMP, VENTILATOR, Devices, Kind, Phase, Service
from sim.devices.checks import Engineers, Renewal, share
from sim.errors import InputError
from sim.laws import Deterministic, Exponential
from sim.verify import run_check

CLOCKWORK = Kind(
    "pump", 1, Deterministic(5.0), Deterministic(2.0), Deterministic(1.0), None, Deterministic(8.0), 0.0,
    repair=Deterministic(3.0), service=Deterministic(1.0),
)  # fmt: skip


def story(world, until_h=30.0, *actions):
    state = world.start(0)
    for action in actions:
        state = world.act(state, action)
    return [(e.time_h, e.kind, e.cause) for e in world.run(state, until_h).trace.events]


def test_a_device_fails_in_use_and_is_renewed():
    assert story(Devices((CLOCKWORK,)), 21.0) == [
        (2.0, "use", ""),
        (7.0, "free", ""),
        (9.0, "use", ""),
        (12.0, "failure", "sudden"),  # after eight hours of use
        (15.0, "renewal", "repair"),
        (17.0, "use", ""),
    ]


def test_service_comes_after_so_many_hours_of_use_or_as_ordered():
    served = [(7.0, "planned", ""), (8.0, "renewal", "service"), (10.0, "use", "")]
    assert story(Devices((replace(CLOCKWORK, service_every_h=5.0),)), 11.0)[-3:] == served
    first = Devices((CLOCKWORK,)).run(Devices((CLOCKWORK,)).start(0), 4.0).state
    world = Devices((CLOCKWORK,))
    events = world.run(world.act(first, Service("pump1")), 11.0).trace.events  # in use: when its patient is done
    assert [(e.time_h, e.kind, e.cause) for e in events] == [(4.0, "action", "Service"), (7.0, "free", ""), *served]
    idle = story(world, 4.0, Service("pump1"))
    assert idle == [(0.0, "action", "Service"), (0.0, "planned", ""), (1.0, "renewal", "service"), (3.0, "use", "")]


def test_one_engineer_mends_in_the_order_of_failure():
    slow = replace(CLOCKWORK, count=3, repair=Deterministic(10.0))
    world = Devices((slow,), engineers=1)
    trace = world.run(world.start(0), 60.0).trace
    renewed = [(e.time_h, e.entity) for e in trace.events if e.kind == "renewal"][:3]
    assert renewed == [(22.0, "pump1"), (32.0, "pump2"), (42.0, "pump3")]
    waiting = trace["engineers", "waiting"]
    assert waiting.at([11.0, 13.0, 23.0, 33.0]).tolist() == [0.0, 2.0, 1.0, 0.0]
    assert trace["pump2", "phase"].at([13.0, 23.0]).tolist() == [Phase.WAITING, Phase.REPAIRED]


def test_a_further_device_leaves_the_others_as_they_were():
    few, more = (Devices((replace(PUMP, count=n), VENTILATOR), engineers=None) for n in (3, 4))
    a, b = (world.run(world.start(4), 2000.0).trace for world in (few, more))
    assert all(a[key] == b[key] for key in a.signals)
    assert [e for e in b.events if e.entity != "pump4"] == list(a.events)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Kind(count=0), "count"),
        (lambda: Kind(alarms_per_h=-1.0), "alarms_per_h"),
        (lambda: Devices((PUMP, PUMP)), "kinds"),
        (lambda: Devices((replace(PUMP, count=12), Kind("pump1", 3))), "kinds"),
        (lambda: Devices(engineers=0), "engineers"),
        (lambda: Devices().act(Devices().start(0), Service("pump99")), "pump99"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "check",
    [
        Renewal(replications=24, looks=1, hours=30_000.0),
        Engineers(replications=64, looks=1, hours=10_000.0),
    ],
)
def test_checks_pass_and_catch_a_planted_fault(check):
    """At a fraction of their length they tell a fault of a quarter from none."""
    for fault, near in ((0.0, True), (0.25, False)):
        results = run_check("devices", replace(check, fault=fault), 0.002)
        assert all(r.measured == pytest.approx(r.reference, rel=0.04) for r in results) is near


def test_lives_are_exponential_where_nothing_wears():
    kind = Kind("pump", 40, Exponential(30.0), Exponential(3.0), wear=None, sudden=Exponential(50.0), alarms_per_h=0.0)
    world = Devices((kind,), None)
    trace = world.run(world.start(1), 3000.0).trace
    failures = sum(e.kind == "failure" for e in trace.events)
    used = sum(share(trace[name, "phase"], [Phase.IN_USE], 0.0, 3000.0) * 3000.0 for name in world.names)
    assert failures / used == pytest.approx(1 / 50, rel=0.1)
