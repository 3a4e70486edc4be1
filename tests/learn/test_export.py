"""A model in a bundle says what it says in this process, without Flax; and what is damaged or wrong is refused."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from learn.models.ensemble import Ensemble
from learn.models.linear import Linear
from learn.models.recurrent import Recurrent
from learn.models.twinformer import TwinFormer
from learn.serving import bundle
from learn.serving.export import Source
from learn.serving.predict import predict
from learn.tasks import Classify, Counterfactual, Forecast, RemainingLife, TimeToEvent
from learn.windows.batch import Windows, anchors
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series

SMALL = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6, frame_patch=4)
CONTEXT = 24
ROLES = {"load": Role.TARGET, "heat": Role.TARGET, "wind": Role.PAST, "price": Role.KNOWN, "dose": Role.ACTION}
BY_PLACE = {k: v for k, v in ROLES.items() if k != "heat"}
TASKS = {
    "forecast": (SMALL, Forecast(4), ROLES),
    "joined": (TwinFormer(**vars(SMALL) | {"join": True}), Forecast(4), BY_PLACE),
    "skip": (TwinFormer(**vars(SMALL) | {"skip": True}), Forecast(4), ROLES),
    "grown": (TwinFormer(**vars(SMALL) | {"growth": True, "overlap": 2, "mix": False}), Forecast(4), ROLES),
    "linear": (Linear(), Forecast(4), ROLES),
    "recurrent": (Recurrent(**vars(SMALL)), Forecast(4), ROLES),
    "plan": (SMALL, Counterfactual(3, actions=("dose",)), BY_PLACE),
    "failure": (SMALL, TimeToEvent(), ROLES),
    "life": (SMALL, RemainingLife(), ROLES),
    "picture": (SMALL, Classify(marks="marks", kinds=("scratch", "dent")), ROLES),
}


def _episode(run, roles, irregular=False, pictured=False, n=60):
    """Readings with levels of their own, some missing; at steps of 0.5 h or at times of their own."""
    rng = np.random.default_rng(run)
    clock = {"times_h": np.cumsum(rng.uniform(0.2, 3, n))} if irregular else {"step_h": 0.5}
    series = []
    for v, (name, role) in enumerate(roles.items()):
        x = (100 * v + 10 + np.abs(rng.normal(size=n)) * (v + 1)).astype(np.float32)
        x[rng.random(n) < 0.1] = np.nan
        series.append(Series("m1", name, "kW", role, x, **clock))
    if pictured:
        grey = rng.normal(5, 2, (n, 8, 8)).astype(np.float32)
        grey[rng.random(n) < 0.2] = np.nan
        marks = rng.integers(0, 4, (n, 8, 8)).astype(np.float32)
        bad = (marks.sum((1, 2)) > 95).astype(np.float32)
        series.append(Series("m1", "picture", "1", Role.PAST, grey, **clock))
        series.append(Series("m1", "marks", "1", Role.TRUTH, marks, **clock))
        series.append(Series("m1", "defective", "1", Role.TRUTH, bad, **clock))
    return Episode(run, "m1", tuple(series), epoch="2026-03-04T05:00:00", end_h=1000.0)


def _trained(shape, task, roles, irregular=False, members=1):
    """A model (of several members) whose every parameter has been moved, and windows of two episodes."""
    episodes = [_episode(run, roles, irregular, isinstance(task, Classify)) for run in range(2)]
    windows = Windows.of(episodes, context=CONTEXT, task=task)
    each = [shape.build(task, windows, seed=member) for member in range(members)]
    module = Ensemble(each) if members > 1 else each[0]
    graphdef, params = nnx.split(module)
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(0)
    moved = [jnp.asarray(x + 0.1 * rng.normal(size=x.shape), x.dtype) for x in map(np.asarray, leaves)]
    module = nnx.merge(graphdef, jax.tree.unflatten(structure, moved))
    return (
        Source(module, task, CONTEXT, windows.scale, tuple(map(str, roles.values())), windows.step_h),
        windows,
        episodes,
    )


def _asked(windows, episodes, count=2):
    """Anchors, and the same windows as a user has them: a sample before the context tells the gap."""
    picked = anchors(windows, at_risk=False)
    picked = picked[picked[:, 1] > CONTEXT][:: max(len(picked) // count, 1)][:count]
    named = {name: [] for name in windows.scale.names}
    at, frames, ahead = [], {f.name: [] for f in windows.scale.frames}, {n: [] for n in named}
    for e, k in picked:
        series = {s.quantity: s for s in episodes[e].series}
        epoch = np.datetime64(episodes[e].epoch, "us")
        times = epoch + np.round(series["load"].clock_h() * 3.6e9).astype("timedelta64[us]")
        at.append(times[k - 1] if windows.step_h else times[k - CONTEXT - 1 : k])
        for name, rows in named.items():
            rows.append(series[name].values[k - CONTEXT - 1 : k])
            ahead[name].append(series[name].values[k : k + windows.horizon])
        for name, rows in frames.items():
            rows.append(series[name].values[k - CONTEXT - 1 : k])
    return picked, named, np.array(at), frames, ahead


def _apart(a, b):
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The bundle of each task, with what went into it; made when it is first asked for."""
    found = {}

    def make(name, irregular=False):
        if (name, irregular) not in found:
            source, windows, episodes = _trained(
                *TASKS[name.removesuffix("s")], irregular, 2 if name == "forecasts" else 1
            )
            path = tmp_path_factory.mktemp("bundles") / f"{name}.zip"
            loaded = source.write(path, {"name": name}, {"README.md": "# a model"})
            found[name, irregular] = path, loaded, source, windows, episodes
        return found[name, irregular]

    return make


@pytest.mark.parametrize(("name", "irregular"), [*((n, False) for n in (*TASKS, "forecasts")), ("plan", True)])
def test_a_bundle_gives_the_numbers_of_the_model(made, name, irregular):
    _, loaded, source, windows, episodes = made(name, irregular)
    picked, values, at, frames, ahead = _asked(windows, episodes)
    expected = predict(source.module, None, windows, picked)
    ahead = {name: ahead[name] for name in loaded.ahead}
    told = loaded.predict(values, at, ahead=ahead, frames=frames)
    scale, asked = source.scale, [source.scale.names.index(n) for n in loaded.targets]
    if name in ("failure", "picture"):
        key = "fails" if name == "failure" else "p"
        p_N = told["fails"] if name == "failure" else 1 - told["p"][:, 0]
        assert _apart(p_N, expected.p_N) < 2e-6, key
        if name == "failure":
            assert _apart(told["incidence"], expected.cif_NxCxK) < 2e-6
        else:
            assert np.abs(told["marks"] - expected.marks_NxHxWxK).max() < 1e-3  # which are kept in half precision
    elif name == "life":
        assert _apart(told["mean"], expected.mean_N) < 2e-6
        assert _apart(told["quantiles"], expected.quantiles_NxQ) < 2e-6
    else:
        assert _apart(told["mean"], scale.restore(expected.mean_NxVxH)[:, asked]) < 2e-6
        if "quantiles" in told:
            assert _apart(told["quantiles"], scale.restore(expected.quantiles_NxVxHxQ, 2)[:, asked]) < 2e-6
            assert (np.diff(told["quantiles"], axis=-1) >= 0).all()
    assert loaded.check() == 0


def test_the_program_depends_on_what_it_is_told(made):
    """So that equal numbers above are no accident: the horizon, the clock and each channel move the answer."""
    _, loaded, _, windows, episodes = made("forecast")
    _, values, at, _, ahead = _asked(windows, episodes)
    ahead = {"price": np.array(ahead["price"])}
    first = loaded.predict(values, at, ahead=ahead)["mean"]
    assert loaded.ahead == ("price",)
    assert np.abs(loaded.predict(values, at, ahead={"price": ahead["price"] + 50})["mean"] - first).max() > 1e-3
    assert np.abs(loaded.predict(values, at + np.timedelta64(7, "h"), ahead=ahead)["mean"] - first).max() > 1e-3
    for name in values:
        other = values | {name: np.array(values[name]) * 1.5}
        assert np.abs(loaded.predict(other, at, ahead=ahead)["mean"] - first).max() > 1e-3, name
    missing = np.ones(np.shape(list(values.values())), bool).swapaxes(0, 1)
    missing[:, :, -3:] = False
    array = np.stack([np.array(x) for x in values.values()], axis=1)
    held = np.where(missing, array, np.nan)
    np.testing.assert_array_equal(loaded.predict(array, at, mask=missing)["mean"], loaded.predict(held, at)["mean"])


def test_fewer_channels_and_a_short_history_are_those_of_the_model(made):
    _, loaded, source, _, episodes = made("failure")
    short = [
        Episode(e.run, e.asset, tuple(s for s in e.series if s.quantity != "wind"), epoch=e.epoch) for e in episodes
    ]
    seen = Windows.of(short, context=CONTEXT, scale=source.scale)
    picked = np.array([[0, 5], [1, 9]], np.int32)
    expected = predict(source.module, None, seen, picked)
    for n, (e, k) in enumerate(picked):
        values = {s.quantity: s.values[:k] for s in short[e].series}
        at = np.datetime64(short[e].epoch) + np.timedelta64(int(30 * (k - 1)), "m")
        assert loaded.predict(values, at)["fails"] == pytest.approx(expected.p_N[n], rel=2e-6)
        whole = values | {"wind": np.full(k, np.nan)}
        absent = np.array([[name != "wind" for name in loaded.channels]])
        assert loaded.predict(whole, at, present=absent)["fails"] == pytest.approx(expected.p_N[n], rel=2e-6)


WITHOUT = """
import importlib.abc, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("flax", "optax", "orbax", "hydra", "sim", "twins", "learn", "experiments"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
import numpy as np
from bundle import InputError, load
loaded = load(sys.argv[1])
given = np.load(sys.argv[2])
told = loaded.predict(given["values"], given["at"], ahead={"price": given["ahead"]})
np.savez(sys.argv[3], **told)
try:
    loaded.predict({"lode": given["values"][:, 0]}, given["at"])
except InputError as error:
    print(error)
"""


def _python(*args):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, *map(str, args)], env=env, capture_output=True, text=True, cwd="/", check=False
    )


def test_a_process_without_flax_and_without_this_house_gives_the_same_numbers(made, tmp_path):
    path, loaded, _, windows, episodes = made("forecast")
    _, values, at, _, ahead = _asked(windows, episodes)
    array = np.stack([np.array(x) for x in values.values()], axis=1)
    np.savez(tmp_path / "given.npz", values=array, at=at, ahead=ahead["price"])
    done = _python("-c", WITHOUT, path, tmp_path / "given.npz", tmp_path / "told.npz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("values names 'lode', which the model does not know; it knows load, heat, wind")
    told = np.load(tmp_path / "told.npz")
    here = loaded.predict(array, at, ahead={"price": ahead["price"]})
    for name, expected in here.items():
        np.testing.assert_array_equal(told[name], expected)


def test_python_runs_a_bundle(made):
    path, *_ = made("failure")
    done = _python(path)
    assert done.returncode == 0, done.stderr
    assert "failure: TimeToEvent from 24 samples every 0.5 h" in done.stdout
    assert "gives fails (window): probability of failing within 24 h" in done.stdout


def test_a_program_holds_no_weights_and_names_no_folder(made):
    path, _, source, *_ = made("failure")
    files = bundle.read(path)
    assert str(Path(bundle.__file__).parent).encode() not in b"".join(files.values())
    assert b".py" not in files[bundle.PROGRAM]
    assert bundle.load(path).exported.platforms == ("cpu", "cuda", "tpu")
    wide = TwinFormer(**vars(SMALL) | {"width": 64, "hidden": 96})
    larger, *_ = _trained(wide, TimeToEvent(), ROLES)
    growth = len(larger.program().serialize()) - len(source.program().serialize())
    assert abs(growth) < 2000


@pytest.mark.parametrize("name", [bundle.WEIGHTS, bundle.PROGRAM, bundle.MANIFEST, bundle.SUMS, "README.md"])
def test_a_bundle_that_was_changed_is_refused_by_name(made, tmp_path, name):
    path, *_ = made("failure")
    with zipfile.ZipFile(path) as archive:
        files = {n: archive.read(n) for n in archive.namelist()}
    middle = len(files[name]) // 2
    files[name] = files[name][:middle] + bytes([files[name][middle] ^ 1]) + files[name][middle + 1 :]
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(changed, "w") as archive:
        for n, data in files.items():
            archive.writestr(n, data)
    with pytest.raises(InputError, match=r"changed\.zip is damaged \(.* differs from what was written\)"):
        bundle.load(changed)


def test_bit_flips_and_cuts_are_refused_or_harmless(made, tmp_path):
    path, *_ = made("failure")
    data = path.read_bytes()
    whole = bundle.read(path)
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 200):
        broken = tmp_path / "broken.zip"
        broken.write_bytes(data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :])
        try:
            found = bundle.read(broken)
        except InputError:
            continue
        assert found == whole
    for at in rng.integers(0, len(data), 20):
        broken.write_bytes(data[:at])
        with pytest.raises(InputError, match=r"broken\.zip is damaged"):
            bundle.read(broken)


def test_an_archive_of_another_compression_is_refused_as_damaged(made, tmp_path):
    """The archive's list of files, whose byte 10 is how a file is compressed, claims each method in turn."""
    path, *_ = made("failure")
    data = bytearray(path.read_bytes())
    at, broken = data.index(b"PK\x01\x02") + 10, tmp_path / "broken.zip"
    for method in (*range(1, 20), 93, 99):
        data[at] = method
        broken.write_bytes(data)
        with pytest.raises(InputError, match=r"broken\.zip is damaged \(.+\)"):
            bundle.read(broken)


def test_a_stopped_export_leaves_what_was_there(made, tmp_path, monkeypatch):
    path, _, source, *_ = made("failure")
    there = tmp_path / "model.zip"
    there.write_bytes(path.read_bytes())
    monkeypatch.setattr(bundle, "load", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        source.write(there, {"name": "x"}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["model.zip"]
    assert there.read_bytes() == path.read_bytes()


WRONG = {
    "values lacks load": lambda v, t: ({"wind": v["wind"]}, t, {}),
    "values names 'lode'": lambda v, t: (v | {"lode": v["load"]}, t, {}),
    "arrays of shapes": lambda v, t: (v | {"wind": np.zeros((3, 7))}, t, {}),
    r"it must be \(windows, 5 channels, samples\)": lambda v, t: (np.zeros((2, 4, 24)), t, {}),
    "no array of numbers": lambda v, t: (v | {"wind": ["a"]}, t, {}),
    "wind'\\] is no array of numbers": lambda v, t: (v | {"wind": np.array(v["wind"]) + 0j}, t, {}),
    "load'\\] is no array of numbers": lambda v, t: (v | {"load": np.ma.array(v["load"]) * 1j}, t, {}),
    "values holds no window": lambda v, t: (np.zeros((0, 5, 24)), np.zeros(0), {}),
    "values holds no sample; the model sees the newest 24": lambda v, t: (np.zeros((2, 5, 0)), t, {}),
    "at has a time that is none": lambda v, t: (v, np.ma.array([1.0, 2.0], mask=[False, True]), {}),
    "the newest sample's time of each of 2 windows": lambda v, t: (v, np.zeros((2, 3)), {}),
    "as datetime64 or as hours": lambda v, t: (v, "yesterday", {}),
    "ahead names 'wind'": lambda v, t: (v, t, {"ahead": {"wind": np.zeros((2, 4))}}),
    r"ahead\['price'\] is of shape \(2, 3\)": lambda v, t: (v, t, {"ahead": {"price": np.zeros((2, 3))}}),
    "frames names 'picture'": lambda v, t: (v, t, {"frames": {"picture": np.zeros(3)}}),
    "mask is of shape": lambda v, t: (v, t, {"mask": np.zeros((2, 5, 3))}),
    "present is of shape": lambda v, t: (v, t, {"present": np.zeros((2, 2))}),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_cannot_be_right_is_refused_in_one_sentence(made, sentence):
    _, loaded, _, windows, episodes = made("forecast")
    _, values, at, *_ = _asked(windows, episodes)
    values, at, more = WRONG[sentence](values, at)
    with pytest.raises(InputError, match=sentence):
        loaded.predict(values, at, **more)


def test_what_a_numpy_mask_hides_is_missing(made):
    _, loaded, _, windows, episodes = made("forecast")
    _, values, at, *_ = _asked(windows, episodes)
    array = np.stack([np.array(x) for x in values.values()], axis=1)
    hidden = np.zeros(array.shape, bool)
    hidden[:, :, -3:] = True
    expected = loaded.predict(np.where(hidden, np.nan, array), at)["mean"]
    assert np.abs(loaded.predict(array, at)["mean"] - expected).max() > 1e-3
    masked = np.ma.array(array, mask=hidden)
    rows = {name: [masked[0, v], masked[1, v]] for v, name in enumerate(loaded.channels)}
    for given in (masked, rows):
        np.testing.assert_array_equal(loaded.predict(given, at)["mean"], expected)
    np.testing.assert_array_equal(loaded.predict(array, at, mask=np.ma.array(~hidden, mask=hidden))["mean"], expected)
    whole = np.nan_to_num(array).astype(int)
    expected = loaded.predict(np.where(hidden, np.nan, whole), at)["mean"]
    np.testing.assert_array_equal(loaded.predict(np.ma.array(whole, mask=hidden), at)["mean"], expected)


def test_a_model_without_a_context_reads_what_is_ahead_alone(tmp_path):
    episodes = [_episode(run, {"load": Role.TARGET, "price": Role.KNOWN}, irregular=True) for run in range(2)]
    task = Forecast(1, loss="mse")
    windows = Windows.of(episodes, context=0, task=task)
    module = Linear().build(task, windows)
    module.dense.kernel[...] += 0.7
    source = Source(module, task, 0, windows.scale, ("target", "known"), windows.step_h)
    loaded = source.write(tmp_path / "model.zip", {"name": "line"}, {})
    picked = anchors(windows, at_risk=False)[:5]
    series = [{s.quantity: s.values for s in e.series} for e in episodes]
    ahead = np.array([[series[e]["price"][k]] for e, k in picked])
    nothing = np.zeros((5, 0))
    told = loaded.predict({"load": nothing, "price": nothing}, nothing, ahead={"price": ahead})["mean"]
    expected = windows.scale.restore(predict(module, None, windows, picked).mean_NxVxH)[:, :1]
    assert np.ptp(expected) > 0.1
    assert _apart(told, expected) < 2e-6
    assert loaded.check() == 0


def test_the_check_sees_answers_that_are_not_a_number(made):
    path, loaded, *_ = made("failure")
    weights = bundle._arrays(bundle.read(path)[bundle.WEIGHTS])
    broken = {name: array * np.nan if name.startswith("net/") else array for name, array in weights.items()}
    told = {name: array for name, array in loaded.example.items() if name.startswith("told/")}

    def check(weights, **expected):
        return bundle.Bundle(loaded.manifest, loaded.exported, weights, loaded.example | expected).check()

    assert np.isnan(check(broken))
    assert check(broken, **{name: np.full_like(array, np.nan) for name, array in told.items()}) == 0
    for name, array in told.items():
        other = np.array(array)
        other.flat[-1] = np.nan
        assert np.isnan(check(weights, **{name: other})), name
        other.flat[-1] = array.flat[-1] + 0.01 * np.abs(array).max()
        assert check(weights, **{name: other}) == pytest.approx(0.01, rel=0.02)


def test_there_has_to_be_a_bundle(tmp_path):
    with pytest.raises(InputError, match="there is no bundle"):
        bundle.load(tmp_path / "none.zip")
