"""`vary` of a configuration: laws by key, in one sentence where they cannot be, and in every command's world."""

import pytest

from experiments import load
from experiments.run_dir import config_hash
from sim.errors import InputError
from twins.varied import Between, Choices, Normal, Varied

LAWS = (
    "+vary={world.crew: {choices: [1, 2]}, world.stations.*.load: {low: 0.8, high: 1.25, log: true}, "
    "twin.sensors.vibration_rms.white: {mean: 1, sd: 0.1, low: 0, relative: true}}"
)


def quick(*overrides):
    return load("line_failure", ["debug=fast", *overrides])


def test_laws_are_told_by_their_keys_and_reach_source_and_twin():
    line = quick(LAWS)
    assert line.twin == Varied(
        quick().twin,
        {
            "world.crew": Choices((1, 2)),
            "world.stations.*.load": Between(0.8, 1.25, log=True),
            "twin.sensors.vibration_rms.white": Normal(1.0, 0.1, low=0.0, relative=True),
        },
    )
    assert line.source.twin == line.twin
    assert line.source.identity != quick().source.identity
    assert line.twin == quick(LAWS.replace("world.crew:", "world: {crew:").replace("2]},", "2]}},")).twin  # by levels


def test_without_variation_nothing_is_renamed():
    line = quick()
    assert line.twin == line.part("twin")
    older = {key: value for key, value in line.config.items() if key != "vary"}
    assert config_hash(line.config) == config_hash(older)
    assert config_hash(quick(LAWS).config) != config_hash(older)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+vary.world.crew=3", r"vary\.world\.crew is 3; it must be \{low, high\}"),
        ("+vary.world.crew={}", r"vary\.world\.crew is \{\}; it must be"),
        (
            "+vary.world.crew={low: 1, high: 2, lug: true}",
            r"vary\.world\.crew\.lug is unknown to Between; did you mean",
        ),
        ("+vary.world.crew={low: 3, high: 2}", r"vary\.world\.crew\.high is 2\.0; it must be at least low"),
        ("+vary.world.crow={choices: [1]}", r"vary: world\.crow: there is no crow in world"),
        ("+vary.crew={choices: [1]}", r"vary: crew must begin with world\. or twin\."),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(override, message):
    with pytest.raises(InputError, match=message):
        _ = quick(override).source


def test_a_table_has_no_worlds_to_vary():
    with pytest.raises(InputError, match="vary and render are of simulated worlds"):
        _ = load("etth1", ["source.path=x.csv", "+vary.world.crew={choices: [1]}"]).source
