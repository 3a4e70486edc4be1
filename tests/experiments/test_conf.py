"""Every configuration that is shipped composes, and every part of it builds."""

from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from experiments import load
from experiments.cli import compose
from experiments.deciding.layout import Study
from experiments.run.checks import _answers, check
from sim.errors import InputError

CONF = Path(__file__).parents[2] / "conf"
PRIMARY = sorted(p.stem for p in CONF.glob("*.yaml") if p.stem not in ("base", "validate"))
GROUPS = [
    f"{group}={path.stem}"
    for group in ("world", "twin", "task", "model", "optim", "baselines", "oracle", "executor", "debug")
    for path in sorted((CONF / group).glob("*.yaml"))
]


@pytest.mark.parametrize("name", PRIMARY)
def test_every_command_has_a_configuration_that_composes(name):
    given = {"kinetics": ["path=table.csv"], "predict": ["run=there", "source.path=here"], "compare": ["runs=there"]}
    given |= {"evaluate": ["run=there"], "report": ["run=there"], "export": ["run=there"]}
    config = compose(name, given.get(name, [])).config
    assert {"workers", "datasets", "outputs", "fresh", "debug"} <= set(config)


@pytest.mark.parametrize("choice", GROUPS)
def test_every_choice_of_a_group_builds(choice):
    group, _, name = choice.partition("=")
    seen = name if (CONF / "world" / f"{name}.yaml").exists() else name.partition("_")[0]  # line_records sees a line
    world = [f"world={seen}"] if group == "twin" else []
    experiment = compose("train", [choice, *world])
    if group != "debug":
        experiment.part(group)


PRESETS = sorted(p.stem for p in (CONF / "experiment").glob("*.yaml"))
OTHERS = {"line_optimise": ("optimise", Study.of)}  # presets of other commands, and what builds all their parts


@pytest.mark.parametrize("preset", sorted(OTHERS))
def test_every_preset_of_another_command_is_right_in_all_its_parts(preset):
    command, build = OTHERS[preset]
    for debug in ([], ["debug=fast"]):
        build(compose(command, [f"experiment={preset}", *debug]))


@pytest.mark.parametrize("preset", [p for p in PRESETS if p not in OTHERS])
def test_every_preset_is_right_in_all_its_parts(preset):
    source = ["source.path=table.csv"] if preset in ("etth1", "cmapss") else []
    source += ["source.test=test.txt", "source.left=left.txt"] if preset == "cmapss" else []
    for debug in ([], ["debug=fast"]):
        check(load(preset, [*source, *debug]))


@pytest.mark.parametrize(
    ("preset", "primary"), [("line_failure", "foo"), ("line_failure", "auroc"), ("house_price", "mase")]
)
def test_a_score_that_cannot_be_primary_is_refused_before_any_work(preset, primary):
    with pytest.raises(InputError, match=rf"evaluate\.primary is '{primary}'; it must be one of"):
        check(load(preset, [f"evaluate.primary={primary}"]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("context=24", "context is 24"),
        ("oracle=futures", "oracle must be null"),
        ("evaluate.conformal=true", "conformal"),
    ],
)
def test_gaps_that_cannot_be_asked_for_are_refused_before_any_work(given, said):
    with pytest.raises(InputError, match=said):
        check(load("homes_imputation", [given]))


@pytest.mark.parametrize("given", ["conformal=true", "adaptive=0.02"])
def test_laws_of_counts_are_not_moved_to_where_they_cover(given):
    with pytest.raises(InputError, match=r"only a forecast told in quantiles, task\.loss=pinball, has it"):
        check(load("line_output", [f"evaluate.{given}"]))


def test_a_baseline_that_cannot_be_fitted_is_refused_before_any_work():
    with pytest.raises(InputError, match=r"baselines\.mine is a Fraction, which has no fit"):
        check(load("line_failure", ["+baselines.mine._target_=fractions.Fraction"]))


class _Ahead(Protocol):
    horizon: int


class _Shaped:
    def fit(self, train, validation, task: _Ahead): ...


class _Elsewhere:
    def fit(self, train, validation, task: "pytest.no_such_name"): ...  # type: ignore


class _Partly:
    fit = partial(print)


@pytest.mark.parametrize("kind", [_Shaped, _Elsewhere, _Partly])
def test_a_baseline_that_names_no_class_of_task_may_answer_any(kind):
    assert _answers(kind()) is object


def test_an_oracle_that_tells_no_states_is_refused_before_any_work():
    with pytest.raises(InputError, match=r"oracle cannot be Recorded where states are asked"):
        check(load("line_states", ["oracle=recorded"]))


@pytest.mark.parametrize(
    ("preset", "given", "said"),
    [
        ("line_states", "baselines=forecast", r"baselines\.repeat_last answers the task Forecast, and task is States"),
        ("line_failure", "task=states", r"baselines\.age_weibull answers the task TimeToEvent, and task is States"),
        ("homes_imputation", "baselines=forecast", r"baselines\.repeat_last answers the task Forecast"),
        ("line_failure", "model.skip=true", r"model\.skip is true, .* task is TimeToEvent"),
        ("line_output", "model.skip=true", r"model\.skip is true, .* task is of counts"),
        ("grid_forecast", "+model.join=true model.skip=true", r"model\.skip and model\.join are both true"),
        ("line_rul", "+model.join=true", r"model\.join is true; it takes forecasts alone"),
        ("line_failure", "context=5", r"context is 5 samples; it must be at least model\.patch, which is 24"),
    ],
)
def test_models_and_baselines_of_another_task_are_refused_before_any_work(preset, given, said):
    with pytest.raises(InputError, match=said):
        check(load(preset, given.split()))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_runs_is_refused_before_any_work(split):
    with pytest.raises(InputError, match=rf"plan\.{split} is 0; an experiment needs at least 1 world run"):
        check(load("line_failure", [f"plan.{split}=0"]))


def test_what_is_swept_has_a_run_of_its_own():
    paths = {
        load("house_price", [f"seed={seed}", f"model={model}"]).run_path
        for seed in (0, 1)
        for model in ("nano", "tiny")
    }
    assert len(paths) == 4
    assert load("house_price", ["workers=2"]).run_path == load("house_price", ["workers=1"]).run_path
    assert load("house_price", ["executor=ray"]).run_path == load("house_price").run_path
