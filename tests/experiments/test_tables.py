"""Runs that differ in how confounded their patients are become the columns of one table of README.md."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from experiments import report

ROOT = Path(__file__).parents[2]


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables, glance = loaded("tables"), loaded("glance")


def run(folder: Path, gamma: float, model: float, **task: int) -> Path:
    folder.mkdir(parents=True)
    config = {
        "world": {"gamma": gamma},
        "task": {"horizon": 1, **task},
        "evaluate": {"cluster_h": None},
        "name": folder.parent.name,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    rows = [
        {"name": name, "kind": kind, "scores": {"nrmse": {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}}}
        for name, kind, mean in (("model", "model", model), ("last_value", "naive", 1.7))
    ]
    found = {"primary": "nrmse", "rows": rows, "scored": 400, "clusters": 100, "seeds": 1}
    (folder / "metrics.json").write_text(json.dumps(found))
    return folder


def test_columns_are_sorted_and_published_rows_stand_below(tmp_path):
    runs = [run(tmp_path / f"tumour_gamma_{g}" / "a", g, m) for g, m in ((4.0, 0.6), (0.0, 0.7), (1.0, 0.65))]
    found = tables.tabulated(runs)
    assert list(found) == ["tumour"]
    lines = found["tumour"].splitlines()
    assert lines[0] == "| method | γ = 0 | γ = 1 | γ = 4 |"
    assert lines[2] == "| **model** | 0.70 (0.60 to 0.80) | 0.65 (0.55 to 0.75) | 0.60 (0.50 to 0.70) |"
    assert lines[3].startswith("| last value | 1.70 (1.60 to 1.80)")
    assert "| published: CRN | 0.76 | – | 1.36 |" in lines
    assert lines[-1] == "400, 400 and 400 plans of 100 independent world runs; one seed of training; intervals of 95 %."


def test_a_study_tells_each_point_by_what_was_varied_and_whose_it_is(tmp_path):
    def point(sweep, x, variant, gain, **values):
        score = {"mean": 0.05, "low": 0.04, "high": 0.06}
        change = {"mean": -0.001, "low": None, "high": None}
        named = {"sweep": sweep, "x": x, "values": values, "variant": variant, "row": "model"}
        return named | {"score": score, "change": change, "gain": gain and score}

    sweeps = {"stuck": {"label": "share of time", "x": "share"}, "work": {"label": "FLOPs", "x": "flops"}}
    law = {"sweep": "work", "variant": "raw", "row": "model", "floor": 0.045, "misfit": 0.1, "why": None}
    law |= {"exponent": {"mean": 0.2, "low": -0.1, "high": 0.3}}
    found = {
        "study": {"name": "x", "sweeps": sweeps, "variants": ["raw", "cleaned"], "seeds": [0]},
        "primary": "brier",
        "clusters": 24,
        "points": [point("stuck", 0.3, "cleaned", True, share=0.3), point("work", 1.5e12, "raw", False, steps=50)],
        "laws": [law],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"name": "x", "world": {}, "evaluate": {"cluster_h": None}}))
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    assert tables.table(tmp_path).splitlines() == [
        "| point | Brier score | change along the sweep | against raw |",
        "|---|---|---|---|",
        "| stuck: share 0.3 · cleaned | 0.0500 (0.0400 to 0.0600) | −0.00100 | 0.05000 (0.04000 to 0.06000) |",
        "| work: steps 50 (1.5 × 10¹² FLOPs) · raw | 0.0500 (0.0400 to 0.0600) | −0.00100 |  |",
        "",
        "- work, model · raw: what is left above the oracle's 0.0450 goes as FLOPs to the power −0.20 (−0.30 to 0.10, "
        "of test runs alone: one seed of training) over this range, which cannot be told from standing still; points "
        "lie 10 % off.",
        "",
        "24 independent runs; one seed of training; intervals of 95 %.",
    ]


def test_a_table_is_named_after_the_module_of_its_page():
    assert set(tables.TABLES) <= {*report.OTHERS.values(), "report"}


@pytest.mark.parametrize("task", [{"horizon": 6}, {"paired": 8}])
def test_nothing_is_published_of_six_days_or_of_what_no_patient_can_teach(tmp_path, task):
    assert "published" not in tables.confounded([run(tmp_path / "other_gamma_0" / "a", 0.0, 2.0, **task)])


def test_the_table_of_all_presets_tells_of_each_or_the_page_says_that_it_has_none():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert glance.table() in page
    told = {name.partition("_gamma_")[0] for name in json.loads(glance.SCORES.read_text())}
    without = {name for name in re.findall(r"`(\w+)`", page[: page.index(" have no table")].rpartition(". ")[2])}
    asked = {path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")}
    others = {"line_decisions", "line_optimise", "grid_saving", "all_twins"}  # of other commands
    assert told == asked - others - without


def test_fewer_seeds_do_not_take_the_place_of_more(tmp_path, monkeypatch):
    monkeypatch.setattr(glance, "SCORES", tmp_path / "scores.json")
    glance.SCORES.write_text("{}")
    score = {"brier": {"mean": 0.1, "low": 0.09, "high": 0.11}}
    rows = [{"name": n, "scores": score, "skill": None, "difference": {"age": None}} for n in ("model", "age")]
    found = {"primary": "brier", "naive": "age", "best_baseline": "age", "rows": rows}
    for seeds in (1, 5, 1):
        glance.remember("line_failure", found | {"seeds": seeds})
    glance.remember("line_decisions", {"best_fixed": "age", "rows": []})  # of another command
    assert glance.table().splitlines()[2:] == [  # of no more places than were kept
        "| `line_failure` | Brier score | 0.10 | 0.10 age | 0.10 (0.09 to 0.11) | – | – | – | 5 |"
    ]
