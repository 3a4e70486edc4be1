"""What `python -m experiments.bench` measures: each function names its rival, takes turns with it, returns ratios."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

import numpy as np

from bench import lean_line, minute_homes
from bench.executing import memory, ray, workers
from bench.learning import against_torch, products
from bench.rivals import against_ciw, against_salabim, against_simprocesd
from bench.sensing import pictures, rendering, sampling, white, window, writing
from bench.turns import MINUTE_H, MONTH_H, Measured, turns
from experiments.experiment import Experiment
from sim import factory as factories
from sim.grid import case33bw
from sim.grid.flow import TOLERANCE, Flow
from sim.homes import Group, Homes
from sim.homes.power import home_kwh
from sim.laws import Exponential, Lognormal
from sim.line import Line, Material, Station, Sudden
from sim.patient import Care
from sim.patient.disease import body_of, day
from sim.quality import Bench, Flaw, Inspected
from sim.quality.checks import STEADY
from sim.supply import MinMax, Point, Supply
from sim.wear import Wiener
from twins.patient import PatientTwin


def line(bench: Experiment, repeats: int) -> Measured:
    """The restartable line against a lean SimPy program of the same line, which draws and records the same."""
    world: Line = bench.world
    ours, lean = turns(
        lambda k: world.run(world.start(k), MONTH_H), lambda k: lean_line.run(world, k, MONTH_H), 4 * repeats
    )
    return Measured(
        "line", "time of the line over a lean, non-restartable SimPy program of it", "×", 1.25, False,
        tuple(a / b for a, b in zip(ours, lean, strict=True)),
        {"line_s": median(ours), "lean_s": median(lean), "hours": MONTH_H, "machines": len(world.machines)},
    )  # fmt: skip


def compiled(bench: Experiment, repeats: int) -> Measured:
    """The line by its compiled engine against the same by SimPy; the traces are equal bit for bit."""
    world: Line = bench.world
    fast = replace(world, engine="compiled")
    ours, plain = turns(
        lambda k: fast.run(fast.start(k), MONTH_H), lambda k: world.run(world.start(k), MONTH_H), 4 * repeats
    )
    return Measured(
        "compiled", "time of the line by SimPy over that of the compiled line, trace and all", "×", 5.0, True,
        tuple(b / a for a, b in zip(ours, plain, strict=True)),
        {"compiled_s": median(ours), "simpy_s": median(plain), "hours": MONTH_H, "machines": len(world.machines),
         "machine_hours_per_s": len(world.machines) * MONTH_H / median(ours)},
    )  # fmt: skip


def split(bench: Experiment, repeats: int) -> Measured:
    """What it costs to stop a run and go on: 500 pieces of half an hour against the whole."""
    world: Line = bench.world
    pieces, step_h = 500, 0.5

    def in_pieces(seed: int) -> None:
        state = world.start(seed)
        for k in range(1, pieces + 1):
            state = world.run(state, k * step_h).state

    whole, pieced = turns(lambda k: world.run(world.start(k), pieces * step_h), in_pieces, 4 * repeats)
    return Measured(
        "split", "time that a split adds to a run of the line", "ms", 0.2, False,
        tuple(1e3 * (b - a) / (pieces - 1) for a, b in zip(whole, pieced, strict=True)),
        {"whole_ms": 1e3 * median(whole), "pieces": pieces, "piece_h": step_h},
    )  # fmt: skip


def training(bench: Experiment, repeats: int) -> Measured:
    """Share of a training run at nano size, rows and checkpoints written, that is not the bare compiled steps."""
    from learn.training.fit import Budget, host_overhead
    from learn.windows.batch import Windows

    world = bench.world
    episodes = [e for seed in range(2) for e in bench.twin.observe(world.run(world.start(seed), 480.0))]
    windows = Windows.of(episodes, context=144, task=bench.task)
    model = bench.part("model").build(bench.task, windows)
    # Batch, rows and checkpoints are the preset's; what a run costs once is spread over a ninth of the preset's steps.
    budget = Budget(steps=100, batch=64, microbatch=16, chunk=25, validate_every=50)
    shares = [host_overhead(model, windows, bench.part("optim"), budget) for _ in range(max(1, repeats // 4))]
    return Measured(
        "training", "host's share of a training step at nano size", "%", 5.0, False,
        tuple(100 * share for share in shares),
        {"steps": budget.steps, "batch": budget.batch, "context": windows.context, "variates": windows.variates},
    )  # fmt: skip


def factory(bench: Experiment, repeats: int) -> Measured:
    """A factory that is a serial line against the line itself: what routes, operators and shifts cost where unused."""
    sudden, count = Sudden(Exponential(40.0)), 5
    line = Line((Station(Exponential(1 / 6), sudden=sudden, repair=Exponential(3.0)),) * count, (3,) * (count - 1))
    stations = tuple(factories.Station(m, room=3, sudden=sudden, repair=Exponential(3.0)) for m in line.machines)
    route = tuple(factories.Operation(m, Exponential(1 / 6)) for m in line.machines)
    world = factories.Factory(stations, (factories.Product("part", route, factories.Saturated()),))
    ours, plain = turns(
        lambda k: world.run(world.start(k), MONTH_H), lambda k: line.run(line.start(k), MONTH_H), 2 * repeats
    )
    trace = world.run(world.start(0), MONTH_H).trace
    done = sum(float(trace[m, "parts"].value[-1]) for m in line.machines)
    return Measured(
        "factory", "time of a factory that is a serial line over that of the line", "×", 4.0, False,
        tuple(a / b for a, b in zip(ours, plain, strict=True)),
        {"factory_s": median(ours), "line_s": median(plain), "operations": done, "per_s": done / median(ours)},
    )  # fmt: skip


def inspected(bench: Experiment, repeats: int) -> Measured:
    """A line such as that of `world=quality`, its parts marked, inspected, reworked and scrapped, against one without.

    In the detail, the same of a line of two machines of which three parts in four are rejected.
    """

    def against_line(world: Inspected, hours: float) -> tuple[list[float], list[float]]:
        return turns(
            lambda k: world.run(world.start(k), hours), lambda k: world.line.run(world.line.start(k), hours), repeats
        )

    wear = Wiener(1 / 120, 0.02, levels=50, spread_cv=0.2)
    station = Station(Lognormal(0.5, 0.15), wear=wear, repair=Lognormal(3.0, 0.5))
    flaws = tuple(Flaw(m, kind, 0.12, 0.5) for m, kind in (("m1", "scratch"), ("m2", "dent"), ("m3", "stain")))
    line = Line((station,) * 3, (4, 4), crew=1)
    ours, plain = against_line(Inspected(line, flaws, 0.3, 0.05, Bench(Exponential(0.7))), 4 * MONTH_H)
    hard, bare = against_line(STEADY, MONTH_H / 4)
    return Measured(
        "inspected", "time of a line whose parts are marked, inspected, reworked over the line's", "×", 4.0, False,
        tuple(a / b for a, b in zip(ours, plain, strict=True)),
        {"inspected_s": median(ours), "line_s": median(plain), "hours": 4 * MONTH_H,
         "mostly_rejected": median(a / b for a, b in zip(hard, bare, strict=True))},
    )  # fmt: skip


def supplied(bench: Experiment, repeats: int) -> Measured:
    """A line that draws the material of each part from a supply chain on its kernel, against one that does not."""
    stations = (Station(Exponential(0.1)),) * 5
    supply = Supply((Point("steel", MinMax(200, 1000), lead=Exponential(5.0)),))
    world = Line(stations, (5,) * 4, supply=supply, material=Material("steel"))
    bare = Line(stations, (5,) * 4)
    ours, plain = turns(
        lambda k: world.run(world.start(k), MONTH_H), lambda k: bare.run(bare.start(k), MONTH_H), repeats
    )
    return Measured(
        "supplied", "time of a line that draws its material from a store over one that does not", "×", 2.0, False,
        tuple(a / b for a, b in zip(ours, plain, strict=True)),
        {"supplied_s": median(ours), "line_s": median(plain), "hours": MONTH_H},
    )  # fmt: skip


def homes(bench: Experiment, repeats: int) -> Measured:
    """Ten alike homes over 30 days, by events and meters read each minute, against a program that steps each minute."""
    world, count = Homes((Group(10),)), round(MONTH_H / MINUTE_H)
    at_h = np.arange(count + 1) * MINUTE_H

    def metered(seed: int) -> list[np.ndarray]:
        trace = world.run(world.start(seed), MONTH_H).trace
        return [np.diff(home_kwh(world, trace, name, at_h)) for name in world.names]

    ours, stepped = turns(metered, lambda k: minute_homes.run(world, k, round(MONTH_H)), repeats)
    days = MONTH_H / 24
    return Measured(
        "homes", "time of a program that steps the same homes minute by minute over events and meters", "×", 4.0, True,
        tuple(b / a for a, b in zip(ours, stepped, strict=True)),
        {"ours_s": median(ours), "stepped_s": median(stepped), "homes": 10, "feeder_days_per_s": days / median(ours)},
    )  # fmt: skip


def flows(bench: Experiment, repeats: int) -> Measured:
    """AC flows of case33bw with random loads, checked and labelled, against power-grid-model on the same batch."""
    flow, rng = Flow(case33bw()), np.random.default_rng(0)
    points, count = flow.network.load_points, 20_000
    share = rng.uniform(0.2, 1.2, (count, len(points)))
    kw, kvar = (share * [getattr(p, name) for p in points] for name in ("load_kw", "load_kvar"))
    batch = flow.batch(kw, kvar)
    told = {"node", "line", "source"}

    def direct(_: int) -> None:
        flow.model.calculate_power_flow(
            update_data=batch, error_tolerance=TOLERANCE, threading=-1, output_component_types=told
        )

    ours, bare = turns(lambda k: flow(kw, kvar), direct, 2 * repeats)
    return Measured(
        "flows", "rate of AC flows over that of calling power-grid-model on the same batch", "×", 0.9, True,
        tuple(b / a for a, b in zip(ours, bare, strict=True)),
        {"ours_s": median(ours), "bare_s": median(bare), "flows_per_s": count / median(ours), "buses": 33},
    )  # fmt: skip


def care(bench: Experiment, repeats: int) -> Measured:
    """Patients with heart failure in care for a year. 10,000 of them in 15 minutes on two cores are 5.6 a second.

    In the detail, what of a second is the heart's (outputs from its state, and the slow disease day by day), what the
    events', and what rendering takes beside. Research only, not for clinical use.
    """
    world, year_h = Care(10), 8760.0
    twin = PatientTwin(world)
    runs = [world.run(world.start(k), year_h) for k in range(2)]
    simulated, rendered = turns(
        lambda k: world.run(world.start(k), year_h), lambda k: list(twin.observe(runs[k % 2])), repeats
    )
    patient = runs[0].state.patients[0]
    calls = sum(len(runs[0].trace[name, "ef"].time_h) for name in world.names)
    began = time.process_time()
    for _ in range(500):
        day(body_of(patient.person.circulation, world.slow), patient.heart, patient.effects, world.slow)
        world.daily(patient)
    heart_s = (time.process_time() - began) / 500 * calls
    return Measured(
        "care", "patients in care for a year, a second on one core", "/s", 5.6, True,
        tuple(len(world.names) / s for s in simulated),
        {"run_s": median(simulated), "heart_share": min(heart_s / median(simulated), 1.0),
         "rendering_s": median(rendered), "patients": len(world.names)},
    )  # fmt: skip


MEASURES = (
    line,
    compiled,
    against_salabim,
    against_ciw,
    against_simprocesd,
    sampling,
    rendering,
    white,
    window,
    writing,
    split,
    workers,
    ray,
    memory,
    training,
    against_torch,
    products,
    factory,
    inspected,
    supplied,
    pictures,
    homes,
    flows,
    care,
)
