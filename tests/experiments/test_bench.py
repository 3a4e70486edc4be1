"""What the bench reports, and that its rivals do the same job."""

import json
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from bench import measure, ticking_line
from experiments import bench, load
from sim.errors import InputError
from twins.sensors.render import clean


def measured(value: float, more_is_better: bool, target: float = 2.0) -> measure.Measured:
    return measure.Measured(
        "x", "what it is", "×", target, more_is_better, (value, value / 2, value * 2), {"n": 3, "s": 0.123456}
    )


@pytest.mark.parametrize(("value", "more", "met"), [(2.5, True, True), (1.5, True, False), (2.5, False, False)])
def test_the_verdict_is_the_medians(value, more, met):
    entry = bench.entry(measured(value, more))
    assert (entry["value"], entry["low"], entry["high"], entry["met"]) == (value, value / 2, value * 2, met)
    assert entry["detail"] == {"n": 3, "s": 0.1235}


def run(*overrides: str) -> int:
    """The job without Hydra's own main, whose logging outlives the test and writes where pytest has closed."""
    with initialize_config_module("conf", version_base="1.3"):
        config = compose("bench", list(overrides))
    try:
        bench.job(config)
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def test_results_are_kept_as_json_with_the_machine(tmp_path, monkeypatch, capsys):
    path = tmp_path / "results.json"

    def line(experiment, repeats):
        return measured(1.0, False)

    def split(experiment, repeats):
        return measured(9.0, False)

    monkeypatch.setattr(measure, "MEASURES", (line, split))
    assert run(f"results={path}") == 1
    assert run(f"results={path}", "only=[line]") == 0
    found = json.loads(path.read_text())
    assert [found["results"][name]["met"] for name in ("line", "split")] == [True, False]
    assert found["machine"]["cores"] >= 1
    assert "missed" in capsys.readouterr().out
    with pytest.raises(InputError, match="choose from line, split"):
        run(f"results={path}", "only=[lines]")


def test_the_committed_results_are_whole():
    path = Path(bench.ROOT, "bench", "RESULTS.json")
    if not path.exists():
        pytest.skip("not measured yet")
    assert list(json.loads(path.read_text())["results"]) == [m.__name__ for m in measure.MEASURES]


def test_the_ticking_rival_reads_what_the_twin_renders():
    twin = load("line_failure").twin
    world, until_h = twin.world, 480.0
    ours, theirs = {}, {}
    for seed in range(4):
        trace = world.run(world.start(seed), until_h).trace
        ticking = ticking_line.run(twin, seed, until_h)
        for channel in twin.channels:
            if channel.key in ticking:
                ours.setdefault(channel.quantity, []).append(clean(trace, channel))
                theirs.setdefault(channel.quantity, []).append(
                    np.array(ticking[channel.key])[: len(ours[channel.quantity][-1])]
                )
    assert len(ours) == 10
    for quantity in ours:
        a, b = np.concatenate(ours[quantity]), np.concatenate(theirs[quantity])
        assert len(a) == len(b)
        assert np.nanmean(b) == pytest.approx(np.nanmean(a), rel=0.12, abs=0.1), quantity
