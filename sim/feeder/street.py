"""The low-voltage network of a feeder: a street's cable, and the transformers that may feed it, as sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sim.errors import require
from sim.feeder.config import Cable
from sim.feeder.names import BATTERY, BUSBAR, SUPPLY, TRANSFORMER
from sim.grid.network import LoadPoint, Network, Section
from sim.homes import CHARGERS

if TYPE_CHECKING:
    from sim.feeder.feeder import Feeder

VOLTAGE_KV = 0.4


def street(points: Sequence[str], cable: Cable) -> Network:
    """Households along strands of cable, dealt to them in turn; the battery and the chargers at the busbar's first bus.

    Bus n2 of strand 1 is named "1.2". Each section is a protected one of *spacing_m*.
    """
    km = cable.spacing_m / 1000
    ohms = cable.resistance_ohm_per_km * km, cable.reactance_ohm_per_km * km
    homes = [name for name in points if name not in (BATTERY, CHARGERS)]
    strands = max(min(cable.strands, len(homes)), 1)
    sections, found = [], []
    for i, name in enumerate(homes or [""]):
        strand, n = i % strands + 1, i // strands + 1
        before = BUSBAR if n == 1 else f"{strand}.{n - 1}"
        here = f"{strand}.{n}"
        sections.append(
            Section(f"cable {here}", before, here, km, resistance_ohm=ohms[0], reactance_ohm=ohms[1], exposed=False)
        )
        if name:
            found.append(LoadPoint(name, here))
    found += [LoadPoint(name, sections[0].b) for name in points if name in (BATTERY, CHARGERS)]
    return Network((BUSBAR,), tuple(sections), tuple(found), VOLTAGE_KV)


def fed(world: Feeder) -> Network:
    """The network with a section "transformer <kVA>" for every size, increasing, from the medium voltage to the busbar.

    At any time at most one of them is closed; the largest is so in the normal state.
    """
    wires, normal = world.wires, world.sizes[-1]
    require(SUPPLY not in wires.buses, world, "network", f"without a bus named {SUPPLY!r}")
    units = []
    for kva in world.sizes:
        r, x = world.windings.ohms(kva, wires.voltage_kv)
        name = f"{TRANSFORMER} {kva:g}"
        units.append(
            Section(name, SUPPLY, wires.sources[0], 0.0, resistance_ohm=r, reactance_ohm=x, open=kva != normal)
        )
    return Network((SUPPLY,), (*units, *wires.sections), wires.load_points, wires.voltage_kv)
