"""Presets that learn in one model, from the command to their reports; and what cannot be learned together."""

import json

import pytest

from experiments.run import joint_report
from experiments.run.joint import ALONE, Together
from experiments.run.model import Model
from sim.errors import InputError
from tests import commands

PAIR = "presets={line_failure: {weight: 2}, line_rul: {set: ['futures=3']}}"


def call(work, *more):
    command = ["-m", "experiments.together", "debug=fast", PAIR, *more]
    return commands.call(work, *command, JAX_COMPILATION_CACHE_DIR=str(work / "jax"))


@pytest.mark.long
def test_two_tasks_learn_in_one_model_and_each_is_scored_beside_what_it_learns_alone(tmp_path):
    code, out, err = call(tmp_path)
    assert code == 0, err
    run = (tmp_path / out.splitlines()[-1]).parent
    found = json.loads((run / "metrics.json").read_text())
    assert list(found["together"]) == ["line_failure", "line_rul"]
    for name, scores in found["together"].items():
        rows = {row["name"]: row for row in scores["rows"]}
        assert {"model", ALONE, "oracle"} <= set(rows)
        assert rows["model"]["difference"][ALONE]["low"] is not None
        assert (run / name / "report.html").exists()
        assert Model.load(run / name).step == 20
    shared, (a, b) = found["parameters"], (Model.load(run / name) for name in found["together"])
    sizes = [sum(p.size for p in jax_leaves(m.module)) for m in (a, b)]
    assert max(sizes) < shared < sum(sizes)
    assert (a.module.blocks[0].down.kernel[...] == b.module.blocks[0].down.kernel[...]).all()
    page = (run / "report.html").read_text()
    assert joint_report.verdict(found).headline in page
    assert "line failure" in page
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] == pytest.approx((2 * rows[-1]["loss_0"] + rows[-1]["loss_1"]) / 3)
    code, out, err = call(tmp_path)
    assert (code, (tmp_path / out.splitlines()[-1]).parent) == (0, run)
    assert "done before" in err


def jax_leaves(module):
    import jax

    from learn.training.update import split

    return jax.tree.leaves(split(module)[1])


@pytest.mark.parametrize(
    ("presets", "said"),
    [
        ("{line_failure: {}}", "takes two or more"),
        ("{line_failure: {}, house_price: {}}", "presets.house_price is of learn.models.linear.Linear"),
        ("{line_failure: {wait: 1}, line_rul: {}}", "unknown key presets.line_failure.wait"),
        ("{line_failure: {weight: 0}, line_rul: {}}", "Member.weight is 0; it must be above 0"),
        ("{line_failure: {}, lines: {}}", "there is no such experiment"),
    ],
)
def test_what_cannot_learn_together_is_refused(presets, said):
    from hydra import compose, initialize_config_module

    with initialize_config_module("conf", version_base="1.3"):
        config = compose("together", [f"presets={presets}"])
    with pytest.raises(InputError, match=said):
        _ = Together.of(config).experiments


def test_the_preset_of_all_twins_names_presets_of_every_domain():
    from hydra import compose, initialize_config_module

    with initialize_config_module("conf", version_base="1.3"):
        config = compose("together", ["experiment=all_twins"])
    domains = {e.config["world"]["_target_"].split(".")[1] for e in Together.of(config).experiments.values()}
    assert {"line", "patient", "homes", "feeder"} <= domains
