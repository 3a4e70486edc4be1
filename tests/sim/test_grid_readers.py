"""Networks from files: the 33-bus feeder in three forms gives one flow, and broken files are refused by their line."""

import json

import numpy as np
import pytest

from sim.errors import InputError
from sim.grid import case33bw, indices
from sim.grid.cases import BRANCHES_33, LOADS_33
from sim.grid.flow import Flow
from sim.grid.grid import Grid
from sim.grid.readers import failing, matpower, pandapower, tables
from sim.laws import Deterministic

CASE = case33bw()
OHM = 12.66**2 / 10.0


def matpower_text(in_ohms=False, **changes):
    """The feeder as a case file, in per unit, or in ohms and kW with the statements that convert them."""
    z, s = (1.0, 1.0) if in_ohms else (OHM, 1000.0)
    loads = {1: (0, 0)} | dict(enumerate(LOADS_33, 2))
    bus = [
        f"\t{n}\t{3 if n == 1 else 1}\t{p / s:.12g}\t{q / s:.12g}\t0\t0\t1\t1\t0\t12.66\t1\t1\t1;"
        for n, (p, q) in loads.items()
    ]
    branch = [
        f"\t{a}\t{b}\t{r / z:.15g}\t{x / z:.15g}\t0\t0\t0\t0\t0\t0\t{int(i < 32)}\t-360\t360;"
        for i, (a, b, r, x) in enumerate(BRANCHES_33)
    ]
    text = ["function mpc = case33", "mpc.version = '2';", "mpc.baseMVA = 10;", "%% bus data", "mpc.bus = ["]
    text += [*bus, "];", "mpc.gen = [1 0 0 10 -10 1 100 1 10 0];", "%% fbus tbus", "mpc.branch = [", *branch, "];"]
    if in_ohms:
        text += ["mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);"]
        text += ["mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;"]
    return changes.get("edit", lambda t: t)("\n".join(text))


def frame(columns, rows):
    return {
        "_class": "DataFrame",
        "_object": json.dumps({"columns": columns, "index": [*range(len(rows))], "data": rows}),
    }


def pandapower_tables():
    lines = [[f"l{i}", a - 1, b - 1, 2.0, r / 2, x / 2, 0.0, 1, i != 34] for i, (a, b, r, x) in enumerate(BRANCHES_33)]
    opened = [[line, line, "l", False] for line in (32, 33, 35, 36)]  # and line 34 is out of service
    loads = [[n - 1, p / 1000, q / 1000, 1.0, True] for n, (p, q) in enumerate(LOADS_33, 2)]
    columns = [
        "name",
        "from_bus",
        "to_bus",
        "length_km",
        "r_ohm_per_km",
        "x_ohm_per_km",
        "c_nf_per_km",
        "parallel",
        "in_service",
    ]
    return {
        "bus": frame(["name", "vn_kv", "in_service"], [[str(n), 12.66, True] for n in range(33)]),
        "line": frame(columns, lines),
        "load": frame(["bus", "p_mw", "q_mvar", "scaling", "in_service"], loads),
        "ext_grid": frame(["bus", "vm_pu", "in_service"], [[0, 1.0, True]]),
        "switch": frame(["bus", "element", "et", "closed"], opened),
        "trafo": frame(["name"], []),
    }


def as_json(**changes):
    return json.dumps(
        {"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": pandapower_tables() | changes}
    )


def flow(network):
    kw, kvar = (np.array([[getattr(p, f) for p in network.load_points]]) for f in ("load_kw", "load_kvar"))
    return Flow(network)(kw, kvar)


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("case.m", matpower_text(), matpower),
        ("case.m", matpower_text(in_ohms=True), matpower),
        ("case.json", as_json(), pandapower),
    ],
)
def test_the_feeder_is_the_same_from_any_file(tmp_path, name, text, read):
    (tmp_path / name).write_text(text)
    network = read(tmp_path / name)
    assert [s.open for s in network.sections] == [s.open for s in CASE.sections]
    assert flow(network).loss_kw_T[0] == pytest.approx(202.677, abs=5e-4)
    assert sum(p.load_kw for p in network.load_points) == pytest.approx(3715)


SECTIONS = """name,a,b,length_km,failures_per_km_year,repair_h,at_a,open
m1,b,n1,2,0.1,4,breaker,
m2,n1,n2,3,0.1,4,switch,false
"""
POINTS = """name,bus,customers,load_kw,transformer_failures_per_year,transformer_repair_h
A,n1,10,1000,,
B,n2,30,2000,0.5,100
"""


def test_tables_give_the_indices_by_hand(tmp_path):
    (tmp_path / "s.csv").write_text(SECTIONS)
    (tmp_path / "p.csv").write_text(POINTS)
    network = tables(tmp_path / "s.csv", tmp_path / "p.csv", ["b"])
    found = indices(Grid(network))
    assert found.saifi == pytest.approx(0.5 + 0.5 * 30 / 40)
    assert found.saidi_h == pytest.approx((10 * (0.2 * 4 + 0.3) + 30 * (0.5 * 4 + 0.5 * 100)) / 40)


def test_rates_are_added_to_a_network_of_flows(tmp_path):
    (tmp_path / "case.m").write_text(matpower_text())
    network = failing(matpower(tmp_path / "case.m"), 0.2, Deterministic(3.0))
    found = indices(Grid(network))
    assert 0 < found.saidi_h < found.saifi * 3.0
    assert found.saifi == pytest.approx(32 * 0.2)  # devices that do not interrupt: any fault puts all out


@pytest.mark.parametrize(
    ("sections", "points", "message"),
    [
        (
            SECTIONS.replace("2,0.1,4,breaker", "2,-0.1,4,breaker"),
            POINTS,
            r"s.csv, line 2: Section.failures_per_km_year is -0.1",
        ),
        (
            SECTIONS.replace("m2,n1,n2,3", "m2,n1,n2,long"),
            POINTS,
            r"s.csv, line 3: length_km is 'long'; it must be a number",
        ),
        (SECTIONS.replace("false", "perhaps"), POINTS, r"s.csv, line 3: open is 'perhaps'; it must be true or false"),
        (
            SECTIONS.replace("m2,n1", "m2,n9"),
            POINTS,
            r"s.csv: Network: no closed section leads from a source to n2, n9",
        ),
        (SECTIONS.replace("length_km", "length"), POINTS, r"s.csv, line 1: the table has a column 'length'"),
        (SECTIONS + "m3,n2\n", POINTS, r"s.csv, line 4: 2 cells, but 8 columns"),
        (SECTIONS, POINTS.replace("A,n1", ",n1"), r"p.csv, line 2: name is empty"),
        (
            SECTIONS,
            POINTS.replace("B,n2,30", "B,n2,3.5"),
            r"p.csv, line 3: customers is '3.5'; it must be a whole number",
        ),
        (SECTIONS, "name,customers\nA,1\n", r"p.csv, line 1: the table has no column 'bus'"),
    ],
)
def test_a_broken_table_is_refused_by_its_line(tmp_path, sections, points, message):
    (tmp_path / "s.csv").write_text(sections)
    (tmp_path / "p.csv").write_text(points)
    with pytest.raises(InputError, match=message):
        tables(tmp_path / "s.csv", tmp_path / "p.csv", ["b"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", r"has no mpc.baseMVA"),
        ("mpc.baseMVA = 10;", r"has no matrix mpc.bus"),
        (
            matpower_text(edit=lambda t: t.replace("\t2\t1\t0.1\t", "\t2\t1\tmuch\t")),
            r"line 7: mpc.bus holds .*; it must be numbers",
        ),
        (
            matpower_text(
                edit=lambda t: t.replace("\t1\t2\t", "\t1\t2\t", 1).replace("\t0\t0\t1\t-360", "\t1.02\t0\t1\t-360", 1)
            ),
            "branch 1 is a transformer",
        ),
        (matpower_text(edit=lambda t: t.replace("\t3\t0\t0\t", "\t1\t0\t0\t", 1)), "has no bus of type 3"),
        (matpower_text(edit=lambda t: t.replace("\t0\t-360", "\t1\t-360")), "closes a loop"),
    ],
)
def test_a_broken_case_file_is_refused(tmp_path, text, message):
    (tmp_path / "case.m").write_text(text)
    with pytest.raises(InputError, match=message):
        matpower(tmp_path / "case.m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "is no network that pandapower.to_json wrote"),
        (as_json(trafo=frame(["name", "in_service"], [["t", True]])), "elements of the table 'trafo'"),
        (as_json(ext_grid=frame(["bus", "in_service"], [])), "has no external grid"),
        (as_json(switch=frame(["bus", "element", "et", "closed"], [])), "closes a loop"),
    ],
)
def test_a_pandapower_file_that_cannot_be_is_refused(tmp_path, text, message):
    (tmp_path / "case.json").write_text(text)
    with pytest.raises(InputError, match=message):
        pandapower(tmp_path / "case.json")
    with pytest.raises(InputError, match="cannot read"):
        pandapower(tmp_path / "other.json")
