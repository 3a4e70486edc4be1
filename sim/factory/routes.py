"""What can be shown of routes before anything runs: that they end, and whether machines could block each other."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from sim.errors import InputError
from sim.factory.config import Conwip, Product, Saturated

if TYPE_CHECKING:
    from sim.factory.factory import Factory


def following(product: Product) -> list[list[int]]:
    """The steps to which each step of a route may lead; its length is the end."""
    named = {o.name: j for j, o in enumerate(product.route) if o.name} | {"": len(product.route)}
    return [[named[b.to] for b in o.next] if o.next else [j + 1] for j, o in enumerate(product.route)]


def check_names(factory: Factory) -> None:
    for product in factory.products:
        where = f"Factory.products: the route of {product.name!r}"
        names = [o.name for o in product.route if o.name]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"{where} has two operations named {twice[0]!r}; name them apart")
        for o in product.route:
            if o.station not in (known := [s.name for s in factory.stations]):
                raise InputError(f"{where} has an operation at {o.station!r}; it must be among {', '.join(known)}")
            for branch in o.next:
                if branch.to and branch.to not in names:
                    among = ", ".join(names) or "the operations that have a name, and none has"
                    raise InputError(f"{where} branches to {branch.to!r}; it must be empty or among {among}")
            if o.skill is not None and not any(o.skill in who.skills for who in factory.operators):
                raise InputError(
                    f"{where} asks for the skill {o.skill!r} at {o.station!r}, which no operator has; give it to one, "
                    "or take it from the operation"
                )
            for c in o.takes:
                if c.product not in (known := [p.name for p in factory.products]):
                    raise InputError(f"{where} takes {c.product!r}; it must be among {', '.join(known)}")


def check_ends(factory: Factory) -> None:
    """Refuse a route on which a part that has come to some step can never leave."""
    for product in factory.products:
        after, ends = following(product), {len(product.route)}
        while more := {j for j, then in enumerate(after) if j not in ends and ends.intersection(then)}:
            ends |= more
        reached, fresh = {0}, [0]
        while fresh:
            then = [j for j in after[fresh.pop()] if j < len(after) and j not in reached]
            reached.update(then)
            fresh += then
        if endless := sorted(reached - ends):
            o = product.route[endless[0]]
            raise InputError(
                f"Factory.products: the route of {product.name!r} loops without end from its operation "
                f"{o.name or endless[0] + 1!r} at {o.station!r} on; some branch must lead out"
            )


def check_assemblies(factory: Factory) -> None:
    """Refuse products that consume themselves, be it through others, and components without limit."""
    parts = {p.name: {c.product for o in p.route for c in o.takes} for p in factory.products}
    for name in parts:
        inside, fresh = set(), [name]
        while fresh:
            then = parts[fresh.pop()] - inside
            inside |= then
            fresh += then
        if name in inside:
            raise InputError(
                f"Factory.products: {name!r} consumes itself, by way of {', '.join(sorted(inside))}; no part of it "
                "could be the first"
            )
    for product in factory.products:
        if isinstance(product.release, Saturated) and any(product.name in taken for taken in parts.values()):
            raise InputError(
                f"Factory.products: {product.name!r} is a component and saturated, so its stock may grow without end; "
                "release it by Conwip, which counts the stock as well, or by Arrivals"
            )


def waits(factory: Factory) -> dict[str, dict[str, float]]:
    """For each station those for which its machines may have to wait, and how many parts must lie there for it.

    Who delivers waits for room: every place there is taken, the machines' too unless they lack components. A full
    queue that lacks components waits for the machines that make them.
    """
    room = {s.name: math.inf if s.room is None else float(s.room) for s in factory.stations}
    machines = {s.name: s.machines for s in factory.stations}
    route = {p.name: p.route for p in factory.products}
    lacks = {o.station for p in factory.products for o in p.route if o.takes}
    edges: dict[str, dict[str, float]] = {name: {} for name in room}
    for product in factory.products:
        for j, then in enumerate(following(product)):
            here, takes = product.route[j].station, product.route[j].takes
            for there in {product.route[t].station for t in then if t < len(product.route)} - {here}:
                edges[here][there] = room[there] + (0 if there in lacks else machines[there])
            if math.isfinite(room[here]):
                for there in {o.station for c in takes for o in route[c.product]}:
                    edges[here][there] = min(edges[here].get(there, math.inf), machines[there])
    return edges


def loops(factory: Factory) -> list[tuple[float, list[str]]]:
    """Of each station the loop through it that the fewest parts can fill: how many, and its stations. None is left out.

    Machines wait for each other for ever only round such a loop, all of whose queues have limited room.
    """
    edges, found = waits(factory), []
    for start in edges:  # the lightest way back, by Dijkstra's algorithm
        ways: list[tuple[float, list[str]]] = [(0.0, [start])]
        done: set[str] = set()
        while ways:
            weight, way = heappop(ways)
            here = way[-1]
            if len(way) > 1 and here == start:
                found.append((weight, way[:-1]))
                break
            if here not in done:
                done.add(here)
                for there, more in sorted(edges[here].items()):
                    if math.isfinite(more):
                        heappush(ways, (weight + more, [*way, there]))
    return found


def check_deadlocks(factory: Factory) -> bool:
    """Whether machines could wait for each other for ever; refused unless the factory says that it be reported."""
    found = loops(factory)
    if not found:
        return False
    about = {name for _, stations in found for name in stations}
    most = sum(
        product.release.parts if isinstance(product.release, Conwip) else math.inf
        for product in factory.products
        if any(o.station in about for o in product.route)
    )
    room, stations = min(found)
    if most < room:
        return False
    if factory.deadlocks == "refuse":
        raise InputError(
            f"Factory.stations: the queue of {' and that of '.join(stations)} has limited room and the way leads back, "
            f"so that machines can wait for each other for ever once {room:g} parts are there; leave the queue without "
            "limit, keep the parts fewer by Conwip, or set deadlocks to 'report'"
        )
    return True
