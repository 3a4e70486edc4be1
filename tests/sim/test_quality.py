"""Quality: chances of flaws by quadrature, records that tell the causes, rework and scrap, checks and their fault."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate

from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Lognormal
from sim.line import Line, Station
from sim.quality import Bench, Flaw, Inspected
from sim.quality.checks import STEADY, Passes
from sim.verify import run_check
from sim.wear import Wiener

WORN = Station(Lognormal(0.5, 0.2), wear=Wiener(1 / 60, 0.02), repair=Exponential(3.0))
WORLD = Inspected(Line((WORN, WORN), (3,)), (Flaw("m1", "scratch"), Flaw("m2", "stain")))
RUN = WORLD.run(WORLD.start(7), 1500.0)


@pytest.mark.parametrize("sharpness", [1.0, 4.0, 12.0])
@pytest.mark.parametrize("wear", [0.0, 0.7, 1.0])
def test_the_chance_of_a_flaw_is_the_mean_over_its_severities(sharpness, wear):
    flaw = Flaw("m1", "dent", 0.2, 0.9, 1.5, sharpness)
    mean = float(flaw.mean(wear))
    want = integrate.quad(lambda e: np.exp(-e) * float(flaw.spoils(mean * e)), 0, 40, limit=400, points=[1 / mean])[0]
    assert float(flaw.chance(wear)) == pytest.approx(want, abs=2e-6)
    if sharpness == 1:  # Laplace's transform of an exponential
        assert float(flaw.chance(wear)) == pytest.approx(mean / (1 + mean), abs=1e-9)


def seen(*names):
    return [RUN.trace["q1", name].value[1:] for name in names]


def test_parts_come_in_order_and_each_ends_once():
    part, passes = seen("part", "pass")
    assert part[passes == 0].tolist() == list(range(int((passes == 0).sum())))
    ends = Counter(e.value for e in RUN.trace.events if e.kind in ("passed", "scrap"))
    assert set(ends.values()) == {1}
    kinds = Counter(e.kind for e in RUN.trace.events)
    assert kinds["passed"] == RUN.state.passed
    assert kinds["scrap"] == RUN.state.scrapped > 0
    assert passes.max() == 1
    assert kinds["rework"] == (passes == 1).sum() + len(RUN.state.bench)


def test_the_record_of_a_part_is_what_the_machine_was_like_when_it_worked_it():
    part, passes, worked_h, wear = seen("part", "pass", "m1 worked", "m1 wear")
    first = passes == 0
    done_h = RUN.trace["m1", "parts"].time_h[1:]
    assert np.array_equal(worked_h[first], done_h[part[first].astype(int)])
    assert np.array_equal(wear[first], RUN.trace["m1", "wear"].at(worked_h[first]))
    assert (wear[~first] == 0).all()


def test_the_cause_of_a_rejected_part_is_the_machine_and_the_kind_that_spoiled_it():
    spoiled = {(e.value, f"{e.entity}/{e.cause}") for e in RUN.trace.events if e.kind == "defect"}
    rework = [e for e in RUN.trace.events if e.kind == "rework" and e.cause]
    assert len(rework) > 20
    assert {(e.value, e.cause) for e in rework} <= spoiled


def test_wear_shows_in_defects():
    """Among parts of worn machines the share that is spoiled is what their wear says, and more than of the others."""
    passes, bad, a, b = seen("pass", "defective", "m1 wear", "m2 wear")
    first = passes == 0
    chance = WORLD.chance_of_wear(np.stack([a, b], axis=1))[first]
    worn = chance > 0.2
    for here in (worn, ~worn):
        error = np.sqrt((chance[here] * (1 - chance[here])).sum()) / here.sum()
        assert abs(bad[first][here].mean() - chance[here].mean()) < 4 * error
    # The planted fault, wear that does not show, is told apart.
    flat = np.full(worn.sum(), chance[~worn].mean())
    assert abs(bad[first][worn].mean() - flat.mean()) > 6 * np.sqrt((flat * (1 - flat)).sum()) / worn.sum()


def test_the_chance_given_all_marks_and_the_verdict_is_calibrated():
    scratch, stain, bad, verdict = seen("m1 scratch", "m2 stain", "defective", "verdict")
    p = WORLD.given_verdict(WORLD.chance(np.stack([scratch, stain], axis=1)), verdict)
    for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01)):
        here = (p >= low) & (p < high)
        assert here.sum() > 20
        error = np.sqrt((p[here] * (1 - p[here])).sum()) / here.sum()
        assert abs(bad[here].mean() - p[here].mean()) < 4 * error + 1e-3


def test_an_inspector_that_never_errs_and_no_bench():
    world = replace(WORLD, misses=0.0, false_alarms=0.0, bench=None)
    trace = world.run(world.start(3), 300.0).trace
    bad, verdict = (trace["q1", q].value[1:] for q in ("defective", "verdict"))
    assert np.array_equal(bad, verdict)
    assert {e.kind for e in trace.events} & {"rework", "scrap"} == {"scrap"}


SHORT = Passes(length_h=36.0, replications=16, looks=1)


def test_the_world_shows_no_fault():
    assert not [r for r in run_check("passes", SHORT, 1e-4) if r.verdict == "fail" and r.decided]


def test_a_planted_fault_is_caught():
    assert any(r.verdict == "fail" and r.decided for r in run_check("passes", replace(SHORT, fault=0.05), 0.02))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(WORLD, misses=1.2), "misses is 1.2; it must be between 0 and 1"),
        (lambda: replace(WORLD, false_alarms=-0.1), "false_alarms"),
        (lambda: Bench(passes=-1), "passes is -1; it must be from 0 to 100: rework without a limit may never end"),
        (lambda: Bench(passes=10**9), "rework without a limit"),
        (lambda: replace(WORLD, flaws=()), "flaws"),
        (lambda: replace(WORLD, flaws=(Flaw("m9", "dent"),)), "of machines of the line, m1, m2"),
        (lambda: replace(WORLD, flaws=(Flaw("m1", "dent"),) * 2), "one for each machine and kind"),
        (lambda: Flaw("m1", "rust"), "one of scratch, dent, stain"),
        (lambda: replace(WORLD, station="m1"), "station"),
        (lambda: replace(WORLD, line=Line((Station(Deterministic(1.0), machines=2),))), "single machines in series"),
        (lambda: replace(SHORT, world=WORLD), "without wear or failures"),
        (lambda: replace(SHORT, world=replace(STEADY, bench=None)), "one with a bench"),
    ],
)
def test_bad_input_is_one_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make()
