"""One door for every command: Hydra composes the configuration, and what a user got wrong comes back as one sentence.

Exit codes: 0 done, 1 a check failed or a fault of this program (with its traceback), 2 bad input, 130 interrupted.
`debug.traceback=true`, or TWINWORLDS_TRACEBACK=1 in the environment, shows the traceback of bad input as well.

A plant of one's own lives in a folder outside the packages and is run with

    python -m experiments.train --config-dir examples/pump experiment=pump

where examples/pump/experiment/pump.yaml is a preset like those in conf/experiment. The folder that holds it is added
to the end of Python's path, here and in spawned workers, so that `_target_: pump.twin.PumpTwin` finds
examples/pump/twin.py.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import functools
import itertools
import multiprocessing
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from experiments.experiment import Experiment

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT
DATA = "python -m experiments.data"  # as messages of `twins.dataset` have it


def run(job: Callable[[DictConfig], Any], config_name: str) -> None:
    """Compose conf/<config_name>.yaml with the command line and call *job*, once, or once a point of a sweep (`-m`)."""
    traceback = "debug.traceback=true" in sys.argv or os.environ.get("TWINWORLDS_TRACEBACK", "0") != "0"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and leaving with 1
    _see_plants(sys.argv)
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    faults = (InputError, HydraException, OmegaConfBaseException, OSError)
    argv = list(sys.argv)

    @functools.wraps(job)
    def guarded(config: DictConfig) -> None:
        setup = HydraConfig.get()
        if setup.mode is RunMode.MULTIRUN:
            _at_home(argv)
            point = f"point {setup.job.num} of the sweep: {setup.job.override_dirname}\n"
            print(point, end="", file=sys.stderr, flush=True)
        try:
            job(config)
        except faults as error:  # here, since Hydra would print a line of its own before it passes an error on
            if traceback:
                raise
            leave(sentence(error), BAD_INPUT)

    try:
        hydra.main(version_base="1.3", config_path="pkg://conf", config_name=config_name)(guarded)()
    except KeyboardInterrupt:
        leave("interrupted; the same command resumes where this one stopped", INTERRUPTED)
    except faults as error:
        if traceback:
            raise
        leave(sentence(error), BAD_INPUT)
    except RuntimeError as error:  # submitit's, of a process that left as `guarded` does; what it said is in there
        if traceback or type(error).__name__ != "UncompletedJobError":
            raise
        leave(str(error).rstrip().rpartition("\n")[2], BAD_INPUT)
    except ValueError as error:
        if traceback or not str(error).startswith("Config group override must be"):
            raise
        leave("a group of the configuration is chosen by a name, as in model=tiny; ~oracle leaves one out", BAD_INPUT)


def compose(config_name: str, overrides: Sequence[str], config_dir: str | Path | None = None) -> Experiment:
    """What `run` would compose, for use from Python or within a command; raises InputError for a user's mistake."""
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from experiments.experiment import Experiment

    plants = []
    if config_dir is not None:
        see_plant(Path(config_dir))
        plants = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"]
    try:
        inside = GlobalHydra.instance().is_initialized()
        with contextlib.nullcontext() if inside else initialize_config_module("conf", version_base="1.3"):
            return Experiment.of(compose(config_name, [*plants, *overrides]))
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(sentence(error)) from error


def leave(message: str, code: int) -> None:
    """Say *message* on stderr and end the process with *code*."""
    sys.stdout.flush()
    print(f"{message}\n", end="", file=sys.stderr, flush=True)  # at once: points side by side share the stream
    sys.exit(code)


def command() -> str:
    """What was typed, as one would type it again."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    module = Path(sys.argv[0]).stem.removeprefix("twinworlds-")
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        return another(module, HydraConfig.get().overrides.task)  # the point's own
    return shlex.join(["python", "-m", f"experiments.{module}", *sys.argv[1:]])


def another(module: str, overrides: Sequence[str]) -> str:
    """The command of *module* with these overrides, and the folder of a plant that was typed."""
    kept, typed = [], sys.argv[1:]
    for flag, value in itertools.zip_longest(typed, typed[1:], fillvalue=""):
        if flag in ("--config-dir", "-cd"):
            kept += [flag, value]
        elif flag.startswith(("--config-dir=", "-cd=")):
            kept.append(flag)
    return shlex.join(["python", "-m", f"experiments.{module}", *kept, *overrides])


def _at_home(argv: list[str]) -> None:
    """Whatever process a launcher has made for a point of a sweep, it stands there as if the command had started it."""
    sys.argv = argv
    _see_plants(argv)
    if multiprocessing.get_start_method(allow_none=True) not in (None, *multiprocessing.get_all_start_methods()):
        multiprocessing.set_start_method("spawn", force=True)  # joblib's own is unknown to the workers that we spawn


def _see_plants(argv: list[str]) -> None:
    """Let `_target_` find the modules of a --config-dir, behind everything else."""
    for folder in _plants(argv):
        see_plant(Path(folder))


def _plants(argv: list[str]) -> list[str]:
    """The folders that are given with --config-dir."""
    found = []
    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        given = value if flag in ("--config-dir", "-cd") else flag.partition("=")[2]
        if flag.split("=")[0] in ("--config-dir", "-cd") and given:
            found.append(given)
    return found


def see_plant(folder: Path) -> None:
    """Put the folder that holds *folder* at the end of sys.path, which spawned workers inherit.

    Not the folder itself: its sim.py would come before an editable installation of the package sim.
    """
    parent = str(folder.resolve().parent)
    if parent not in sys.path:
        sys.path.append(parent)


def sentence(error: BaseException) -> str:
    """What went wrong, in one line that names the key, what was found and what would be right."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

    cause = error.__cause__
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} on the command line is not key=value: {_line(error.message)}"
    if isinstance(error, MissingConfigException):
        return _missing_config(error)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is not set; give it as {error.full_key}=…"
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        return _unknown_key(cause)
    if isinstance(cause, OmegaConfBaseException):
        return f"{_line(str(error))} {_line(str(cause))}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"no room to write: {error.strerror}; what is finished is kept: make room and run the same command again"
    return _to_plant(_line(str(error))) or type(error).__name__


def _to_plant(text: str) -> str:
    """*text*, in which a command on datasets finds the plant that this one was given."""
    plant = "".join(f" --config-dir {shlex.quote(folder)}" for folder in _plants(sys.argv))
    return text.replace(DATA, DATA + plant)


def _line(text: str) -> str:
    """The text on one line, without OmegaConf's notes on types."""
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line for line in lines if line and not line.startswith(("object_type=", "full_key:")))


def _missing_config(error: Any) -> str:
    name = str(error.missing_cfg_file or "")
    if not error.options:
        return _line(str(error))
    group, _, option = name.rpartition("/")
    near = difflib.get_close_matches(option, error.options, n=1, cutoff=0.7)
    meant = f"did you mean {near[0]}? Choose from" if near else "choose from"
    return f"{group}={option}: there is no such {group}; {meant} {', '.join(sorted(error.options))}"


def _unknown_key(error: Any) -> str:
    parent = error.parent_node
    known = sorted(map(str, parent.keys())) if hasattr(parent, "keys") else []
    near = difflib.get_close_matches(str(error.key), known, n=1)
    where = str(error.full_key or error.key)
    prefix = where.rpartition(".")[0]
    if near:
        return f"unknown key {where}; did you mean {prefix + '.' if prefix else ''}{near[0]}?"
    return f"unknown key {where}; {prefix or 'the configuration'} has {', '.join(known)}"
