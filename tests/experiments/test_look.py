"""One page tells what is in a dataset, loads nothing, and says whether another one differs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import load
from experiments.cli import compose
from experiments.datasets import looking
from sim.errors import InputError
from sim.laws import Exponential, Lognormal
from sim.line import Line, Station, Sudden
from twins.dataset import Plan, ensure
from twins.line import LineTwin
from twins.varied import Between, Choices, Varied

STATION = Station(Lognormal(1 / 6, 0.1), sudden=Sudden(Exponential(20.0)), repair=Exponential(2.0))
TWIN = LineTwin(Line((STATION,) * 2, (4,)), step_h=0.5)
PLAN = Plan(10, 1, 1, 72.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="module")
def first(root):
    vary = {"world.crew": Choices((1, 2)), "world.stations.*.sudden.life.mean_h": Between(15, 25)}
    return ensure(Varied(TWIN, vary), PLAN, root, workers=1)


def page(root, *overrides):
    path = looking.write(compose("look", [f"datasets={root}", f"outputs={root}/outputs", "shuffles=999", *overrides]))
    return Path(path).read_text()


def test_a_page_tells_channels_gaps_events_episodes_and_what_was_drawn(first, root):
    html = page(root, f"dataset={first.path}", "episodes=2")
    assert not re.search(r"""(src|href)\s*=\s*["']\s*(https?:)?//|@import|url\(http""", html)
    for told in ("bearing temperature", "°C", "hidden from every model", "What is missing", "failure", "sudden"):
        assert told in html
    assert "world.stations.0.sudden.life.mean_h" in html
    assert re.search(r"world\.crew</td><td>1 \(\d+×\), 2 \(\d+×\)", html)
    assert html.count('role="img"') == 2 * (3 + 2)  # values, gaps, lives and two episodes, at two widths
    assert first.identity in html
    assert page(root, f"dataset={first.path.name}", "episodes=2").count("<figure") == 5


def test_two_datasets_are_set_against_each_other(first, root):
    warm = replace(TWIN, sensors=replace(TWIN.sensors, ambient_cel=45.0))
    second = ensure(Varied(warm, {"world.crew": Choices((1, 2))}), replace(PLAN, seed=3), root, workers=1)
    html = page(root, f"dataset={first.path.name}", f"against={second.path.name}", "episodes=1", "shuffles=9999")
    rows = dict(re.findall(r"<td>([a-z ]+)<small>\w+</small></td><td>([a-z ]+)</td><td>\d", html))
    assert rows["bearing temperature"] == "strong drift"
    assert [name for name, verdict in rows.items() if verdict.endswith("drift")] == ["bearing temperature"]
    assert re.search(rf"<h1>1 of {len(rows)} quantities has drifted", html)
    same = looking.contents(first, first, None, 0, 999)
    assert {row.verdict for row in same["drifts"]} == {"none seen"}
    assert same["headline"] == "No drift seen between the two"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset=nothing"], r"dataset=nothing is no finished dataset, nor the name of one in .*; there is line-"),
        (["dataset=line", "split=dev"], r"has no split 'dev'"),
        (["dataset=line", "episodes=-1"], "episodes is -1"),
        (["dataset=line", "shuffles=9"], "shuffles 9"),
    ],
)
def test_what_cannot_be_shown_is_refused(first, tmp_path, overrides, message):
    (tmp_path / first.path.name).symlink_to(first.path)
    with pytest.raises(InputError, match=message):
        page(tmp_path, *overrides)


def test_an_experiments_own_data_are_made_if_they_are_not_there(tmp_path):
    small = ["plan={train: 1, validation: 0, test: 0, duration_h: 24, runs_per_shard: 1}", f"datasets={tmp_path}"]
    experiment = compose(
        "look", ["experiment=line_failure", "workers=1", f"outputs={tmp_path}/o", "episodes=1", *small]
    )
    assert looking.write(experiment).exists()
    assert load("line_failure", small).dataset.path.exists()
