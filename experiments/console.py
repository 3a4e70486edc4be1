"""What a person sees while a command runs: bars on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from experiments.report import decimals

QUIET_S = 5.0  # between two plain lines


def say(text: str) -> None:
    """One line on stderr; stdout is for results."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


@contextlib.contextmanager
def progress(title: str) -> Iterator[Callable[..., None]]:
    """Yields `advance(done, total, note="")`, to be called as often as one likes."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _plain(title)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console) as bar:
        task = bar.add_task(title, total=None, note="")
        yield lambda done, total, note="": bar.update(task, completed=done, total=total, note=note)


def _plain(title: str) -> Callable[..., None]:
    said_s = time.monotonic()

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= QUIET_S:
            said_s = time.monotonic()
            say(f"{title}: {done} of {total} {note}".rstrip())

    return advance


def show_seconds(seconds: Mapping[str, float]) -> None:
    """The table of where the time went, on stdout."""
    table = Table("stage", "seconds")
    table.columns[1].justify = "right"
    for stage, value in seconds.items():
        table.add_row(stage, f"{value:.1f}")
    table.add_section()
    table.add_row("total", f"{sum(seconds.values()):.1f}")
    Console().print(table)


def show_scores(scores: Mapping[str, Any]) -> None:
    """The table naive · baselines · model · oracle, best first by the primary score, on stdout; 80 columns hold it.

    There is no skill to show where no oracle is known.
    """
    primary, skilled = scores["primary"], any(row["skill"] is not None for row in scores["rows"])
    heads = ["row", "kind", f"{primary.replace('_', ' ')} [95 %]", *(["skill [95 %]"] if skilled else [])]
    seeds = scores.get("seeds", 1)
    caption = f"means over {seeds} seeds of training" if seeds > 1 else None
    table = Table(*map(escape, heads), box=SIMPLE_HEAD, caption=caption, caption_justify="left")
    for column in table.columns:
        column.no_wrap = True
    means = {row["name"]: row["scores"].get(primary, {}).get("mean") for row in scores["rows"]}
    places = decimals(list(means.values()))
    for row in sorted(scores["rows"], key=lambda row: math.inf if means[row["name"]] is None else means[row["name"]]):
        told = [interval(row["scores"].get(primary), places), *([interval(row["skill"], 3)] if skilled else [])]
        table.add_row(row["name"].replace("_", " "), row["kind"], *map(escape, told))
    Console().print(table)


def interval(value: Any, places: int) -> str:
    """.0502 [.0474, .0532]"""
    if not isinstance(value, Mapping) or value["mean"] is None:
        return value if isinstance(value, str) else "–"
    mean, low, high = (None if v is None else short(v, places) for v in (value["mean"], value["low"], value["high"]))
    return f"{mean}" if low is None else f"{mean} [{low}, {high}]"


def short(value: float, places: int) -> str:
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{places}f}")
