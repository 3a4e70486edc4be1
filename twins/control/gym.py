"""An environment for reinforcement learning: `gymnasium.Env` around `twins.control.environment` (the extra `gym`)."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from sim.errors import require
from twins.channel import Role
from twins.control.environment import Environment, Moment

LIMITS = np.finfo(np.float32)


class GymEnvironment(gymnasium.Env[Any, np.ndarray]):
    """One world run an episode. A reward is what a decision interval cost, negative.

    Observation: `values`, the latest *readings* of each asset's sensors in their own units, float32[assets, quantities,
    readings], 0 where missing, and `observed`, which says where they are not. Action: for each asset, whether planned
    work is ordered; an asset that is down pays no heed. An episode is truncated at the environment's end, and never
    terminates. `reset(seed=…)` makes the sequence of world runs repeatable; its info holds each run's seed.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, environment: Environment, readings: int = 144):
        self.environment, self.readings = environment, readings
        require(readings >= 1, self, "readings", "at least 1")
        require(bool(environment.assets), self, "environment", "of a twin that names its assets")
        seen = [c for c in environment.channels.values() if c.role is not Role.TRUTH and c.step_h is not None]
        self.quantities = tuple(dict.fromkeys(channel.quantity for channel in seen))
        self._keys = {channel.key for channel in seen}
        shape = (len(environment.assets), len(self.quantities), readings)
        self.observation_space = spaces.Dict(
            {
                "values": spaces.Box(LIMITS.min, LIMITS.max, shape, np.float32),
                "observed": spaces.MultiBinary(shape),
            }
        )
        self.action_space = spaces.MultiBinary(len(environment.assets))
        self._now: Moment | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        run = int(self.np_random.integers(2**62))
        self._now = self.environment.start(run)
        return self._observe(self._now), {"run": run}

    def step(self, action: np.ndarray):
        before = self._now
        if before is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        orders = [self.environment.maintain(a) for a, on in zip(self.environment.assets, action, strict=True) if on]
        self._now = now = self.environment.step(before, orders)
        info = {"time_h": now.time_h, **now.account._asdict()}
        return self._observe(now), before.cost - now.cost, False, now.done, info

    def _observe(self, now: Moment) -> dict[str, np.ndarray]:
        missing = np.full(self.readings, np.nan, np.float32)
        values = np.array(
            [
                [
                    now.observation.read(asset, quantity, self.readings) if (asset, quantity) in self._keys else missing
                    for quantity in self.quantities
                ]
                for asset in self.environment.assets
            ]
        )
        observed = np.isfinite(values)
        return {"values": np.where(observed, values, np.float32(0)), "observed": observed.astype(np.int8)}
