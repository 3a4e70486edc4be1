"""What devices send each other in a compiled program, read off its text."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass

BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4}
BYTES |= {"s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16}
KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_OPERATION = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(?:-start)?\(")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
_CALLED = re.compile(r"\b(body|condition|calls|to_apply)=%?([\w.\-]+)")
_TIMES = re.compile(r'"?known_trip_count"?:\{"?n"?:"(\d+)"')


@dataclass(frozen=True)
class Traffic:
    """Bytes that one device gets from collectives, by their kind, and what it sends for them round a ring."""

    by_kind: dict[str, float]
    sent: float
    endless: int = 0  # loops of unknown length, counted as one round

    def over(self, steps: int) -> Traffic:
        """The share of one of *steps*."""
        return Traffic({kind: of / steps for kind, of in self.by_kind.items()}, self.sent / steps, self.endless)


def traffic(text: str) -> Traffic:
    """Of one run of the program with this HLO *text*; a loop's body counts as often as it runs.

    Round a ring of n a device sends 2 (n − 1)/n of what is summed for all, (n − 1)/n of what is gathered or exchanged,
    and n − 1 of the share that it keeps of a sum (Thakur, Rabenseifner & Gropp 2005).
    """
    bodies: dict[str, list[str]] = {}
    entry, lines = "", list[str]()
    devices = int(found[1]) if (found := re.search(r"num_partitions=(\d+)", text)) else 1
    for line in text.splitlines():
        if not line.startswith(" ") and (header := _HEADER.match(line)):
            lines = bodies.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
        elif line.startswith(" "):
            lines.append(line)
    by_kind: dict[str, float] = defaultdict(float)
    sent, endless = 0.0, 0
    left = [(entry, 1)]
    while left:
        name, times = left.pop()
        for line in bodies.get(name, ()):
            if found := _OPERATION.search(line):
                size, ring = _size(found[1]), _ring(line, devices)
                by_kind[found[2]] += times * size
                sent += times * size * _share(found[2], ring)
            called = _CALLED.findall(line)
            if not called:
                continue
            loop = any(how == "body" for how, _ in called)
            rounds = _TIMES.search(line) if loop else None
            endless += loop and rounds is None
            left += [(callee, times * (int(rounds[1]) if rounds else 1)) for how, callee in called]
    return Traffic(dict(by_kind), sent, endless)


def _size(shapes: str) -> int:
    """Bytes of all the arrays in a shape such as `(f32[2,3]{1,0}, bf16[])`."""
    arrays = re.findall(r"(\w+)\[([\d,]*)\]", shapes)
    return sum(BYTES.get(kind, 4) * math.prod(map(int, filter(None, sides.split(",")))) for kind, sides in arrays)


def _ring(line: str, all_devices: int) -> int:
    """How many devices take part together: groups as a table, as a list, or by the axes of a mesh; else all."""
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(found[1])
    if found := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return len(found[1].split(","))
    if found := re.search(r"replica_groups=mesh\[(.*?)\] \{(.*?)\}", line):
        sides = dict(re.findall(r"('\w+')=(\d+)", found[1]))
        # an axis, or a part of one as 'axis':(what lies before it)its length
        return math.prod(int(part or sides[axis]) for axis, part in re.findall(r"('\w+')(?::\(\d+\)(\d+))?", found[2]))
    return all_devices


def _share(kind: str, ring: int) -> float:
    if kind == "all-reduce":
        return 2 * (ring - 1) / ring
    if kind == "reduce-scatter":
        return ring - 1
    return 1.0 if kind == "collective-permute" else (ring - 1) / ring
