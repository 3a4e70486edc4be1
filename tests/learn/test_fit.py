"""Training: the same end whatever interrupts it, the best kept, no row twice, and a loss that is no number stops it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import v1

from learn.models.ensemble import Ensemble
from learn.models.linear import Linear
from learn.models.twinformer import TwinFormer
from learn.tasks import TimeToEvent
from learn.training import checkpoint
from learn.training.fit import Budget, fit, host_overhead, programs
from learn.training.journal import Diverged, Journal
from learn.training.update import Optim, split
from learn.windows.batch import Windows, anchors
from learn.windows.feed import Order
from sim.errors import InputError

ROOT = Path(__file__).parents[2]
OPTIM = Optim(learning_rate=3e-3)
BUDGET = Budget(steps=40, batch=16, chunk=5, validate_every=10, validation_windows=64)


class Killed(Exception):
    pass


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def model(event_windows):
    return TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6, dropout=0.1).build(TimeToEvent(), event_windows)


@pytest.fixture(scope="module")
def straight(model, event_windows):
    return fit(model, event_windows, event_windows, OPTIM, BUDGET)


def test_the_programs_of_a_training_are_compiled_once(model, straight):
    made = programs(split(model)[0], OPTIM, BUDGET.steps, BUDGET.microbatch, (1.0,), None, None)
    assert [program._cache_size() for program in made] == [1, 1]


@pytest.mark.parametrize("members", [1, 2])
def test_the_next_state_lies_where_the_last_one_did_and_the_model_stays(event_windows, members):
    each = [Linear().build(TimeToEvent(), event_windows, seed) for seed in range(members)]
    model = Ensemble(each) if members > 1 else each[0]
    budget, optim = replace(BUDGET, steps=10, members=members), replace(OPTIM, average=0.9)
    first, again = (fit(model, event_windows, event_windows, optim, budget) for _ in range(2))
    same(first, again._replace(seconds=first.seconds, waited_s=first.waited_s))  # nothing of the model was taken over
    run_chunk, _ = programs(split(model)[0], optim, 10, None, (1.0,), None, False if members > 1 else None)
    lead = (5, members) if members > 1 else (5,)
    picked = jnp.zeros((*lead, budget.batch, 2), jnp.int32) + jnp.asarray(anchors(event_windows)[:1])
    state = jax.tree.map(jnp.copy, first.state)
    found = run_chunk.lower((event_windows,), state, (picked,)).compile().memory_analysis()
    assert found.alias_size_in_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    next_state, _ = run_chunk((event_windows,), state, (picked,))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((next_state, split(model)[1])))


@pytest.mark.parametrize("at", [10, 25, 40])
def test_an_interrupted_run_ends_as_one_that_was_not(model, event_windows, straight, tmp_path, at):
    def interrupt(row):
        if row["step"] >= at:
            raise Killed

    with pytest.raises(Killed):
        fit(model, event_windows, event_windows, OPTIM, BUDGET, tmp_path, interrupt)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4')  # as a kill leaves it
    again = fit(model, event_windows, event_windows, OPTIM, BUDGET, tmp_path)
    same(again.state, straight.state)
    same(again.best, straight.best)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == straight.rows == again.rows
    assert [row["step"] for row in rows] == list(range(5, 41, 5))


def test_a_finished_run_is_read_and_not_repeated(model, event_windows, straight, tmp_path):
    fit(model, event_windows, event_windows, OPTIM, BUDGET, tmp_path)
    seen = []
    same(fit(model, event_windows, event_windows, OPTIM, BUDGET, tmp_path, seen.append).best, straight.best)
    assert not seen


def test_the_chunk_changes_no_parameter(model, event_windows, straight):
    other = fit(model, event_windows, event_windows, OPTIM, replace(BUDGET, chunk=10))
    same(other.state, straight.state)


def test_the_best_by_validation_is_kept(straight):
    judged = {row["step"]: row["validation"] for row in straight.rows if "validation" in row}
    assert list(judged) == [10, 20, 30, 40]
    assert int(straight.best.step) == min(judged, key=judged.__getitem__)
    assert float(straight.best.score) == min(judged.values())


def test_training_ends_where_patience_does_and_so_does_a_run_that_was_killed(model, event_windows, tmp_path):
    rough, patient = Optim(learning_rate=0.3, clip=None), replace(BUDGET, steps=200, patience=2)
    ended = fit(model, event_windows, event_windows, rough, patient)
    scores = [row["validation"] for row in ended.rows if "validation" in row]
    assert int(ended.state.step) < 200
    assert len(scores) - 1 - int(np.argmin(scores)) == 2
    assert all(i - int(np.argmin(scores[: i + 1])) < 2 for i in range(len(scores) - 1))

    def interrupt(row):
        if row["step"] >= int(ended.state.step) - 5:
            raise Killed

    with pytest.raises(Killed):
        fit(model, event_windows, event_windows, rough, patient, tmp_path, interrupt)
    for _ in range(2):  # taken up, and then asked again
        again = fit(model, event_windows, event_windows, rough, patient, tmp_path)
        same(again.best, ended.best)
        assert again.rows == ended.rows


def test_a_validation_that_is_no_number_ends_no_patience():
    journal = Journal(None, "", None)
    journal.rows = [{"step": k, "validation": v} for k, v in enumerate((float("nan"), 0.5, 0.4, 0.3))]
    assert not journal.stale(2)
    journal.rows += [{"step": 4, "validation": 0.6}, {"step": 5, "validation": 0.35}]
    assert journal.stale(2)


def test_a_loss_that_is_no_number_names_the_step_and_the_last_good_checkpoint(model, make_episode, tmp_path):
    windows = Windows.of([make_episode(run) for run in range(100)], context=24, task=TimeToEvent())
    budget = replace(BUDGET, stride=24)  # no two windows share a sample
    episode, k = Order(anchors(windows, 24), budget.batch, budget.seed)(27)[0]
    poisoned = windows.values_ExVxL.at[episode, 0, windows.context + k - 1].set(3e38)  # its square is no number
    with pytest.raises(Diverged, match="step 28 is not a number; the last good checkpoint is step-00000020"):
        fit(model, replace(windows, values_ExVxL=poisoned), None, OPTIM, budget, tmp_path)
    assert checkpoint.steps(tmp_path / "checkpoints")[-1] == 20
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()][-1] == 25


def test_a_corrupt_checkpoint_and_one_of_another_run_are_refused(model, event_windows, tmp_path):
    budget = replace(BUDGET, steps=10)
    fit(model, event_windows, None, OPTIM, budget, tmp_path)
    with pytest.raises(InputError, match="belongs to a run of"):
        fit(model, event_windows, None, replace(OPTIM, learning_rate=1.0), budget, tmp_path)
    largest = max((tmp_path / "checkpoints" / "step-00000010").rglob("*"), key=lambda p: p.stat().st_size)
    broken = bytearray(largest.read_bytes())
    broken[len(broken) // 2] ^= 4
    largest.write_bytes(broken)
    with pytest.raises(InputError, match="step-00000010 is corrupt"):
        fit(model, event_windows, None, OPTIM, budget, tmp_path)


def test_each_epoch_sees_every_window_once_in_an_order_of_its_own():
    all_anchors = np.stack((np.zeros(40, np.int32), np.arange(40, dtype=np.int32)), axis=1)
    order = Order(all_anchors, 8, seed=3)
    first, second = (np.concatenate([order(s)[:, 1] for s in range(e * 5, e * 5 + 5)]) for e in (0, 1))
    assert sorted(first) == sorted(second) == list(range(40))
    assert first.tolist() != second.tolist()
    np.testing.assert_array_equal(Order(all_anchors, 8, seed=3)(7), order(7))
    assert [Budget(1, 100).windows(40), Budget(1, 64, 16).windows(55), Budget(1, 64, 16).windows(9)] == [40, 48, 9]


SCRIPT = """
import sys
sys.path.insert(0, "tests/learn")
import conftest
from learn.windows.batch import Windows
from learn.training.fit import fit, Budget
from learn.models.linear import Linear
from learn.tasks import TimeToEvent
from learn.training.update import Optim
windows = Windows.of([conftest._episode(run) for run in range(2)], context=24, task=TimeToEvent())
model = Linear().build(TimeToEvent(), windows)
budget = Budget(steps=600, batch=16, chunk=4, validate_every=20, validation_windows=32)
fit(model, windows, windows, Optim(3e-3), budget, sys.argv[1])
"""


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_arrays_and_rows(tmp_path):
    def command(name):
        return [sys.executable, "-c", SCRIPT, str(tmp_path / name)]

    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    subprocess.run(command("straight"), cwd=ROOT, env=environment, check=True)
    rng, kills = np.random.default_rng(0), 0
    for _ in range(3):
        process = subprocess.Popen(command("killed"), cwd=ROOT, env=environment)
        steps_before = checkpoint.steps(tmp_path / "killed" / "checkpoints")
        limit = time.monotonic() + 120
        while checkpoint.steps(tmp_path / "killed" / "checkpoints") == steps_before and process.poll() is None:
            assert time.monotonic() < limit
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.3)))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills
    subprocess.run(command("killed"), cwd=ROOT, env=environment, check=True)
    assert (tmp_path / "killed" / "metrics.jsonl").read_bytes() == (
        tmp_path / "straight" / "metrics.jsonl"
    ).read_bytes()
    ends = [v1.load(str(tmp_path / name / "checkpoints" / "step-00000600")) for name in ("straight", "killed")]
    same(*ends)


@pytest.mark.parametrize("wrong", [{"steps": -1}, {"batch": 0}, {"microbatch": 7}])
def test_bad_budgets_are_refused(wrong):
    with pytest.raises(InputError, match=f"Budget.{next(iter(wrong))}"):
        Budget(**wrong)


def test_chunks_divide_what_they_must():
    assert Budget(steps=300, validate_every=50, chunk=25).steps_per_chunk == 25
    assert Budget(steps=300, validate_every=50, chunk=20).steps_per_chunk == 10
    assert Budget(steps=7, validate_every=50).steps_per_chunk == 1


def test_host_overhead_is_measured(event_windows):
    model = Linear().build(TimeToEvent(), event_windows)
    assert 0 <= host_overhead(model, event_windows, OPTIM, BUDGET) < 1


def test_windows_of_another_size_keep_their_own_programs(model, event_windows, episodes):
    short = Windows.of(episodes[:2], context=24, task=TimeToEvent(), scale=event_windows.scale)
    assert len(fit(model, short, None, OPTIM, replace(BUDGET, steps=5)).rows) == 5 // 5
