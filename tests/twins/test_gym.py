"""The environment as Gymnasium takes it."""

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")  # the extra `gym`

from gymnasium.utils.env_checker import check_env  # noqa: E402

from examples.pump.sim import Pump  # noqa: E402
from examples.pump.twin import PumpTwin  # noqa: E402
from sim.errors import InputError  # noqa: E402
from sim.house import House  # noqa: E402
from tests.twins.test_environment import ENVIRONMENT  # noqa: E402
from twins.control.environment import Environment  # noqa: E402
from twins.control.gym import GymEnvironment  # noqa: E402
from twins.house import HouseTwin  # noqa: E402


@pytest.mark.parametrize("environment", [ENVIRONMENT, Environment(PumpTwin(Pump()), every_h=24.0, duration_h=240.0)])
def test_gymnasiums_own_checker_passes(environment):
    check_env(GymEnvironment(environment, readings=48), skip_render_check=True)  # warnings are errors here


def test_an_episode_is_a_run_and_its_rewards_are_its_cost():
    env = GymEnvironment(ENVIRONMENT, readings=48)
    _, info = env.reset(seed=7)
    now, rewards, truncated = ENVIRONMENT.start(info["run"]), [], False
    while not truncated:
        action = np.array([len(rewards) % 5 == 3, len(rewards) % 7 == 2], np.int8)
        seen, reward, terminated, truncated, info = env.step(action)
        orders = [ENVIRONMENT.maintain(a) for a, on in zip(ENVIRONMENT.assets, action, strict=True) if on]
        now = ENVIRONMENT.step(now, orders)
        rewards.append(reward)
        assert not terminated
    assert len(rewards) == 30
    assert sum(rewards) == pytest.approx(-now.cost)
    assert now.account == type(now.account)(**{name: info[name] for name in now.account._fields})
    age = seen["values"][0, env.quantities.index("operating_age")]
    np.testing.assert_array_equal(age, now.observation.read("m1", "operating_age", 48))
    observed = seen["observed"].astype(bool)
    assert observed.any()
    assert not seen["values"][~observed].any()
    assert not {"wear", "rate"} & set(env.quantities)
    before, after = (env.quantities.index(f"buffer_{where}") for where in ("before", "after"))
    assert not observed[0, before].any()  # the first machine has no buffer before it, the last none after it
    assert not observed[1, after].any()


def test_seeds_repeat_a_sequence_of_runs():
    env = GymEnvironment(ENVIRONMENT, readings=6)
    first = [env.reset(seed=3)[1]["run"], env.reset()[1]["run"]]
    again = [env.reset(seed=3)[1]["run"], env.reset()[1]["run"]]
    assert first == again
    assert first[0] != first[1]


def test_what_cannot_be_played_is_refused():
    with pytest.raises(InputError, match="names its assets"):
        GymEnvironment(Environment(HouseTwin(House())))
    with pytest.raises(gymnasium.error.ResetNeeded):
        GymEnvironment(ENVIRONMENT).step(np.zeros(2, np.int8))
