"""`sweep.space` of a configuration: which of its values a sweep may change, and between what."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.vary import laws
from sim.errors import InputError, require

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = None | bool | int | float | str
WANTED = "{low, high}, with log: true or step, or {choices: […]}"
DIGITS = 4  # of what is drawn from a range, so that a command that repeats a trial can be read


@dataclass(frozen=True)
class Range:
    """From *low* to *high*, both included; alike in the logarithm, or in steps from *low* on.

    Whole numbers, where low, high and step are whole and what the configuration says is no fraction.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    def __post_init__(self):
        require(math.isfinite(self.low), self, "low", "finite")
        require(self.low < self.high < math.inf, self, "high", f"above low, {self.low}, and finite")
        require(not self.log or self.low > 0, self, "low", "above 0 where log is true")
        require(self.step is None or not self.log, self, "step", "null where log is true")
        fits = self.step is None or 0 < self.step <= self.high - self.low
        require(fits, self, "step", "above 0 and at most high − low")

    def distribution(self, present: Any) -> BaseDistribution:
        """As Optuna has it, in place of the value *present*."""
        from optuna.distributions import FloatDistribution, IntDistribution

        whole = all(isinstance(x, int) for x in (self.low, self.high, self.step or 1))
        if whole and not isinstance(present, float):
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.low, self.high

    def shown(self, drawn: Any) -> Any:
        """What is tried in place of what was *drawn*: as near as some digits come."""
        if isinstance(drawn, int) or self.step is not None:
            return drawn
        return min(max(float(f"{drawn:.{DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Choices:
    """One of some numbers, names, true, false or null; of a group of the configuration, one of its names."""

    choices: tuple[Any, ...]

    def __post_init__(self):
        plain = all(choice is None or isinstance(choice, bool | int | float | str) for choice in self.choices)
        require(plain, self, "choices", "a list of numbers, names, true, false or null")
        distinct = len({(type(choice), choice) for choice in self.choices}) == len(self.choices)
        require(distinct and len(self.choices) >= 2, self, "choices", "two or more, none of them twice")

    def distribution(self, present: Any) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        if isinstance(present, Mapping) and not all(isinstance(choice, str) for choice in self.choices):
            raise InputError("a group of the configuration is chosen by names")
        return CategoricalDistribution(self.choices)

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.choices

    def shown(self, drawn: Any) -> Any:
        return drawn


Law = Range | Choices
KINDS: dict[str, type] = {"choices": Choices, "low": Range, "high": Range}


def space(node: Any) -> dict[str, Law]:
    """Each law of *node* by its dotted key; raises InputError naming the key."""
    if not isinstance(node, Mapping) or not node:
        raise InputError(f"sweep.space is {node!r}; it must say what to change, as in sweep.space.<key>={WANTED}")
    return dict(laws(node, "sweep.space", KINDS, WANTED))


def override(key: str, value: Any) -> str:
    """As one sets it on a command line."""
    if value is None or isinstance(value, bool):
        return f"{key}={'null' if value is None else str(value).lower()}"
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z_][\w./-]*", value):
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"{key}='{quoted}'"
    return f"{key}={value}"


def overrides(values: Mapping[str, Any]) -> list[str]:
    return [override(key, value) for key, value in values.items()]


def at(config: Any, key: str) -> Any:
    """The value of a dotted key, None where there is none."""
    parts: Sequence[str] = key.split(".")
    for part in parts:
        if isinstance(config, list) and part.isdigit() and int(part) < len(config):
            config = config[int(part)]
        else:
            config = config.get(part) if isinstance(config, Mapping) else None
    return config
