import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from twins.executors import platform


def test_the_stamp_is_plain_json_without_time():
    stamp = platform.stamp()
    assert json.loads(json.dumps(stamp)) == stamp
    assert stamp["libraries"]["numpy"] == np.__version__
    assert stamp["python"] == sys.version.split()[0]


def test_another_process_has_the_same_probe():
    code = "from twins.executors.platform import probe; print(probe())"
    out = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, check=True)
    assert out.stdout.decode().strip() == platform.probe()


def test_the_last_bit_of_one_function_changes_the_probe(monkeypatch):
    """The planted fault: a logarithm that differs by one unit in the last place."""
    log = np.log
    monkeypatch.setattr(platform.np, "log", lambda x: np.nextafter(log(x), x.dtype.type(0)))
    assert platform.probe.__wrapped__() != platform.probe()
