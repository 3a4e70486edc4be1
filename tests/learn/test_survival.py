"""When assets fail, some lost before: against libraries where they are installed, and references written out."""

import numpy as np
import pytest

from learn.scores.evaluate import Row, evaluate
from learn.scores.metrics import EventPrediction, EventTruth
from learn.scores.survival import Concordance, Lives, survival_scores

EDGES = (2.0, 5.0, 9.0, 14.0)


def lives(n=300, seed=0, ties=False):
    """Risks, hours to failure or to being lost, and which; the more at risk fail earlier, lost by chance."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    fails, lost = rng.exponential(8 * np.exp(-risk)), rng.exponential(12, n)
    time = np.minimum(fails, lost)
    return np.round(risk, 1), np.ceil(time) if ties else time, fails <= lost


def value(score, n):
    return float(score(np.zeros(n, int), np.ones((1, 1)))[0])


def written_kaplan_meier(time, ended, at, before):
    s = 1.0
    for t in sorted(set(time)):
        if t < at or (t == at and not before):
            gone_before = np.sum((time == t) & ~ended)
            s *= 1 - np.sum((time == t) & ended) / max(np.sum(time >= t) - gone_before, 1)
    return s


def written_uno(risk, time, failed, tau):
    num = den = 0.0
    for i in range(len(time)):
        if not failed[i] or time[i] > tau:
            continue
        weight = written_kaplan_meier(time, ~failed, time[i], True) ** -2
        for j in range(len(time)):
            if time[i] < time[j] or (time[i] == time[j] and not failed[j]):
                den += weight
                num += weight * (1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0)
    return num / den


def written_ibs(survival, time, failed, edges):
    brier = [0.0]
    for k, t in enumerate(edges):
        total = 0.0
        for i in range(len(time)):
            if time[i] <= t and failed[i]:
                total += survival[i, k] ** 2 / written_kaplan_meier(time, ~failed, time[i], True)
            elif time[i] > t:
                total += (1 - survival[i, k]) ** 2 / written_kaplan_meier(time, ~failed, t, False)
        brier.append(total / len(time))
    return np.trapezoid(brier, [0.0, *edges]) / edges[-1]


@pytest.mark.parametrize("ties", [False, True])
def test_scores_are_those_written_out(ties):
    risk, time, failed = lives(120, 1, ties)
    cif = np.random.default_rng(2).dirichlet(np.ones(5), 120)[:, :4].cumsum(1)[:, None]
    p = 1 / (1 + np.exp(-risk))
    truth = EventTruth(failed, np.ones(120, bool), lives=Lives(time, failed, EDGES, 9.0))
    found = survival_scores(EventPrediction(p, cif), truth)
    assert value(found["uno_c"], 120) == pytest.approx(written_uno(p, time, failed, 9.0))
    assert value(found["ibs"], 120) == pytest.approx(written_ibs(1 - cif[:, 0], time, failed, EDGES))


def test_uno_is_harrell_where_none_is_lost_and_half_of_what_says_nothing():
    risk, time, _ = lives(200)
    all_failed = np.ones(200, bool)
    truth = EventTruth(all_failed, all_failed, lives=Lives(time, all_failed, EDGES, 1e9))
    uno = survival_scores(EventPrediction(risk), truth)["uno_c"]
    assert value(uno, 200) == pytest.approx(value(Concordance(risk, time, all_failed, np.ones(200)), 200))
    assert value(uno, 200) > 0.6
    assert value(survival_scores(EventPrediction(np.ones(200)), truth)["uno_c"], 200) == 0.5


def test_weights_make_up_for_those_lost():
    """The Brier score of all lives, estimated from those of which a half is lost: near with weights, far without."""
    rng = np.random.default_rng(3)
    fails, lost = rng.exponential(8, 40_000), rng.exponential(8, 40_000)
    cif = np.tile((1 - np.exp(-np.array(EDGES) / 4)), (40_000, 1))[:, None]  # a forecast that is wrong
    scores = []
    for time, failed in ((fails, np.ones(40_000, bool)), (np.minimum(fails, lost), fails <= lost)):
        truth = EventTruth(failed, failed, lives=Lives(time, failed, EDGES, 9.0))
        scores.append(value(survival_scores(EventPrediction(np.ones(40_000) / 2, cif), truth)["ibs"], 40_000))
    assert scores[1] == pytest.approx(scores[0], rel=0.02)
    time, failed = np.minimum(fails, lost)[:, None], (fails <= lost)[:, None]
    survival = 1 - cif[:, 0]
    known = np.where(time > EDGES, (1 - survival) ** 2, np.where(failed, survival**2, 0)).mean(0)
    assert np.trapezoid([0, *known], [0, *EDGES]) / EDGES[-1] < 0.9 * scores[0]  # the planted fault: no weights


def test_failures_go_before_those_lost_at_the_same_time():
    """Of lives told in whole days the integrated Brier score is near that of all lives; it was a sixth too low."""
    rng = np.random.default_rng(4)
    fails, lost = np.ceil(rng.exponential(8, 40_000)), np.ceil(rng.exponential(8, 40_000))
    cif = np.tile((1 - np.exp(-np.array(EDGES) / 4)), (40_000, 1))[:, None]
    scores = []
    for time, failed in ((fails, np.ones(40_000, bool)), (np.minimum(fails, lost), fails <= lost)):
        truth = EventTruth(failed, failed, lives=Lives(time, failed, EDGES, 9.0))
        scores.append(value(survival_scores(EventPrediction(np.ones(40_000) / 2, cif), truth)["ibs"], 40_000))
    assert scores[1] == pytest.approx(scores[0], rel=0.02)


def test_assets_at_no_risk_count_nowhere_and_runs_are_resampled_whole():
    risk, time, failed = lives(90)
    truth = EventTruth(failed, np.ones(90, bool), lives=Lives(time, failed, EDGES, 9.0))
    more = EventTruth(
        np.append(failed, True),
        np.ones(91, bool),
        lives=Lives(np.append(time, np.nan), np.append(failed, True), EDGES, 9),
    )
    p = 1 / (1 + np.exp(-risk))
    one, other = (survival_scores(EventPrediction(q), t)["uno_c"] for q, t in ((p, truth), (np.append(p, 0.0), more)))
    assert value(one, 90) == pytest.approx(value(other, 91))
    twice = np.repeat([0, 1], 45)
    drawn = one(twice, np.array([[1.0, 1.0], [2.0, 0.0]]))
    first = survival_scores(
        EventPrediction(p[:45]), EventTruth(failed[:45], failed[:45], lives=Lives(time[:45], failed[:45], EDGES, 9.0))
    )["uno_c"]
    assert drawn[1] == pytest.approx(value(first._replace(weight_N=one.weight_N[:45]), 45))
    rows = {"model": Row("model", EventPrediction(p, None)), "oracle": Row("oracle", EventPrediction(p, members=8))}
    table = {row["name"]: row["scores"] for row in evaluate("x", rows, truth, twice, resamples=20)["rows"]}
    assert table["model"]["uno_c"]["mean"] == pytest.approx(value(one, 90))
    assert "uno_c" not in table["oracle"]


def test_the_library_for_survival_says_the_same():
    utils = pytest.importorskip("lifelines.utils")
    risk, time, failed = lives(400, 5)
    harrell = value(Concordance(risk, time, failed, np.ones(400)), 400)
    assert harrell == pytest.approx(utils.concordance_index(time, -risk, failed))
