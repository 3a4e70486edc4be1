"""What comes of an asset, as labels of its samples: hours to the end of its life, and what ends it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learn.tasks import RemainingLife, Task
from sim.errors import InputError
from twins.episode import CENSORED, PLANNED, Episode, Spell


def labels(episode: Episode, now_h: np.ndarray, to_h: float, causes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """For each *now_h*: hours to the end of the spell it lies in (NaN outside all), and the code of what ends it."""
    event_h = np.full(len(now_h), np.nan, np.float32)
    cause = np.full(len(now_h), -1, np.int32)
    for spell in episode.spells:
        if spell.cause not in (PLANNED, CENSORED, *causes):
            raise InputError(
                f"run {episode.run}, {episode.asset}: a spell ends of {spell.cause!r}; the task's causes are {causes}"
            )
        end_h = min(spell.end_h, to_h)
        here = (spell.start_h <= now_h) & (now_h < end_h)
        event_h[here] = end_h - now_h[here]
        known = spell.end_h <= to_h and spell.cause in causes
        cause[here] = 1 + causes.index(spell.cause) if known else 0
    return event_h, cause


def lives(episode: Episode, now_h: np.ndarray, to_h: float, task: RemainingLife) -> tuple[np.ndarray, np.ndarray]:
    """As `labels`, of lives without planned work: one whose unmaintained length is known ends then, of cause 1."""
    event_h, cause = labels(episode, now_h, to_h, task.causes)
    for spell in episode.spells:
        whole_h = spell.start_h + spell.unmaintained_h
        if np.isfinite(whole_h) and spell.end_h <= to_h:
            reached = now_h <= spell.end_h if spell.cause == CENSORED else now_h < spell.end_h
            here = (spell.start_h <= now_h) & reached & (now_h < whole_h)
            event_h[here], cause[here] = whole_h - now_h[here], np.maximum(cause[here], 1)
    return event_h, cause


def followed_h(episodes: Sequence[Episode], to_h: float, task: Task | None) -> list[float]:
    """Until when the lives of each episode can be asked for: all of it where its last life is known to the end.

    Where a cut in time at *to_h* ends some lives, none is asked for within the cap of it: of those that follow, only
    failures would be known.
    """
    if not isinstance(task, RemainingLife):
        return [to_h] * len(episodes)
    ends = [max(episode.spells, key=lambda spell: spell.end_h) for episode in episodes if episode.spells]
    cut = any(last.end_h >= to_h and not _known(last, task) for last in ends)
    return [min(_followed_h(episode, to_h, task), to_h - task.cap_h if cut else to_h) for episode in episodes]


def _followed_h(episode: Episode, to_h: float, task: RemainingLife) -> float:
    if not episode.spells:
        return to_h
    last = max(episode.spells, key=lambda spell: spell.end_h)
    whole = _known(last, task) and last.end_h >= episode.end_h - 1e-9 and last.end_h <= to_h
    return to_h if whole else min(episode.end_h, to_h) - task.cap_h


def _known(life: Spell, task: RemainingLife) -> bool:
    return life.cause in task.causes or bool(np.isfinite(life.unmaintained_h))
