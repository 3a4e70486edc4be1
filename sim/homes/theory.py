"""What is known of homes in closed form."""

from __future__ import annotations


def erlang_b(servers: int, offered: float) -> float:
    """The share of Poisson arrivals that find all *servers* taken, whatever the law of service (Erlang 1917)."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked


def rusck(homes: float, limit: float) -> float:
    """The coincidence factor of *homes* alike and independent, *limit* being that of very many (Rusck 1956)."""
    return limit + (1 - limit) / homes**0.5
