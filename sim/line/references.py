"""Published and recomputed numbers of production lines, as data: what was put in, under which convention, by whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.laws import Weibull
from sim.line import theory


@dataclass(frozen=True)
class Reference:
    """*function* of *inputs* must give *value* within the absolute *tolerance*, half a unit of its last digit."""

    name: str
    function: Callable[..., float]
    inputs: Mapping[str, Any]
    value: float
    tolerance: float
    source: str
    convention: str = field(default="rates per hour, times in hours")


SATURATED = "saturated, blocking after service, buffer places between the machines, rates per hour"
OPERATIONAL = f"{SATURATED}, a machine fails only while it works"
MARKOV = "Markov chain, computed twice independently"


def _two_machines(buffer: int, value: float) -> Reference:
    inputs = {"rate1": 1.0, "rate2": 1.0, "failure1": 0.01, "repair1": 0.1, "failure2": 0.01, "repair2": 0.1}
    inputs["buffer"] = buffer
    return Reference(f"two_machine_b{buffer}", theory.two_machine_unreliable, inputs, value, 5e-6, MARKOV, OPERATIONAL)


def _age_cost(name: str, age_h: float, value: float) -> Reference:
    inputs = {"law": Weibull(150.0, 3.0), "age_h": age_h, "planned_cost": 2.0, "failure_cost": 8.0}
    convention = "cost per operating hour; 2 planned, 8 on failure; Weibull(scale 150 h, shape 3)"
    return Reference(name, theory.age_cost_rate, inputs, value, 5e-6, "ReliaSoft, optimum replacement time", convention)


def _ladder(name: str, period_h: float, value: float, **asked: float) -> Reference:
    inputs = {"states": 6, "step_h": 10.0, "period_h": period_h, "repair_h": 10.0, "maintenance_h": 2.0, **asked}
    convention = "six states, .1 steps up an hour; corrective 10 h, preventive 2 h; the clock restarts on renewal"
    return Reference(name, theory.markov_availability, inputs, value, 5e-5, MARKOV, convention)


REFERENCES = (
    _ladder("ladder_run_to_failure", 1.0, 0.8333),
    _ladder("ladder_age", 1.0, 0.8981, every_h=25.0),
    _ladder("ladder_look_20", 1.0, 0.9140, every_h=20.0, acts_at=2),
    _ladder("ladder_look_5", 1.0, 0.9372, every_h=5.0, acts_at=3),
    _ladder("ladder_limit", 1.0, 0.9524, limit=4),
    _ladder("ladder_age_continuous", 0.0, 0.8947, every_h=25.0),
    _ladder("ladder_look_20_continuous", 0.0, 0.9114, every_h=20.0, acts_at=2),
    _ladder("ladder_look_5_continuous", 0.0, 0.9349, every_h=5.0, acts_at=3),
    Reference("mm1", theory.mm1_number, {"utilisation": 0.8}, 4.0, 1e-12, "Kleinrock 1975, eq. 3.24"),
    Reference(
        "mm3_wait_probability",
        lambda **inputs: theory.mmc(**inputs).wait_probability,
        {"arrivals_per_h": 2.4, "service_per_h": 1.0, "servers": 3},
        0.64719,
        5e-6,
        "Erlang C",
    ),
    Reference(
        "mm3_wait",
        lambda **inputs: theory.mmc(**inputs).wait_h,
        {"arrivals_per_h": 2.4, "service_per_h": 1.0, "servers": 3},
        1.07865,
        5e-6,
        "Erlang C",
    ),
    Reference(
        "two_machine_reliable_b5",
        theory.two_machine_reliable,
        {"rate_per_h": 1.0, "buffer": 5},
        7 / 8,
        1e-12,
        "birth-death chain",
        SATURATED,
    ),
    *(_two_machines(b, value) for b, value in ((0, 0.58995), (5, 0.75620), (20, 0.83500), (100, 0.88769))),
    Reference(
        "isolated",
        theory.isolated_throughput,
        {"rate_per_h": 1.0, "mttf_h": 100.0, "mttr_h": 10.0},
        0.90909,
        5e-6,
        "r/(r+p)",
    ),
    Reference(
        "zero_buffer_deterministic",
        theory.zero_buffer_deterministic,
        {"failures": (0.01, 0.01), "repairs": (0.1, 0.1)},
        1 / 1.2,
        1e-12,
        "Buzacott 1967",
        "synchronous machines, p and r per cycle",
    ),
    Reference(
        "three_machines_b0",
        theory.serial_line,
        {"rates": (1.0, 1.0, 1.0), "buffers": (0, 0)},
        22 / 39,
        1e-12,
        "Hunt 1956, three stages without a queue",
        SATURATED,
    ),
    Reference(
        "bernoulli",
        theory.bernoulli_line,
        {"chance1": 0.9, "chance2": 0.9, "buffer": 5},
        0.882353,
        5e-7,
        "Li & Meerkov 2009, sec. 4.1",
        "per slot; blocking before service; the buffer holds the part that the second machine works on",
    ),
    *(
        Reference(
            f"interference_{crew}",
            theory.interference,
            {"machines": 5, "repairers": crew, "mttf_h": 100.0, "mttr_h": 10.0},
            value,
            5e-6,
            MARKOV,
        )
        for crew, value in ((1, 0.87210), (5, 0.90909))
    ),
    Reference(
        "best_age",
        theory.best_age_h,
        {"law": Weibull(150.0, 3.0), "planned_cost": 2.0, "failure_cost": 8.0},
        83.12,
        5e-3,
        "ReliaSoft, optimum replacement time",
    ),
    _age_cost("age_cost_at_best", 83.12, 0.03685),
    _age_cost("run_to_failure_cost", float("inf"), 0.05973),
)
