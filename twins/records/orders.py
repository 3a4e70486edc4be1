"""Maintenance orders as a plant keeps them: written late, with codes that are wrong or missing, and notes.

Each order is a function of the trace up to the end of its work and of its address, (world run, asset, number of the
order); so what is written at a time depends on nothing after it, and a longer trace never changes an order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from sim.errors import InputError, require
from sim.laws import UNIT, Law, Lognormal
from sim.streams import Stream, stream_key
from sim.trace import Signal, Trace
from twins.channel import Channel, Role
from twins.episode import PLANNED, Record
from twins.records import notes

CORRECTIVE = "corrective"


@dataclass(frozen=True)
class Code:
    """What the plant writes for a cause: its code, and the phrases in which its symptoms are told."""

    cause: str  # a failure's, or "planned"
    code: str
    symptoms: tuple[str, ...]

    def __post_init__(self):
        object.__setattr__(self, "symptoms", tuple(self.symptoms))
        require(bool(self.code), self, "code", "some text; an empty one is a missing code")
        require(bool(self.symptoms), self, "symptoms", "at least one phrase")


@dataclass(frozen=True)
class Mistake:
    """Of the wrong codes for *cause*, how often that of the cause *written* is taken, beside its other mistakes."""

    cause: str
    written: str
    weight: float = 1.0

    def __post_init__(self):
        require(self.cause != self.written, self, "written", "another cause")
        require(0 < self.weight < math.inf, self, "weight", "above 0 and finite")


CODES = (
    Code("wear", "M10", ("bearing noisy", "grinding noise", "high vibration", "bearing hot", "play in the spindle")),
    Code("sudden", "E20", ("tripped without warning", "drive fault", "fuse blown", "belt snapped", "stopped dead")),
    Code(PLANNED, "P00", ("as scheduled", "interval reached", "no fault found", "planned stop", "due by plan")),
)


@dataclass(frozen=True)
class Records:
    """How orders are written down. The orders of an asset are numbered from 0 in a world run.

    The cause of planned work is "planned". Of the wrong codes each other one is as likely, unless *mistakes* of that
    cause are given. A note tells a symptom of the true cause with probability *told*, one of another cause with
    probability *misled*, else none; and that does not depend on whether the code is right.
    """

    codes: tuple[Code, ...] = CODES
    delay: Law = Lognormal(12.0, 1.0)  # from the end of the work to when the order is written
    wrong: float = 0.15  # probability of a wrong code, given that there is one
    missing: float = 0.1  # probability of no code
    mistakes: tuple[Mistake, ...] = ()
    rounding_h: float = 0.25  # durations are written as multiples of this
    told: float = 0.75
    misled: float = 0.05
    abbreviated: float = 0.3  # probability of each word that has an abbreviation
    typo: float = 0.03  # probability of each word of four letters or more

    def __post_init__(self):
        for field in ("codes", "mistakes"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        causes = [code.cause for code in self.codes]
        require(len(set(causes)) == len(causes) >= 2, self, "codes", "of at least two causes, each once")
        require(len({code.code for code in self.codes}) == len(causes), self, "codes", "each a code of its own")
        for field in ("wrong", "missing", "told", "misled", "abbreviated", "typo"):
            require(0 <= getattr(self, field) <= 1, self, field, "a probability")
        require(self.told + self.misled <= 1, self, "misled", f"at most 1 less told, which is {self.told:g}")
        require(0 < self.rounding_h < math.inf, self, "rounding_h", "above 0 and finite")
        for mistake in self.mistakes:
            ok = {mistake.cause, mistake.written} <= set(causes)
            require(ok, self, "mistakes", f"between causes that have codes, {', '.join(causes)}")

    def of(self, trace: Trace, asset: str) -> tuple[Record, ...]:
        """The orders of *asset* that are written within *trace*, which begins at 0 h, in the order of writing."""
        orders = (self._write(trace.seed, asset, work) for work in self._written_before(trace, asset))
        return tuple(sorted(orders, key=lambda order: (order.written_h, order.number)))

    def _written_before(self, trace: Trace, asset: str) -> list[_Work]:
        """The works of which the orders are written within the trace."""
        works = ((work, self._written_h(trace.seed, asset, work)) for work in _works(trace, asset))
        return [work for work, written_h in works if written_h < trace.end_h]

    def _written_h(self, seed: int, asset: str, work: _Work) -> float:
        return work.closed_h + Stream(stream_key(seed, f"records/{asset}/{work.number}/delay")).draw(self.delay)

    def _write(self, seed: int, asset: str, work: _Work) -> Record:
        """One order, from its address and from what happened."""
        draw = partial(Stream(stream_key(seed, f"records/{asset}/{work.number}")).draw, UNIT)
        true = self._code(work.cause, asset)
        code = self._as_written(true, draw(), draw(), draw())
        u, others = draw(), [other for other in self.codes if other is not true]
        told = true if u < self.told else others[int(draw() * len(others))] if u < self.told + self.misled else None
        quanta = max(round((work.closed_h - work.opened_h) / self.rounding_h), 1)
        return Record(
            number=work.number,
            opened_h=work.opened_h,
            closed_h=work.closed_h,
            written_h=self._written_h(seed, asset, work),
            kind=work.kind,
            code=code,
            duration_h=quanta * self.rounding_h,
            note=notes.note(told.symptoms if told else notes.NOTHING, draw, self.abbreviated, self.typo),
            cause=work.cause,
        )

    def _code(self, cause: str, asset: str) -> Code:
        found = next((code for code in self.codes if code.cause == cause), None)
        if found is None:
            known = ", ".join(code.cause for code in self.codes)
            raise InputError(f"Records.codes has none for the cause {cause!r} of {asset}; it has {known}")
        return found

    def _as_written(self, true: Code, u_missing: float, u_wrong: float, u_which: float) -> str:
        if u_missing < self.missing:
            return ""
        if u_wrong >= self.wrong:
            return true.code
        weights = self.weights(true.cause)
        bounds = np.cumsum(list(weights.values()))
        written = list(weights)[int(np.searchsorted(bounds, u_which * bounds[-1], side="right"))]
        return next(code.code for code in self.codes if code.cause == written)

    def weights(self, cause: str) -> dict[str, float]:
        """Of the wrong codes for a cause, how often each other cause's is taken: weights by cause."""
        stated = {m.written: m.weight for m in self.mistakes if m.cause == cause}
        return stated or {code.cause: 1.0 for code in self.codes if code.cause != cause}


def order_channels(records: Records, asset: str, step_h: float) -> tuple[Channel, ...]:
    """How many orders of each kind have been written so far: what a model may read of them as it reads sensors."""
    return tuple(
        Channel(asset, f"orders_{kind}", "1", Role.PAST, partial(_counted, records, asset, kind), step_h)
        for kind in (CORRECTIVE, PLANNED)
    )


def _counted(records: Records, asset: str, kind: str, trace: Trace) -> Signal:
    works = [work for work in records._written_before(trace, asset) if work.kind == kind]
    written_h = sorted(records._written_h(trace.seed, asset, work) for work in works)
    return Signal.step([trace.start_h, *written_h], range(len(written_h) + 1))


class _Work(NamedTuple):
    number: int
    opened_h: float
    closed_h: float
    cause: str

    @property
    def kind(self) -> str:
        return PLANNED if self.cause == PLANNED else CORRECTIVE


def _works(trace: Trace, asset: str) -> Iterator[_Work]:
    """The works on an asset that have ended, in their order."""
    opened, number = None, 0
    for event in trace.events:
        if event.entity != asset:
            continue
        if event.kind in ("failure", "planned") and opened is None:
            opened = event.time_h, PLANNED if event.kind == "planned" else event.cause
        elif event.kind == "renewal" and opened is not None:
            yield _Work(number, opened[0], event.time_h, opened[1])
            number, opened = number + 1, None
