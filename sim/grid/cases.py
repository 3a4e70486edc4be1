"""Published test grids, as data."""

from __future__ import annotations

from sim.grid.network import LoadPoint, Network, Section, Transformer
from sim.laws import Deterministic, Law

# RBTS bus 2: Allan, Billinton, Sjarief, Goel & So, IEEE Trans. Power Systems 6(2), 1991. Section lengths in km by
# number; of each feeder its main sections from the bus bar on, each with the laterals at its far end as
# (section, load point); of each load point its customers and mean load in MW.
LENGTHS_KM = (
    0.75, 0.6, 0.8, 0.75, 0.8, 0.6, 0.75, 0.8, 0.75, 0.6, 0.8, 0.75, 0.8, 0.6, 0.8, 0.75, 0.6, 0.8,
    0.75, 0.8, 0.6, 0.75, 0.8, 0.75, 0.6, 0.8, 0.75, 0.6, 0.75, 0.6, 0.8, 0.75, 0.8, 0.6, 0.75, 0.8,
)  # fmt: skip
FEEDERS = (
    ((1, ((2, 1), (3, 2))), (4, ((5, 3), (6, 4))), (7, ((8, 5), (9, 6))), (10, ((11, 7),))),
    ((12, ((13, 8),)), (14, ((15, 9),))),
    ((16, ((17, 10), (19, 11))), (18, ((20, 12),)), (21, ((22, 13), (23, 14))), (24, ((25, 15),))),
    ((26, ((27, 16), (28, 17))), (29, ((30, 18), (31, 19))), (32, ((33, 20),)), (34, ((35, 21), (36, 22)))),
)
TIES = ((1, 2), (3, 4))  # between the ends of feeders
CUSTOMERS = (210, 210, 210, 1, 1, 10, 10, 1, 1, 210, 210, 200, 1, 1, 10, 10, 200, 200, 200, 1, 1, 10)
LOADS_MW = (
    0.535, 0.535, 0.535, 0.566, 0.566, 0.454, 0.454, 1.0, 1.15, 0.535, 0.535,
    0.45, 0.566, 0.566, 0.454, 0.454, 0.45, 0.45, 0.45, 0.566, 0.566, 0.454,
)  # fmt: skip
WITHOUT_TRANSFORMER = (8, 9)
REPAIR, TRANSFORMER = Deterministic(5.0), Transformer(0.015, Deterministic(200.0))


def rbts_bus2(
    failures_per_km_year: float = 0.065,
    repair: Law = REPAIR,
    transformer: Transformer | None = TRANSFORMER,
    switches: bool = True,
    fuses: bool = True,
    ties: bool = True,
) -> Network:
    """The distribution system of RBTS bus 2, with its published rates or others, in any of its published variants.

    *switches*: disconnectors between main sections; *fuses* at the head of laterals; *ties*: an alternative supply.
    """

    def section(number: int, a: str, b: str, device: str) -> Section:
        return Section(f"s{number}", a, b, LENGTHS_KM[number - 1], failures_per_km_year, repair, device)  # type: ignore[arg-type]

    sections: list[Section] = []
    points: dict[int, LoadPoint] = {}
    ends = {}
    for f, mains in enumerate(FEEDERS, 1):
        at = "busbar"
        for i, (main, laterals) in enumerate(mains):
            far = f"n{main}"
            sections.append(section(main, at, far, "breaker" if i == 0 else "switch" if switches else ""))
            for lateral, point in laterals:
                sections.append(section(lateral, far, f"n{lateral}", "fuse" if fuses else ""))
                own = None if point in WITHOUT_TRANSFORMER else transformer
                points[point] = LoadPoint(
                    f"LP{point}", f"n{lateral}", CUSTOMERS[point - 1], 1000 * LOADS_MW[point - 1], own
                )
            at = far
        ends[f] = at
    for a, b in TIES if ties else ():
        name = f"tie{a}{b}"
        sections.append(Section(name, ends[a], ends[b], 0.0, at_a="switch", at_b="switch", open=True))
    return Network(("busbar",), tuple(sections), tuple(points[n] for n in sorted(points)))


# The 33-bus feeder of Baran & Wu, IEEE Trans. Power Delivery 4(2), 1989, as in MATPOWER's case33bw: from, to, ohms of
# resistance and of reactance; the last five are normally open. Loads in kW and kvar of buses 2 to 33.
BRANCHES_33 = (
    (1, 2, 0.0922, 0.0470), (2, 3, 0.4930, 0.2511), (3, 4, 0.3660, 0.1864), (4, 5, 0.3811, 0.1941),
    (5, 6, 0.8190, 0.7070), (6, 7, 0.1872, 0.6188), (7, 8, 0.7114, 0.2351), (8, 9, 1.0300, 0.7400),
    (9, 10, 1.0440, 0.7400), (10, 11, 0.1966, 0.0650), (11, 12, 0.3744, 0.1238), (12, 13, 1.4680, 1.1550),
    (13, 14, 0.5416, 0.7129), (14, 15, 0.5910, 0.5260), (15, 16, 0.7463, 0.5450), (16, 17, 1.2890, 1.7210),
    (17, 18, 0.7320, 0.5740), (2, 19, 0.1640, 0.1565), (19, 20, 1.5042, 1.3554), (20, 21, 0.4095, 0.4784),
    (21, 22, 0.7089, 0.9373), (3, 23, 0.4512, 0.3083), (23, 24, 0.8980, 0.7091), (24, 25, 0.8960, 0.7011),
    (6, 26, 0.2030, 0.1034), (26, 27, 0.2842, 0.1447), (27, 28, 1.0590, 0.9337), (28, 29, 0.8042, 0.7006),
    (29, 30, 0.5075, 0.2585), (30, 31, 0.9744, 0.9630), (31, 32, 0.3105, 0.3619), (32, 33, 0.3410, 0.5302),
    (21, 8, 2.0, 2.0), (9, 15, 2.0, 2.0), (12, 22, 2.0, 2.0), (18, 33, 0.5, 0.5), (25, 29, 0.5, 0.5),
)  # fmt: skip
LOADS_33 = (
    (100, 60), (90, 40), (120, 80), (60, 30), (60, 20), (200, 100), (200, 100), (60, 20), (60, 20), (45, 30), (60, 35),
    (60, 35), (120, 80), (60, 10), (60, 20), (60, 20), (90, 40), (90, 40), (90, 40), (90, 40), (90, 40), (90, 50),
    (420, 200), (420, 200), (60, 25), (60, 25), (60, 20), (120, 70), (200, 600), (150, 70), (210, 100), (60, 40),
)  # fmt: skip


def case33bw() -> Network:
    """The 33-bus feeder, fed at bus 1 with 12.66 kV; a switch at both ends of every section."""
    sections = [
        Section(
            f"l{i}", str(a), str(b), at_a="breaker" if i == 1 else "switch", at_b="switch", open=i > 32,
            resistance_ohm=r, reactance_ohm=x,
        )
        for i, (a, b, r, x) in enumerate(BRANCHES_33, 1)
    ]  # fmt: skip
    points = [LoadPoint(f"LP{bus}", str(bus), 1, kw, load_kvar=kvar) for bus, (kw, kvar) in enumerate(LOADS_33, 2)]
    return Network(("1",), tuple(sections), tuple(points), 12.66)
