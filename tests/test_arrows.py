"""The arrows of the house: experiments → learn → twins → sim, and nothing imports against them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "sim": {"twins", "learn", "experiments", "conf", "jax", "flax", "optax", "orbax", "hydra"},
    "twins": {"learn", "experiments", "conf", "jax", "flax", "optax", "orbax", "hydra"},
    "learn": {"experiments", "conf", "hydra"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_nothing_imports_against_the_arrows(package):
    wrong = {
        str(p.relative_to(ROOT)): hit
        for p in (ROOT / package).rglob("*.py")
        if (hit := imported(p) & FORBIDDEN[package])
    }
    assert not wrong


@pytest.mark.parametrize("package", ["sim.line", "twins.line", "twins.dataset"])
def test_what_a_worker_imports_is_free_of_jax(package):
    code = f"import {package}, sys; sys.exit(any(m.split('.')[0] in ('jax', 'flax', 'hydra') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
