"""Small episodes with something to learn in them, shared by the tests of models and training."""

import numpy as np
import pytest

from learn.tasks import Forecast, States, TimeToEvent
from learn.windows.batch import Windows
from twins.channel import Role
from twins.episode import Episode, Series, Spell

CONTEXT, PATCH = 24, 6


def _episode(run: int, n: int = 160, variates: int = 3) -> Episode:
    """A clock that counts up to a failure every 40 h, seen by noisy sensors; and the truth of it."""
    rng = np.random.default_rng(run)
    age = (np.arange(n) + 7 * run) % 40.0
    roles = (Role.TARGET, Role.PAST, Role.ACTION)
    series = [
        Series("m1", f"q{v}", "1", roles[v % 3], (age * (v + 1) + rng.normal(size=n)).astype(np.float32), step_h=1.0)
        for v in range(variates)
    ]
    series.append(Series("m1", "wear", "1", Role.TRUTH, age.astype(np.float32), step_h=1.0))
    ends = np.arange(40 - (7 * run) % 40, n + 40, 40.0)
    starts = np.concatenate(([0.0], ends[:-1]))
    spells = tuple(
        Spell(a, min(b, n), "wear" if b < n else "", min(b, n) - a) for a, b in zip(starts, ends, strict=True) if a < n
    )
    return Episode(run, "m1", tuple(series), spells=spells, end_h=float(n))


@pytest.fixture(scope="session")
def make_episode():
    return _episode


@pytest.fixture(scope="session")
def episodes():
    return [_episode(run) for run in range(4)]


@pytest.fixture(scope="session")
def event_windows(episodes):
    return Windows.of(episodes, context=CONTEXT, task=TimeToEvent())


@pytest.fixture(scope="session")
def series_windows(episodes):
    return Windows.of(episodes, context=CONTEXT, task=Forecast(4))


@pytest.fixture(scope="session")
def state_windows(episodes):
    """In which hour of its life is the asset next? Its truth tells."""
    return Windows.of(episodes, context=CONTEXT, task=States("wear", tuple(f"hour {h}" for h in range(40)), 4))
