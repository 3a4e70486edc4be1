"""Free text from a small grammar: phrases that vary, words cut short, and slips of the keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Draw = Callable[[], float]  # uniform within (0, 1)

NOTHING = ("machine stopped", "not running", "see shift log", "called by operator")
GRAMMAR = {
    "note": (
        "{open}, {symptom}. {act}",
        "{open}: {symptom}; {act}",
        "{symptom}. {act}, {end}",
        "{act}. {open}, {symptom}",
        "{symptom}, {act}",
        "{act} ({symptom})",
    ),
    "open": ("operator reported", "found on {round}", "called by {who}", "message from {who}", "at start of shift"),
    "round": ("inspection", "first round", "handover"),
    "who": ("shift lead", "operator", "control room"),
    "act": (
        "unit replaced and {tested}",
        "changed {part}, {tested}",
        "cleaned, adjusted and {tested}",
        "work done, {tested}",
        "replaced {part}",
    ),
    "part": ("module", "assembly", "parts as per list", "component"),
    "tested": ("test run good", "checked", "running again", "tested without load"),
    "end": ("handed over", "machine released", "back in production", "to be watched"),
}
SHORT = {
    "and": "&",
    "assembly": "assy",
    "bearing": "brg",
    "checked": "chkd",
    "inspection": "insp",
    "machine": "m/c",
    "operator": "op",
    "production": "prod",
    "replaced": "repl",
    "running": "rng",
    "scheduled": "sched",
    "temperature": "temp",
    "vibration": "vib",
    "without": "w/o",
}
WORD = re.compile(r"[a-z]+")


def note(symptoms: Sequence[str], draw: Draw, abbreviated: float, typo: float) -> str:
    """A note that tells one of *symptoms*, as someone in a hurry types it."""
    clean = _expand("note", symptoms, draw)
    return WORD.sub(lambda match: _typed(match[0], draw, abbreviated, typo), clean)


def _expand(symbol: str, symptoms: Sequence[str], draw: Draw) -> str:
    choices = symptoms if symbol == "symptom" else GRAMMAR[symbol]
    chosen = choices[int(draw() * len(choices))]
    return re.sub(r"{(\w+)}", lambda match: _expand(match[1], symptoms, draw), chosen)


def _typed(word: str, draw: Draw, abbreviated: float, typo: float) -> str:
    if word in SHORT and draw() < abbreviated:
        return SHORT[word]
    if len(word) < 4 or draw() >= typo:
        return word
    i, kind = 1 + int(draw() * (len(word) - 2)), int(draw() * 3)  # the first letter is nearly always right
    if kind == 0:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return word[:i] + (word[i + 1 :] if kind == 1 else word[i] + word[i:])
