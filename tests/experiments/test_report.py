"""A report from a folder alone: whole, without its optional parts, and refused where there is nothing to report."""

import json
import re
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import cli, console, load, report
from experiments.pages import figures, plots, words
from experiments.run import checks, seeds
from learn.scores.evaluate import Row, evaluate
from learn.scores.metrics import EventPrediction, EventTruth, ForecastPrediction, ForecastTruth
from sim.errors import InputError
from sim.trace import Event
from twins.channel import Role
from twins.episode import Episode, Series, Spell

CONFIG = """
name: line_failure
world:
  _target_: sim.wear.Wiener
  drift_per_h: 0.0033
  diffusion_per_sqrt_h: 0.0144
  stations:
  - {machines: 1, cycle: {_target_: sim.laws.Lognormal, mean_h: 0.16666666, cv: 0.1}}
  - {machines: 2, cycle: {_target_: sim.laws.Lognormal, mean_h: 0.33333333, cv: 0.1}}
  buffers: [10]
task: {_target_: learn.tasks.TimeToEvent, horizon_h: 24.0, causes: [wear, sudden]}
"""


def episode(run: int = 7, days: int = 60) -> Episode:
    rng = np.random.default_rng(run)
    count, step_h = days * 144, 1 / 6
    ends = np.sort(rng.choice(np.arange(1000, count - 200), 4, replace=False)) * step_h
    life = np.arange(count) * step_h
    wear = np.zeros(count)
    for a, b in zip([0, *ends], [*ends, days * 24], strict=True):
        here = (life >= a) & (life < b)
        wear[here] = (life[here] - a) / (b - a)
    vibration = (1.5 + 2.5 * wear**3 + rng.normal(0, 0.15, count)).astype(np.float32)
    vibration[rng.random(count) < 0.01] = np.nan
    sensors = {
        "vibration_rms": ("mm/s", vibration),
        "bearing_temperature": ("Cel", (45 + 12 * wear + rng.normal(0, 0.6, count)).astype(np.float32)),
        "motor_current": ("A", (11 + wear + rng.normal(0, 0.4, count)).astype(np.float32)),
    }
    series = [Series("m3", q, unit, Role.PAST, v, step_h=step_h) for q, (unit, v) in sensors.items()]
    series.append(
        Series("b2", "level", "{count}", Role.PAST, rng.integers(0, 11, count).astype(np.float32), step_h=step_h)
    )
    series.append(Series("m3", "wear", "1", Role.TRUTH, wear.astype(np.float32), step_h=step_h))
    events = [e for at in ends for e in (Event(at, "m3", "failure", "wear"), Event(at + 7, "m3", "renewal", "repair"))]
    spells = tuple(Spell(a, b, "wear", b - a) for a, b in zip([0, *(ends[:-1] + 7)], ends, strict=True))
    return Episode(run, "m3", tuple(series), tuple(events), spells, end_h=days * 24.0)


def failure_run(folder):
    """The folder of a finished run on events, with rows of different worth."""
    rng = np.random.default_rng(0)
    risk = rng.beta(0.6, 5, 2400)
    failed, runs = rng.random(2400) < risk, np.repeat(np.arange(24), 100)

    def blurred(by, kind, members=None):
        return Row(kind, EventPrediction(np.clip(risk * (1 - by) + by * risk.mean(), 0, 1), members=members))

    rows = {
        "age_weibull": blurred(0.9, "naive"),
        "boosted_trees": blurred(0.45, "baseline"),
        "svm": blurred(0.6, "baseline"),
        "twinformer_nano": blurred(0.3, "model"),
        "oracle": blurred(0.0, "oracle", 256),
    }
    metrics = evaluate("time_to_event", rows, EventTruth(failed, np.ones(2400, bool)), runs, resamples=200)
    stage = {"seconds": 41.0, "core_seconds": 78.0, "flops": 0.0, "energy_wh": 0.22}
    metrics["cost"] = {
        "stages": {"dataset": stage, "training": {**stage, "seconds": 88.2, "flops": 3.1e12}, "oracle": stage},
        "total": {"seconds": 170.2, "core_seconds": 300.0, "flops": 3.1e12, "energy_wh": 0.8},
        "peak_memory_gb": 1.31,
        "assumed": {"core_w": 10.0, "accelerator_w": 400.0},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    log = [{"step": s, "loss": 0.4 + np.exp(-s / 300)} for s in range(0, 1501, 50)]
    log += [{"step": s, "validation": 0.43 + np.exp(-s / 280)} for s in range(0, 1501, 250)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log) + '{"step": 15')
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "stamp.json").write_text(
        json.dumps({"commit": "0" * 40, "dirty": False, "dataset": "ab12", "versions": {"python": "3.11"}})
    )
    e = episode()
    time_h = np.arange(200, 1400, 2.0)
    near = np.array(
        [max((1 - (s.end_h - t) / 60 for s in e.spells if s.start_h <= t < s.end_h), default=0) for t in time_h]
    )
    p = {"age_weibull": np.full(len(time_h), 0.1), "twinformer_nano": near.clip(0.02) ** 2, "oracle": near.clip(0.01)}
    figures.save(folder, asset=figures.asset(e), risk=figures.risk(e, time_h, p, 24.0))
    return folder


def forecast_run(folder):
    """The folder of a finished run on forecasts, without an oracle, stamp, cost or learning curve."""
    rng = np.random.default_rng(1)
    levels = np.linspace(0.05, 0.95, 19)
    y = rng.normal(size=(200, 2, 12))
    spread = np.array([-1.6 + 3.2 * q for q in levels])

    def forecast(bias):
        mean = np.full_like(y, bias)
        return ForecastPrediction(mean, mean[..., None] + spread, levels)

    rows = {
        "repeat_last": Row("naive", forecast(1.0)),
        "tiny": Row("model", forecast(0.1)),
        "ridge": Row("baseline", forecast(0.2)),
    }
    truth = ForecastTruth(y, np.ones(y.shape, bool))
    (folder / "metrics.json").write_text(
        json.dumps(evaluate("forecast", rows, truth, np.arange(200) // 20, resamples=100))
    )
    (folder / "config.yaml").write_text("name: etth1\ntask: {_target_: learn.tasks.Forecast, horizon: 12}\n")
    window = {
        "run": 0, "asset": "a", "quantity": "oil_temperature", "unit": "Cel", "step_h": 1.0, "start_h": 0.0,
        "past": rng.normal(size=36).tolist(), "future": y[0, 0].tolist(), "levels": levels.tolist(),
        "quantiles": (np.zeros((12, 1)) + spread).tolist(), "mean": [0.0] * 12, "naive": None,
    }  # fmt: skip
    figures.save(folder, forecasts=[window] * 3)
    return folder


class Page(HTMLParser):
    """Collects every address that a page would load, and its tags."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.open, self.seen = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href") and not (v or "").startswith("#")]


def test_a_report_is_one_page_that_loads_nothing(tmp_path):
    path = report.write(failure_run(tmp_path))
    text = path.read_text()
    page = Page(text)
    assert page.loads == []
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert page.seen.count("svg") == 2 * 5 + 1  # five figures at two widths, and the line
    assert "of the way from the naive baseline to the oracle" in text
    assert "better than the best baseline, boosted trees" in text
    for fact in ("10 min", "P(within 24 h)", "3.1 × 10¹²", "ab12", "m3", "°C"):
        assert fact in text
    assert len(text) < 2_000_000


def test_parts_that_a_run_does_not_have_are_left_out(tmp_path):
    text = report.write(forecast_run(tmp_path)).read_text()
    assert "Forecasts against what came" in text
    assert "What it cost" not in text
    assert "How it learned" not in text
    assert "have no oracle" in text
    assert "The model is better than the best baseline, ridge" in text
    assert "None" not in re.sub(r"<(style|svg).*?</\1>", "", text, flags=re.S).replace('fill="none"', "")


def test_the_model_of_several_members_is_called_an_ensemble(tmp_path):
    run = forecast_run(tmp_path)
    assert "ensemble" not in report.write(run).read_text()
    with (run / "config.yaml").open("a") as config:
        config.write("fit: {members: 5}\n")
    assert "The model is an ensemble of 5" in report.write(run).read_text()


def test_the_same_folder_gives_the_same_page(tmp_path):
    run = failure_run(tmp_path)
    first = report.write(run).read_bytes()
    assert report.write(run).read_bytes() == first


def test_every_number_of_the_table_is_the_score(tmp_path):
    run = failure_run(tmp_path)
    metrics = json.loads((run / "metrics.json").read_text())
    text = report.write(run).read_text()
    for row in metrics["rows"]:
        assert f">{row['scores']['brier']['mean']:.4f}<" in text


def test_a_folder_without_scores_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("name: x\n")
    with pytest.raises(InputError, match=r"metrics\.json holds no scores"):
        report.write(tmp_path)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json"):
        report.write(tmp_path)


@pytest.mark.parametrize(
    "scores", ['{"rows": 3}', '{"rows": [{"name": "x"}]}', '{"best_fixed": "age"}', '{"bottleneck": 1}']
)
def test_scores_of_another_shape_are_refused_in_one_sentence(tmp_path, scores):
    (tmp_path / "config.yaml").write_text("name: x\n")
    (tmp_path / "metrics.json").write_text(scores)
    with pytest.raises(InputError, match=r"metrics\.json is damaged .*; remove it and run the command"):
        report.job(SimpleNamespace(run=str(tmp_path)))


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.5, 0.7, "covers 60 %"), (-0.1, 0.7, "cannot be told from"), (-0.9, -0.2, "falls behind")],
)
def test_the_verdict_follows_the_interval(low, high, says):
    skill = {"mean": 0.6, "low": low, "high": high}
    model = {"name": "m", "kind": "model", "scores": {}, "skill": skill, "difference": {}}
    assert says in words.verdict({"rows": [model], "primary": "brier"}).headline


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(-0.3, -0.1, "better than"), (0.1, 0.3, "worse than"), (-0.1, 0.1, "cannot be told from")],
)
def test_the_headline_says_how_the_model_stands_against_the_best_baseline(low, high, says):
    difference = {"boosted_trees": {"mean": 0.0, "low": low, "high": high}}
    skill = {"mean": 0.6, "low": 0.5, "high": 0.7}
    model = {"name": "m", "kind": "model", "scores": {}, "skill": skill, "difference": difference}
    best = {"name": "boosted_trees", "kind": "baseline"}
    found = {"rows": [model, best], "primary": "brier", "best_baseline": "boosted_trees", "clusters": 6}
    verdict = words.verdict(found, "stretches of time")
    assert f"{says} the best baseline, boosted trees" in " ".join(verdict)
    assert (says in verdict.headline) == (low * high > 0)
    assert "only 6 stretches of time" in verdict.detail
    assert "only" not in words.verdict({**found, "clusters": 10}).detail


def test_a_score_that_a_row_does_not_have_is_a_dash(tmp_path, capsys):
    run = failure_run(tmp_path)
    metrics = json.loads((run / "metrics.json").read_text())
    oracle = next(row for row in metrics["rows"] if row["kind"] == "oracle")
    oracle["scores"] = {"brier": oracle["scores"]["brier"]}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert report.write(run).read_text().count("<td>–<small></small></td>") == 2
    console.show_scores(metrics)
    oracle["scores"] = {}
    console.show_scores(metrics)
    text = capsys.readouterr().out
    assert "–" in text
    assert "boosted trees" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_table_says_how_many_seeds_it_is_of_and_has_no_skill_where_no_oracle_is_known(tmp_path, capsys):
    metrics = json.loads((failure_run(tmp_path) / "metrics.json").read_text())
    console.show_scores(metrics | {"seeds": 5})
    text = capsys.readouterr().out
    assert "skill" in text
    assert "means over 5 seeds" in text
    rows = [row | {"skill": None} for row in metrics["rows"] if row["kind"] != "oracle"]
    console.show_scores(metrics | {"rows": rows})
    text = capsys.readouterr().out
    assert "boosted trees" in text
    assert "skill" not in text
    assert "seeds" not in text


def test_a_caption_names_only_what_is_drawn():
    asset = {"events": [{"kind": "planned", "time_h": 3.0}, {"kind": "planned", "time_h": 9.0}]}
    risk = {"time_h": [0.0, 5.0], "horizon_h": 2.0, "events": [{"kind": "failure", "time_h": 8.0}]}
    found = words.captions({"asset": asset, "risk": risk}, {"rows": [], "clusters": 3}, "runs")
    assert found["sensors"] == "Broken green lines are planned work."
    assert found["risk"] == ""
    assert "dashed" not in found["marks"]


def test_a_part_is_told_in_one_plain_sentence_or_by_its_fields():
    config = {
        "twin": {"_target_": "twins.line.LineTwin", "step_h": 0.25},
        "task": {"_target_": "learn.tasks.Forecast", "horizon": 1},
        "optim": {"_target_": "sim.laws.Nowhere"},
        "model": {"_target_": f"{__name__}.Bare", "width": 3},
    }
    twin, task, model, optim = words.parts(config)
    assert "every 15 min" in twin.sentence
    assert "next 1 sample of" in task.sentence
    assert (model.sentence, model.values) == ("", [("width", "3"), ("layers", "2")])
    assert optim.sentence == ""


@dataclass(frozen=True)
class Bare:
    width: int
    layers: int = 2


def test_a_command_can_be_pasted(monkeypatch):
    typed = ["twinworlds-train", "experiment=line_failure", "task.causes=[wear, sudden]"]
    monkeypatch.setattr(sys, "argv", typed)
    assert cli.command() == "python -m experiments.train experiment=line_failure 'task.causes=[wear, sudden]'"


def test_thinning_keeps_every_peak():
    values = np.zeros(20_000, np.float32)
    values[[37, 12_345]] = 5, -3
    thin = figures._thin(Series("m", "q", "1", Role.PAST, values, step_h=0.1))
    assert len(thin["values"]) <= figures.POINTS + 2
    assert (thin["values"].max(), thin["values"].min()) == (5, -3)
    assert np.all(np.diff(thin["time_h"]) > 0)


def test_durations_and_counts_read_as_people_say_them():
    assert [words.hours(v) for v in (1 / 6, 24.0, 1440.0, 0.5 / 60)] == ["10 min", "24 h", "60 days", "30 s"]
    assert [report.seconds(v) for v in (4.21, 88.2, 170.2)] == ["4.2 s", "88 s", "2 min 50 s"]
    assert report.count(3.1e12) == "3.1 × 10¹²"
    assert report.decimals([0.071, 0.12]) == 4


@pytest.mark.parametrize(("rate", "told"), [(0.0, "none of 30"), (4 / 30, "4 of 30"), (0.9, "3 of 30"), (0.5, None)])
def test_no_skill_is_claimed_where_next_to_nothing_happened(rate, told):
    skill = {"mean": 0.99, "low": 0.9, "high": 1.0}
    model = {"name": "m", "kind": "model", "scores": {}, "skill": skill, "difference": {}}
    headline, detail = words.verdict({"rows": [model], "primary": "brier", "base_rate": rate, "scored": 30})
    assert ("covers 99 %" in headline) == (told is None)
    if told and rate < 0.5:
        assert told in detail


def test_runs_of_other_commands_are_not_compared(tmp_path):
    for seed in "01":
        (tmp_path / seed).mkdir()
        (tmp_path / seed / "metrics.json").write_text(json.dumps({"best_fixed": "age", "rows": []}))
    with pytest.raises(InputError, match=r"runs names .*0, a run of another command"):
        seeds.found(f"{tmp_path}/*")


def test_what_comes_of_patients_is_not_called_a_failure():
    task = {"causes": ["infarction", "death"], "horizon_h": 168.0}
    assert words.question(task) == "Does infarction or death come within 168 h?"
    assert words.outcome(task)[0] == "ended in infarction or death"
    assert words.outcome({"causes": ["wear"]})[0] == "ended in a failure"


def test_nothing_is_drawn_of_forecasts_of_one_sample_and_risk_at_one_time(tmp_path):
    run = forecast_run(tmp_path)
    shown = json.loads((run / "figures.json").read_text())
    for window in shown["forecasts"]:
        window["future"] = window["future"][:1]
    risk = {"time_h": [24.0], "p": {}, "horizon_h": 24.0, "events": []}
    (run / "figures.json").write_text(json.dumps({**shown, "risk": risk}))
    assert not {"forecasts", "risk"} & set(report.contents(run)["plots"])


@pytest.mark.parametrize(
    ("ucum", "shown"), [("{rev}/min", "rev/min"), ("mm[Hg]", "mmHg"), ("[degF]", "°F"), ("m2", "m²")]
)
def test_units_are_shown_as_people_write_them(ucum, shown):
    assert plots.unit_name(ucum) == shown


def test_a_key_is_refused_as_it_was_typed():
    with pytest.raises(InputError, match=r"^seed is 'abc'"):
        checks.check(load("house_price", ["seed=abc"]))


def test_the_integral_transform_is_flat_of_honest_quantiles_and_humped_of_wide_ones():
    levels = np.arange(1, 20) / 20

    def heights(observed):
        told = [{"predicted": q, "observed": {"mean": o}} for q, o in zip(levels, observed, strict=True)]
        figure = plots.pit(6.0, {"model": told}, {"model": "model"})
        return figure.axes[0].patches[0].get_data().values

    np.testing.assert_allclose(heights(levels), 1.0)
    wide = heights(np.clip(2 * levels - 0.5, 0, 1))
    np.testing.assert_allclose(wide, [0, 0, 1, 2, 2, 2, 2, 1, 0, 0], atol=1e-9)
    assert wide.sum() == pytest.approx(10)
