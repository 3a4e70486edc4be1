"""Other simulators on the same line: salabim, Ciw and SIMPROCESD, each first shown to make as many parts as ours.

Five machines with room for ten parts between each two, a source that never runs dry, lognormal cycles, exponential
sudden failures by operation, lognormal repairs, a repairer for each machine. Each program is as lean as its library
allows: draws are those of Python's `random`, and nothing is recorded that the library does not record by itself. Ours
leaves its whole trace. SIMPROCESD and salabim fail and repair as events; Ciw, which has no failures that interrupt a
service, draws the failures within a part along with its cycle, which is the same in law and less to do.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from statistics import mean, median, variance
from typing import Any

from scipy import stats

from bench.turns import MONTH_H, Measured, turns
from experiments.experiment import Experiment
from sim.errors import InputError
from sim.laws import Exponential, Lognormal
from sim.line import Line, Station, Sudden

COUNT, ROOM = 5, 10
CYCLE, LIFE, REPAIR = Lognormal(1 / 6, 0.1), Exponential(40.0), Lognormal(2.0, 0.6)
LINE = Line((Station(CYCLE, sudden=Sudden(LIFE), repair=REPAIR),) * COUNT, (ROOM,) * (COUNT - 1), engine="compiled")
MOST_PARTS = 4500  # more than a machine makes in a month that never fails
OURS_PER_TURN = 40  # months of ours against one of a rival's, so that both take a time that can be measured


class Draws:
    """Cycles, operating times between failures, and repairs, as one of the rivals draws them."""

    def __init__(self, seed: int):
        rng = random.Random(seed)
        (cycle_mu, cycle_sigma), (repair_mu, repair_sigma) = map(_logs, (CYCLE, REPAIR))
        self.cycle = lambda: rng.lognormvariate(cycle_mu, cycle_sigma)
        self.repair = lambda: rng.lognormvariate(repair_mu, repair_sigma)
        self.life = lambda: rng.expovariate(1 / LIFE.mean_h)


def _logs(law: Lognormal) -> tuple[float, float]:
    sigma = math.sqrt(math.log1p(law.cv**2))
    return math.log(law.mean_h) - sigma**2 / 2, sigma


def ours(line: Line, seed: int, until_h: float) -> int:
    """Parts that the last machine has finished."""
    return int(line.run(line.start(seed), until_h).trace[f"m{COUNT}", "parts"].value[-1])


def salabim(seed: int, until_h: float) -> int:
    """Buffers are anonymous resources, of which parts claim room: the least that salabim can do for a buffer."""
    import salabim as sim

    sim.yieldless(False)
    draws, made = Draws(seed), [0]
    env = sim.Environment(trace=False, random_seed=None)
    buffers = [sim.Resource(capacity=ROOM, anonymous=True) for _ in range(COUNT - 1)]

    class Machine(sim.Component):
        def process(self):
            i = self.sequence_number()
            before, after = buffers[i - 1] if i else None, buffers[i] if i < COUNT - 1 else None
            clock = draws.life()
            while True:
                if before:
                    yield self.put((before, 1))
                left = draws.cycle()
                while clock < left:
                    yield self.hold(clock)
                    left -= clock
                    yield self.hold(draws.repair())
                    clock = draws.life()
                yield self.hold(left)
                clock -= left
                if after:
                    yield self.get((after, 1))
                else:
                    made[0] += 1

    for _ in range(COUNT):
        Machine()
    env.run(until_h)
    return made[0]


def ciw(seed: int, until_h: float) -> int:
    """A tandem of queues that block after service; all parts of the month wait before the first from the beginning."""
    import ciw as queues

    draws, nowhere = Draws(seed), queues.dists.Sequential([math.inf])

    class Completion(queues.dists.Distribution):
        def __init__(self):
            self.clock = draws.life()

        def sample(self, t=None, ind=None):
            left = total = draws.cycle()
            while self.clock < left:
                left -= self.clock
                total += draws.repair()
                self.clock = draws.life()
            self.clock -= left
            return total

    network = queues.create_network(
        arrival_distributions=[queues.dists.Sequential([0.0, math.inf]), *[nowhere] * (COUNT - 1)],
        batching_distributions=[queues.dists.Deterministic(MOST_PARTS), *[queues.dists.Deterministic(1)] * (COUNT - 1)],
        service_distributions=[Completion() for _ in range(COUNT)],
        number_of_servers=[1] * COUNT,
        queue_capacities=[math.inf, *[ROOM] * (COUNT - 1)],
        routing=[[float(j == i + 1) for j in range(COUNT)] for i in range(COUNT)],
    )
    queues.seed(seed)
    simulation = queues.Simulation(network)
    simulation.simulate_until_max_time(until_h)
    return simulation.nodes[-1].number_of_individuals


def simprocesd(seed: int, until_h: float) -> int:
    """A part processor that is shut down where its operating clock runs out, and restored after the repair."""
    from simprocesd.model import System
    from simprocesd.model.factory_floor import Buffer, PartProcessor, Sink, Source
    from simprocesd.model.simulation import EventType

    draws, nobody = Draws(seed), -2

    class Machine(PartProcessor):
        clock = left = 0.0

        def begin(self, _, part) -> None:
            self.cycle_time = self.left = draws.cycle()
            self.work()

        def work(self) -> None:
            if self.clock < self.left:
                self.env.schedule_event(self.env.now + self.clock, nobody, self.breaks, EventType.FAIL)
            else:
                self.clock -= self.left

        def breaks(self) -> None:
            self.left -= self.clock
            self.clock = draws.life()
            self.shutdown()
            self.env.schedule_event(self.env.now + draws.repair(), nobody, self.mended, EventType.RESTORE)

        def mended(self) -> None:
            self.restore_functionality()
            self.work()

    system = System()
    before: Any = Source()
    for i in range(COUNT):
        machine = Machine(f"m{i + 1}", [before])
        machine.clock = draws.life()
        machine.add_receive_part_callback(machine.begin)
        before = Buffer(f"b{i + 1}", [machine], capacity=ROOM) if i < COUNT - 1 else machine
    sink = Sink("sink", [before])
    system.simulate(until_h, print_summary=False)
    return sink.received_parts_count


def agree(mine: list[float], theirs: list[float], name: str) -> float:
    """Half the 99 % interval of the difference of two mean throughputs (Welch), as a share; an error where it lies
    beside 0, or is wider than 3 %, since then the rival may make another line."""
    a, b = variance(mine) / len(mine), variance(theirs) / len(theirs)
    freedom = (a + b) ** 2 / (a**2 / (len(mine) - 1) + b**2 / (len(theirs) - 1))
    half = stats.t.ppf(0.995, freedom) * math.sqrt(a + b) / mean(mine)
    apart = mean(theirs) / mean(mine) - 1
    if abs(apart) > half or half > 0.03:
        raise InputError(
            f"{name} makes {apart:+.2%} ± {half:.2%} more parts than our line; they are to be the same line"
        )
    return half


def _against(rival: Callable[[int, float], int], title: str, repeats: int) -> Measured:
    try:
        rival(0, 1.0)
    except ModuleNotFoundError as error:
        raise InputError(f"{error}; rivals need the extra: pip install -e '.[bench]'") from None
    mine: list[float] = []
    theirs: list[float] = []
    months = range(OURS_PER_TURN)
    by_us, by_them = turns(
        lambda k: mine.extend(ours(LINE, k * OURS_PER_TURN + month, MONTH_H) for month in months),
        lambda k: theirs.append(rival(k, MONTH_H)),
        4 * repeats,
    )
    half = agree(mine, theirs, title)
    began = replace(LINE, engine="simpy")
    by_simpy, _ = turns(lambda k: ours(began, k, MONTH_H), lambda k: None, repeats)
    hours = COUNT * MONTH_H
    what = f"machine-hours a second of the compiled line over those of {title}"
    return Measured(
        f"against_{rival.__name__}", what, "×", 8.0, True,
        tuple(b * OURS_PER_TURN / a for a, b in zip(by_us, by_them, strict=True)),
        {"machine_hours_per_s": hours * OURS_PER_TURN / median(by_us), "rival_per_s": hours / median(by_them),
         "by_simpy_per_s": hours / median(by_simpy), "parts": mean(mine), "rival_parts": mean(theirs),
         "interval_of_difference": half},
    )  # fmt: skip


def against_salabim(bench: Experiment, repeats: int) -> Measured:
    """The line of this file as a salabim program."""
    return _against(salabim, "salabim", repeats)


def against_ciw(bench: Experiment, repeats: int) -> Measured:
    """The line of this file as a network of queues in Ciw."""
    return _against(ciw, "Ciw", repeats)


def against_simprocesd(bench: Experiment, repeats: int) -> Measured:
    """The line of this file in SIMPROCESD, of NIST."""
    return _against(simprocesd, "SIMPROCESD", repeats)
