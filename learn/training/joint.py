"""Models of several tasks and twins that learn together: one trunk, read by each in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flax import nnx

from learn.models.ensemble import Ensemble
from learn.tasks import Task
from learn.windows.batch import Windows

if TYPE_CHECKING:
    from learn.models.twinformer import TwinFormer
    from learn.windows.feed import Feed, FreshFeed


class Part(NamedTuple):
    """One task of those that are learned together."""

    train: Windows | Feed | FreshFeed
    validation: Windows | Feed | None
    stride: int = 1  # between the anchors of training windows
    weight: float = 1.0  # of its mean loss, beside those of the others


class Joint(nnx.Module):
    """Nets that share what is alike in them. Each is a model of its own task, to be used without the others."""

    def __init__(self, nets: Sequence[nnx.Module]):
        self.nets = nnx.List(nets)


def build(shapes: Sequence[TwinFormer], tasks: Sequence[Task], windows: Sequence[Windows], seed: int = 0) -> Joint:
    """A net for each task. Raises InputError where the shapes differ in what nets have in common."""
    nets: list[Any] = []
    for i, (shape, task, each) in enumerate(zip(shapes, tasks, windows, strict=True)):
        nets.append(shape.build(task, each, seed + 1000 * i, nets))
    return Joint(nets)


def nets(model: Any) -> Sequence[Any]:
    """The models that learn together in one, or that one; of an ensemble those of a member."""
    if isinstance(model, Ensemble):
        return nets(model.net)
    return model.nets if isinstance(model, Joint) else (model,)
