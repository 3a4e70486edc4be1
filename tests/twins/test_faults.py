"""A sample of all that can go wrong while a dataset is written or lies on disk; `make faults` tries the rest."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTED = """
from twins.dataset import files
files.intact = lambda path, entry: path.exists()  # whatever lies there is taken for whole
"""


def tried(*arguments: str, planted: str = "") -> subprocess.CompletedProcess:
    code = f"{planted}\nimport sys\nfrom tests import faults\nsys.exit(faults.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [["generate", "read", "--share", "0.03"], ["merge", "rerender", "rebuild", "--share", "0.008"], ["damage"]],
)
def test_no_failure_leaves_anything_wrong_or_half_there(arguments):
    done = tried(*arguments, "--damages", "30", "--seconds", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split(" failures tried, 0 not as they should be")[0].split()[-1]) >= 15


def test_a_check_that_looks_away_is_found_out():
    done = tried("damage", "--damages", "40", "--seconds", "60", planted=PLANTED)
    assert done.returncode == 1
    assert "missed by verify" in done.stdout
