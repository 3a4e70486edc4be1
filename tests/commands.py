"""Commands as a user starts them: each a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def start(work: Path, *command: str, **env: str) -> subprocess.Popen[str]:
    """Python with the arguments *command* in the folder *work*, as the first process of a group of its own."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "TWINWORLDS_TRACEBACK": "0"} | env
    line = [sys.executable, *command]
    return subprocess.Popen(line, cwd=work, env=env, stdout=-1, stderr=-1, text=True, start_new_session=True)


def finish(process: subprocess.Popen[str], timeout_s: float = 300) -> Done:
    """What it has said when it has ended."""
    out, err = process.communicate(timeout=timeout_s)
    return Done(process.returncode, out, err)


def call(work: Path, *command: str, **env: str) -> Done:
    """What a command has said when it has ended."""
    return finish(start(work, *command, **env))
