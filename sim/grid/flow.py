"""AC power flow over many instants at once, topology changes included, by `power-grid-model` (the extra `grid`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sim.errors import InputError
from sim.grid.network import Network

TOLERANCE = 1e-10  # per unit of voltage, at which Newton's iteration ends
STIFF_VA = 1e20  # short-circuit power of a source, that its voltage is what it is told to be


class Unsolved(NamedTuple):
    """An instant whose flow has no solution that was found, and the bus whose voltage gave way first."""

    instant: int
    bus: str

    def __str__(self) -> str:
        return f"the flow at instant {self.instant} does not converge; voltage gives way first at bus {self.bus}"


@dataclass(frozen=True, eq=False)
class Flows:
    """Voltages and currents at T instants; NaN where there is no solution, and 0 where there is no voltage."""

    voltage_pu_TxB: np.ndarray  # float64, by the order of `buses`
    angle_rad_TxB: np.ndarray
    current_a_TxS: np.ndarray  # at the end *a* of each section
    loss_kw_T: np.ndarray
    source_kw_T: np.ndarray  # that the sources deliver
    unsolved: tuple[Unsolved, ...]


class Flow:
    """The power flow of a network: `flow(load_kw_TxP, load_kvar_TxP, live_TxS)`. Sources hold *source_pu*.

    Raises InputError where a section has no impedance, and where the extra is not installed.
    """

    def __init__(self, network: Network, source_pu: float = 1.0):
        self.network, self.source_pu = network, source_pu
        self.buses = tuple(sorted(network.buses))
        bare = [s.name for s in network.sections if s.resistance_ohm == 0 == s.reactance_ohm]
        if bare:
            raise InputError(
                f"section {bare[0]!r} has no impedance, so no flow can be computed; give it resistance_ohm and "
                f"reactance_ohm, as every section needs ({len(bare)} have none)"
            )
        assert self.model

    def __call__(self, load_kw_TxP: Any, load_kvar_TxP: Any, live_TxS: Any = None, threads: int = 1) -> Flows:
        """The flow at every instant, in one batch; the sections that are *live* are closed (None: all but the ties).

        Loads draw constant power. Where a load point has no voltage its load is not served.
        """
        load_kw_TxP, load_kvar_TxP = (
            self._loads(x, name) for x, name in ((load_kw_TxP, "load_kw"), (load_kvar_TxP, "load_kvar"))
        )
        if load_kw_TxP.shape != load_kvar_TxP.shape:
            raise InputError(
                f"load_kw has {len(load_kw_TxP)} instants and load_kvar {len(load_kvar_TxP)}; give the same"
            )
        update = self.batch(load_kw_TxP, load_kvar_TxP, live_TxS)
        found, failed = self._solve(update, threads)
        node, line, source = found["node"], found["line"], found["source"]
        voltage_pu, angle_rad, current_a = node["u_pu"], node["u_angle"], line["i_from"]
        loss_kw = (line["p_from"] + line["p_to"]).sum(1) / 1000
        source_kw = source["p"].sum(1) / 1000
        for values in (voltage_pu, angle_rad, current_a, loss_kw, source_kw):
            values[failed] = np.nan
        unsolved = tuple(Unsolved(int(t), self._weakest(load_kw_TxP[t], load_kvar_TxP[t], live_TxS, t)) for t in failed)
        return Flows(voltage_pu, angle_rad, current_a, loss_kw, source_kw, unsolved)

    def batch(self, load_kw_TxP: np.ndarray, load_kvar_TxP: np.ndarray, live_TxS: Any = None) -> dict[str, np.ndarray]:
        """The batch as `power-grid-model` takes it."""
        pgm = _library()
        load = pgm.initialize_array("update", "sym_load", load_kw_TxP.shape)
        load["id"] = self._load_ids
        load["p_specified"], load["q_specified"] = load_kw_TxP * 1000, load_kvar_TxP * 1000
        update = {"sym_load": load}
        if live_TxS is not None:
            live = np.asarray(live_TxS, bool)
            shape = (len(load_kw_TxP), len(self.network.sections))
            if live.shape != shape:
                raise InputError(f"live is of the shape {live.shape}; it must be {shape}, an instant by a section")
            line = pgm.initialize_array("update", "line", shape)
            line["id"] = self._line_ids
            line["from_status"] = line["to_status"] = live
            update["line"] = line
        return update

    def _loads(self, values: Any, name: str) -> np.ndarray:
        found = np.asarray(values, np.float64)
        points = len(self.network.load_points)
        if found.ndim != 2 or found.shape[1] != points:
            raise InputError(
                f"{name} is of the shape {found.shape}; it must be (instants, {points}), a profile a load point"
            )
        if not np.isfinite(found).all():
            t, p = np.argwhere(~np.isfinite(found))[0]
            point = self.network.load_points[p].name
            raise InputError(f"{name} of {point} at instant {t} is {found[t, p]}; it must be finite")
        return found

    def _solve(self, update: dict[str, np.ndarray], threads: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        found = self.model.calculate_power_flow(
            update_data=update,
            error_tolerance=TOLERANCE,
            threading=-1 if threads == 1 else threads,
            continue_on_batch_error=True,
            output_component_types={"node", "line", "source"},
        )
        error = self.model.batch_error
        return found, np.array([] if error is None else error.failed_scenarios, np.int64)

    def _weakest(self, kw_P: np.ndarray, kvar_P: np.ndarray, live_TxS: Any, t: int) -> str:
        """The bus of the lowest voltage where the instant's loads are scaled down until they can just be carried."""
        live = None if live_TxS is None else np.asarray(live_TxS, bool)[[t]]
        low, high, weakest = 0.0, 1.0, self.buses[0]
        for _ in range(12):
            middle = (low + high) / 2
            found, failed = self._solve(self.batch(kw_P[None] * middle, kvar_P[None] * middle, live), 1)
            if len(failed):
                high = middle
                continue
            low, voltage = middle, found["node"]["u_pu"][0]
            weakest = self.buses[int(np.where(voltage > 0, voltage, np.inf).argmin())]
        return weakest

    @cached_property
    def _load_ids(self) -> np.ndarray:
        return np.arange(len(self.network.load_points)) + len(self.buses) + len(self.network.sections)

    @cached_property
    def _line_ids(self) -> np.ndarray:
        return np.arange(len(self.network.sections)) + len(self.buses)

    @cached_property
    def model(self) -> Any:
        pgm, network = _library(), self.network
        index = {bus: i for i, bus in enumerate(self.buses)}
        node = pgm.initialize_array("input", "node", len(self.buses))
        node["id"], node["u_rated"] = np.arange(len(self.buses)), network.voltage_kv * 1000
        line = pgm.initialize_array("input", "line", len(network.sections))
        line["id"] = self._line_ids
        line["from_node"], line["to_node"] = ([index[getattr(s, end)] for s in network.sections] for end in "ab")
        line["from_status"] = line["to_status"] = [not s.open for s in network.sections]
        line["r1"], line["x1"] = (
            [getattr(s, f) for s in network.sections] for f in ("resistance_ohm", "reactance_ohm")
        )
        line["c1"] = line["tan1"] = 0.0
        load = pgm.initialize_array("input", "sym_load", len(network.load_points))
        load["id"], load["node"] = self._load_ids, [index[p.bus] for p in network.load_points]
        load["status"], load["type"] = 1, pgm.LoadGenType.const_power
        load["p_specified"] = [p.load_kw * 1000 for p in network.load_points]
        load["q_specified"] = [p.load_kvar * 1000 for p in network.load_points]
        source = pgm.initialize_array("input", "source", len(network.sources))
        source["id"] = np.arange(len(network.sources)) + len(self.buses) + len(line) + len(load)
        source["node"], source["status"] = [index[bus] for bus in network.sources], 1
        source["u_ref"], source["sk"] = self.source_pu, STIFF_VA
        return pgm.PowerGridModel({"node": node, "line": line, "sym_load": load, "source": source})


def _library() -> Any:
    try:
        import power_grid_model
    except ImportError:
        raise InputError("power flow needs power-grid-model: pip install -e '.[grid]'") from None
    return power_grid_model
