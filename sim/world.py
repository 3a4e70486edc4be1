"""The protocol every world keeps: state in; trace and state out."""

from __future__ import annotations

from typing import Any, Protocol

from sim.trace import Run


class State(Protocol):
    """Plain dataclasses of numbers, names and stream positions: it pickles, compares and prints."""

    seed: int
    time_h: float


class World(Protocol):
    """A discrete-event world that is a value. Implementations are frozen dataclasses of their configuration.

    Laws that the tests hold every world to: one run of 0→T and any chain of runs that ends at T give the same trace
    and the same state, bit for bit; a longer horizon never changes the past; the state that came in is untouched.
    """

    @property
    def revision(self) -> int:
        """Raised whenever the same configuration and seed would give another trace."""
        ...

    def start(self, seed: int) -> Any:
        """The state at 0 h of the world run *seed*."""
        ...

    def run(self, state: Any, until_h: float) -> Run:
        """Run to *until_h* (hours, not before the state's time). Events at *until_h* itself belong to the next run."""
        ...

    def act(self, state: Any, action: Any) -> Any:
        """A copy of *state* with *action* queued; the next run that takes any time logs it first and carries it out."""
        ...

    def resample(self, state: Any, seed: int) -> Any:
        """A copy whose streams are keyed anew and whose hidden draws are redrawn given what has been revealed.

        `state.seed`, which addresses the sensors' noise, changes with it.
        """
        ...
