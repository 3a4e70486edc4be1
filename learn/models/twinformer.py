"""TwinFormer: a causal transformer over patches of many channels; attention over time and across an asset's channels.

Instance-scaled patches, arcsinh, RMSNorm before each block, RoPE on time, QK-norm, SwiGLU and factorised attention are
where Chronos-2, Toto, TimesFM-2.5 and Moirai-2 have converged. Here the scale is causal: location and spread are
estimated up to each patch only, so that one pass gives a prediction, and a loss, at every patch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from learn.models.frames import FrameReader
from learn.models.heads import (
    ClassHead,
    CountHead,
    HazardHead,
    LifeHead,
    QuantileHead,
    StateHead,
    Told,
    dense,
    first_bias,
)
from learn.models.layers import Block, LinearSkip, Past, Wide, dropout
from learn.models.scaling import Sums, before, causal_scale, growth
from learn.tasks import Classify, Counterfactual, Forecast, Imputation, RemainingLife, States, Task, TimeToEvent
from learn.training.losses import targets
from learn.windows.batch import ROLES, TIME_FEATURES, Batch, Windows
from learn.windows.identity import BUCKETS
from sim.errors import InputError, require
from twins.channel import Role

AHEAD = tuple(ROLES.index(role) for role in (Role.KNOWN, Role.ACTION, Role.STATIC))  # what need not be measured
SHORT_H = 0.01  # of two samples closer than this it is not told how close they are
LEVELS = 3  # causal location, log spread, and the patch's own mean, in the dataset's scaled units


@dataclass(frozen=True)
class TwinFormer:
    """A causal transformer over patches of many channels, attending over time and across channels.

    This is its configuration; `build` makes the module.
    """

    width: int = 96
    layers: int = 2
    heads: int = 4
    hidden: int = 192  # of the SwiGLU
    patch: int = 12  # samples
    frame_patch: int = 8  # a side of the squares that a picture, if there is any, is cut into
    wave_patch: int = 64  # samples of the stretches that a waveform, if there is any, is cut into
    dropout: float = 0.0
    mix: bool = True  # attention across an asset's variates; else each is read by itself
    identity_std: float = 0.02  # of what words and roles say at first: the more, the sooner channels are told apart
    levels: bool = True  # the embedding sees where and how wide a series lies; leave it out where levels wander off
    join: bool = False  # one token a moment for all channels together: of forecasts of one target among a few channels
    overlap: int = 0  # samples before a patch that its embedding sees as well
    skip: bool = False  # forecasts begin with a linear map of the samples of the context, to which the blocks add
    growth: bool = False  # targets begin at a natural 0: they are read by their growth, told as multiples of the newest
    bf16: bool = False  # compute in bfloat16; parameters, scales and losses stay float32
    mup_base_width: int | None = None  # at which the learning rate was found: it holds at this width, of as many heads
    remat: bool = False  # activations are made again for the gradient: less memory, a third more work

    def __post_init__(self):
        for field in ("width", "layers", "heads", "hidden", "patch", "frame_patch", "wave_patch"):
            require(getattr(self, field) >= 1, self, field, "at least 1")
        require(self.width % (2 * self.heads) == 0, self, "width", f"a multiple of twice the {self.heads} heads")
        base = self.mup_base_width is None or self.mup_base_width >= 1
        require(base, self, "mup_base_width", "null, or at least 1")
        require(self.overlap >= 0, self, "overlap", "at least 0 samples")
        require(0 < self.identity_std < np.inf, self, "identity_std", "above 0 and finite")
        require(0 <= self.dropout < 1, self, "dropout", "at least 0 and below 1")

    def check(self, task: Task, context: int) -> None:
        """Raises InputError where it could not be asked this of *context* samples, whatever the data."""
        if context < self.patch:
            raise InputError(f"context is {context} samples; it must be at least model.patch, which is {self.patch}")
        if self.join and not isinstance(task, Forecast):
            raise InputError(f"model.join is true; it takes forecasts alone, and task is {type(task).__name__}")
        counts = isinstance(task, Forecast) and task.loss == "counts"
        if self.skip and (counts or isinstance(task, Imputation) or not isinstance(task, Forecast)):
            asked = "of counts" if counts else type(task).__name__
            raise InputError(f"model.skip is true, which takes a forecast of numbers; task is {asked}: set it to false")
        for also in ("join", "growth"):
            if self.skip and getattr(self, also):
                raise InputError(f"model.skip and model.{also} are both true; set one of them to false")

    def build(self, task: Task, windows: Windows, seed: int = 0, beside: Sequence[TwinFormerNet] = ()) -> TwinFormerNet:
        """The module for *windows*' variates. It shares what it can with those *beside* it, its blocks always.

        Raises InputError where `check` does, where the data do not fit, and where blocks cannot be shared.
        """
        self.check(task, windows.context)
        asked = (np.asarray(windows.role_ExV) == ROLES.index(Role.TARGET)).any(0).sum()
        if self.join and (asked != 1 or windows.scale.frames):
            seen = f"{asked} targets and {len(windows.scale.frames)} channels of frames"
            raise InputError(f"model.join is true; it takes one target and no frames, and there are {seen}")
        for frame in windows.scale.frames:
            if len(frame.shape) > 2 or any(side % self.piece(frame.shape) for side in frame.shape):
                raise InputError(
                    f"frames of {frame.name} are {frame.shape}; they must be waveforms that wave_patch "
                    f"{self.wave_patch} divides, or pictures of which frame_patch {self.frame_patch} divides both sides"
                )
        for other in beside:
            if self.join or self.trunk != other.shape.trunk:
                raise InputError(
                    f"models that learn together have blocks in common; one has {self.trunk}, another "
                    f"{other.shape.trunk}" + ("; and model.join must be false" if self.join else "")
                )
        return TwinFormerNet(self, task, windows, nnx.Rngs(seed), beside)

    @property
    def trunk(self) -> tuple[Any, ...]:
        """What has to be alike in models that share their blocks."""
        sizes = self.width, self.layers, self.heads, self.hidden, self.mup_base_width
        return type(self).__name__, *sizes, self.join, self.bf16, self.dropout, self.identity_std

    @property
    def wider(self) -> float:
        """How many times the width of the model at which the learning rate was found; 1 where none is named."""
        return self.width / self.mup_base_width if self.mup_base_width else 1.0

    @property
    def word_dropout(self) -> float:
        """How often a word is left out of all that channels of one window are told by."""
        return 0.0

    def block(self, dtype: Any, rngs: nnx.Rngs) -> Any:
        """One layer: z (B, V, P, D) and who reads whom (B, V, V) → z; `onward` goes on from what it knows so far."""
        return Block(self, dtype, rngs)

    def blank(self, assets: int, rows: int, patches: int, dtype: Any) -> Any:
        """What a layer knows before the first patch."""
        room = (assets, rows, self.heads, patches, self.width // self.heads)
        return Past(jnp.zeros(room, dtype), jnp.zeros(room, dtype), jnp.zeros((), jnp.int32))

    def piece(self, sides: tuple[int, ...]) -> int:
        """A side of the pieces that frames with these sides are cut into."""
        return self.wave_patch if len(sides) == 1 else self.frame_patch


class SoFar(NamedTuple):
    """What of the samples before has to be known to go on from them."""

    sums: Sums | None
    pasts: tuple[Any, ...]  # of each block
    newest: jax.Array | None = None  # samples that the linear map looks back on, as `LinearSkip` has them


class PatchReader(nnx.Module):
    """What a patch holds, one way through an MLP and one straight on; (B, V, P, F) and (B, 1, P, F) → (B, V, P, D)."""

    def __init__(self, features: int, times: int, width: int, dtype, rngs: nnx.Rngs, wider: float = 1.0):
        linear = partial(nnx.Linear, dtype=dtype, rngs=rngs)
        self.features = features
        self.from_values = linear(features, width)
        self.from_time = linear(times, width, use_bias=False)
        self.embed_out = Wide(width, width, dtype=dtype, rngs=rngs, wider=wider)
        self.embed_skip = linear(features, width, use_bias=False)

    def __call__(self, values: jax.Array, time: jax.Array) -> jax.Array:
        hidden = jax.nn.silu(self.from_values(values) + self.from_time(time))
        return self.embed_skip(values) + self.embed_out(hidden)


class TwinFormerNet(nnx.Module):
    """`model(batch, key)`: outputs (see `learn.models.heads`) at each patch's end, or the *last*; a *key* drops out.

    Nets *beside* it share with it what words and roles mean, its blocks, and what else of them is alike: how patches of
    one size are read, channels known ahead over one horizon, and the head of one forecast.
    """

    def __init__(
        self, shape: TwinFormer, task: Task, windows: Windows, rngs: nnx.Rngs, beside: Sequence[TwinFormerNet] = ()
    ):
        def share(name: str, make: Callable[[], Any], alike: Callable[[TwinFormerNet], bool] = lambda _: True) -> Any:
            return next((getattr(n, name) for n in beside if getattr(n, name) is not None and alike(n)), None) or make()

        def same_patch(other: TwinFormerNet) -> bool:
            return other.patch == shape.patch

        self.shape, self.task, self.patch = shape, task, shape.patch
        self.dtype = dtype = jnp.bfloat16 if shape.bf16 else jnp.float32
        self.horizon, width = windows.horizon, shape.width
        linear = partial(nnx.Linear, dtype=dtype, rngs=rngs)
        together = windows.variates if shape.join else 1
        features = (4 if shape.growth else 2) * shape.patch + (LEVELS if shape.levels else 0) + shape.overlap
        features *= together
        self.patches = share(
            "patches",
            lambda: PatchReader(features, TIME_FEATURES * shape.patch, width, dtype, rngs, shape.wider),
            lambda n: (n.patch, n.patches.features) == (shape.patch, features),
        )
        spread = nnx.initializers.normal(shape.identity_std)
        embed = partial(nnx.Embed, features=width, embedding_init=spread, rngs=rngs)
        gap = partial(linear, use_bias=False, kernel_init=nnx.initializers.zeros)
        apart = not shape.join  # else all of a moment is one token, and its place tells what is what
        self.words = share("words", lambda: embed(BUCKETS)) if apart else None
        self.role = share("role", lambda: embed(len(ROLES))) if apart else None
        self.from_gap = share("from_gap", lambda: gap(shape.patch, width), same_patch) if apart else None
        plan = isinstance(task, Counterfactual) and windows.horizon > 1
        read = (Role.KNOWN, Role.ACTION) if plan else () if isinstance(task, Imputation) else (Role.KNOWN,)
        self.known = tuple(ROLES.index(role) for role in read)
        known = windows.horizon > 0 and bool(np.isin(np.asarray(windows.role_ExV), self.known).any())
        coming = partial(linear, together * windows.horizon, width, use_bias=False)
        self.from_known = share("from_known", coming, lambda n: n.horizon == windows.horizon) if known else None
        self.blocks = share("blocks", lambda: nnx.List([shape.block(dtype, rngs) for _ in range(shape.layers)]))
        self.norm = share("norm", lambda: nnx.RMSNorm(width, dtype=dtype, rngs=rngs))
        frames = windows.scale.frames
        lags = windows.context // shape.patch, shape.patch, windows.horizon
        skip = partial(LinearSkip, *lags, rngs)
        self.skip = share("skip", skip, lambda n: n.skip is not None and n.skip.lags == lags) if shape.skip else None
        self.readers = nnx.List([FrameReader(shape, frame.shape, dtype, rngs) for frame in frames])
        kinds = task.kinds if isinstance(task, Classify) and task.marks is not None and frames else ()
        rare = np.full(shape.frame_patch**2 * len(kinds), -4.0, np.float32)
        self.marks = dense(width, rare, rngs, shape.wider) if kinds else None
        if isinstance(task, Classify):
            self.head = ClassHead(width, first_bias(task, cause_x=np.asarray(windows.cause_ExL)), rngs, shape.wider)
        elif isinstance(task, States):
            bias = first_bias(task, cause_x=np.asarray(windows.cause_ExL))
            self.head = StateHead(width, task, bias, rngs, shape.wider)
        elif isinstance(task, TimeToEvent):
            bias = first_bias(task, np.asarray(windows.event_h_ExL), np.asarray(windows.cause_ExL))
            self.head = HazardHead(width, task, bias, rngs, shape.wider)
        elif isinstance(task, RemainingLife):
            self.head = LifeHead(width, task, rngs, shape.wider)
        else:
            kind = CountHead if task.loss == "counts" else QuantileHead
            self.head = share("head", lambda: kind(width, task, rngs, shape.wider), lambda n: n.task == task)

    def __call__(self, batch: Batch, key: jax.Array | None = None, last: bool = False) -> jax.Array | Told:
        return self._run(batch, key, last)[0]

    def onward(self, batch: Batch, so_far: SoFar) -> tuple[jax.Array | Told, SoFar]:
        """The outputs at the end of a batch whose samples follow on those of *so_far*; see `learn.serving.stream`."""
        return self._run(batch, None, True, so_far)

    def _run(self, batch: Batch, key: jax.Array | None, last: bool, so_far: SoFar | None = None) -> tuple[Any, SoFar]:
        shape, (b, v, t) = self.shape, batch.x_BxVxT.shape
        patches = t // self.patch
        cut = t - patches * self.patch  # a context that is no whole number of patches loses its oldest samples
        x = batch.x_BxVxT[..., cut:].reshape(b, v, patches, self.patch)
        mask = batch.mask_BxVxT[..., cut:].reshape(b, v, patches, self.patch)
        time = batch.time_BxTxF[:, cut:].reshape(b, 1, patches, self.patch * TIME_FEATURES)

        (location, spread, own), sums = causal_scale(x, mask, None if so_far is None else so_far.sums)
        scaled = jnp.where(mask, jnp.arcsinh((x - location[..., None]) / spread[..., None]), 0.0)
        parts = [scaled, mask.astype(scaled.dtype)]
        is_target = (batch.role_BxV == ROLES.index(Role.TARGET))[..., None]
        if shape.growth:
            grown = growth(batch.x_BxVxT[..., cut:], batch.mask_BxVxT[..., cut:], batch.zero_BxV)
            parts += list(jnp.where(is_target, grown, 0.0).reshape(2, *x.shape))
        if shape.overlap:
            parts.append(before(jnp.arcsinh(batch.x_BxVxT[..., cut:]), self.patch, shape.overlap))
        if shape.levels:
            parts.append(jnp.stack((jnp.arcsinh(location), jnp.log(spread), jnp.arcsinh(own)), axis=-1))
        tokens = self._joined(jnp.concatenate(parts, axis=-1)).astype(self.dtype)
        z = self.patches(tokens, time.astype(self.dtype))
        if self.words is not None and self.role is not None and self.from_gap is not None:
            said = spoken(self.words, batch.words_BxVxW, shape.word_dropout, key)
            z = z + (said + self.role(batch.role_BxV))[:, :, None].astype(self.dtype)
            gap = jnp.log(batch.gap_BxT[:, cut:] + SHORT_H).reshape(b, 1, patches, self.patch)
            z = z + self.from_gap(gap.astype(self.dtype))
        if self.from_known is not None:
            coming, _ = targets(batch, patches)
            is_known = jnp.isin(batch.role_BxV, jnp.asarray(self.known))[..., None, None]
            # What is done at the last sample of the horizon is done after that sample is read.
            too_late = (batch.role_BxV == ROLES.index(Role.ACTION))[..., None, None] & (
                jnp.arange(coming.shape[-1]) == coming.shape[-1] - 1
            )
            z = z + self.from_known(self._joined(jnp.where(is_known & ~too_late, coming, 0.0)).astype(self.dtype))

        if shape.growth:
            # A first value, of which nothing tells, is not told and so not learned: its spread is 0.
            there, newest = mask[..., -1], x[..., -1]
            location = jnp.where(is_target & there, newest, location)
            spread = jnp.where(
                is_target, jnp.where(there, jnp.maximum(newest - batch.zero_BxV[..., None], 0.0), 0.0), spread
            )

        group, present, pieces = batch.group_BxV[:, : z.shape[1]], batch.variate_mask_BxV[:, : z.shape[1]], []
        ahead = jnp.isin(batch.role_BxV, jnp.asarray(AHEAD))[:, : z.shape[1]]
        for reader, frames in zip(self.readers, batch.frames, strict=True):
            features, own = reader(frames[:, cut:])
            pieces.append(features)
            z = jnp.concatenate((z, own.reshape(b, 1, patches, self.patch, -1).mean(3)), axis=1)
            group = jnp.concatenate((group, group[:, :1]), axis=1)
            present = jnp.concatenate((present, jnp.ones((b, 1), bool)), axis=1)
            ahead = jnp.concatenate((ahead, jnp.zeros((b, 1), bool)), axis=1)
        v = z.shape[1]
        # What is known ahead is read by all, and reads its own kind alone: nothing measured comes back by way of it.
        reads = (group[:, :, None] == group[:, None]) & present[:, None] & (ahead[:, None] | ~ahead[:, :, None])
        reads = reads if shape.mix else reads & jnp.eye(v, dtype=bool)
        keys = jax.random.split(key, len(self.blocks)) if key is not None else [None] * len(self.blocks)
        pasts: list[Any] = []
        for i, (block, block_key) in enumerate(zip(self.blocks, keys, strict=True)):
            if so_far is None:
                z = (_again(block) if shape.remat else block)(z, reads, block_key)
            else:
                z, past = block.onward(z, reads, so_far.pasts[i])
                pasts.append(past)
        level, newest = None, None
        if self.skip is not None:
            level, newest = self.skip(x, mask, location, None if so_far is None else so_far.newest)
        now = SoFar(sums, tuple(pasts), newest)
        if last:
            z, location, spread = z[:, :, -1:], location[..., -1:], spread[..., -1:]
        z = self.norm(z).astype(jnp.float32)
        if isinstance(self.head, QuantileHead):
            out = self.head(z, location, spread)
            return out if level is None else out + level[:, :, -1 if last else 0 :, :, None], now
        if isinstance(self.head, CountHead):
            return self.head(z, location, spread, batch.zero_BxV, batch.one_BxV), now
        out = self.head(z, present)
        if not isinstance(self.head, ClassHead):
            return out, now
        if self.marks is None:
            return Told(out), now
        newest = pieces[0][:, -1:] if last else pieces[0][:, self.patch - 1 :: self.patch]
        return Told(out, self._marked(newest.astype(jnp.float32))), now

    def _joined(self, x_BxVxPxF: jax.Array) -> jax.Array:
        """What is known of all channels at a moment in one row, where they are joined: (B, 1, P, V · F)."""
        if not self.shape.join:
            return x_BxVxPxF
        b, v, p, f = x_BxVxPxF.shape
        return jnp.swapaxes(x_BxVxPxF, 1, 2).reshape(b, 1, p, v * f)

    def _marked(self, squares_BxPxNxD: jax.Array) -> jax.Array:
        """Logits of each pixel's marks, from the features of its square."""
        assert self.marks is not None
        reader, (b, p, *_) = self.readers[0], squares_BxPxNxD.shape
        logits = self.marks(squares_BxPxNxD).reshape(b, p, reader.rows, reader.columns, reader.side, reader.side, -1)
        logits = jnp.swapaxes(logits, 3, 4)
        return logits.reshape(b, p, reader.rows * reader.side, reader.columns * reader.side, -1)


def _again(block: nnx.Module) -> Callable[..., jax.Array]:
    """The block, of which nothing but what goes in is kept for the gradient."""
    graphdef, params = nnx.split(block)
    return partial(jax.checkpoint(lambda params, *given: nnx.merge(graphdef, params)(*given)), params)


def spoken(words: nnx.Embed, buckets_BxVxW: jax.Array, rate: float = 0.0, key: jax.Array | None = None) -> jax.Array:
    """What the words of each channel say together, (B, V, D); some left out of all channels of a window by a *key*."""
    there = (buckets_BxVxW >= 0)[..., None]
    bucket = jnp.maximum(buckets_BxVxW, 0)
    each = jnp.where(there, words(bucket), 0.0)
    if key is not None and rate:
        count = bucket.shape[0]
        kept_BxN = dropout(jnp.ones((count, BUCKETS)), rate, jax.random.fold_in(key, BUCKETS))
        each *= jnp.take_along_axis(kept_BxN, bucket.reshape(count, -1), axis=1).reshape(*bucket.shape, 1)
    return each.sum(-2) / jnp.sqrt(jnp.maximum(there.sum(-2), 1))
