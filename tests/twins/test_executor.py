"""Work that goes wrong on its way: done again elsewhere, and told in one sentence where that does not help."""

import shlex
from dataclasses import dataclass, replace

import pytest

from experiments import data
from sim.errors import InputError
from tests.plants.ticker import TickerTwin
from tests.twins.test_dataset import contents
from twins.clean import Clean, Range
from twins.dataset import Plan, ensure, open_dataset
from twins.dataset.again import replay
from twins.dataset.derived import derive
from twins.executors import workers
from twins.executors.executor import LATER, Again, Failed, Queue
from twins.executors.workers import Local, crew

TWIN = TickerTwin()
PLAN = Plan(5, 1, 2, 60.0, runs_per_shard=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ensure(TWIN, PLAN, tmp_path_factory.mktemp("made"), workers=1)


@pytest.fixture
def mishaps(tmp_path, monkeypatch):
    """Plants `<seed>-kill-…` and `<seed>-raise-…`, each of which happens once."""
    folder = tmp_path / "mishaps"
    folder.mkdir()
    monkeypatch.setenv("TICKER_MISHAPS", str(folder))

    def plant(*names: str):
        for name in names:
            (folder / name).touch()
        return folder

    return plant


# --- done again -------------------------------------------------------------------------------------------------------


def test_a_killed_worker_is_replaced_and_its_shards_are_made_again(made, tmp_path, mishaps):
    folder, told = mishaps("0-kill-1", "4-kill-1", "6-raise-1", "6-raise-2"), []
    two = ensure(TWIN, PLAN, tmp_path, workers=2, progress=lambda *step: told.append(step))
    assert contents(two.path) == contents(made.path)
    assert not list(folder.iterdir())
    again = [what for _, _, what in told if "again" in what]
    assert sorted(what.partition(" ")[0] for what in again) == ["test-00000"] * 2 + ["train-00000", "train-00002"]
    assert sum("exit code -9 (killed" in what for what in again) == 2
    assert [done for done, _, what in told if "again" not in what] == [0, 1, 2, 3, 4, 5]


def test_one_worker_does_again_what_failed(made, tmp_path, mishaps):
    mishaps("1-raise-1", "1-raise-2")
    assert contents(ensure(TWIN, PLAN, tmp_path, workers=1).path) == contents(made.path)


def test_what_failed_comes_a_little_later_and_thrice_is_the_end():
    queue, told = Queue(20, lambda index, why: told.append((index, why))), []
    assert queue.next() == 0
    queue.failed(0, "it rains")
    assert [queue.next() for _ in range(LATER + 1)] == [*range(1, LATER + 1), 0]
    queue.failed(0, "it pours", workers=99)  # more than there are
    left = [queue.next() for _ in range(12)]
    assert left == [*range(LATER + 1, 20), 0]
    assert queue.next() is None
    with pytest.raises(Failed, match="task 0 failed 3 times; the last time it snows") as caught:
        queue.failed(0, "it snows")
    assert (caught.value.index, told) == (0, [(0, "it rains"), (0, "it pours")])


def refuse(task):
    raise Again("the weather") if task == 3 else ValueError("no") if task == 5 else InputError("a sentence")


@pytest.mark.parametrize("hands", [1, 2])
@pytest.mark.parametrize(
    ("task", "kind", "said"), [(3, Failed, "weather"), (5, ValueError, "no"), (7, InputError, "a")]
)
def test_only_what_may_go_better_is_done_again(hands, task, kind, said):
    with crew(refuse, hands) as each, pytest.raises(kind, match=said) as caught:
        list(each([task, task]))
    if kind is ValueError and hands == 2:
        assert "in a worker process" in caught.value.__notes__[0]


# --- told -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hands", [1, 2])
def test_a_shard_that_fails_three_times_names_the_command_that_replays_it(hands, tmp_path):
    with pytest.raises(InputError) as caught:
        ensure(replace(TWIN, bad_seed=6, broken=True), PLAN, tmp_path, workers=hands)
    told = str(caught.value)
    assert told.startswith(
        "shard test-00000 (world runs of seeds 6 to 7) failed 3 times, the last time with ZeroDivisionError: the gauge "
        "divides by zero"
    )
    command = shlex.split(told.split("`")[1])
    assert command[:3] == ["python", "-m", "experiments.data"]
    with pytest.raises(ZeroDivisionError, match="divides by zero") as seen:
        data.main(command[3:])
    assert any("seed 6 for shard test-00000" in note for note in seen.value.__notes__)


def test_a_shard_that_kills_its_worker_three_times_does_so_too(tmp_path):
    with pytest.raises(InputError, match=r"train-00002 \(world runs of seeds 4 to 4\) failed 3 times, .* exit code 7;"):
        ensure(replace(TWIN, deadly_seed=4), PLAN, tmp_path, workers=2)
    assert len(list(tmp_path.glob("*/shards/*.json"))) == 4  # the rest is kept


def test_a_shard_is_replayed_beside_what_the_dataset_holds(made, capsys):
    with pytest.raises(SystemExit) as left:
        data.main(["replay", str(made.path), "train-00001"])
    assert left.value.code == 0
    assert "made without a fault" in (told := capsys.readouterr().out)
    assert "world runs 2 (" in told
    assert "as the dataset holds it" in told
    assert replay(made.path, "train-00001").same
    with pytest.raises(InputError, match=r"no shard 'dev-00000'; it has train-00000, .* test-00000"):
        replay(made.path, "dev-00000")


def test_nothing_is_replayed_where_nothing_was_begun(tmp_path):
    with pytest.raises(InputError, match="holds no dataset, nor the beginning of one"):
        replay(tmp_path, "train-00000")


class _Unborn:
    def __reduce__(self):
        return exit, (3,)  # ends the process that reads it


def test_workers_that_end_before_their_work_begins_are_no_endless_loop():
    with pytest.raises(InputError, match=r"3 worker processes ended before .* exit code 3; set workers=1"):
        list(Local(2).each(_Unborn(), [1, 2]))


# --- where, and on what -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Afar(Local):
    """Workers who do not see the folder."""

    def each(self, work, tasks, again=None):
        return super().each(replace(work, mark="another"), tasks, again)


@pytest.mark.parametrize("hands", [1, 2])
def test_workers_without_the_folder_hand_their_files_over(made, tmp_path, hands):
    dataset = ensure(TWIN, PLAN, tmp_path, executor=Afar(hands))
    assert contents(dataset.path) == contents(made.path)


def test_a_worker_that_computes_otherwise_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "probe", lambda: "another")
    with pytest.raises(InputError, match=r"computes differently .* executor\.mixed=true"):
        ensure(TWIN, PLAN, tmp_path, workers=2)


def test_or_its_shards_are_stamped_apart(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "X86_V3 X86_V4 AVX512_ICL")  # whose logarithms differ
    dataset = ensure(TWIN, PLAN, tmp_path, executor=Local(2, mixed=True))
    theirs = {dataset.record(shard.name)["probe"] for shard in PLAN.shards()}
    assert len(theirs) == 1
    if theirs == {made.manifest["platform"]["probe"]}:
        pytest.skip("this processor has no features that change a number")
    apart = dataset.manifest["apart"]
    assert list(apart) == ["train-00000", "train-00001", "train-00002", "validation-00000", "test-00000"]
    assert {told["probe"] for told in apart.values()} == theirs
    assert "apart" not in made.manifest
    assert apart["test-00000"]["libraries"] == dataset.manifest["platform"]["libraries"]
    derived = derive(made, Clean((Range(quantities=("level",)),)), tmp_path, executor=Local(2, mixed=True))
    assert derived.manifest["apart"] == apart
    with pytest.raises(SystemExit):
        data.main(["show", str(dataset.path)])
    assert "but test-00000 on" in capsys.readouterr().out
    monkeypatch.delenv("NPY_DISABLE_CPU_FEATURES")
    assert ensure(TWIN, PLAN, tmp_path, workers=2).path == open_dataset(dataset.path).path  # which it reuses
    (dataset.path / "series/test-00000.parquet").unlink()
    with pytest.raises(InputError, match="lacks test-00000 and was made where numbers come out differently"):
        ensure(TWIN, PLAN, tmp_path, workers=1)


@pytest.mark.parametrize(("make", "said"), [(lambda: Local(0), r"Local\.workers is 0; it must be at least 1")])
def test_nonsense_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
