"""The command that searches layouts: it ends in a page, resumes after a kill, and refuses what cannot be right."""

import json
import os
import re
import signal
import time
from types import SimpleNamespace

import pytest

from experiments import report
from experiments.cli import compose
from experiments.deciding import layout_report
from experiments.deciding.layout import Study, _chosen
from sim.errors import InputError
from tests.commands import call, start

COMMAND = ["-m", "experiments.optimise", "experiment=line_optimise", "debug=fast"]


def numbers(run):
    return {k: v for k, v in json.loads((run / "metrics.json").read_text()).items() if k != "seconds"}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def run(work):
    code, out, err = call(work, *COMMAND, "workers=1")
    assert code == 0, err
    return (work / out.splitlines()[-1]).parent


@pytest.mark.slow
def test_a_study_ends_in_one_page_with_everything_in_it(run):
    found, page = numbers(run), (run / "report.html").read_text()
    assert run.parent.name == "line_optimise"
    assert [row["kind"] for row in found["rows"]].count("best") == 1
    assert found["rows"][0]["kind"] == "as it is"
    assert {"parts_per_h", "cost_per_h", "profit_per_h", "against_best"} <= set(found["rows"][0])
    for row in found["rows"]:
        assert row["profit_per_h"]["low"] <= row["profit_per_h"]["mean"] <= row["profit_per_h"]["high"]
    assert len([g for g in found["bottleneck"] if g["step"] == "1 % more speed"]) == 5
    assert not re.search(r'(src|href)="(?!#)', page)
    assert page.count("<svg") == 4
    assert layout_report.headline(found) in page
    assert "python -m experiments.optimise experiment=line_optimise debug=fast" in page
    assert "EUR/h" in page


@pytest.mark.slow
def test_the_judges_seeds_are_none_of_the_search(run):
    searched, judged = (
        {json.loads(line)[0][1] for line in (run / f"{stage}.jsonl").read_text().splitlines()}
        for stage in ("search", "judge")
    )
    assert len(searched) == 3
    assert len(judged) == 4
    assert not searched & judged


@pytest.mark.slow
def test_the_same_command_again_says_that_it_is_done(work, run):
    page = (run / "report.html").read_text()
    report.job(SimpleNamespace(run=str(run)))
    assert (run / "report.html").read_text().split("<footer>")[0] == page.split("<footer>")[0]
    before = (run / "report.html").stat().st_mtime_ns
    code, out, err = call(work, *COMMAND)  # another number of workers is the same study
    assert (code, (work / out.splitlines()[-1]).parent) == (0, run)
    assert "done before; fresh=true starts over" in err
    assert (run / "report.html").stat().st_mtime_ns == before


@pytest.mark.slow
def test_kill_9_and_the_same_command_end_with_the_same_numbers(work, run):
    killed = work / "killed" / run.relative_to(work / "outputs")
    process = start(work, *COMMAND, "outputs=killed", "workers=1")
    deadline = time.monotonic() + 100
    kept = killed / "search.jsonl"
    while not (kept.exists() and kept.read_text().count("\n") >= 5) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (killed / "report.html").exists()
    with kept.open("a") as file:
        file.write("[[[1, 2")  # torn by the kill
    told = kept.read_text()
    code, _, err = call(work, *COMMAND, "outputs=killed", "workers=2")
    assert code == 0, err
    assert kept.read_text().startswith(told)
    assert numbers(killed) == numbers(run)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["levers.buffers=null", "levers.crew=null", "levers.age_h=null"], "levers leaves nothing to choose"),
        (["gain=speed"], "gain is 'speed'; it must be one of 'throughput', 'profit'"),
        (["prices.part=-1"], "prices.part is -1.0; it must be at least 0 and finite"),
        (["search.first=9"], "search.first is 9; it must be at least 2 and at most replications"),
        (["levers.age_h=[9,3]"], "levers.age_h is (9.0, 3.0); it must be the least and the most, in this order"),
        (["world=house"], "world is a House; it must be a Line"),
    ],
)
def test_bad_input_is_refused_before_any_work(args, said):
    with pytest.raises(InputError) as error:
        Study.of(compose("optimise", [COMMAND[2], *args]))
    assert said in str(error.value)


def test_what_is_shown_of_a_front_keeps_the_most_profitable():
    import numpy as np

    kept = {(x,): np.array([[x**0.5, -x, x**0.5 - 0.2 * x]] * 2) for x in range(40)}
    for count in (1, 2, 5, 100):
        shown, best = _chosen(kept, count)
        assert best == (6,)
        assert best in shown
        assert len(shown) == min(count, 40)
        assert shown == sorted(shown)
