"""The TwinFormer as somebody at home in PyTorch writes it, to be trained beside ours: same parameters, same losses.

Of a time to event, and of what `model=nano` to `xxl` are: no growth, no overlap, no frames, nothing known ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learn.models.scaling import SPREAD_FLOOR
from learn.models.twinformer import AHEAD, SHORT_H, TwinFormer
from learn.tasks import TimeToEvent
from learn.training.update import Optim
from learn.windows.batch import ROLES, TIME_FEATURES

assert ROLES  # roles are indices into it
EPS = 1e-6  # of RMSNorm, as in Flax


class Attention(nn.Module):
    def __init__(self, shape: TwinFormer, time: bool):
        super().__init__()
        self.heads, self.time, each = shape.heads, time, shape.width // shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.q_norm, self.k_norm = nn.RMSNorm(each, eps=EPS), nn.RMSNorm(each, eps=EPS)

    def forward(self, x: Tensor, mask: Tensor | None, turn: tuple[Tensor, Tensor]) -> Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if self.time:
            q, k = rotated(q, *turn), rotated(k, *turn)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.time)
        return self.out(mixed.transpose(1, 2).reshape(n, length, width))


def rotated(x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class Block(nn.Module):
    def __init__(self, shape: TwinFormer):
        super().__init__()
        self.time_norm, self.variate_norm, self.mlp_norm = (nn.RMSNorm(shape.width, eps=EPS) for _ in range(3))
        self.time, self.variate = Attention(shape, True), Attention(shape, False)
        self.gate_up = nn.Linear(shape.width, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, z: Tensor, reads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        b, v, p, d = z.shape
        z = z + self.time(self.time_norm(z).view(b * v, p, d), None, turn).view(b, v, p, d)
        across = self.variate_norm(z).transpose(1, 2).reshape(b * p, v, d)
        z = z + self.variate(across, reads, turn).view(b, p, v, d).transpose(1, 2)
        gate, up = self.gate_up(self.mlp_norm(z)).chunk(2, -1)
        return z + self.down(F.silu(gate) * up)


class Patches(nn.Module):
    def __init__(self, features: int, times: int, width: int):
        super().__init__()
        self.from_values, self.from_time = nn.Linear(features, width), nn.Linear(times, width, bias=False)
        self.embed_out, self.embed_skip = nn.Linear(width, width), nn.Linear(features, width, bias=False)

    def forward(self, values: Tensor, time: Tensor) -> Tensor:
        return self.embed_skip(values) + self.embed_out(F.silu(self.from_values(values) + self.from_time(time)))


class Head(nn.Module):
    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.out = nn.Linear(width, outputs)


class Net(nn.Module):
    """`net(batch)`: the sum of the loss over what counts, and how much counts; *batch* as `tensors` gives it."""

    def __init__(self, shape: TwinFormer, task: TimeToEvent, buckets: int):
        super().__init__()
        self.shape, self.patch = shape, shape.patch
        self.bins, self.outcomes = len(task.edges_h), len(task.causes) + 1
        self.patches = Patches(2 * shape.patch + 3, TIME_FEATURES * shape.patch, shape.width)
        self.words, self.role = nn.Embedding(buckets, shape.width), nn.Embedding(len(ROLES), shape.width)
        self.from_gap = nn.Linear(shape.patch, shape.width, bias=False)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=EPS)
        self.head = Head(shape.width, self.bins * self.outcomes)
        right = torch.tensor(task.edges_h, dtype=torch.float32)
        self.register_buffer("right", right)
        self.register_buffer("left", torch.cat((torch.zeros(1), right[:-1])))
        half = shape.width // shape.heads // 2
        self.register_buffer("speed", 10_000.0 ** -(torch.arange(half) / half))
        self.register_buffer("ahead", torch.tensor(AHEAD))

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        b, v, t = batch["x"].shape
        s, p = self.patch, t // self.patch
        cut = t - p * s
        x, mask = (batch[name][..., cut:].view(b, v, p, s) for name in ("x", "mask"))
        location, spread, own = causal_scale(x, mask)
        scaled = torch.where(mask, torch.arcsinh((x - location[..., None]) / spread[..., None]), 0.0)
        levels = torch.stack((torch.arcsinh(location), torch.log(spread), torch.arcsinh(own)), -1)
        time = batch["time"][:, cut:].reshape(b, 1, p, s * TIME_FEATURES)
        z = self.patches(torch.cat((scaled, mask.float(), levels), -1), time)

        there = (batch["words"] >= 0)[..., None]
        spoken = torch.where(there, self.words(batch["words"].clamp(min=0)), 0.0).sum(-2)
        spoken = spoken / there.sum(-2).clamp(min=1).sqrt()
        z = z + (spoken + self.role(batch["role"]))[:, :, None]
        z = z + self.from_gap(torch.log(batch["gap"][:, cut:] + SHORT_H).view(b, 1, p, s))

        ahead, present = torch.isin(batch["role"], self.ahead), batch["present"]
        reads = (batch["group"][:, :, None] == batch["group"][:, None]) & present[:, None]
        reads = reads & (ahead[:, None] | ~ahead[:, :, None])
        if not self.shape.mix:
            reads = reads & torch.eye(v, dtype=torch.bool)
        reads = reads[:, None].expand(b, p, v, v).reshape(b * p, 1, v, v)
        angle = torch.arange(p)[:, None] * self.speed
        turn = (angle.sin(), angle.cos())
        for block in self.blocks:
            z = block(z, reads, turn)
        weight = present / present.sum(1, keepdim=True).clamp(min=1)
        logits = self.head.out(torch.einsum("bvpd,bv->bpd", self.norm(z), weight)).view(b, p, self.bins, self.outcomes)
        ends = torch.arange(1, p + 1) * s + cut - 1
        return self.hazard(logits, batch["event_h"][:, ends], batch["cause"][:, ends].long())

    def hazard(self, logits: Tensor, event_h: Tensor, cause: Tensor) -> tuple[Tensor, Tensor]:
        counts = cause >= 0
        log_p, t = F.log_softmax(logits, -1), torch.where(counts, event_h, 0.0)[..., None]
        ends = (t <= self.right) & ((t > self.left) | (self.left == 0)) & (cause > 0)[..., None]
        survived = ((t - self.left) / (self.right - self.left)).clamp(0, 1).masked_fill(ends, 0.0)
        of = cause.clamp(min=0)[..., None, None].expand(*cause.shape, self.bins, 1)
        ended = log_p.gather(-1, of)[..., 0].masked_fill(~ends, 0.0)
        each = -(survived * log_p[..., 0] + ended).sum(-1)
        return torch.where(counts, each, 0.0).sum(), counts.sum()


def causal_scale(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    count = mask.sum(-1)
    origin = (x[:, :, 0].sum(-1) / count[:, :, 0].clamp(min=1))[..., None]
    from_origin = torch.where(mask, x - origin[..., None], 0.0)
    total = from_origin.sum(-1)
    seen = count.cumsum(-1).clamp(min=1)
    mean = total.cumsum(-1) / seen
    spread = ((from_origin.square().sum(-1).cumsum(-1) / seen - mean**2).clamp(min=0) + SPREAD_FLOOR**2).sqrt()
    own = torch.where(count > 0, total / count.clamp(min=1), mean)
    return origin + mean, spread, origin + own


def carry(net: Net, params: Mapping[str, np.ndarray]) -> None:
    """Give *net* our parameters, by their dotted names; every one finds its place, and no place is left."""
    renamed = {}
    for name, value in params.items():
        stem, _, last = name.rpartition(".")
        to = {"kernel": "weight", "scale": "weight", "embedding": "weight"}.get(last, last)
        renamed[f"{stem}.{to}"] = torch.tensor(np.array(value.T if last == "kernel" else value, order="C"))
    found = net.load_state_dict(renamed, strict=False)
    buffers = {name for name, _ in net.named_buffers()}
    if found.unexpected_keys or set(found.missing_keys) != buffers:
        raise ValueError(f"parameters do not fit: {found}")


def tensors(batch: Any) -> dict[str, Tensor]:
    """A `learn.windows.batch.Batch` of arrays as what `Net` takes."""
    columns = {
        "x": batch.x_BxVxT, "mask": batch.mask_BxVxT, "time": batch.time_BxTxF, "role": batch.role_BxV,
        "words": batch.words_BxVxW, "gap": batch.gap_BxT, "group": batch.group_BxV, "present": batch.variate_mask_BxV,
        "event_h": batch.event_h_BxT, "cause": batch.cause_BxL,
    }  # fmt: skip
    return {name: torch.tensor(np.array(column)) for name, column in columns.items()}


def stepper(
    net: Net, optim: Optim, steps: int, microbatch: int | None, compiled: bool
) -> Callable[[dict[str, Tensor]], float]:
    """A step with AdamW, clipping and the schedule of `learn.training.update.Optim`; gives the batch's mean loss."""
    kernels = [p for name, p in net.named_parameters() if p.ndim > 1 and name not in ("words.weight", "role.weight")]
    others = [p for p in net.parameters() if all(p is not kernel for kernel in kernels)]
    groups = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(
        groups, optim.learning_rate, (optim.beta1, optim.beta2), weight_decay=optim.weight_decay, fused=True
    )
    warm = max(round(optim.warmup * steps), 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(adamw, lambda k: min(1.0, (1 + k * (warm - 1) / warm) / warm))
    run = torch.compile(net) if compiled else net

    def step(batch: dict[str, Tensor]) -> float:
        size = len(batch["x"])
        adamw.zero_grad(set_to_none=True)
        totals, counts = [], []
        for low in range(0, size, microbatch or size):
            total, count = run({name: column[low : low + (microbatch or size)] for name, column in batch.items()})
            total.backward()
            totals.append(total.detach())
            counts.append(count)
        count = torch.stack(counts).sum().clamp(min=1)
        for p in net.parameters():
            if p.grad is not None:
                p.grad /= count
        if optim.clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), optim.clip)
        adamw.step()
        schedule.step()
        return float(torch.stack(totals).sum() / count)

    return step
