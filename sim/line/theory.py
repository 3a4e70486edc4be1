"""What a production line must reproduce: formulas and Markov-chain solutions, as functions of their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, product
from typing import Any, NamedTuple

import numpy as np
from scipy import integrate, optimize, sparse, special
from scipy import linalg as linalg_dense
from scipy.sparse import linalg

from sim.laws import Law


def mm1_number(utilisation: float) -> float:
    """Mean number in an M/M/1 system: ρ/(1−ρ) (Kleinrock 1975, eq. 3.24)."""
    return utilisation / (1 - utilisation)


class Queue(NamedTuple):
    wait_probability: float  # that an arrival waits
    wait_h: float  # mean wait before service, over all arrivals
    number: float  # mean number in the system


def mmc(arrivals_per_h: float, service_per_h: float, servers: int) -> Queue:
    """M/M/c by Erlang's C formula (Kleinrock 1975, sec. 3.5), from the stable recursion of Erlang's B."""
    load = arrivals_per_h / service_per_h
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    wait = blocked / (1 - load / servers * (1 - blocked))
    wait_h = wait / (servers * service_per_h - arrivals_per_h)
    return Queue(wait, wait_h, arrivals_per_h * wait_h + load)


def little_number(rate_per_h: float, time_h: float) -> float:
    """Little's law, L = λW (Little 1961)."""
    return rate_per_h * time_h


def two_machine_reliable(rate_per_h: float, buffer: int) -> float:
    """Throughput of two equal exponential machines, saturated, blocking after service: μ(B+2)/(B+3)."""
    return rate_per_h * (buffer + 2) / (buffer + 3)


def two_machine_unreliable(
    rate1: float, rate2: float, failure1: float, repair1: float, failure2: float, repair2: float, buffer: int
) -> float:
    """Throughput per hour of two exponential machines with operation-dependent failures; all rates are per hour.

    Saturated, blocking after service, work resumed after the repair (Gershwin 1994, ch. 3; Dallery & Gershwin 1992).
    """
    return serial_line((rate1, rate2), (buffer,), (failure1, failure2), (repair1, repair2))


def serial_line(
    rates: Sequence[float],
    buffers: Sequence[int],
    failures: Sequence[float] | None = None,
    repairs: Sequence[float] | None = None,
) -> float:
    """Throughput per hour of a saturated line of exponential machines, blocking after service; all rates are per hour.

    With *failures* and *repairs* machines fail only while they work. The chain's state is (n, up): n[j] counts parts
    past machine j's service and not yet past the next's, `up` says which machines are up. There are about as many as
    the product of (buffer + 3), times two for each machine that fails.
    """
    fails = [0.0] * len(rates) if failures is None else failures

    def moves(state: tuple) -> Iterator[tuple[tuple, float]]:
        parts, up = state
        for i, works in enumerate(_working(parts, buffers)):
            if not up[i]:
                yield (parts, _with(up, i, True)), repairs[i]  # type: ignore[index]
            elif works:
                yield (_passed(parts, (i,)), up), rates[i]
                if fails[i]:
                    yield (parts, _with(up, i, False)), fails[i]

    shares = stationary(((0,) * len(buffers), (True,) * len(rates)), moves)
    return rates[-1] * sum(x for (parts, up), x in shares.items() if up[-1] and _working(parts, buffers)[-1])


def slotted_line(chances: Sequence[float], buffers: Sequence[int]) -> float:
    """Parts per slot of a saturated line, blocking after service, whose machine i ends its part in a slot by *chance*.

    Cycles are geometric; what several machines end in one slot moves on at once. The state counts parts as in
    `serial_line`.
    """

    def moves(parts: tuple[int, ...]) -> Iterator[tuple[tuple, float]]:
        at_work = [i for i, works in enumerate(_working(parts, buffers)) if works]
        for ended in product((False, True), repeat=len(at_work)):
            chance = math.prod(chances[i] if e else 1 - chances[i] for i, e in zip(at_work, ended, strict=True))
            yield _passed(parts, compress(at_work, ended)), chance

    shares = stationary((0,) * len(buffers), moves)
    return chances[-1] * sum(x for parts, x in shares.items() if _working(parts, buffers)[-1])


def bernoulli_line(chance1: float, chance2: float, buffer: int) -> float:
    """Parts per slot of two Bernoulli machines: p2(1−Q) (Li & Meerkov 2009, sec. 4.1).

    A machine is up in a slot by chance p. Blocking before service: the first does nothing, up or not, while the buffer
    is full and the second takes no part in that slot. *buffer* ≥ 1 holds the part that the second works on.
    """
    if chance1 == chance2:
        empty = (1 - chance1) / (buffer + 1 - chance1)
    else:
        odds = chance1 * (1 - chance2) / (chance2 * (1 - chance1))
        empty = (1 - chance1) * (1 - odds) / (1 - chance1 / chance2 * odds**buffer)
    return chance2 * (1 - empty)


def _working(parts: Sequence[int], buffers: Sequence[int]) -> list[bool]:
    """Which machines of a saturated line, blocking after service, hold a part to work on.

    A machine is blocked when the parts behind its service fill the next buffer, itself and the next machine, unless the
    next is blocked as well: that one holds a part that is counted further down.
    """
    works, blocked = [], False
    for i in range(len(buffers), -1, -1):
        blocked = i < len(buffers) and parts[i] == buffers[i] + 2 - blocked
        works.append(not blocked and (i == 0 or parts[i - 1] > 0))
    return works[::-1]


def _passed(parts: tuple[int, ...], ended: Iterable[int]) -> tuple[int, ...]:
    """The counts after the machines *ended* have each finished a part; what leaves the last is not counted."""
    counts = [*parts, 0]
    for i in ended:
        counts[i] += 1
        counts[i - 1] -= i > 0
    return tuple(counts[:-1])


def _with(values: tuple, i: int, value: Any) -> tuple:
    return (*values[:i], value, *values[i + 1 :])


def stationary(start: Any, moves: Callable[[Any], Iterable[tuple[Any, float]]]) -> dict[Any, float]:
    """The stationary law of the chain that *moves* from *start* at (state, rate), or by (state, chance) in a slot."""
    index, states = {start: 0}, [start]
    rows, columns, rates = [], [], []
    for here, state in enumerate(states):  # which grow meanwhile
        for there, rate in moves(state):
            if there not in index:
                index[there] = len(states)
                states.append(there)
            rows += [index[there], here]
            columns += [here, here]
            rates += [rate, -rate]
    size = len(states)
    balance = sparse.csr_matrix((rates, (rows, columns)), shape=(size, size)).tolil()
    balance[0, :] = 1.0  # the balance equations are dependent: one gives way to "the shares sum to one"
    return dict(zip(states, np.asarray(linalg.spsolve(balance.tocsc(), np.eye(1, size)[0])).tolist(), strict=True))


def isolated_throughput(rate_per_h: float, mttf_h: float, mttr_h: float) -> float:
    """Throughput of one machine that is never starved or blocked; the limit of any buffer that grows."""
    return rate_per_h * availability(mttf_h, mttr_h)


def zero_buffer_deterministic(failures: Sequence[float], repairs: Sequence[float]) -> float:
    """Parts per cycle of a line without buffers: 1/(1+Σp/r), p and r per cycle (Buzacott 1967).

    Synchronous: while one machine is down all stand still, and what stands does not fail.
    """
    return 1 / (1 + sum(p / r for p, r in zip(failures, repairs, strict=True)))


def availability(mttf_h: float, mttr_h: float, busy: float = 1.0) -> float:
    """Share of time not down. *busy* is the share of up time in which the life runs (operation-dependent failures)."""
    return mttf_h / (mttf_h + busy * mttr_h)


def interference(machines: int, repairers: int, mttf_h: float, mttr_h: float) -> float:
    """Availability of a machine that shares *repairers* with its equals (Palm's machine interference)."""
    weight = [1.0]
    for down in range(machines):
        weight.append(weight[-1] * (machines - down) / mttf_h * mttr_h / min(down + 1, repairers))
    return 1 - sum(down * w for down, w in enumerate(weight)) / sum(weight) / machines


def weibull_mean_h(scale_h: float, shape: float) -> float:
    """ηΓ(1+1/β)."""
    return scale_h * math.gamma(1 + 1 / shape)


def first_passage(distance: float, drift_per_h: float, diffusion_per_sqrt_h: float) -> tuple[float, float]:
    """Mean (h) and variance (h²) of Brownian first passage: d/μ and dσ²/μ³ (inverse Gaussian; Cox & Miller 1965, 5.7).

    With the distance D−x it is the life that remains at wear x.
    """
    return distance / drift_per_h, distance * diffusion_per_sqrt_h**2 / drift_per_h**3


def age_cost_rate(law: Law, age_h: float, planned_cost: float, failure_cost: float) -> float:
    """Cost per operating hour of replacing at *age_h* or failure: (c_p S + c_f F)/∫S (Barlow & Hunter 1960)."""
    if math.isinf(age_h):
        return failure_cost / law.mean_h
    survival = float(law.sf(age_h))
    operated_h = integrate.quad(lambda t: float(law.sf(t)), 0, age_h)[0]
    return (planned_cost * survival + failure_cost * (1 - survival)) / operated_h


def best_age_h(law: Law, planned_cost: float, failure_cost: float) -> float:
    """The age that minimises `age_cost_rate`, sought below four mean lives."""
    found = optimize.minimize_scalar(
        lambda age_h: age_cost_rate(law, age_h, planned_cost, failure_cost),
        bounds=(law.mean_h * 1e-3, law.mean_h * 4),
        method="bounded",
        options={"xatol": law.mean_h * 1e-7},
    )
    return float(found.x)


def markov_availability(
    states: int,
    step_h: float,
    period_h: float,
    repair_h: float,
    maintenance_h: float,
    every_h: float = math.inf,
    acts_at: int = 0,
    limit: int | None = None,
) -> float:
    """Availability of a unit that wears up one state after the other and is renewed at the last, or before.

    Planned work at the age or look *every_h* from the state *acts_at* on (0: whatever the state), or at once in the
    state *limit*. Times in a state are exponential, or geometric by *period_h*, and a failure at the very time of a
    look comes first. The clock of looks begins at renewal.
    """
    failed = states - 1
    if math.isinf(every_h):
        last = failed if limit is None else limit
        return last * step_h / (last * step_h + (repair_h if limit is None else maintenance_h))
    up = np.diag(np.full(failed, 1.0), 1)
    up[:failed, :failed] -= np.eye(failed)
    if period_h:
        one = np.eye(states) + up * period_h / step_h
        powers = [np.linalg.matrix_power(one, k) for k in range(round(every_h / period_h))]
        spent_h, over = sum(powers) * period_h, powers[-1] @ one
    else:  # the integral of exp(Qt) stands beside it in the exponential of a block matrix (Van Loan 1978)
        blocks = np.zeros((2 * states, 2 * states))
        blocks[:states, :states], blocks[:states, states:] = up * every_h / step_h, np.eye(states) * every_h
        both = linalg_dense.expm(blocks)
        over, spent_h = both[:states, :states], both[:states, states:]
    share, up_h, down_h = np.eye(1, states)[0], 0.0, 0.0
    while share.sum() > 1e-15:
        up_h += (share @ spent_h)[:failed].sum()
        share = share @ over
        down_h += repair_h * share[failed] + maintenance_h * share[acts_at:failed].sum()
        share[min(acts_at, failed) :] = 0.0
    return float(up_h / (up_h + down_h))


def gamma_passage_sf(t_h, shape_per_h: float, scale: float, threshold: float):
    """P(T > t) of gamma wear: P(Γ(αt, θ) < D) (van Noortwijk 2009, eq. 9)."""
    return special.gammainc(shape_per_h * np.asarray(t_h), threshold / scale)


def gamma_passage_mean_h(shape_per_h: float, scale: float, threshold: float) -> float:
    """Mean life of gamma wear: the integral of its survival."""
    rough_h = (threshold / scale + 1) / shape_per_h
    survival = lambda t: float(gamma_passage_sf(t, shape_per_h, scale, threshold))  # noqa: E731
    return sum(integrate.quad(survival, k * rough_h, (k + 1) * rough_h, limit=200)[0] for k in range(20))


def cmapss_lives(
    a: tuple[float, float], b: tuple[float, float], d: tuple[float, float], scale_h: float, times_h: Sequence[float]
) -> list[float]:
    """Mean of the lives scale · (ln(2−d)/a)^(1/b), and P(life ≤ t) at each time; a, b and d uniform on their ranges."""
    nodes, weights = np.polynomial.legendre.leggauss(40)

    def points(low, high):
        return (low + high) / 2 + (high - low) / 2 * nodes

    power, damage = np.meshgrid(points(*b), np.log(2 - points(*d)), indexing="ij")
    weight = np.outer(weights, weights) / 4
    fine_a = points(*a)
    mean_h = sum(w / 2 * (weight * (damage / x) ** (1 / power)).sum() for x, w in zip(fine_a, weights, strict=True))
    below = []
    for t_h in times_h:  # a life is at most t where a is at least ln(2−d) / (t/scale)^b
        least = damage / (t_h / scale_h) ** power
        share = np.clip((a[1] - least) / (a[1] - a[0]), 0, 1) if a[1] > a[0] else (least <= a[0]).astype(float)
        below.append(float((weight * share).sum()))
    return [scale_h * float(mean_h), *below]


def departures_h(work_KxM: np.ndarray, buffers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Completions and departures, float64[K, M] hours, of each part at each machine of a reliable saturated line.

    D_i(k) = max(max(D_{i−1}(k), D_i(k−1)) + X_i(k), D_{i+1}(k−B_i−1)), blocking after service.
    """
    parts, machines = work_KxM.shape
    done = [[0.0] * machines for _ in range(parts)]
    left = [[0.0] * machines for _ in range(parts)]
    zeros = [0.0] * machines
    for k, work in enumerate(work_KxM.tolist()):
        before, here, out = 0.0, left[k], done[k]
        last = left[k - 1] if k else zeros
        for i in range(machines):
            out[i] = max(before, last[i]) + work[i]
            room = k - buffers[i] - 1 if i < machines - 1 else -1
            before = here[i] = max(out[i], left[room][i + 1]) if room >= 0 else out[i]
    return np.array(done), np.array(left)
