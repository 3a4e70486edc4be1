"""A run's folder is named by what was asked for, belongs to one process, and is never half deleted."""

import json
import multiprocessing

import pytest

from experiments.run_dir import config_hash, config_of, find_run, open_run, write_json, write_text
from sim.errors import InputError

CONFIG = {"name": "line", "seed": 0, "workers": 2, "fresh": False}


def test_only_what_changes_a_number_changes_the_name():
    assert config_hash(CONFIG) == config_hash(CONFIG | {"workers": 1, "fresh": True, "datasets": "elsewhere"})
    assert config_hash(CONFIG) != config_hash(CONFIG | {"seed": 1})
    assert config_hash(CONFIG, "data") != config_hash(CONFIG, "other data")


def test_a_finished_run_is_found_again_and_fresh_starts_over(tmp_path):
    with open_run(tmp_path / "line", CONFIG, fresh=False) as run:
        assert not run.done
        write_json(run.path / "metrics.json", {})
        run.report.write_text("")
        (run.path / "checkpoints").mkdir()
    with open_run(tmp_path / "line", CONFIG, fresh=False) as run:
        assert run.done
        assert find_run(run.path) == run.path
        (run.path / "metrics.json").write_text("{")
        assert not run.done
    with open_run(tmp_path / "line", CONFIG, fresh=True) as run:
        assert not run.done
        assert sorted(p.name for p in run.path.iterdir()) == ["config.yaml", "lock"]


def _hold(root, ready, leave):
    with open_run(root / "line", CONFIG, fresh=False):
        ready.set()
        leave.wait(30)


def test_two_processes_cannot_hold_one_run_and_a_killed_one_lets_go(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready, leave))
    other.start()
    assert ready.wait(30)
    with (
        pytest.raises(InputError, match="another process is running in"),
        open_run(tmp_path / "line", CONFIG, fresh=True),
    ):
        pass
    other.kill()
    other.join()
    with open_run(tmp_path / "line", CONFIG, fresh=False) as run:
        assert not run.done


def test_what_is_refused_before_anything_was_done_leaves_no_folder_and_what_was_done_stays(tmp_path):
    path = tmp_path / "name" / "hash"

    def refused(*done):
        with open_run(path, {"name": "name"}, False) as run:
            for name in ("cost.json", *done):
                write_text(run.path / name, "{}")
            raise InputError("wrong")

    for done in ((), ("metrics.jsonl",)):
        with pytest.raises(InputError, match="wrong"):
            refused(*done)
        assert path.exists() is bool(done)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"it has no config\.yaml"):
        find_run(tmp_path)


def test_a_write_moves_into_place(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", [b"", b"hello", b"a: [1,", b"\xff\xfe:["])
def test_a_damaged_configuration_is_refused_by_name(tmp_path, text):
    (tmp_path / "config.yaml").write_bytes(text)
    with pytest.raises(InputError, match=r"config\.yaml is damaged"):
        config_of(tmp_path)


def test_a_write_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\udc80")
    assert not list(tmp_path.iterdir())
