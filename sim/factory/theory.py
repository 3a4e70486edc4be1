"""What a factory must reproduce: formulas and chains beside those of lines, as functions of their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sim.line.theory import stationary


def closed_network(demands_h: Sequence[float], parts: int) -> float:
    """Throughput of a closed network of single exponential FIFO servers, by mean value analysis.

    *demands_h* is the mean work that a part asks of each station between two passes of where it is counted; all visits
    to a station have one mean (Gordon & Newell 1967; Reiser & Lavenberg 1980).
    """
    numbers, through = [0.0] * len(demands_h), 0.0
    for n in range(1, parts + 1):
        stays_h = [d * (1 + q) for d, q in zip(demands_h, numbers, strict=True)]
        through = n / sum(stays_h)
        numbers = [through * stay_h for stay_h in stays_h]
    return through


def mixed_wait_h(rates_per_h: Sequence[float], means_h: Sequence[float], squares_h2: Sequence[float]) -> float:
    """Mean wait in an M/G/1 queue of several products: Σλ E[S²] / 2(1−ρ) (Pollaczek–Khinchine; Kleinrock 1975, 5.7)."""
    load = sum(rate * mean for rate, mean in zip(rates_per_h, means_h, strict=True))
    return sum(rate * square for rate, square in zip(rates_per_h, squares_h2, strict=True)) / (2 * (1 - load))


def kitting(rate1_per_h: float, rate2_per_h: float, assembly_per_h: float, limit1: int, limit2: int) -> float:
    """Throughput of an assembly fed by two exponential machines, each of which stops at its limit of parts.

    The chain's state is both stocks and whether the assembly works; it begins at once where both are there.
    """

    def moves(state: tuple[int, int, bool]) -> Iterator[tuple[tuple[int, int, bool], float]]:
        first, second, busy = state

        def settled(a: int, b: int, at_work: bool) -> tuple[int, int, bool]:
            return (a - 1, b - 1, True) if a and b and not at_work else (a, b, at_work)

        if first < limit1:
            yield settled(first + 1, second, busy), rate1_per_h
        if second < limit2:
            yield settled(first, second + 1, busy), rate2_per_h
        if busy:
            yield settled(first, second, False), assembly_per_h

    shares = stationary((0, 0, False), moves)
    return assembly_per_h * sum(share for (_, _, busy), share in shares.items() if busy)
