"""Equivalence tests of a simulation against references: it passes only if its interval lies inside the tolerance.

All comparisons of a suite hold together at the stated confidence (Bonferroni), over every look that a check takes at
its growing data. A short, noisy run therefore fails; so does one whose interval is narrow and elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from typing import Any, NamedTuple, Protocol

import numpy as np

from sim.errors import require
from sim.steady import Estimate, mean_interval
from sim.streams import stream_key


class Target(NamedTuple):
    """What is measured and what it must be: *tolerance* is a fraction of the reference, or absolute."""

    name: str
    reference: float
    source: str
    tolerance: float = 0.005
    absolute: bool = False
    reason: str = ""  # why the tolerance is not 0.5 %

    @property
    def band(self) -> float:
        return self.tolerance if self.absolute else self.tolerance * abs(self.reference)


class Result(NamedTuple):
    """One line of the table of a validation."""

    check: str
    quantity: str
    reference: float
    measured: float
    low: float
    high: float
    tolerance: float
    absolute: bool
    verdict: str  # pass | fail
    decided: bool  # False: the interval is too wide to tell; more or longer replications would
    replications: int
    source: str
    reason: str


class Check(Protocol):
    """A simulation with known answers. Implementations are frozen dataclasses whose fields are the inputs."""

    @property
    def seed(self) -> int: ...

    @property
    def replications(self) -> int:
        """Replications before the first look; each further look doubles them."""
        ...

    @property
    def looks(self) -> int: ...

    def targets(self) -> Sequence[Target]: ...

    def replicate(self, seed: int) -> Any:
        """One independent replication, run in a worker: a float per target, or whatever `estimates` digests."""
        ...

    def estimates(self, samples: Sequence[Any], alpha: float) -> Sequence[Estimate]:
        """An estimate per target from all replications, with an interval that misses with probability *alpha*."""
        ...


@dataclass(frozen=True, kw_only=True)
class Replicated:
    """What checks share: estimates are means over replications, intervals are Student's.

    *fault* scales one stated parameter or mechanism of the simulated world and not the reference: at .05 every check
    must fail.
    """

    seed: int = 0
    replications: int = 32
    looks: int = 3
    fault: float = 0.0

    def __post_init__(self):
        require(self.replications >= 1, self, "replications", "at least 1")
        require(1 <= self.looks <= 10, self, "looks", "between 1 and 10")
        require(self.fault > -1, self, "fault", "above -1")

    def estimates(self, samples: Sequence[Any], alpha: float) -> list[Estimate]:
        return [mean_interval(column, alpha) for column in np.asarray(samples, np.float64).T]


@dataclass(frozen=True, kw_only=True)
class Exact(Replicated):
    """A check that leaves nothing to chance: what its one replication gives is what is measured."""

    replications: int = 1
    looks: int = 1

    def estimates(self, samples: Sequence[Any], alpha: float) -> list[Estimate]:
        return [Estimate(float(value), 0.0) for value in samples[0]]


def equivalent(estimate: Estimate, target: Target) -> bool:
    """Whether the whole interval lies within the target's tolerance of its reference."""
    return abs(estimate.value - target.reference) + estimate.half_width <= target.band


def different(estimate: Estimate, target: Target) -> bool:
    """Whether the whole interval lies outside the tolerance, so that more data cannot help."""
    return abs(estimate.value - target.reference) - estimate.half_width > target.band


def world_seed(name: str, seed: int, replication: int) -> int:
    """The seed of one replication of one check, so that no two checks share their draws."""
    return stream_key(seed, f"check/{name}/{replication}") >> 65


def run_check(
    name: str,
    check: Check,
    alpha: float,
    mapper: Callable[..., Any] = map,
    done: Callable[[float], None] = lambda cpu_s: None,
) -> list[Result]:
    """Look at growing data until every target is settled or the looks are used up; *alpha* is each target's share."""
    targets, samples = check.targets(), []
    count, estimates = check.replications, []
    for _ in range(check.looks):
        seeds = [world_seed(name, check.seed, k) for k in range(len(samples), count)]
        for sample, cpu_s in mapper(_replicate, repeat(check), seeds):
            samples.append(sample)
            done(cpu_s)
        estimates = check.estimates(samples, alpha / check.looks)
        if all(equivalent(e, t) or different(e, t) for e, t in zip(estimates, targets, strict=True)):
            break
        count *= 2
    return [
        Result(
            name,
            t.name,
            t.reference,
            e.value,
            e.value - e.half_width,
            e.value + e.half_width,
            t.tolerance,
            t.absolute,
            "pass" if equivalent(e, t) else "fail",
            equivalent(e, t) or different(e, t),
            len(samples),
            t.source,
            t.reason,
        )
        for e, t in zip(estimates, targets, strict=True)
    ]


def _replicate(check: Check, seed: int) -> tuple[Any, float]:
    began_s = time.process_time()
    return check.replicate(seed), time.process_time() - began_s


def run_suite(
    checks: Mapping[str, Check],
    confidence: float = 0.99,
    workers: int = 1,
    report: Callable[[str, float], None] = lambda name, seconds: None,
    done: Callable[[str, float], None] = lambda name, cpu_s: None,
) -> list[Result]:
    """Every check of a suite, its intervals holding together at *confidence*.

    *done(name, cpu_s)* is called after each replication, *report(name, seconds)* after each check. Results do not
    depend on the number of workers.
    """
    alpha = (1 - confidence) / max(sum(len(check.targets()) for check in checks.values()), 1)
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else None
    results = []
    try:
        for name, check in checks.items():
            began = time.perf_counter()
            results += run_check(name, check, alpha, pool.map if pool else map, partial(done, name))
            report(name, time.perf_counter() - began)
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)
    return results
