"""What checks read off a trace."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sim.line.config import Phase
from sim.line.line import Line
from sim.line.state import State
from sim.steady import time_means
from sim.trace import Signal, Trace

DOWN = (Phase.WAITING, Phase.REPAIRING, Phase.MAINTAINING, Phase.INSPECTING, Phase.LACKING)


def observed(line: Line, seed: int, warm_up_h: float, length_h: float, state: State | None = None) -> Trace:
    """The trace of *length_h* hours after a warm-up that is thrown away."""
    start = line.start(seed) if state is None else state
    settled = line.run(start, warm_up_h).state if warm_up_h else start
    return line.run(settled, warm_up_h + length_h).trace


def hours(signal: Signal, trace: Trace) -> np.ndarray:
    """How long each segment lasts within the trace, float64[n] hours."""
    return np.diff(np.clip(np.append(signal.time_h, trace.end_h), trace.start_h, None))


def time_mean(signal: Signal, trace: Trace) -> float:
    """The mean of a signal over the time of its trace."""
    return float(time_means(signal, (trace.start_h, trace.end_h))[0])


def share(trace: Trace, machines: Iterable[str], phases: Iterable[Phase]) -> float:
    """Share of time in any of *phases*, the mean over *machines*."""
    codes = [int(p) for p in phases]
    signals = [trace[m, "phase"] for m in machines]
    spent_h = [float(hours(s, trace)[np.isin(s.value, codes)].sum()) for s in signals]
    return sum(spent_h) / len(signals) / (trace.end_h - trace.start_h)


def finished_h(trace: Trace, machines: Iterable[str]) -> np.ndarray:
    """When parts were finished by any of *machines* within the trace, float64[n] hours in order."""
    return np.sort(np.concatenate([trace[m, "parts"].time_h[1:] for m in machines]))


def throughput(trace: Trace, machines: Iterable[str]) -> float:
    """Parts per hour."""
    return len(finished_h(trace, machines)) / (trace.end_h - trace.start_h)


def rises_h(signal: Signal) -> np.ndarray:
    """When a level went up, float64[n] hours."""
    return signal.time_h[1:][np.diff(signal.value) > 0]


def falls_h(signal: Signal) -> np.ndarray:
    return signal.time_h[1:][np.diff(signal.value) < 0]


def lives_h(trace: Trace, machine: str, begun_h: float = 0.0) -> np.ndarray:
    """Calendar time from each renewal, the first at *begun_h*, to the next failure, where there is no planned work."""
    failed = np.array([e.time_h for e in trace.events if e.entity == machine and e.kind == "failure"])
    renewed = np.array([begun_h] + [e.time_h for e in trace.events if e.entity == machine and e.kind == "renewal"])
    return failed - renewed[: len(failed)]
