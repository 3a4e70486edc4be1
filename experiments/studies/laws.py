"""Power laws over the sweeps of a study: how what is left above the oracle falls with parameters, data or compute."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments import report
from experiments.pages import words
from experiments.studies.grid import MEASURES, Point, Study
from learn.scores.evaluate import draws, interval, resample
from learn.scores.power_law import power_law
from sim.errors import InputError

if TYPE_CHECKING:
    from experiments.studies.studied import Ran

ORACLE = "oracle"
GREY = "0.35"


def fitted(study: Study, ran: Sequence[Ran], primary: str, resamples: int) -> list[dict[str, Any]]:
    """The law of each sweep that asks for one, of each variant and row: plain JSON types.

    [{sweep, variant, row, exponent: interval, scale, floor: the oracle's score, misfit: as a share, x: where fitted,
    why: there is none, or null}]; all but names and why are null where there is none.
    Draws are of world runs, and of seeds, the same for every point.
    """
    found = []
    asked = [name for name, sweep in study.sweeps.items() if sweep.law]
    for sweep, variant, row in itertools.product(asked, study.variants, study.rows):
        mine = [one for one in ran if (one.point.sweep, one.point.variant) == (sweep, variant)]
        seeds = [[one for one in mine if one.point.seed == seed] for seed in study.seeds]
        try:
            law = _law(seeds, row, study.sweeps[sweep].x, primary, resamples)
        except ValueError as error:
            law = dict.fromkeys(("x", "exponent", "scale", "floor", "misfit")) | {"why": str(error)}
        found.append({"sweep": sweep, "variant": variant, "row": row} | law)
    return found


def _law(seeds: Sequence[Sequence[Ran]], row: str, x: str, primary: str, resamples: int) -> dict[str, Any]:
    """The law of one row over the points of each seed; raises ValueError where there is none."""
    if len({one.digest for some in seeds for one in some}) > 1:
        raise ValueError("its points are not all asked the same")
    x_P = np.mean([[_x(one, x) for one in some] for some in seeds], axis=0)
    tables = [{str(i): one.rows[row] for i, one in enumerate(some)} | {ORACLE: some[0].rows[ORACLE]} for some in seeds]
    about = seeds[0][0].asked
    drawn = draws(tables[0], about.truth, *resample(about.cluster_N, resamples, 0), 0, tables[1:])
    law = power_law(x_P, np.stack([drawn[str(i)][primary] for i in range(len(x_P))], axis=1), drawn[ORACLE][primary])
    exponent = interval(law.exponent_R)
    if exponent["mean"] is None:
        raise ValueError("a score lies at the oracle's or below")
    return {"x": x_P.tolist(), "exponent": exponent, "why": None} | {
        name: float(value)
        for name, value in (("scale", law.scale_R[0]), ("floor", law.floor_R[0]), ("misfit", law.misfit))
    }


def check(study: Study, points: Iterable[tuple[Point, Mapping[str, Any]]]) -> None:
    """Refuse, before anything is trained, a sweep that can have no law: without an oracle, or of too few places.

    *points* come with their configurations.
    """
    for point, config in points:
        if study.sweeps[point.sweep].law and config.get("oracle") is None:
            raise InputError(f"study.sweeps.{point.sweep}.law is true; it takes an experiment with an oracle")
    for name, sweep in study.sweeps.items():
        places = [i if sweep.x in MEASURES else values[sweep.x] for i, (values, _) in enumerate(sweep.points(), 1)]
        known = {x for x in places if isinstance(x, int | float) and x > 0}
        if sweep.law and (len(known) < 3 or len(known) < len(set(map(str, places)))):
            raise InputError(
                f"study.sweeps.{name}.law is true; it takes at least three places, numbers above 0, "
                f"and {sweep.x} has {', '.join(map(str, places))}"
            )


def _x(one: Ran, name: str) -> float:
    return float(one.measures[name] if name in MEASURES else one.point.values[name])


def told(found: Mapping[str, Any]) -> list[str]:
    """A sentence for each law of a study."""
    said, alone = [], ", of test runs alone: one seed of training" if len(found["study"]["seeds"]) < 2 else ""
    for law in found.get("laws", ()):
        exponent, label = law["exponent"], found["study"]["sweeps"][law["sweep"]]["label"]
        whose = " · ".join(filter(None, (words.name_of(law["row"]), law["variant"])))
        if law["why"] is not None:
            said.append(f"{words.name_of(law['sweep'])}, {whose}: no law, since {law['why']}.")
            continue
        low, high = exponent["low"], exponent["high"]
        within = f" ({report.number(-high, 2)} to {report.number(-low, 2)}{alone})" if low is not None else ""
        still = ", which cannot be told from standing still" if low is not None and low <= 0 <= high else ""
        said.append(
            f"{words.name_of(law['sweep'])}, {whose}: what is left above the oracle's {law['floor']:.4f} goes as "
            f"{label} to the power {report.number(-exponent['mean'], 2)}{within} over this range{still}; "
            f"points lie {100 * law['misfit']:.0f} % off."
        )
    return said


def draw(axes: Any, found: Mapping[str, Any], sweep: str) -> None:
    """The laws of a sweep as dashed lines, and the oracle that they fall to."""
    laws = [law for law in found.get("laws", ()) if law["sweep"] == sweep and law["scale"] is not None]
    for law in laws:
        at = np.geomspace(min(law["x"]), max(law["x"]), 60)
        axes.plot(at, law["floor"] + law["scale"] * at ** -law["exponent"]["mean"], color=GREY, lw=1, ls="--")
    if laws:
        axes.axhline(laws[0]["floor"], color=GREY, lw=0.8, ls=":")
        axes.annotate("oracle", (1, laws[0]["floor"]), xycoords=("axes fraction", "data"), ha="right", va="bottom")
