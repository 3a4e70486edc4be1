"""What checks read off a factory's trace."""

from __future__ import annotations

from sim.factory.factory import Factory
from sim.line.checks.measure import hours, share, time_mean
from sim.trace import Signal, Trace

__all__ = ["finished_per_h", "observed", "positive", "share", "time_mean"]


def observed(factory: Factory, seed: int, warm_up_h: float, length_h: float) -> Trace:
    """The trace of *length_h* hours after a warm-up that is thrown away."""
    settled = factory.run(factory.start(seed), warm_up_h).state
    return factory.run(settled, warm_up_h + length_h).trace


def finished_per_h(trace: Trace, product: str) -> float:
    finished = trace[product, "finished"].value
    return float(finished[-1] - finished[0]) / (trace.end_h - trace.start_h)


def positive(signal: Signal, trace: Trace) -> float:
    """Share of time in which a signal is above 0."""
    return float(hours(signal, trace)[signal.value > 0].sum()) / (trace.end_h - trace.start_h)
