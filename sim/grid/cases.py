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
