"""The command: from a table to its page and to a drug that the patient world takes."""

import json

import numpy as np
import pytest
import yaml

from experiments.build import build
from sim.patient.pharmacology import Drug
from tests import commands


def call(folder, *args):
    return commands.call(folder, "-m", "experiments.kinetics", *args)


def test_a_table_becomes_a_page_and_a_drug(tmp_path):
    rng, drug = np.random.default_rng(0), Drug(0.5, 0.04, 1.5)
    rows = [
        f"{n},4,{t},{max(4 * scale * drug.oral(1.0, t) + 0.1 * rng.normal(), 0):.3f}"
        for n, scale in enumerate(np.exp(0.2 * rng.normal(size=6)))
        for t in (0.5, 1, 2, 4, 8, 12, 24)
    ]
    (tmp_path / "table.csv").write_text("who,mg,h,level\n" + "\n".join(rows) + "\n")
    columns = ["columns.subject=who", "columns.dose=mg", "columns.time=h", "columns.concentration=level"]
    done = call(tmp_path, "path=table.csv", *columns, "replicates=100")
    assert done.returncode == 0, done.stderr
    folder = (tmp_path / done.stdout.splitlines()[-1]).parent
    page = (folder / "report.html").read_text()
    assert "not for clinical use" in page
    assert page.count("<svg") == 4
    found = json.loads((folder / "metrics.json").read_text())
    made = build(yaml.safe_load((folder / "drug.yaml").read_text()), "drug")
    assert made.half_life_h == pytest.approx(found["half_life_h"], rel=1e-3)
    assert made.half_life_h == pytest.approx(drug.half_life_h, rel=0.15)


def test_a_wrong_column_is_one_sentence(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    done = call(tmp_path, "path=table.csv")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("table.csv, line 1: no column Subject")
