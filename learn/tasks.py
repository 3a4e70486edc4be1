"""What a model is asked: the future values of a series or those that are missing, when and how an asset fails, how
long it lives on, in which state it will be, or what something is that was just seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sim.errors import require

LEVELS = (0.01, *(round(0.05 * i, 2) for i in range(1, 20)), 0.99)
EDGES_H = (1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 48.0, 96.0, 168.0, 336.0)


@dataclass(frozen=True)
class Forecast:
    """The next *horizon* samples of every target. `mse` trains one number a step, `pinball` the quantiles.

    `counts` trains a law over whole numbers from 0 on (`learn.models.counts`) by its likelihood; targets must be such.
    """

    horizon: int
    quantiles: tuple[float, ...] = LEVELS
    loss: Literal["pinball", "mse", "counts"] = "pinball"

    def __post_init__(self):
        _check_quantiles(self)
        require(self.horizon >= 1, self, "horizon", "at least 1 sample")
        require(self.loss in ("pinball", "mse", "counts"), self, "loss", "'pinball', 'mse' or 'counts'")

    @property
    def samples_ahead(self) -> int:
        """Samples after the context that a window needs."""
        return self.horizon


@dataclass(frozen=True)
class Counterfactual(Forecast):
    """The next *horizon* samples of the target under each of several plans of action, of which one at most was taken.

    A plan's first action is the newest sample of the context, its others lie over the horizon. Hidden channels of
    frames tell plans (S of them, H steps, a number an action) and what came of them (S, H). Where one is to be chosen,
    effects are counted from the first. A model learns from what happened; where it is *paired*, which none can be with
    real patients, from the outcomes of all plans at every so many samples. A *difference_weight* then adds the squared
    error of what each plan would change against the first, in scaled units: batches then hold pairs.
    """

    horizon: int = 1
    loss: Literal["pinball", "mse", "counts"] = "mse"
    plan: str = "plan"
    outcome: str = "outcome"
    actions: tuple[str, ...] = ("action",)  # channels, in the order in which plans tell them
    full: float = 1.0  # what errors are told in percent of, in the target's unit
    history: int = 1  # samples of the context that have to be there
    choose: Literal["low", "high"] | None = None  # which outcome is better, where one of the plans is to be chosen
    paired: int | None = None
    difference_weight: float = 0.0  # beside 1 for the outcomes themselves

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "actions", tuple(self.actions))
        require(self.loss != "counts", self, "loss", "'pinball' or 'mse' where plans are asked")
        require(bool(self.actions) and all(self.actions), self, "actions", "the names of channels, at least one")
        require(0 < self.full < math.inf, self, "full", "above 0 and finite")
        require(self.history >= 1, self, "history", "at least 1 sample")
        require(self.choose in (None, "low", "high"), self, "choose", "'low' or 'high', or null")
        require(self.paired is None or self.paired >= 1, self, "paired", "at least 1 sample, or null")
        weighs = 0 <= self.difference_weight < math.inf and (self.difference_weight == 0 or self.paired is not None)
        require(weighs, self, "difference_weight", "0, or above it, finite and with task.paired")


@dataclass(frozen=True)
class Imputation(Forecast):
    """What was read where a target has a gap: a block of samples among the *horizon* newest of a window.

    Of each target a block from *shortest* to *longest* samples is hidden, with something after it; all else, before
    and after, is seen. Which block that is depends on (seed, episode, moment, target) alone. Of what a model tells of
    the horizon only hidden samples count.
    """

    shortest: int = 1
    longest: int = 12
    seed: int = 0  # of the blocks; scores are comparable where it is the same

    def __post_init__(self):
        super().__post_init__()
        require(1 <= self.shortest <= self.longest, self, "shortest", f"from 1 to longest, {self.longest} samples")
        require(self.longest < self.horizon, self, "longest", f"below the horizon of {self.horizon} samples")
        require(0 <= self.seed < 2**32, self, "seed", "from 0 to below 2³²")


@dataclass(frozen=True)
class TimeToEvent:
    """When an asset next fails, and of which cause. Bins of hours (0, e₁], (e₁, e₂] … from now on.

    *horizon_h* is one of the edges, so that "fails within it" is read off without interpolation.
    """

    causes: tuple[str, ...] = ("wear", "sudden")
    edges_h: tuple[float, ...] = EDGES_H
    horizon_h: float = 24.0

    def __post_init__(self):
        object.__setattr__(self, "causes", tuple(self.causes))
        object.__setattr__(self, "edges_h", tuple(float(e) for e in self.edges_h))
        require(len(self.causes) >= 1 and all(self.causes), self, "causes", "at least one name of a failure's cause")
        rising = all(a < b < math.inf for a, b in zip((0.0, *self.edges_h), self.edges_h, strict=False))
        require(bool(self.edges_h) and rising, self, "edges_h", "finite hours that rise strictly from above 0")
        require(self.horizon_h in self.edges_h, self, "horizon_h", f"one of the edges_h {self.edges_h}")

    @property
    def samples_ahead(self) -> int:
        """Samples after the context that a window needs."""
        return 0


@dataclass(frozen=True)
class RemainingLife:
    """How long an asset goes on until it fails, were nobody to maintain it; a life longer than *cap* counts as *cap*.

    Lives are told in a *unit* of `unit_h` hours of the calendar. What is asked is the life without further planned
    work where that is known (`Spell.unmaintained_h`), else the life that was seen; moments at which neither is known
    as far as the cap are left out, of a record that was cut those within the cap of its end, whatever came of them.
    """

    cap: float = 125.0
    unit: str = "h"
    unit_h: float = 1.0
    causes: tuple[str, ...] = ("wear", "sudden")
    quantiles: tuple[float, ...] = LEVELS

    def __post_init__(self):
        _check_quantiles(self)
        object.__setattr__(self, "causes", tuple(self.causes))
        require(0 < self.cap < math.inf, self, "cap", "above 0 and finite")
        require(0 < self.unit_h < math.inf, self, "unit_h", "above 0 and finite")
        require(bool(self.unit), self, "unit", "the name of what lives are counted in")
        require(len(self.quantiles) >= 3, self, "quantiles", "at least 3 levels")
        require(len(self.causes) >= 1 and all(self.causes), self, "causes", "at least one name of a failure's cause")

    @property
    def cap_h(self) -> float:
        return self.cap * self.unit_h

    @property
    def samples_ahead(self) -> int:
        """Samples after the context that a window needs."""
        return 0


@dataclass(frozen=True)
class Classify:
    """Of which class is the newest sample? The hidden channel *truth* tells, by its number, 0 being the first.

    What is scored is "not of the first class". Where *marks* names a hidden channel of frames, whose pixels are sums of
    2ᵏ over the kinds of mark k that are there, a model also says of each pixel of its first frame which marks it shows.
    """

    truth: str = "defective"
    classes: tuple[str, ...] = ("good", "defective")
    marks: str | None = None
    kinds: tuple[str, ...] = ("scratch", "dent", "stain")
    marks_weight: float = 1.0  # of the marks' cross-entropy, mean over pixels, beside that of the class

    def __post_init__(self):
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "kinds", tuple(self.kinds))
        require(bool(self.truth), self, "truth", "the name of a channel")
        require(len(self.classes) >= 2 and all(self.classes), self, "classes", "at least two names")
        require(1 <= len(self.kinds) <= 8 and all(self.kinds), self, "kinds", "from 1 to 8 names")
        require(0 <= self.marks_weight < math.inf, self, "marks_weight", "at least 0 and finite")

    @property
    def samples_ahead(self) -> int:
        """Samples after the context that a window needs."""
        return 0


@dataclass(frozen=True)
class States:
    """In which of several *states* is an asset at each of the next *horizon* samples?

    A *channel* tells by its number, 0 being the first name: a hidden one, or one that is measured up to now, as where a
    plant logs what its machines do; what it says of the present is then seen as well. A sample at which it tells
    nothing does not count.
    """

    channel: str
    states: tuple[str, ...]
    horizon: int

    def __post_init__(self):
        object.__setattr__(self, "states", tuple(self.states))
        require(bool(self.channel), self, "channel", "the name of a channel")
        named = len(self.states) >= 2 and all(self.states) and len(set(self.states)) == len(self.states)
        require(named, self, "states", "at least two names, each once")
        require(self.horizon >= 1, self, "horizon", "at least 1 sample")

    @property
    def samples_ahead(self) -> int:
        """Samples after the context that a window needs."""
        return self.horizon


def _check_quantiles(task: Forecast | RemainingLife) -> None:
    object.__setattr__(task, "quantiles", tuple(task.quantiles))
    rising = all(a < b for a, b in zip(task.quantiles, task.quantiles[1:], strict=False))
    inside = all(0 < q < 1 for q in task.quantiles)
    require(bool(task.quantiles) and rising and inside, task, "quantiles", "levels that rise strictly within (0, 1)")


Task = Forecast | TimeToEvent | RemainingLife | Classify | States
