"""Every check, shortened: it finds no fault in the line, and it finds the fault of 5 % that is planted.

The complete checks, which must also be precise, run by `make validate`.
"""

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.house import House
from sim.house_checks import Flow, Prices
from sim.laws import Deterministic, Exponential, Weibull
from sim.line import Line, Station, Sudden
from sim.line.checks import (
    MM1,
    AgeCost,
    Availability,
    Bernoulli,
    CmapssLives,
    Crew,
    FirstPassage,
    GammaPassage,
    Ladder,
    Little,
    MaterialShort,
    MinimalRepair,
    MMc,
    NoSpareKept,
    Reversible,
    SamplePath,
    SerialLine,
    SlottedLine,
    Spares,
    TimesInStates,
    TwoMachines,
    TwoMachinesReliable,
    WeibullLife,
    ZeroBuffer,
)
from sim.line.checks.lives import kolmogorov
from sim.steady import mser5, rates
from sim.verify import run_check, run_suite

FEW = {"replications": 12, "looks": 1}
SHORT = {
    "spares": Spares(length_h=2e5, **FEW),
    "one_spare": Spares(machines=1, crew=1, length_h=4e5, **FEW),
    "no_spare_kept": NoSpareKept(length_h=6e5, **FEW),
    "material_short": MaterialShort(length_h=8e3, **FEW),
    "material_short_other": MaterialShort(
        machines=3, units=2, reorder_point=-1, order_up_to=5, lead_h=2.0, length_h=8e3, **FEW
    ),
    "mm1": MM1(services=3e4, **FEW),
    "mm1_other": MM1(utilisation=0.7, service_h=3.0, services=1e4, **FEW),
    "mm3": MMc(services=1e4, **FEW),
    "mm2": MMc(servers=2, arrivals_per_h=0.5, service_per_h=0.4, services=1e4, **FEW),
    "little": Little(length_h=2e3, **FEW),
    "reliable": TwoMachinesReliable(length_h=4e3, **FEW),
    "reliable_other": TwoMachinesReliable(rate_per_h=6.0, buffer=1, length_h=8e2, **FEW),
    "unreliable_b0": TwoMachines(buffer=0, length_h=1e4, **FEW),
    "unreliable_b5": TwoMachines(buffer=5, length_h=1e4, **FEW),
    "unreliable_other": TwoMachines(
        rate1_per_h=1.3, failure2_per_h=0.03, repair2_per_h=0.2, buffer=7, length_h=1e4, **FEW
    ),
    "serial": SerialLine(length_h=4e3, **FEW),
    "serial_unreliable": SerialLine(
        rates_per_h=(1.0, 1.2, 0.9, 1.1),
        buffers=(1, 0, 2),
        failures_per_h=(0.02, 0.03, 0.01, 0.02),
        repairs_per_h=(0.4, 0.5, 0.3, 0.4),
        length_h=5e3,
        **FEW,
    ),
    "slotted": SlottedLine(length_h=3e3, **FEW),
    "slotted_other": SlottedLine(chances=(0.6, 1.0, 0.5, 0.7), buffers=(0, 2, 0), length_h=4e3, **FEW),
    "bernoulli": Bernoulli(length_h=3e3, **FEW),
    "bernoulli_other": Bernoulli(chance1=0.6, chance2=0.7, buffer=1, length_h=4e3, **FEW),
    "zero_buffer": ZeroBuffer(cycles=1e4, **FEW),
    "sample_path": SamplePath(parts=3000),
    "sample_path_ties": SamplePath(cycles=(Deterministic(1.0), Deterministic(1.0), Exponential(0.9)), parts=3000),
    "reversible": Reversible(length_h=4e3, **FEW),
    "operation": Availability(length_h=4e5, **FEW),
    "operation_idle": Availability(load=0.5, cycle_h=50.0, length_h=2e6, **FEW),
    "time_idle": Availability(clock="time", load=0.5, cycle_h=50.0, length_h=4e5, **FEW),
    "crew_1": Crew(length_h=2e5, **FEW),
    "crew_2": Crew(machines=4, crew=2, mttf_h=30.0, length_h=1e5, **FEW),
    "weibull": WeibullLife(lives=1000, **FEW),
    "weibull_early": WeibullLife(shape=0.8, lives=4000, **FEW),
    "first_passage": FirstPassage(lives=400, **FEW),
    "first_passage_other": FirstPassage(levels=20, worn=0.35, diffusion_per_sqrt_h=0.02, lives=200, **FEW),
    "age": AgeCost(length_h=1e5, **FEW),
    "ladder": Ladder(length_h=8e4, **FEW),
    "ladder_continuous": Ladder(period_h=0.0, states=4, acts_at=(1, 2), length_h=8e4, **FEW),
    "gamma": GammaPassage(lives=400, **FEW),
    "gamma_fine": GammaPassage(shape_per_h=2.0, scale=0.1, threshold=3.0, tick_h=0.7, lives=400, **FEW),
    "cmapss": CmapssLives(lives=1000, **FEW),
    "minimal_repair": MinimalRepair(until_h=1500.0, runs=12, **FEW),
    "times": TimesInStates(length_h=1e3, replications=2),
    "prices": Prices(world=House(noise_keur=5.0), length_h=2e4, **FEW),
    "prices_exact": Prices(world=House(noise_keur=0.0, intercept_keur=0.0), length_h=5e3, replications=3, looks=1),
    "flow": Flow(warm_up_h=5e3, length_h=5e4, **FEW),
}


def rows(name, fault=0.0):
    return run_check(name, replace(SHORT[name], fault=fault), 1e-4)


@pytest.mark.parametrize("name", SHORT)
def test_the_world_shows_no_fault(name):
    wrong = [r for r in rows(name) if r.verdict == "fail" and r.decided]
    assert not wrong


@pytest.mark.parametrize("name", SHORT)
def test_a_planted_fault_is_caught(name):
    assert any(r.verdict == "fail" and r.decided for r in rows(name, 0.05))


@pytest.mark.parametrize("name", ["sample_path", "times", "little", "prices_exact"])
def test_what_needs_no_long_run_passes_already(name):
    assert {r.verdict for r in rows(name)} == {"pass"}


def test_two_replications_are_too_few_to_pass():
    assert [r.verdict for r in run_suite({"crew": replace(SHORT["crew_1"], replications=2)})] == ["fail", "fail"]


@pytest.mark.parametrize(("buffer", "warm_up_h"), [(20, TwoMachines().warm_up_h), (100, 2e4)])
def test_the_stated_warm_up_covers_what_mser5_would_drop(buffer, warm_up_h):
    station = Station(Exponential(1.0), sudden=Sudden(Exponential(100.0)), repair=Exponential(10.0))
    line, bin_h, length_h = Line((station, station), (buffer,)), 50.0, 4 * warm_up_h
    parts = [line.run(line.start(seed), length_h).trace["m2", "parts"].time_h[1:] for seed in range(12)]
    per_h = [rates(p, np.arange(0, length_h + 1, bin_h)) for p in parts]
    assert mser5(np.mean(per_h, 0)) * bin_h <= warm_up_h


def test_a_wrong_buffer_is_caught_by_the_chain_and_the_recursion():
    reference = TwoMachines(buffer=5, **FEW).targets()
    measured = [TwoMachines(buffer=7, length_h=2e4).replicate(k)[0] for k in range(6)]
    assert np.mean(measured) > 1.01 * reference[0].reference


def test_kolmogorov_distance_of_a_sample_from_its_law_and_from_another():
    law = Weibull(150.0, 3.0)
    lives = law.isf(np.random.default_rng(0).random(20_000))
    own, other = (kolmogorov(lives, each, 1e-4) for each in (law, Weibull(157.5, 3.0)))
    assert own.value < own.half_width < 0.02
    assert other.value - other.half_width > 0.03


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MM1(utilisation=1.0), r"MM1\.utilisation is 1\.0; it must be between 0 and 1"),
        (lambda: MMc(arrivals_per_h=3.0), r"MMc\.arrivals_per_h is 3\.0"),
        (lambda: FirstPassage(worn=0.55), r"FirstPassage\.worn is 0\.55; it must be a multiple of 1/10"),
        (lambda: Ladder(acts_at=(2, 5)), r"Ladder\.acts_at is \(2, 5\); it must be states from 1 to 4"),
        (lambda: AgeCost(shape=1.0), r"AgeCost\.shape"),
        (lambda: SerialLine(buffers=(1,)), r"SerialLine\.buffers is \(1,\); it must be 2 long"),
        (lambda: SerialLine(failures_per_h=(0.1, 0.1, 0.1)), r"SerialLine\.repairs_per_h is None"),
        (lambda: SlottedLine(chances=(0.5, 1.1, 0.5)), r"SlottedLine\.chances"),
        (lambda: Bernoulli(buffer=0), r"Bernoulli\.buffer is 0; it must be at least 1"),
        (lambda: ZeroBuffer(failures=(0.1, 0.1, 0.2)), r"ZeroBuffer\.failures"),
        (lambda: Availability(load=0.0), r"Availability\.load"),
        (lambda: MaterialShort(reorder_point=-2), r"MaterialShort\.reorder_point is -2; it must be at least -1"),
        (lambda: Reversible(line=Line((Station(Exponential(1.0)),), crew=1)), r"Reversible\.line"),
        (
            lambda: Little(line=Line((Station(Exponential(1.0), sudden=Sudden(Exponential(9.0), "time")),))),
            r"Little\.line",
        ),
    ],
)
def test_inputs_outside_a_formula_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
