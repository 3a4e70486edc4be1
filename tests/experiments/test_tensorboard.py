"""Event files hold the rows of metrics.jsonl, no more and no less, however the run went."""

import json
import struct

import pytest

from experiments import tensorboard
from experiments.cli import compose
from sim.errors import InputError

pytest.importorskip("tensorboardX")


def _write(run, rows, tail=""):
    run.mkdir(parents=True, exist_ok=True)
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)


def _rows(run):
    """What the event files of a run say, read as TensorBoard does: records of length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for file in (run / "tensorboard").iterdir():
        data, at = file.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += 16 + size
            for value in event.summary.value:
                assert (event.step, value.tag) not in found
                found[event.step, value.tag] = value.simple_value
    return found


def _expected(rows):
    return {
        (row["step"], name): pytest.approx(v, rel=1e-6) for row in rows for name, v in row.items() if name != "step"
    }


ROWS = [
    {"step": 10 * i, "loss": 1 / i, "gradient": 0.5 * i} | ({"validation": 2.0} if i == 2 else {}) for i in (1, 2, 3)
]


def test_rows_come_as_they_are_written_and_are_taken_back_with_the_run(tmp_path):
    run = tmp_path / "run"
    _write(run, ROWS[:1], '{"step": 20, "lo')
    mirror = tensorboard.Mirror(run)
    assert mirror.look() == 1
    assert _rows(run) == _expected(ROWS[:1])
    _write(run, ROWS)
    assert (mirror.look(), mirror.look()) == (2, 0)
    assert _rows(run) == _expected(ROWS)
    resumed = [ROWS[0], ROWS[1] | {"loss": 9.0}]
    _write(run, resumed)
    mirror.look()
    mirror.close()
    assert _rows(run) == _expected(resumed)
    again = tensorboard.Mirror(run)
    again.look()
    again.close()
    assert _rows(run) == _expected(resumed)


def test_the_command_mirrors_every_run_that_has_rows(tmp_path, capsys):
    for name in ("a", "b"):
        _write(tmp_path / name, ROWS)
    (tmp_path / "other").mkdir()
    tensorboard.job(_config(f"runs={tmp_path}/*"))
    assert capsys.readouterr().out.split() == [str(tmp_path / name / "tensorboard") for name in ("a", "b")]
    assert _rows(tmp_path / "b") == _expected(ROWS)


def test_what_is_wrong_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"which finds no metrics\.jsonl"):
        tensorboard.job(_config(f"runs={tmp_path}/*"))
    with pytest.raises(InputError, match="every is 0"):
        tensorboard.job(_config("every=0"))
    _write(tmp_path / "a", ROWS[:1], "nonsense\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl is damaged"):
        tensorboard.Mirror(tmp_path / "a").look()


def _config(*overrides):
    from omegaconf import OmegaConf

    return OmegaConf.create(dict(compose("tensorboard", overrides).config))
