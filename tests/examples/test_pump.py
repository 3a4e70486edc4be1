"""The example outside the packages: sensors, labels, the preset. That it keeps the laws is in test_laws."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.pump.sim import Phase, Pump, ReplaceSeal
from examples.pump.twin import PumpTwin
from experiments import load
from sim.wear import Wiener
from twins.channel import Role
from twins.episode import PLANNED

PLANT = Path(__file__).parents[2] / "examples" / "pump"
TWIN = PumpTwin(Pump(seal=Wiener(1 / 60, 0.03, levels=10)))
RUN = TWIN.world.run(TWIN.world.start(5), 600.0)
(EPISODE,) = TWIN.observe(RUN)


@given(st.sampled_from(TWIN.channels), st.integers(0, 2399), st.integers(0, 400))
@settings(max_examples=60)
def test_any_window_rendered_alone_equals_that_window_of_the_whole(channel, start, count):
    count = min(count, 2400 - start)
    whole = next(s.values for s in EPISODE.series if s.quantity == channel.quantity)
    np.testing.assert_array_equal(TWIN.render(RUN.trace, channel, start, count), whole[start : start + count])


def test_lives_and_repairs_fill_the_run():
    failures = [e.time_h for e in RUN.trace.events if e.kind == "failure"]
    assert len(failures) >= 3
    assert [s.end_h for s in EPISODE.spells if s.cause == "seal"] == failures
    for time_h in failures:
        assert RUN.trace["pump", "wear"].at(time_h) == 1
        assert RUN.trace["pump", "phase"].at(time_h) == Phase.REPAIRING
    phase, counted = RUN.trace["pump", "phase"], sum(s.operating_h for s in EPISODE.spells)
    hours = np.diff(np.append(phase.time_h, 600.0))
    assert counted == pytest.approx(hours[phase.value == Phase.PUMPING].sum())


def test_an_ordered_replacement_censors_the_life():
    world = TWIN.world
    first = world.run(world.start(1), 20.0)
    rest = world.run(world.act(first.state, ReplaceSeal()), 100.0)
    (episode,) = TWIN.observe(first._replace(trace=first.trace + rest.trace))
    assert episode.spells[0].cause == PLANNED
    assert episode.spells[0].end_h == 20.0
    assert rest.trace["pump", "wear"].at(episode.spells[1].start_h) == 0


def test_sensors_tell_of_wear_and_of_clogging():
    values = {s.quantity: s.values for s in EPISODE.series}
    pumping = values["flow"] > 20
    for sensor, cause in (("seal_temperature", "wear"), ("flow", "clog")):
        known = pumping & ~np.isnan(values[sensor])
        assert abs(np.corrcoef(values[sensor][known], values[cause][known])[0, 1]) > 0.4
    assert {s.quantity for s in EPISODE.series if s.role is Role.TRUTH} == {"wear", "clog"}


def test_the_preset_names_the_plant():
    pump = load("pump", config_dir=PLANT)
    assert type(pump.world).__name__ == "Pump"
    assert pump.twin.world == pump.world
    assert pump.task.causes == ("seal",)


def test_workers_find_the_plant_from_any_folder(tmp_path):
    """Spawned workers import `pump.sim`, and `sim` stays the package."""
    command = [
        sys.executable,
        "-m",
        "experiments.generate",
        "--config-dir",
        str(PLANT),
        "experiment=pump",
        "debug=fast",
    ]
    done = subprocess.run([*command, "workers=2"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / done.stdout.strip() / "manifest.json").exists()
