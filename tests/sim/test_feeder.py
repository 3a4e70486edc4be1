"""Homes behind a transformer: temperatures, energies, outages, thefts and voltages, each against a second reckoning."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sim.errors import InputError
from sim.feeder import Cable, Feeder, Protection, ReplaceTransformer, SetBattery, Theft, Windings
from sim.feeder.power import behind, bus_of, drawn_kwh, head_of, metered_kwh, stolen_kwh
from sim.feeder.street import fed
from sim.grid import LoadPoint, Network, Section
from sim.homes import WEATHER, Business, Call, Chargers, Group, Homes, Household
from sim.homes.battery import Battery
from sim.homes.transformer import Transformer, ageing_rate, warm
from sim.laws import Deterministic, Exponential, Uniform, Weibull

HOMES = Homes(
    (Group(3, Household(heat_kw_per_k=0.15)), Group(2, Household(pv_kw=5.0)), Group(2, Household(car=True))),
    chargers=Chargers(1, visits_per_h=0.1),
    businesses=(Business(annual_kwh=8000.0),),
)
QUIET = Feeder(HOMES, Transformer(15.0), life=None, protection=None)
ROUGH = replace(
    QUIET,
    transformer=Transformer(11.0),
    sizes_kva=(11.0, 16.0),
    life=Weibull(0.5, 2.0),
    sudden=Exponential(70.0),
    replacement=Uniform(1.1, 7.3),
    protection=Protection(130.0, 1.5),
    theft=Theft(Exponential(60.0), Exponential(40.0)),
    battery=Battery(6.0, 4.0, 4.0),
)
HOURS = 400.0
AT_H = np.arange(int(HOURS * 4) + 1) / 4


@pytest.fixture(scope="module")
def rough():
    """Some weeks in which everything happens, with orders to the battery."""
    trace, state = ROUGH.run(ROUGH.start(5), 100.3)
    for until_h, order_kw in ((150.0, 2.0), (200.1, -3.0), (HOURS, 0.7)):
        more, state = ROUGH.run(ROUGH.act(state, SetBattery(order_kw)), until_h)
        trace = trace + more
    return trace


def of(trace, entity, *kinds):
    return [e for e in trace.events if e.entity == entity and e.kind in kinds]


def test_temperatures_and_ageing_are_those_of_the_standard_on_the_same_load():
    trace = QUIET.run(QUIET.start(1), HOURS).trace
    load = trace["transformer", "load"]
    count = len(load.value) - 1
    ambient = trace[WEATHER, "temperature"].at(AT_H[:count] + 0.125)
    found = warm(QUIET.transformer, AT_H[: count + 1], load.value[1:], ambient)
    rest = np.exp(-AT_H[1 : count + 1] / 3)  # of where it begins, which is not cold
    first = QUIET.start(1).unit.heat
    np.testing.assert_allclose(
        trace["transformer", "oil"].value[1:], found.oil_cel[1:] + rest * (first.oil_cel - ambient[0]), atol=1e-9
    )
    rest = first.first_k * np.exp(-AT_H[1 : count + 1] * 60 / 8)
    hot = found.hot_spot_cel[1:] - found.oil_cel[1:] + rest + trace["transformer", "oil"].value[1:]
    np.testing.assert_allclose(trace["transformer", "hot_spot"].value[1:], hot, atol=1e-9)
    rate = ageing_rate(QUIET.transformer, trace["transformer", "hot_spot"].value)
    assert trace["transformer", "aged"].value[-1] == pytest.approx(float(rate[:-1].sum()) / 4)


def test_the_load_is_what_all_have_drawn_whatever_happens(rough):
    load, rated = rough["transformer", "load"], rough["transformer", "rated"]
    drawn = sum(drawn_kwh(ROUGH, rough, name, AT_H) for name in ROUGH.points)
    kva = rated.value[np.searchsorted(rated.time_h, AT_H[1:], side="left") - 1]
    expected = np.abs(drawn) * 4 / 0.95 / kva
    np.testing.assert_allclose(load.value[1:], expected[: len(load.value) - 1], atol=1e-9)
    assert len(set(kva)) == 2
    assert {e.cause for e in of(rough, "feeder", "failure")} == {"overload", "ageing", "sudden"}


def test_the_dark_feeder_draws_nothing_and_has_no_voltage(rough):
    live, found = rough["feeder", "live"], behind(ROUGH, rough, AT_H)
    whole = np.array([not live.at(np.append(live.time_h[(live.time_h >= a) & (live.time_h < b)], a)).any()
                      for a, b in pairwise(AT_H)])  # fmt: skip
    assert whole.any()
    assert not found.kw_TxP[whole].any()
    assert not found.voltage_pu_T(bus_of(ROUGH, "h7"))[whole].any()
    assert (found.voltage_pu_T(bus_of(ROUGH, "h7"))[~whole] > 0.8).all()
    ends = [e.value for e in of(rough, "feeder", "renewal")]
    unserved = [
        np.diff(sum(_free_kwh(ROUGH, rough, name, np.array([a.time_h, b.time_h])) for name in ROUGH.points[:-1]))[0]
        for a, b in zip(of(rough, "feeder", "failure"), of(rough, "feeder", "renewal"), strict=False)
    ]
    assert ends == pytest.approx(unserved)


def _free_kwh(world, trace, name, at_h):
    from sim.homes.power import home_kwh, integral

    return integral(trace[name, "power"], at_h) if name in ("chargers", "b1") else home_kwh(
        world.homes, trace, name, at_h
    )  # fmt: skip


def test_every_failure_is_followed_by_a_new_transformer_and_a_supply(rough):
    kinds = [(e.kind, e.cause) for e in of(rough, "transformer", "failure", "renewal", "planned")]
    assert {k for k, _ in kinds[::2]} == {"failure"}
    assert {k for k in kinds[1::2]} == {("renewal", "failure")}
    lights = [e.kind for e in of(rough, "feeder", "failure", "renewal")]
    assert lights == ["failure", "renewal"] * (len(lights) // 2) + ["failure"] * (len(lights) % 2)
    aged = rough["transformer", "aged"]
    for event in of(rough, "transformer", "renewal"):
        assert aged.at(event.time_h) == 0.0


def test_meters_miss_what_is_stolen_and_nothing_else(rough):
    stealing = [e for e in rough.events if e.kind == "theft"]
    assert {e.kind for e in rough.events} >= {"theft", "honest"}
    thieves = {e.entity for e in stealing}
    for name in ROUGH.homes.names:
        drawn, stolen, metered = (f(ROUGH, rough, name, AT_H) for f in (drawn_kwh, stolen_kwh, metered_kwh))
        assert (stolen.sum() > 0) == (name in thieves)
        assert (stolen >= 0).all()
        np.testing.assert_allclose(metered + stolen, drawn)
        theft = rough[name, "theft"]
        quiet = theft.at(AT_H[:-1]) == 0
        inside = np.isin(np.searchsorted(AT_H, theft.time_h, side="right") - 1, np.flatnonzero(quiet))
        hit = set((np.searchsorted(AT_H, theft.time_h, side="right") - 1)[inside])
        honest = [k for k in np.flatnonzero(quiet) if k not in hit]
        assert not stolen[honest].any()


def test_the_battery_is_filled_and_emptied_in_closed_form():
    world = replace(QUIET, battery=Battery(6.0, 4.0, 3.0, 0.9, 0.8))
    first = world.run(world.act(world.start(0), SetBattery(9.0)), 10.2)
    trace = first.trace + world.run(world.act(first.state, SetBattery(-1.5)), 20.0).trace
    power, held = trace["battery", "power"], trace["battery", "held"]
    assert power.time_h.tolist() == pytest.approx([0, 0, 6 / 3.6, 10.2, 10.2 + 6 * 0.8 / 1.5])
    assert power.value.tolist() == [0.0, 4.0, 0.0, -1.5, 0.0]
    assert held.at([0.0, 1.0, 5.0, 11.2, 19.0]).tolist() == pytest.approx([0, 3.6, 6, 6 - 1.5 / 0.8, 0])
    assert drawn_kwh(world, trace, "battery", np.array([0.0, 10.0, 20.0])).tolist() == pytest.approx([24 / 3.6, -4.8])


def test_a_transformer_is_replaced_by_hand_and_once():
    state = QUIET.run(QUIET.start(0), 50.1).state
    for action in (ReplaceTransformer(), ReplaceTransformer(), Call(0.5)):
        state = QUIET.act(state, action)
    trace = QUIET.run(state, 80.0).trace
    (out,), (back,) = of(trace, "transformer", "planned"), of(trace, "transformer", "renewal")
    assert (out.time_h, back.cause) == (50.1, "planned")
    assert 3 <= back.time_h - out.time_h <= 6
    assert [e.cause for e in trace.events if e.kind == "action"] == ["Call", "ReplaceTransformer", "ReplaceTransformer"]
    assert trace["transformer", "hot_spot"].at(back.time_h) < 15  # cold


def test_a_life_drawn_anew_knows_what_is_used_up():
    """Under a constant load the share of futures in which it fails by a time is that of a Weibull life of its use."""
    weather = replace(Homes().weather, yearly_cel=0.0, daily_cel=0.0, deviation_cel=0.0, known=0.0)
    law, unit = Weibull(400.0, 4.0), Transformer()
    world = Feeder(
        Homes((), weather=weather), unit, life=law, protection=None, battery=Battery(1e9, 1e6, 1e6), load_at_start=1.2
    )
    begun = world.act(world.start(1), SetBattery(1.2 * 0.95 * 250))
    rate = float(ageing_rate(unit, np.array(unit.steady_cel(1.2, weather.mean_cel)[1])))
    at_h, ahead_h = 0.9 * law.mean_h / rate, 0.25 * law.mean_h / rate
    trace, state = world.run(begun, at_h)
    assert not of(trace, "transformer", "failure")
    assert trace["transformer", "aged"].at(at_h) == pytest.approx(rate * at_h)
    futures = [world.run(world.resample(state, k), at_h + ahead_h).trace for k in range(400)]
    share = np.mean([bool(of(future, "transformer", "failure")) for future in futures])
    expected = 1 - float(law.sf(rate * (at_h + ahead_h)) / law.sf(rate * at_h))
    assert share == pytest.approx(expected, abs=3.5 * np.sqrt(expected * (1 - expected) / 400))
    assert abs(expected - float(1 - law.sf(rate * ahead_h))) > 0.3  # a new one's


def test_a_further_household_leaves_the_others_alone():
    more = replace(ROUGH, homes=replace(HOMES, groups=(*HOMES.groups, Group(1, Household(annual_kwh=9000.0)))))
    few, many = (w.run(w.start(3), 300.0).trace for w in (ROUGH, more))
    for name in HOMES.names:
        for part in ("phase", "uses", "fridge", "theft"):
            assert few[name, part] == many[name, part]
    assert few["transformer", "load"] != many["transformer", "load"]


def test_quarter_hours_tell_the_hot_spot_of_minutes_well_enough():
    """A quarter's mean hides its peaks, but not from the oil: ageing differs by a hundredth or two."""
    traces = [w.run(w.start(2), 200.0).trace for w in (QUIET, replace(QUIET, step_h=1 / 60))]
    at_h = np.arange(1, 800) / 4
    coarse, fine = (trace["transformer", "hot_spot"].at(at_h) for trace in traces)
    oil = [trace["transformer", "oil"].at(at_h) for trace in traces]
    assert np.abs(oil[0] - oil[1]).max() < 1.0
    assert np.abs(coarse - fine).mean() < 1.5
    aged = [float(trace["transformer", "aged"].at(200.0)) for trace in traces]
    assert aged[0] == pytest.approx(aged[1], rel=0.05)


def swept(network: Network, kva_P: np.ndarray, live_S: np.ndarray, source: float) -> dict[str, complex]:
    """Voltages (pu) of a radial network: currents to the source, voltages back (Shirmohammadi et al. 1988)."""
    (root,), base = network.sources, network.voltage_kv**2 * 1000  # of ohms, for powers in kVA
    way, todo = [], [root]
    seen = {root}
    while todo:
        here = todo.pop(0)
        for s, on in zip(network.sections, live_S, strict=True):
            far = s.b if s.a == here else s.a if s.b == here else None
            if on and far is not None and far not in seen:
                seen.add(far)
                todo.append(far)
                way.append((here, far, complex(s.resistance_ohm, s.reactance_ohm) / base))
    voltage = dict.fromkeys(seen, complex(source))
    for _ in range(200):
        current = dict.fromkeys(seen, 0j)
        for point, kva in zip(network.load_points, kva_P, strict=True):
            if point.bus in seen:
                current[point.bus] += np.conj(kva / voltage[point.bus])
        for near, far, _ in reversed(way):
            current[near] += current[far]
        for near, far, z in way:
            voltage[far] = voltage[near] - z * current[far]
    return voltage


def test_voltages_are_those_of_a_sweep_there_and_back(rough):
    network, found = fed(ROUGH), behind(ROUGH, rough, AT_H)
    kw = found.kw_TxP[:, [ROUGH.points.index(p.name) for p in network.load_points]]
    rated = rough["transformer", "rated"]
    for t in (*range(0, len(kw), 97), int(np.argmax(kw.sum(1)))):
        if not found.voltage_pu_T("busbar")[t]:
            continue
        size = float(rated.at(np.nextafter(AT_H[t + 1], 0)))
        live = [not s.name.startswith("transformer") or s.name == f"transformer {size:g}" for s in network.sections]
        voltage = swept(network, kw[t] * (1 + 1j * np.tan(np.arccos(0.95))), np.array(live), ROUGH.source_pu)
        for bus, v in voltage.items():
            assert found.voltage_pu_T(bus)[t] == pytest.approx(abs(v), abs=1e-8)


def test_energy_is_balanced(rough):
    found = behind(ROUGH, rough, AT_H)
    counted = sum(metered_kwh(ROUGH, rough, name, AT_H) + stolen_kwh(ROUGH, rough, name, AT_H) for name in HOMES.names)
    rest = sum(drawn_kwh(ROUGH, rough, name, AT_H) for name in ("b1", "chargers", "battery"))
    np.testing.assert_allclose(found.transformer_kw_T / 4, counted + rest + found.cable_loss_kw_T / 4, atol=1e-9)
    assert found.cable_loss_kw_T.max() > 0


def test_a_network_of_ones_own():
    homes = Homes((Group(2),))
    sections = (Section("s", "bar", "x", 0.1, resistance_ohm=0.1), Section("t", "bar", "y", 0.1, resistance_ohm=0.1))
    network = Network(("bar",), sections, (LoadPoint("h1", "x"), LoadPoint("h2", "y")), 0.4)
    world = Feeder(homes, network=network)
    trace = world.run(world.start(0), 24.0).trace
    assert behind(world, trace, np.arange(25.0)).voltage_pu_T("x").min() < world.source_pu
    assert [head_of(world, name) for name in ("h1", "h2")] == list(sections)
    longer = (
        *sections[:1],
        Section("t", "z", "bar", 0.1, resistance_ohm=0.1),
        Section("v", "y", "z", resistance_ohm=1),
    )
    there = replace(network, sections=longer, load_points=(LoadPoint("h1", "bar"), LoadPoint("h2", "y")))
    assert [head_of(replace(world, network=there), name) for name in ("h1", "h2")] == [None, longer[1]]
    with pytest.raises(InputError, match="'h2'"):
        Feeder(homes, network=replace(network, load_points=network.load_points[:1]))
    with pytest.raises(InputError, match="'h9'"):
        Feeder(homes, network=replace(network, load_points=(*network.load_points, LoadPoint("h9", "x"))))
    with pytest.raises(InputError, match="no closed section leads from a source"):
        replace(network, sections=(*sections, Section("u", "v", "w")))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Feeder(step_h=0.4), "step_h"),
        (lambda: Feeder(sizes_kva=(0.0,)), "sizes_kva"),
        (lambda: Feeder(battery=Battery(loss_per_h=0.01)), "loss_per_h"),
        (lambda: Theft(least=0.5, most=0.4), "most"),
        (lambda: Windings(0.01, 0.02), "short_circuit"),
        (lambda: Cable(strands=0), "strands"),
        (lambda: Protection(load=0), "load"),
        (lambda: SetBattery(float("nan")), "order_kw"),
        (lambda: QUIET.act(QUIET.start(0), SetBattery(1.0)), "no battery"),
        (lambda: QUIET.act(QUIET.start(0), Deterministic(1.0)), "ReplaceTransformer"),  # type: ignore[arg-type]
        (lambda: QUIET.run(QUIET.start(0), -1.0), "cannot run"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
