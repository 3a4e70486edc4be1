"""An inspection camera: surfaces drawn from the trace, with scratches, dents and stains as severe as the part's, and
masks that say where they are.

A station that inspects leaves step signals with a breakpoint an inspection: `part` (its number), `pass` (0 at its first
inspection) and the severity of each of KINDS, 1 being the tolerance. The first segment of a trace is what was in force
before, so the inspections of a trace are its other breakpoints. A picture depends on the world run, the camera, the
part's number and its pass, and on nothing else: any one drawn alone equals that of the batch, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.errors import InputError, require
from sim.trace import Trace
from twins.sensors import drawing
from twins.sensors.noise import address

KINDS = ("scratch", "dent", "stain")
PART, PASS = "part", "pass"


class Inspections(NamedTuple):
    """The parts that a station looked at within a trace, in order."""

    time_h: np.ndarray  # float64[n]
    part: np.ndarray  # int64[n]
    passes: np.ndarray  # int64[n]
    severity_NxK: np.ndarray  # float64[n, 3]

    @staticmethod
    def of(trace: Trace, station: str) -> Inspections:
        """Of *station*; raises InputError where it inspects nothing."""
        if (station, PART) not in trace.signals:
            inspecting = sorted(entity for entity, quantity in trace.signals if quantity == PART)
            raise InputError(
                f"{station!r} inspects nothing, so there is nothing to see; "
                f"stations that inspect: {', '.join(inspecting) or 'none'}"
            )
        time_h = trace[station, PART].time_h[1:]
        part, passes = (trace[station, name].value[1:].astype(np.int64) for name in (PART, PASS))
        return Inspections(time_h, part, passes, np.stack([trace[station, k].value[1:] for k in KINDS], axis=1))


class Shots(NamedTuple):
    """What a camera took: grey between 0 and 1, and where the marks of each kind are."""

    pictures_NxPxP: np.ndarray  # float32
    marks_NxPxP: np.ndarray  # uint8: the sum of 1 (scratch), 2 (dent) and 4 (stain) where a pixel shows them

    def mask(self, kind: str) -> np.ndarray:
        """Where marks of *kind* are, bool[N, P, P]."""
        return self.marks_NxPxP & np.uint8(1 << KINDS.index(kind)) > 0


@dataclass(frozen=True)
class Camera:
    """A grey camera over an inspection station: brushed metal under a lamp at one side, seen through noise.

    A severity of 2.4 shows as two marks of full contrast and one of 0.4 of it; at most four of a kind are drawn.
    A pixel belongs to the mask of a kind where its marks change the grey by at least *seen*.
    """

    station: str
    pixels: int = 32  # a side
    grey: float = 0.62
    light: float = 0.09  # from the middle to the rim, towards the lamp
    bend: float = 0.03  # what the rim loses
    texture: float = 0.02  # standard deviation, about, of the brushed rows
    noise: float = 0.035  # standard deviation of each pixel
    scratch: float = 0.16  # change of grey at severity 1
    dent: float = 0.16
    stain: float = 0.12
    seen: float = 0.03
    levels: int = 256  # of grey

    def __post_init__(self):
        require(bool(self.station), self, "station", "the name of a station that inspects")
        require(8 <= self.pixels <= 256, self, "pixels", "from 8 to 256")
        require(0 < self.grey < 1, self, "grey", "between 0 and 1")
        for name in ("light", "bend", "texture", "noise", *KINDS):
            require(0 <= getattr(self, name) < 1, self, name, "at least 0 and below 1")
        require(0 < self.seen < math.inf, self, "seen", "above 0")
        require(2 <= self.levels <= 65536, self, "levels", "from 2 to 65536")

    def shoot(self, trace: Trace, start: int = 0, count: int | None = None) -> Shots:
        """Pictures start … start+count−1 of the trace, up to its last where *count* is None."""
        seen = Inspections.of(trace, self.station)
        count = len(seen.part) - start if count is None else count
        if start < 0 or count < 0 or start + count > len(seen.part):
            raise InputError(
                f"pictures {start} to {start + count - 1} of {self.station} were asked for; "
                f"the trace has {len(seen.part)} inspections"
            )
        here = slice(start, start + count)
        return self.draw(trace.seed, seen.part[here], seen.passes[here], seen.severity_NxK[here])

    def draw(self, seed: int, part: np.ndarray, passes: np.ndarray, severity_NxK: np.ndarray) -> Shots:
        """The pictures of parts by number, pass and severities, as the world run *seed* has them."""
        size = self.pixels
        shots = Shots(np.empty((len(part), size, size), np.float32), np.empty((len(part), size, size), np.uint8))
        look = [self.grey, self.light, self.bend, self.texture, self.noise, self.seen, self.levels - 1]
        drawing.surfaces(
            *shots,
            np.ascontiguousarray(part, np.uint64),
            np.ascontiguousarray(passes, np.uint64),
            np.ascontiguousarray(severity_NxK, np.float64),
            np.array([*look, *(getattr(self, kind) for kind in KINDS)], np.float32),
            address(seed, self.station, "camera"),
        )
        return shots
