"""The rival of events, not ticks: the same line with a SimPy process for each sensor, which samples at every tick.

One machine per station, a saturated source, run to failure. What is measured is the sampling: a sensor process
reads its machine's state at its tick, computes the level, lags it where the sensor lags, adds white and autocorrelated
noise, drift, quantisation and dropout with draws from `random`, the fastest source of single normals in Python, and
appends. Levels are plain arithmetic on floats: nothing here calls NumPy for one number.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import simpy

from sim.line import Line, Phase
from sim.streams import Streams
from twins.line import LineTwin
from twins.sensors.noise import Noise

STARVED, WORKING, BLOCKED, WAITING, REPAIRING, *_ = map(int, Phase)


class Machine:
    """What the sensors look at."""

    __slots__ = ("operating_h", "parts", "phase", "since_h", "wear")

    def __init__(self):
        self.phase, self.wear, self.parts, self.operating_h, self.since_h = 0, 0.0, 0, 0.0, 0.0

    def enter(self, phase: int, now_h: float) -> None:
        if self.phase == WORKING:
            self.operating_h += now_h - self.since_h
        self.phase, self.since_h = phase, now_h


def run(twin: LineTwin, seed: int, until_h: float) -> dict[tuple[str, str], list[float]]:
    """The samples of every channel of every machine, by (entity, quantity)."""
    env, rng, line = simpy.Environment(), random.Random(seed), twin.world
    machines = [Machine() for _ in line.stations]
    _start(env, line, machines, seed)
    readings: dict[tuple[str, str], list[float]] = {}
    for i, machine in enumerate(machines):
        for quantity, read in _sensors(twin, i, machine, env).items():
            noise = getattr(twin.sensors, quantity, Noise())
            lag_h = twin.sensors.temperature_tau_h if quantity == "bearing_temperature" else 0.0
            out = readings[f"m{i + 1}", quantity] = []
            env.process(_sensor(env, rng, read, noise, twin.step_h, lag_h, out))
    env.run(until=until_h)
    return readings


def _start(env: simpy.Environment, line: Line, machines: list[Machine], seed: int) -> None:
    """Start a process for each machine: starve, work through levels of wear and failures, hand on or be blocked."""
    streams, count = Streams(seed, line.plan.streams), len(machines)
    crew = simpy.Resource(env, line.crew or count)
    room = [math.inf if b is None else b for b in line.buffers]
    level = [0] * count  # parts before each station
    starving: list[simpy.Event | None] = [None] * count
    blocking: list[simpy.Event | None] = [None] * count

    def process(i: int):
        machine, station, name = machines[i], line.stations[i], f"m{i + 1}"
        wear, sudden = station.wear, station.sudden

        def draw(what: str, law) -> float:
            return streams[f"{name}/{what}"].draw(law)

        def renew() -> tuple[float, float, float]:
            machine.wear, machine.operating_h = 0.0, 0.0
            pace = station.load * (draw("rate", wear.rate) if wear and wear.rate else 1.0)
            to_level = draw("wear", wear.level_time) / pace if wear else math.inf
            return pace, to_level, draw("sudden", sudden.life) if sudden else math.inf

        pace, to_level, to_sudden = renew()
        while True:
            if i:
                if not level[i]:
                    machine.enter(STARVED, env.now)
                    starving[i] = env.event()
                    yield starving[i]
                level[i] -= 1
                if waiting := blocking[i - 1]:
                    blocking[i - 1] = None
                    waiting.succeed()
            machine.enter(WORKING, env.now)
            left = draw("cycle", station.cycle)
            while (until := min(to_level, to_sudden)) < left:
                yield env.timeout(until)
                left, to_level, to_sudden = left - until, to_level - until, to_sudden - until
                if wear and to_level <= 0:
                    machine.wear += 1 / wear.levels
                    to_level = draw("wear", wear.level_time) / pace
                if machine.wear > 1 - 1e-9 or to_sudden <= 0:
                    machine.enter(WAITING, env.now)
                    with crew.request() as request:
                        yield request
                        machine.enter(REPAIRING, env.now)
                        yield env.timeout(draw("repair", station.repair))
                    pace, to_level, to_sudden = renew()
                    machine.enter(WORKING, env.now)
            yield env.timeout(left)
            to_level, to_sudden = to_level - left, to_sudden - left
            machine.parts += 1
            if i + 1 < count:
                if level[i + 1] >= room[i]:
                    machine.enter(BLOCKED, env.now)
                    blocking[i] = env.event()
                    yield blocking[i]
                level[i + 1] += 1
                if waiting := starving[i + 1]:
                    starving[i + 1] = None
                    waiting.succeed()

    for i in range(count):
        env.process(process(i))


def _sensor(env, rng, read: Callable[[], float], noise: Noise, step_h: float, lag_h: float, out: list[float]):
    """One sensor's process: read, lag, add noise, append, wait for the next tick."""
    gauss, uniform, timeout = rng.gauss, rng.random, env.timeout
    white, auto, quantum, dropout = noise.white, noise.autocorrelated, noise.quantum, noise.dropout
    keep = math.exp(-step_h / noise.correlation_h)
    push = auto * math.sqrt(1 - keep * keep)
    wander = gauss(0, auto) if auto else 0.0
    ticks = max(round(noise.drift_knot_h / step_h), 1)
    knot, slope, tick = (gauss(0, noise.drift), 0.0, 0) if noise.drift else (0.0, 0.0, 0)
    relax = 1 - math.exp(-step_h / lag_h) if lag_h else 1.0
    lagged = read()
    while True:
        value = read()
        if lag_h:
            lagged += relax * (value - lagged)
            value = lagged
        if white:
            value += gauss(0, white)
        if auto:
            value += wander
            wander = keep * wander + gauss(0, push)
        if noise.drift:
            if tick % ticks == 0:
                slope = (gauss(0, noise.drift) - knot) / ticks
            value += knot
            knot += slope
            tick += 1
        if quantum:
            value = round(value / quantum) * quantum
        out.append(math.nan if dropout and uniform() < dropout else value)
        yield timeout(step_h)


def _sensors(twin: LineTwin, i: int, machine: Machine, env: simpy.Environment) -> dict[str, Callable[[], float]]:
    """Ten sensors of one machine; the formulas of `LineSensors`, for one number, at speed 1."""
    s, load = twin.sensors, twin.world.stations[i].load
    floor = s.vibration_floor_mm_s**2
    working_rise = s.working_rise_k * load

    def low():
        return s.low_mm2_s2 * load * (1 + s.low_gain * machine.wear**4) if machine.phase == WORKING else 0.0

    def high():
        return s.high_mm2_s2 * (1 + s.high_gain * machine.wear**1.5) if machine.phase == WORKING else 0.0

    def rms():
        return math.sqrt(floor + low() + high())

    def temperature():
        if machine.phase == WORKING:
            return s.ambient_cel + s.idle_rise_k + working_rise + s.wear_rise_k * machine.wear**2
        return s.ambient_cel + (0.0 if machine.phase >= WAITING else s.idle_rise_k)

    def current():
        if machine.phase == WORKING:
            return s.idle_a + s.working_a * load + s.wear_a * machine.wear
        return 0.0 if machine.phase >= WAITING else s.idle_a

    def level():
        if machine.phase == WORKING:
            return s.working_db + s.wear_db * machine.wear**2
        return s.background_db if machine.phase >= WAITING else s.idle_db

    def age():
        return machine.operating_h + (env.now - machine.since_h if machine.phase == WORKING else 0.0)

    return {
        "vibration_rms": rms,
        "vibration_low": low,
        "vibration_high": high,
        "bearing_temperature": temperature,
        "motor_current": current,
        "acoustic_level": level,
        "parts": lambda: machine.parts,
        "state": lambda: machine.phase,
        "operating_age": age,
        "speed": lambda: 1.0,
    }
