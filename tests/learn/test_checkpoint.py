"""Checkpoints: bit for bit, only whole ones count, and a changed one is refused by name."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from learn.training import checkpoint
from sim.errors import InputError

TREE = {"w": [jnp.arange(5.0) / 3, jnp.ones((2, 3), jnp.bfloat16)], "step": jnp.int32(7), "best": jnp.asarray(jnp.inf)}


@pytest.fixture
def saved(tmp_path):
    for step in (10, 20, 30):
        checkpoint.save(tmp_path, step, TREE, {"identity": "x"})
    return tmp_path


def test_what_is_loaded_is_what_was_saved(saved):
    loaded = checkpoint.load(saved, 30, TREE)
    for a, b in zip(jax.tree.leaves(TREE), jax.tree.leaves(loaded), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)
    assert checkpoint.info(saved, 30) == {"identity": "x"}


def test_the_last_two_are_kept(saved):
    assert checkpoint.steps(saved) == [20, 30]
    assert not (saved / "step-00000010").exists()


def test_one_without_its_seal_does_not_count_and_is_written_anew(saved):
    (saved / "step-00000030.json").unlink()
    assert checkpoint.steps(saved) == [20]
    checkpoint.save(saved, 30, TREE, {})
    checkpoint.load(saved, 30, TREE)


def test_every_changed_file_is_noticed_and_the_last_good_one_named(saved):
    for file in sorted(p for p in (saved / "step-00000030").rglob("*") if p.is_file() and p.stat().st_size):
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(InputError, match=r"step-00000030 is corrupt.*last good one is step-00000020.*fresh=true"):
            checkpoint.load(saved, 30, TREE)
        file.write_bytes(whole)
    checkpoint.load(saved, 30, TREE)


def test_a_missing_file_and_a_broken_seal_are_refused(saved):
    next(p for p in (saved / "step-00000020").rglob("*") if p.is_file()).unlink()
    with pytest.raises(InputError, match=r"step-00000020 is corrupt.*step-00000030"):
        checkpoint.load(saved, 20, TREE)
    (saved / "step-00000030.json").write_text('{"step": 30')
    with pytest.raises(InputError, match=r"step-00000030 is corrupt.*there is no other good one"):
        checkpoint.load(saved, 30, TREE)


@pytest.mark.parametrize("seal", ['{"info": {}}', "[]", None])
def test_what_a_seal_says_beside_the_digests_is_sealed_too(saved, seal):
    path = saved / "step-00000030.json"
    path.write_text(path.read_text().replace('"identity": "x"', '"identity": "y"') if seal is None else seal)
    for read in (lambda: checkpoint.info(saved, 30), lambda: checkpoint.load(saved, 30, TREE)):
        with pytest.raises(InputError, match="step-00000030 is corrupt"):
            read()


def test_another_model_is_refused(saved):
    with pytest.raises(InputError, match=r"of another model: w\.0"):
        checkpoint.load(saved, 30, TREE | {"w": [jnp.zeros(6), TREE["w"][1]]})
    with pytest.raises(InputError, match="of another model: more"):
        checkpoint.load(saved, 30, TREE | {"more": jnp.zeros(1)})


def test_an_interrupt_waits_until_a_checkpoint_is_whole():
    done = []

    def write():
        with checkpoint._uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["whole"]


def test_what_a_killed_run_left_is_taken_away_without_a_word(saved, caplog):
    (saved / "step-00000040.orbax-checkpoint-tmp").mkdir()
    checkpoint.save(saved, 40, TREE, {"identity": "x"})
    assert checkpoint.steps(saved) == [30, 40]
    assert not list(saved.glob("*tmp*"))
    assert not caplog.records
