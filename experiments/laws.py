"""Power laws over the sweeps of a study: how what is left above the oracle falls with parameters, data or compute."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments import cli, report, words
from experiments.grid import MEASURES, Point, Study
from learn.evaluate import draws, interval, resample
from learn.power_law import power_law
from sim.errors import InputError

if TYPE_CHECKING:
    from experiments.studied import Ran

ORACLE = "oracle"
GREY = "0.35"


def fitted(study: Study, ran: Sequence[Ran], primary: str, resamples: int) -> list[dict[str, Any]]:
    """The law of each sweep that asks for one, of each variant and row: plain JSON types.

    [{sweep, variant, row, exponent: interval, scale, floor: the oracle's score, misfit: as a share, x: where fitted}]
    Draws are of world runs, and of seeds, the same for every point. Raises InputError where a sweep
    was not asked the same at each point, or has fewer than three places apart.
    """
    found = []
    asked = [name for name, sweep in study.sweeps.items() if sweep.law]
    for sweep, variant, row in itertools.product(asked, study.variants, study.rows):
        mine = [one for one in ran if (one.point.sweep, one.point.variant) == (sweep, variant)]
        if len({one.digest for one in mine}) > 1:
            raise InputError(f"study.sweeps.{sweep}.law is true; it takes points that are all asked the same")
        seeds = [[one for one in mine if one.point.seed == seed] for seed in study.seeds]
        x_P = np.mean([[_x(one, study.sweeps[sweep].x) for one in some] for some in seeds], axis=0)
        tables = [
            {str(i): one.rows[row] for i, one in enumerate(some)} | {ORACLE: some[0].rows[ORACLE]} for some in seeds
        ]
        about = mine[0].asked
        drawn = draws(tables[0], about.truth, *resample(about.cluster_N, resamples, 0), 0, tables[1:])
        score_RxP = np.stack([drawn[str(i)][primary] for i in range(len(x_P))], axis=1)
        try:
            law = power_law(x_P, score_RxP, drawn[ORACLE][primary])
        except ValueError as error:
            raise InputError(f"study.sweeps.{sweep}.law is true; {error}") from None
        found.append(
            {"sweep": sweep, "variant": variant, "row": row, "x": x_P.tolist(), "exponent": interval(law.exponent_R)}
            | {"scale": _number(law.scale_R[0]), "floor": _number(law.floor_R[0])}
            | {"misfit": _number(law.misfit)}
        )
    return found


def check(study: Study, points: Sequence[Point]) -> None:
    """Refuse, before anything is trained, a sweep that can have no law: without an oracle, or of too few places."""
    for name, sweep in study.sweeps.items():
        if not sweep.law:
            continue
        first, count = next(point for point in points if point.sweep == name), len(list(sweep.points()))
        if cli.compose("train", first.overrides).config.get("oracle") is None:
            raise InputError(f"study.sweeps.{name}.law is true; it takes an experiment with an oracle")
        if count < 3:
            raise InputError(f"study.sweeps.{name}.law is true; it takes at least three places, and grid has {count}")


def _x(one: Ran, name: str) -> float:
    return float(one.measures[name] if name in MEASURES else one.point.values[name])


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def told(found: Mapping[str, Any]) -> list[str]:
    """A sentence for each law of a study."""
    said, alone = [], ", of test runs alone: one seed of training" if len(found["study"]["seeds"]) < 2 else ""
    for law in found.get("laws", ()):
        exponent, label = law["exponent"], found["study"]["sweeps"][law["sweep"]]["label"]
        whose = " · ".join(filter(None, (words.name_of(law["row"]), law["variant"])))
        if exponent["mean"] is None:
            said.append(f"{words.name_of(law['sweep'])}, {whose}: no law, since a score lies at the oracle's or below.")
            continue
        within = report.interval(exponent, 2)
        said.append(
            f"{words.name_of(law['sweep'])}, {whose}: what is left above the oracle's {law['floor']:.4f} falls as "
            f"{label} to the power −{exponent['mean']:.2f}{f' ({within}{alone})' if within else ''} over this range; "
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
