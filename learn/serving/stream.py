"""A trained model beside a running plant: a patch of samples in, its prediction out, nothing computed twice.

What attention has made of earlier patches is kept (a key-value cache), so a patch costs the same whether an hour or a
month lies before it, up to the room that was made; outputs are those of one pass over all samples since the beginning.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
from flax import nnx

from learn.models.twinformer import SoFar, TwinFormerNet
from learn.windows.batch import Batch
from sim.errors import InputError


class Stream:
    """*model* on *assets* at once, each with *variates*; room for *patches* in all."""

    def __init__(self, model: TwinFormerNet, assets: int, variates: int, patches: int):
        shape = model.shape
        if shape.growth or shape.overlap or len(model.readers):
            raise InputError("a model that looks back over a patch's edge, or at frames, cannot run on a stream")
        self._graphdef, self._params = nnx.split(model)
        rows = 1 if shape.join else variates
        empty = shape.blank(assets, rows, patches, model.dtype)
        self.patch, self.patches, self.seen = shape.patch, patches, 0
        self._so_far = SoFar(None, (empty,) * shape.layers)

    def push(self, batch: Batch) -> Any:
        """What the model says after a *batch* of one patch or several; outputs as in `learn.models.heads`.

        Raises InputError for samples that are no whole patches, and where the room is used up.
        """
        samples = batch.x_BxVxT.shape[-1]
        new = samples // self.patch
        if samples % self.patch or not new:
            raise InputError(f"{samples} samples came; a stream takes whole patches of {self.patch}")
        if self.seen + new > self.patches:
            raise InputError(f"room was made for {self.patches} patches; make more, or begin a new stream")
        out, self._so_far = _onward(self._graphdef, self._params, self._so_far, batch)
        self.seen += new
        return out


@partial(jax.jit, static_argnums=0)
def _onward(graphdef: Any, params: Any, so_far: SoFar, batch: Batch) -> tuple[Any, SoFar]:
    return nnx.merge(graphdef, params).onward(batch, so_far)
