"""Datasets made by a Ray cluster are, byte for byte, those of one process; also while nodes and workers are killed."""

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace

import pytest

from sim.errors import InputError
from tests.plants.ticker import TickerTwin
from tests.twins.test_dataset import contents
from twins.dataset import Plan, ensure
from twins.executors.cluster import Ray
from twins.executors.executor import Again, Failed

TWIN = TickerTwin()
PLAN = Plan(5, 1, 2, 60.0, runs_per_shard=2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Ray(workers=0), r"Ray\.workers is 0"),
        (lambda: Ray(in_flight=0), r"Ray\.in_flight is 0; it must be at least 1, or null"),
    ],
)
def test_nonsense_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_without_ray_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[ray\]'"):
        list(Ray().each(abs, [1]))


def test_an_address_at_which_nobody_listens_is_refused_at_once():
    pytest.importorskip("ray")
    with pytest.raises(
        InputError, match=r"executor\.address=127\.0\.0\.1:1: .*give the address of a cluster that runs"
    ):
        list(Ray("127.0.0.1:1").each(abs, [1]))


# --- on clusters ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ensure(TWIN, PLAN, tmp_path_factory.mktemp("made"), workers=1)


@pytest.fixture
def cluster(monkeypatch):
    """A head without processors, to which tests add nodes."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


def workers_of(node) -> list[int]:
    """The processes of a node that work on something, each of which has the name of its task."""
    (raylet,) = node.all_processes["raylet"]
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/cmdline") as line:
                parent = int(stat.read().rpartition(")")[2].split()[1])
                if parent == raylet.process.pid and line.read().startswith("ray::t"):
                    found.append(int(pid))
        except OSError:  # it has ended
            continue
    return found


@dataclass(frozen=True)
class Asked:
    """Work that tells of the process that it is done in, or ends it."""

    def __call__(self, task):
        if task == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if task in ("again", "wrong"):
            raise Again("the weather") if task == "again" else InputError("a sentence")
        return os.getpid(), {"jax", "hydra"} & sys.modules.keys()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_is_started_here_makes_the_same_bytes(made, tmp_path):
    ray = pytest.importorskip("ray")
    assert contents(ensure(TWIN, PLAN, tmp_path / "seen", executor=Ray()).path) == contents(made.path)
    assert not ray.is_initialized()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_two_nodes_make_them_and_hand_them_over_where_they_do_not_see_the_folder(made, tmp_path, cluster):
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    there = Ray(cluster.address)

    class Afar(Ray):
        def each(self, work, tasks, again=None):
            return super().each(replace(work, mark="another"), tasks, again)

    assert contents(ensure(TWIN, PLAN, tmp_path / "seen", executor=there).path) == contents(made.path)
    assert contents(ensure(TWIN, PLAN, tmp_path / "unseen", executor=Afar(cluster.address)).path) == contents(made.path)
    assert all(not known and pid != os.getpid() for _, (pid, known) in there.each(Asked(), ["a", "b"]))
    for task, kind, said in (
        ("again", Failed, "the weather"),
        ("dies", Failed, "lost"),
        ("wrong", InputError, "a sen"),
    ):
        with pytest.raises(kind, match=said):
            list(there.each(Asked(), [task]))
    with pytest.raises(InputError, match=r"test-00000 .* failed 3 times, .* its worker was lost"):
        ensure(replace(TWIN, deadly_seed=6), PLAN, tmp_path, executor=there)
    other = {"env_vars": {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL"}}
    with pytest.raises(InputError, match="computes differently"):  # where this processor has such features
        ensure(TWIN, PLAN, tmp_path / "refused", executor=replace(there, runtime_env=other))
    apart = ensure(TWIN, PLAN, tmp_path / "apart", executor=replace(there, runtime_env=other, mixed=True))
    assert len(apart.manifest["apart"]) == 5


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_node_and_three_workers_are_killed_meanwhile(tmp_path, cluster):
    slow, plan = replace(TWIN, work_s=0.4), Plan(30, 2, 4, 60.0)
    plan = replace(plan, runs_per_shard=1)
    expected = contents(ensure(slow, plan, tmp_path / "whole", executor=Ray(workers=2)).path)
    first, second = (cluster.add_node(num_cpus=2) for _ in range(2))
    killed, told = [], []

    def kill():
        while len(killed) < 3:
            time.sleep(1.0)
            for pid in workers_of(second)[: 3 - len(killed)]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            if killed and len(cluster.list_all_nodes()) == 3:
                cluster.remove_node(first, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    dataset = ensure(slow, plan, tmp_path, progress=lambda *step: told.append(step[2]), executor=Ray(cluster.address))
    killer.join(60)
    assert contents(dataset.path) == expected
    assert len(killed) == 3
    assert len(cluster.list_all_nodes()) == 2
    assert sum("again, since its worker was lost" in what for what in told) >= 4
