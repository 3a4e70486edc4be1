"""A trained model in one file, used with JAX, NumPy and flatbuffers alone: `load("model.zip").predict(values, at)`.

The file holds this module as well, so nothing of Twinworlds has to be installed where it is used:

    import sys; sys.path.insert(0, "model.zip")
    from bundle import load

`python model.zip` says what the model takes and gives, and whether it gives here what it gave where it was made.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

try:
    from sim.errors import InputError
except ImportError:  # this file lies in a bundle, and Twinworlds is not installed
    InputError = type("InputError", (ValueError,), {"__doc__": "Bad input: what was found, and what would be right."})

FORMAT = 1
MANIFEST, PROGRAM, WEIGHTS, EXAMPLE, SUMS = (
    "bundle.json",
    "program.jax",
    "weights.npz",
    "example.npz",
    "SHA256SUMS",
)
WEEK_H = 168.0
MONDAY = np.datetime64("1970-01-05", "us")  # a midnight from which hours of the week count
CLOSE = 1e-3  # of the largest number: what TensorFloat-32 may differ by


def load(path: Path | str) -> Bundle:
    """The model in the bundle *path*; raises InputError where the file is damaged or of a later format."""
    files = read(Path(path))
    manifest = json.loads(files[MANIFEST])
    if manifest["format"] != FORMAT:
        raise InputError(f"{path} is a bundle of format {manifest['format']}; this reads format {FORMAT}")
    return Bundle(
        manifest, export.deserialize(bytearray(files[PROGRAM])), *map(_arrays, (files[WEIGHTS], files[EXAMPLE]))
    )


def read(path: Path) -> dict[str, bytes]:
    """The files in a bundle, each as its checksum says; raises InputError naming the first that is not."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            files = {name: archive.read(name) for name in names}
        sums = {line[66:]: line[:64] for line in files[SUMS].decode().splitlines()}
    except FileNotFoundError:
        raise InputError(
            f"there is no bundle {path}; `python -m experiments.export run=… output={path}` makes it"
        ) from None
    except Exception as error:  # each way to compress has errors of its own, and a damaged archive may name any
        raise _damaged(path, str(error).strip("'\"") or type(error).__name__) from None
    found = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != SUMS}
    wrong = sorted(name for name in {*sums, *found} if sums.get(name) != found.get(name))
    if wrong or len(names) != len(files):
        raise _damaged(path, f"{wrong[0] if wrong else 'its list of files'} differs from what was written")
    return files


def _damaged(path: Path, why: str) -> ValueError:
    return InputError(f"bundle {path} is damaged ({why}); export it anew with python -m experiments.export")


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def group(arrays: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Those of *arrays* whose names begin with *name* and a stroke, without both."""
    return {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")}


class Bundle:
    """A model that takes values in physical units and gives answers in them.

    `channels` are those that it knows, `targets` those that it forecasts, `ahead` those that it reads over the horizon
    as well; `manifest` says the rest: task, context and horizon in samples, the step in hours (None: samples come at
    times of their own), frames, outputs, and what it was made with. `cleaning` names the steps that readings have to go
    through before they are given, as those of training did; the bundle tells them and does not take them.
    """

    def __init__(
        self,
        manifest: dict[str, Any],
        exported: export.Exported,
        weights: Mapping[str, np.ndarray],
        example: Mapping[str, np.ndarray],
    ):
        self.manifest, self.exported, self.example = manifest, exported, example
        self.channels = tuple(channel["name"] for channel in manifest["channels"])
        self.targets: tuple[str, ...] = tuple(manifest["targets"])
        self.ahead: tuple[str, ...] = tuple(manifest["ahead"])
        self.cleaning: tuple[str, ...] = tuple(map(step_of, manifest.get("cleaning", ())))
        self.context: int = manifest["context"]
        self.step_h: float | None = manifest["step_h"]
        self._net = {name: jax.device_put(array) for name, array in group(weights, "net").items()}
        self._channels, self._frames = group(weights, "channels"), group(weights, "frames")
        self._by_target = {name for name, of in manifest["outputs"].items() if "target" in of["axes"]}
        self._call = jax.jit(exported.call)

    def predict(
        self,
        values: Any,
        at: Any,
        *,
        mask: Any = None,
        ahead: Any = None,
        frames: Mapping[str, Any] | None = None,
        present: Any = None,
    ) -> dict[str, np.ndarray]:
        """What the model says after the newest sample of each of B windows; `manifest["outputs"]` says what that is.

        *values*: float[B, V, T] in the channels' units and order, or {channel: float[B, T]} of some of them; without
        B it is one window. NaN, what a NumPy mask hides, or False in a *mask* of the same form, is missing. Of more
        samples than the context the newest are taken; fewer are a short history.
        *at*: when the newest sample of each window was taken (B), local time as datetime64, or hours since a Monday
        00:00; where samples come at times of their own, when each was (B, T). One sample more than the context tells
        the gap before the first of it.
        *ahead*: {channel: float[B, H]} over the horizon, of the channels in `ahead`.
        *frames*: {name: float[B, T, …]}, a sample of NaN where there is none.
        *present*: bool[B, V] in the order of the channels given, False where a window's asset lacks a channel.

        The first call of each B compiles. Raises InputError for channels, shapes and times that cannot be right.
        """
        names, x_BxVxT = self._table(values, "values")
        if not len(x_BxVxT):
            raise InputError("values holds no window; give at least one")
        if self.context and not x_BxVxT.shape[2]:
            raise InputError(f"values holds no sample; the model sees the newest {self.context}, so give at least one")
        if mask is not None:
            others, mask_BxVxT = self._table(mask, "mask")
            if others != names or mask_BxVxT.shape != x_BxVxT.shape:
                raise InputError(
                    f"mask is of shape {mask_BxVxT.shape}; it must have the form of values {x_BxVxT.shape}"
                )
            x_BxVxT = np.where(mask_BxVxT > 0, x_BxVxT, np.float32(np.nan))
        if lacking := [name for name in self.targets if name not in names]:
            raise InputError(f"values lacks {', '.join(lacking)}, which the model forecasts")
        count, _, samples = x_BxVxT.shape
        shown_BxV = np.ones((count, len(names)), bool) if present is None else np.ma.filled(present, False).astype(bool)
        if shown_BxV.shape != (count, len(names)):
            raise InputError(f"present is of shape {shown_BxV.shape}; it must be {(count, len(names))}")
        index_V = [self.channels.index(name) for name in names]
        if not self.manifest["any_channels"]:
            x_BxVxT = _spread(x_BxVxT, index_V, len(self.channels), np.nan)
            shown_BxV = _spread(shown_BxV, index_V, len(self.channels), False)
            names, index_V = self.channels, list(range(len(self.channels)))
        hour_BxT, gap_BxT = self._clock(at, count, samples)
        x_BxVxT = self._newest(x_BxVxT, 2)
        inputs = {
            "values": x_BxVxT,
            "mask": np.isfinite(x_BxVxT),
            "present": shown_BxV,
            "hour": hour_BxT,
            "gap": gap_BxT,
            "ahead": self._coming(ahead or {}, names, count),
            "frames": self._pictures(frames or {}, count, samples),
        }
        channels = {name: array[index_V] for name, array in self._channels.items()}
        told = {name: np.asarray(a) for name, a in self._call(self._net, channels, self._frames, inputs).items()}
        targets_V = [names.index(name) for name in self.targets]
        return {name: a[:, targets_V] if name in self._by_target else a for name, a in told.items()}

    def check(self) -> float:
        """By how much the example's outputs differ from those where the bundle was made, of the largest of each.

        NaN where one of the two is NaN and the other is not.
        """
        given, expected = group(self.example, "given"), group(self.example, "told")
        more = {"ahead": group(given, "ahead"), "frames": group(given, "frames")}
        told = self.predict(given["values"], given["at"], **more)
        return float(np.max([_apart(told[name], array) for name, array in expected.items()]))

    def _table(self, given: Any, what: str) -> tuple[tuple[str, ...], np.ndarray]:
        """The names of the channels that are *given*, and float32[B, V, samples]."""
        names = known = self.channels
        if isinstance(given, Mapping):
            if unknown := [name for name in given if name not in known]:
                raise InputError(f"{what} names {unknown[0]!r}, which the model does not know{_known(known)}")
            names = tuple(name for name in known if name in given)
            rows = [_numbers(given[name], f"{what}[{name!r}]") for name in names]
            rows = [row[None] if row.ndim == 1 else row for row in rows]
            shapes = sorted({row.shape for row in rows})
            if len(shapes) != 1 or len(shapes[0]) != 2:
                raise InputError(f"{what} has arrays of shapes {shapes}; all must be (windows, samples) alike")
            return names, np.stack(rows, axis=1)
        array = _numbers(given, what)
        array = array[None] if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[1] != len(names):
            raise InputError(f"{what} is of shape {array.shape}; it must be (windows, {len(names)} channels, samples)")
        return names, array

    def _newest(self, array: np.ndarray, axis: int) -> np.ndarray:
        """The samples of the context, NaN before the first that there is."""
        lacking = self.context - array.shape[axis]
        if lacking <= 0:
            return array.take(range(-lacking, array.shape[axis]), axis)
        before = [(0, 0)] * array.ndim
        before[axis] = (lacking, 0)
        return np.pad(array, before, constant_values=np.nan)

    def _clock(self, given: Any, count: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
        """The hour of the week of each sample of the context, and the hours since the sample before; float32[B, T]."""
        try:
            at = np.asarray(given)
            at_h = at if at.dtype.kind in "iuf" else (at.astype("datetime64[us]") - MONDAY) / np.timedelta64(1, "h")
            wanted = (count,) if self.step_h else (count, samples)
            at_h = np.broadcast_to(at_h.astype(np.float64), wanted)
        except (ValueError, TypeError):
            what = (
                f"the newest sample's time of each of {count} windows" if self.step_h else f"{count} × {samples} times"
            )
            raise InputError(
                f"at is of shape {np.shape(given)}; it must be {what}, as datetime64 or as hours"
            ) from None
        if np.ma.is_masked(given) or not np.isfinite(at_h).all():
            raise InputError("at has a time that is none; give every sample's")
        if self.step_h:
            at_h = at_h[:, None] - self.step_h * np.arange(self.context - 1, -1, -1)
            gap = np.full(at_h.shape, self.step_h)
        else:
            gap = np.diff(at_h, prepend=at_h[:, :1], axis=1)
            if (gap < 0).any():
                raise InputError("at goes back in time; samples come in their order")
            gap = np.nan_to_num(self._newest(gap, 1))
            early = np.isnan(at_h := self._newest(at_h, 1))
            at_h = np.where(early, np.fmin.reduce(at_h, axis=1, keepdims=True, initial=np.inf), at_h)
        return (at_h % WEEK_H).astype(np.float32), gap.astype(np.float32)

    def _pictures(self, given: Mapping[str, Any], count: int, samples: int) -> dict[str, np.ndarray]:
        """Every frame that the model knows, float32[B, context, …]; NaN where it is not given."""
        shapes = {frame["name"]: tuple(frame["shape"]) for frame in self.manifest["frames"]}
        if unknown := [name for name in given if name not in shapes]:
            raise InputError(f"frames names {unknown[0]!r}, which the model does not know{_known(shapes)}")
        found = {}
        for name, shape in shapes.items():
            wanted = (count, samples, *shape)
            array = _numbers(given[name], f"frames[{name!r}]") if name in given else np.full(wanted, np.nan, np.float32)
            array = array[None] if array.shape == wanted[1:] else array
            if array.shape != wanted:
                raise InputError(f"frames[{name!r}] is of shape {array.shape}; it must be {wanted}")
            found[name] = self._newest(array, 1)
        return found

    def _coming(self, given: Mapping[str, Any], names: tuple[str, ...], count: int) -> np.ndarray:
        """What is told of the horizon, float32[B, V, H]; NaN where nothing is."""
        horizon = self.manifest["horizon"]
        found = np.full((count, len(names), horizon), np.nan, np.float32)
        for name, value in given.items():
            if name not in self.ahead:
                knows = _known(self.ahead) if self.ahead else "; it knows none ahead"
                raise InputError(f"ahead names {name!r}, which the model does not read over its horizon{knows}")
            if name not in names:
                raise InputError(f"ahead names {name!r}, of which values holds no past; give it there as well")
            array = _numbers(value, f"ahead[{name!r}]")
            array = array[None] if array.ndim == 1 else array
            if array.shape != (count, horizon):
                raise InputError(f"ahead[{name!r}] is of shape {array.shape}; it must be {(count, horizon)}")
            found[:, names.index(name)] = array
        return found


def _spread(array: np.ndarray, at_V: list[int], variates: int, fill: Any) -> np.ndarray:
    """*array* with its second axis, of some channels, laid out over all of them."""
    whole = np.full((array.shape[0], variates, *array.shape[2:]), fill, array.dtype)
    whole[:, at_V] = array
    return whole


def _apart(told: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, of the largest number expected; NaN in the same places is none."""
    same = (told == expected) | (np.isnan(told) & np.isnan(expected))
    largest = np.max(np.abs(expected), where=np.isfinite(expected), initial=1e-30)
    with np.errstate(invalid="ignore"):
        return float(np.max(np.where(same, 0, np.abs(told - expected) / largest), initial=0))


def step_of(told: Mapping[str, Any]) -> str:
    """A step of cleaning as the manifest has it, in words."""
    fields = ", ".join(f"{key}={value}" for key, value in told.items() if key[0] != "_" and value not in (None, [], {}))
    return f"{told['_class'].rpartition('.')[2]}({fields})"


def _numbers(given: Any, what: str) -> np.ndarray:
    """*given* as float32, NaN where a NumPy mask hides it."""
    parts = given if isinstance(given, list | tuple) else (given,)
    try:
        array = np.ma.array(given) if any(isinstance(x, np.ma.MaskedArray) for x in parts) else np.asarray(given)
        if array.dtype.kind in "cmM":
            raise TypeError
        array = array.astype(np.float32, copy=False)
    except (ValueError, TypeError):
        raise InputError(f"{what} is no array of numbers") from None
    return array.filled(np.nan) if isinstance(array, np.ma.MaskedArray) else array


def _known(names: Any) -> str:
    return f"; it knows {', '.join(names)}" if names else "; it knows none"


def main() -> None:
    """What the bundle that Python was started with takes and gives, and whether it does so here."""
    try:
        bundle = load(sys.argv[0])
    except InputError as error:
        sys.exit(str(error))
    about = bundle.manifest
    step = f"every {bundle.step_h:g} h" if bundle.step_h else "at times of their own"
    print(f"{about['name']}: {about['task']['kind']} from {bundle.context} samples {step}")
    for channel in about["channels"]:
        print("  {name} [{unit}] of {entity}, {role}: {mean:.4g} ± {std:.3g} in training".format(**channel))
    for frame in about["frames"]:
        print(f"  {frame['name']}, frames of {' × '.join(map(str, frame['shape']))}")
    for name, of in about["outputs"].items():
        print(f"gives {name} ({', '.join(of['axes'])}): {of['what']}")
    if bundle.cleaning:
        print(f"readings have to be cleaned before, as those of training were: {', '.join(bundle.cleaning)}")
    apart = bundle.check()
    print(f"its example differs here by {apart:.1e} of the largest number, on {jax.devices()[0].device_kind}")
    sys.exit(not apart <= CLOSE)  # nor where it is NaN
