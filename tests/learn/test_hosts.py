"""Two processes, as on two hosts, that train one model: each reads its part of every batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def run(hosts, folder):
    env = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, str(ROOT / "tests/learn/two_hosts.py")]
    each = [
        subprocess.Popen(
            [*command, str(host), str(hosts), port, str(folder)], env=env, text=True, stdout=-1, stderr=subprocess.PIPE
        )
        for host in range(hosts)
    ]
    told = []
    for process in each:
        out, error = process.communicate(timeout=280)
        assert process.returncode == 0, error[-3000:]
        told.append(json.loads(out.splitlines()[-1]))
    return told


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    return run(1, tmp_path_factory.mktemp("one")), run(2, tmp_path_factory.mktemp("two"))


def test_two_hosts_learn_what_one_learns(told):
    (one,), two = told
    assert len(one["feed"]) == 4
    for host in two:
        for name in ("feed", "stream", "whole", "again"):
            np.testing.assert_allclose(host[name], one[name], rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(host["params"], one["params"], rtol=1e-5)
    assert one["feed"] == one["whole"] != one["stream"]


def test_each_host_reads_its_part_of_a_batch(told):
    (one,), two = told
    assert one["cuts"] == 20 * 16
    assert [host["cuts"] for host in two] == [20 * 8] * 2
