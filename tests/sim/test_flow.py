"""AC power flow: the published base case, a solver written here for the comparison, balance at every bus, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.grid import Network, Section, case33bw, rbts_bus2
from sim.grid.cases import LOADS_33
from sim.grid.flow import Flow

CASE = case33bw()
FLOW = Flow(CASE)
BASE = np.array(LOADS_33, np.float64)
CLOSED = np.array([not section.open for section in CASE.sections])
MVA = 10.0  # the case's base
OHM = CASE.voltage_kv**2 / MVA


def impedance(network: Network) -> np.ndarray:
    return np.array([complex(s.resistance_ohm, s.reactance_ohm) for s in network.sections]) / OHM


def swept(kva_P: np.ndarray, live_S: np.ndarray) -> np.ndarray:
    """Voltages by bus of a radial network: currents swept to the source, voltages back (Shirmohammadi et al. 1988)."""
    network, z_S = CASE, impedance(CASE)
    order, seen, todo = [], {"1"}, ["1"]
    while todo:
        bus = todo.pop()
        for i, section in enumerate(network.sections):
            if live_S[i] and bus in (section.a, section.b):
                far = section.b if section.a == bus else section.a
                if far not in seen:
                    seen.add(far)
                    todo.append(far)
                    order.append((i, bus, far))
    load = {point.bus: kva_P[p] / 1000 / MVA for p, point in enumerate(network.load_points)}
    voltage = dict.fromkeys(seen, 1.0 + 0j)
    for _ in range(200):
        current = {bus: np.conj(load.get(bus, 0) / voltage[bus]) for bus in seen}
        for _, near, far in reversed(order):
            current[near] += current[far]
        before = dict(voltage)
        for i, near, far in order:
            voltage[far] = voltage[near] - z_S[i] * current[far]
        if max(abs(voltage[b] - before[b]) for b in seen) < 1e-14:
            break
    return np.array([voltage.get(bus, 0.0) for bus in FLOW.buses])


def radial(rng: np.random.Generator) -> np.ndarray:
    """Sections that are closed after some ties have taken over from a section of their loops."""
    live = CLOSED.copy()
    for tie in rng.permutation(np.flatnonzero(~CLOSED))[: rng.integers(0, 4)]:
        for out in rng.permutation(np.flatnonzero(live)):
            trial = live.copy()
            trial[[tie, out]] = True, False
            sections = [replace(s, open=not on) for s, on in zip(CASE.sections, trial, strict=True)]
            try:
                replace(CASE, sections=tuple(sections))
            except InputError:
                continue
            live = trial
            break
    return live


def cases(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    ways = np.array([radial(rng) for _ in range(12)])
    scale = rng.uniform(0.1, 0.8, (2, count, len(BASE)))
    return BASE[:, 0] * scale[0], BASE[:, 1] * scale[1], ways[rng.integers(0, len(ways), count)]


def complex_voltage(found) -> np.ndarray:
    return found.voltage_pu_TxB * np.exp(1j * found.angle_rad_TxB)


def test_the_base_case():
    """MATPOWER's case33bw: 202.677 kW lost, .91309 pu at bus 18."""
    found = FLOW(BASE[None, :, 0], BASE[None, :, 1])
    assert found.loss_kw_T[0] == pytest.approx(202.677, abs=5e-4)
    assert found.voltage_pu_TxB[0, FLOW.buses.index("18")] == pytest.approx(0.91309, abs=5e-6)
    assert found.source_kw_T[0] == pytest.approx(3715 + 202.677, abs=5e-4)


def test_a_thousand_flows_balance_at_every_bus():
    kw, kvar, live = cases(1000)
    found = FLOW(kw, kvar, live)
    assert found.unsolved == ()
    v_TxB, z_S = complex_voltage(found), impedance(CASE)
    a, b = ([FLOW.buses.index(getattr(s, end)) for s in CASE.sections] for end in "ab")
    current_TxS = np.where(live, (v_TxB[:, a] - v_TxB[:, b]) / z_S, 0)
    leaving = np.zeros_like(v_TxB)
    for s in range(len(CASE.sections)):
        leaving[:, a[s]] += current_TxS[:, s]
        leaving[:, b[s]] -= current_TxS[:, s]
    power = v_TxB * np.conj(leaving)
    for p, point in enumerate(CASE.load_points):
        power[:, FLOW.buses.index(point.bus)] += (kw[:, p] + 1j * kvar[:, p]) / 1000 / MVA
    source = FLOW.buses.index("1")
    np.testing.assert_allclose(power[:, source].real * MVA * 1000, found.source_kw_T, rtol=1e-7)
    power[:, source] = 0
    assert np.abs(power).max() < 1e-9
    amperes = np.abs(current_TxS) * MVA * 1e3 / (np.sqrt(3) * CASE.voltage_kv)
    np.testing.assert_allclose(found.current_a_TxS, amperes, atol=1e-5)


def test_flows_equal_those_of_another_solver():
    kw, kvar, live = cases(60, seed=1)
    v_TxB = complex_voltage(FLOW(kw, kvar, live))
    swept_TxB = np.array([swept(kw[t] + 1j * kvar[t], live[t]) for t in range(len(kw))])
    assert np.abs(v_TxB - swept_TxB).max() < 1e-9
    # The planted fault, one resistance 5 % too high, is seen.
    other = [replace(s, resistance_ohm=1.05 * s.resistance_ohm) if i == 4 else s for i, s in enumerate(CASE.sections)]
    wrong = complex_voltage(Flow(replace(CASE, sections=tuple(other)))(kw, kvar, live))
    assert np.abs(wrong - swept_TxB).max() > 1e-5


def test_an_instant_without_solution_is_named_and_marked_and_the_others_are_there():
    kw, kvar = (np.stack([BASE[:, k], 5 * BASE[:, k], BASE[:, k]]) for k in (0, 1))
    found = FLOW(kw, kvar)
    assert [str(u) for u in found.unsolved] == [
        "the flow at instant 1 does not converge; voltage gives way first at bus 18"
    ]
    assert np.isnan(found.voltage_pu_TxB[1]).all()
    assert np.isnan(found.loss_kw_T[1])
    assert found.loss_kw_T[[0, 2]] == pytest.approx(202.677, abs=1e-3)


def test_what_has_no_voltage_is_not_served():
    live = CLOSED[None].copy()
    live[0, 16] = False  # the last section of the main feeder
    found = FLOW(BASE[None, :, 0], BASE[None, :, 1], live)
    assert found.voltage_pu_TxB[0, FLOW.buses.index("18")] == 0
    assert found.source_kw_T[0] - found.loss_kw_T[0] == pytest.approx(3715 - 90, abs=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flow(rbts_bus2()), "section 's1' has no impedance"),
        (lambda: FLOW(BASE[None, :31, 0], BASE[None, :31, 1]), r"load_kw is of the shape \(1, 31\); it must be"),
        (lambda: FLOW(BASE[None, :, 0], BASE[None, [0] * 32, 1].repeat(2, 0)), "1 instants and load_kvar 2"),
        (lambda: FLOW(BASE[None, :, 0] * np.nan, BASE[None, :, 1]), "load_kw of LP2 at instant 0 is nan"),
        (lambda: FLOW(BASE[None, :, 0], BASE[None, :, 1], CLOSED[None, :5]), r"live is of the shape \(1, 5\)"),
        (lambda: Section("s", "a", "b", resistance_ohm=-1.0), "resistance_ohm is -1.0; it must be at least 0"),
    ],
)
def test_bad_input_is_one_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make()
