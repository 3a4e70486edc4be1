"""A dataset in a store is whole or not there, and no secret is told."""

import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from sim.errors import InputError
from tests.plants.ticker import Ticker, TickerTwin
from twins.dataset import Plan, ensure, files, health
from twins.dataset.manifest import MANIFEST
from twins.dataset.remote import is_url, pull, push, shown

fsspec = pytest.importorskip("fsspec")
PLAN = Plan(2, 0, 1, 24.0, runs_per_shard=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ensure(TickerTwin(), PLAN, tmp_path_factory.mktemp("made"), workers=1)


@pytest.fixture
def store():
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    return fs


def contents(directory):
    named = [p for p in directory.rglob("*") if p.is_file() and "cache" not in p.parts and p.name != ".lock"]
    return {str(p.relative_to(directory)): p.read_bytes() for p in named}


def test_there_and_back_it_is_the_same_to_the_byte(made, store, tmp_path):
    where = push(made, "memory://shelf/")
    assert where == f"memory://shelf/{made.path.name}"
    back = pull(where, tmp_path)
    assert contents(back.path) == contents(made.path)
    assert not health.faults(back.path)
    assert [e.truth for e in back.episodes("train")] == [e.truth for e in made.episodes("train")]
    assert ensure(TickerTwin(), PLAN, tmp_path, workers=1).path == back.path  # a folder like one that was made here


def test_a_copy_that_breaks_off_anywhere_is_no_dataset_and_goes_on(made, store, tmp_path, monkeypatch):
    names, where = list(made.manifest["files"]), f"memory://shelf/{made.path.name}"
    kind = type(store)
    put, pipe = kind.put_file, kind.pipe_file
    for stop in range(len(names) + 1):
        store.store.clear()
        done = []

        def broken(self, *a, step=(put, pipe), stop=stop, done=done, **k):
            if len(done) == stop:
                raise ConnectionError("the line is cut")
            done.append(a)
            return (step[0] if len(a) > 1 and isinstance(a[0], str) and os.path.exists(a[0]) else step[1])(
                self, *a, **k
            )

        with monkeypatch.context() as patch:
            patch.setattr(kind, "put_file", broken)
            patch.setattr(kind, "pipe_file", broken)
            with pytest.raises(InputError, match="ConnectionError: the line is cut; the copy goes on with the same"):
                push(made, "memory://shelf")
        with pytest.raises(InputError, match="holds no finished dataset"):
            pull(where, tmp_path)
        assert contents_of(store, push(made, "memory://shelf")) == contents(made.path)


def contents_of(store, where):
    root = fsspec.url_to_fs(where)[1]
    return {path[len(root) + 1 :]: store.cat_file(path) for path in store.find(root)}


def test_a_pull_that_breaks_off_goes_on_from_what_is_whole(made, store, tmp_path, monkeypatch):
    where = push(made, "memory://shelf")
    fetched, write = [], files.write

    def few(path, chunks):
        if len(fetched) == 5:
            raise KeyboardInterrupt
        fetched.append(path)
        return write(path, chunks)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", few)
        with pytest.raises(KeyboardInterrupt):
            pull(where, tmp_path)
    assert not (tmp_path / made.path.name / MANIFEST).exists()
    fetched.clear()
    with monkeypatch.context() as patch:
        patch.setattr(files, "write", lambda path, chunks: fetched.append(path) or write(path, chunks))
        assert contents(pull(where, tmp_path).path) == contents(made.path)
    assert len([p for p in fetched if "cache" not in p.parts]) == len(made.manifest["files"]) + 1 - 5


def test_what_is_damaged_or_lost_in_the_store_is_refused_by_name(made, store, tmp_path):
    where = push(made, "memory://shelf")
    root = fsspec.url_to_fs(where)[1]
    raw = store.cat_file(f"{root}/series/train-00000.parquet")
    store.pipe_file(f"{root}/series/train-00000.parquet", raw[:-1] + b"x")
    with pytest.raises(InputError, match=r"series/train-00000\.parquet at memory://.* is damaged"):
        pull(where, tmp_path)
    assert not (tmp_path / made.path.name / "series/train-00000.parquet").exists()
    store.rm(f"{root}/series/train-00000.parquet")
    with pytest.raises(InputError, match=r"lacks train-00000\.parquet"):
        pull(where, tmp_path)
    assert contents(pull(push(made, "memory://shelf"), tmp_path).path) == contents(made.path)
    told = store.cat_file(f"{root}/{MANIFEST}")
    store.pipe_file(f"{root}/{MANIFEST}", told.replace(b"train", b"trian", 1))
    with pytest.raises(InputError, match=r"the manifest at memory://.* is damaged"):
        pull(where, tmp_path)


def test_a_manifest_that_reaches_out_of_its_folder_is_refused(made, store, tmp_path):
    where = push(made, "memory://shelf")
    told = files.read_json(made.path / MANIFEST)
    files.write_json(tmp_path / "evil.json", told | {"files": {"../../evil": {"sha256": "", "bytes": 0}}})
    store.pipe_file(f"{fsspec.url_to_fs(where)[1]}/{MANIFEST}", (tmp_path / "evil.json").read_bytes())
    with pytest.raises(InputError, match="names files outside the dataset"):
        pull(where, tmp_path)


def test_another_dataset_is_never_written_over(made, store, tmp_path):
    other = ensure(TickerTwin(Ticker(3.0)), PLAN, tmp_path, workers=1)
    shutil.move(other.path, tmp_path / made.path.name)
    where = push(made, "memory://shelf")
    with pytest.raises(InputError, match="holds another dataset; move it away"):
        pull(where, tmp_path)
    with pytest.raises(InputError, match="holds another dataset of that name"):
        push(type(made).open(tmp_path / made.path.name), "memory://shelf")


def test_secrets_are_not_told(made):
    secret = "https://anna:hunter22@host/shelf?key=s3cr3t"
    assert shown(secret) == "https://host/shelf"
    for work in (lambda: push(made, "nowhere://anna:hunter22@host/x?key=s3cr3t"), lambda: pull(secret, "/nowhere")):
        with pytest.raises(InputError) as told:
            work()
        assert not any(word in str(told.value) for word in ("hunter22", "s3cr3t", "anna"))
        assert told.value.__cause__ is None
    assert is_url("s3://a/b")
    assert not is_url("datasets/line-1")


def test_the_extra_that_brings_fsspec_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[\w+\]'") as told:
        pull("memory://shelf/plants", tmp_path)
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert any(named.startswith("fsspec") for named in extras[str(told.value).split("[")[1].split("]")[0]])


def test_s3(made, tmp_path, monkeypatch):
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (("AWS_ACCESS_KEY_ID", "key-of-anna"), ("AWS_SECRET_ACCESS_KEY", "hunter22")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    try:
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("shelf")
        back = pull(push(made, "s3://shelf/plants"), tmp_path)
        assert contents(back.path) == contents(made.path)
        assert not any(b"hunter22" in raw or b"key-of-anna" in raw for raw in contents(back.path).values())
        with pytest.raises(InputError, match="s3://nobody/plants/x holds no finished dataset"):
            pull("s3://nobody/plants/x", tmp_path)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # where nobody listens
        fsspec.filesystem("s3").clear_instance_cache()
        with pytest.raises(InputError, match="s3://shelf/plants/") as told:
            push(made, "s3://shelf/plants")
        assert "hunter22" not in str(told.value)
    finally:
        server.stop()
