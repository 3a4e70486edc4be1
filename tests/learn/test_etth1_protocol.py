"""The published ETTh1 protocol, from the CSV through the store and the windows to the scores of the baselines."""

import os
from pathlib import Path

import numpy as np
import pytest

from learn.baselines import RepeatLast, Ridge, SameHour
from learn.scores.evaluate import Row, evaluate, forecast_truth, stretches
from learn.tasks import Forecast
from learn.windows.batch import Windows, anchors

CSV = Path(os.environ.get("TWINWORLDS_DATA", "")) / "ETTh1.csv"
TOLERANCE = 0.005
REFERENCES = {  # (MSE, MAE) at horizon 96: repeat-last as published, the others as computed by hand from the same cuts
    "repeat_last": (1.294, 0.713),
    "same_hour_yesterday": (0.512, 0.433),
    "same_hour_mean": (0.400, 0.400),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    if "TWINWORLDS_DATA" not in os.environ or not CSV.exists():
        pytest.skip("needs ETTh1.csv in the folder that TWINWORLDS_DATA names")
    from twins.observed import Cuts, Table, ensure_observed

    cuts = Cuts(train=8640, validation=2880, test=2880, unit="rows")
    return ensure_observed(Table(str(CSV), time="date", splits=cuts), tmp_path_factory.mktemp("datasets"))


@pytest.mark.parametrize(("context", "ridge_mse"), [(96, 0.383), (512, 0.365)])
def test_the_baselines_score_as_published(dataset, context, ridge_mse):
    task = Forecast(horizon=96, quantiles=(0.1, 0.5, 0.9), loss="mse")
    train = Windows.of(dataset, "train", context, task=task)
    validation, test = (Windows.of(dataset, s, context, task=task, scale=train.scale) for s in ("validation", "test"))
    asked = anchors(test)
    assert len(asked) == 2785
    baselines = {
        "repeat_last": RepeatLast(),
        "same_hour_yesterday": SameHour(),
        "same_hour_mean": SameHour(periods=7, kind="baseline"),
        "ridge": Ridge(),
    }
    rows = {name: Row(b.kind, b.fit(train, validation, task)(test, asked)) for name, b in baselines.items()}
    clusters = stretches(asked[:, 1], 168)
    report = evaluate("etth1", rows, forecast_truth(test, asked, train, 24), clusters, primary="mse", resamples=200)
    scores = {row["name"]: [row["scores"][m]["mean"] for m in ("mse", "mae")] for row in report["rows"]}
    print(context, {name: np.round(score, 4).tolist() for name, score in scores.items()})
    for name, expected in REFERENCES.items():
        assert scores[name] == pytest.approx(expected, abs=TOLERANCE)
    assert scores["ridge"][0] == pytest.approx(ridge_mse, abs=TOLERANCE)
    assert (report["naive"], report["best_baseline"], report["clusters"]) == ("same_hour_yesterday", "ridge", 17)
