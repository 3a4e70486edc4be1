"""Datasets as they lie on disk: `python -m experiments.data ls|show|verify|rebuild|replay|… …`.

    ls       [FOLDER]               one line a dataset of a folder
    show     DATASET                channels, splits, platform, revisions
    verify   DATASET …              reads every file again; names what is damaged, missing or extra, and what mends it
    rebuild  DATASET                makes anew what is damaged or missing, from the manifest alone
    replay   DATASET SHARD          makes one shard, as of a dataset that came to nothing by it, here and for show
    merge    DATASET DATASET …      one dataset of all runs, each with its origin
    rerender DATASET KEY=VALUE …    the same worlds seen otherwise: twin.step_h=0.5
    card     DATASET                the data card, as Markdown
    push     DATASET URL            a copy in a store: s3://bucket/folder, memory://folder (fsspec)
    pull     URL                    the dataset at a URL as a folder here

Exit codes: 0 done, 1 `verify` found a fault, 2 bad input, 130 interrupted. An interrupted command leaves nothing half
there; the same command again goes on from what is finished.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments import cli
from sim.errors import InputError


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m experiments.data", description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--config-dir", metavar="FOLDER", type=Path, help="of a plant of one's own")
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    for name in COMMANDS:
        one = commands.add_parser(name)
        many = "+" if name in ("verify", "merge") else "?" if name == "ls" else None
        one.add_argument("datasets", nargs=many, type=str if name == "pull" else Path, metavar="FOLDER")
        if name == "push":
            one.add_argument("url", metavar="URL")
        if name == "replay":
            one.add_argument("shard", metavar="SHARD")
        if name == "rerender":
            one.add_argument("values", nargs="+", metavar="KEY=VALUE")
        if name in ("merge", "rerender", "pull"):
            one.add_argument("--root", type=Path, help="where the new dataset goes; beside the first by default")
        if name in ("rebuild", "rerender"):
            one.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    if given.config_dir is not None:
        cli.see_plant(given.config_dir)
    try:
        sys.exit(COMMANDS[given.command](given))
    except KeyboardInterrupt:
        cli.leave("interrupted; the same command goes on from what is finished", cli.INTERRUPTED)
    except (InputError, OSError) as error:
        cli.leave(cli.sentence(error), cli.BAD_INPUT)


def ls(given: argparse.Namespace) -> int:
    from experiments import datasets

    print(datasets.listing(given.datasets or Path("datasets")))
    return 0


def show(given: argparse.Namespace) -> int:
    from experiments import datasets

    print(datasets.told(given.datasets))
    return 0


def verify(given: argparse.Namespace) -> int:
    from twins.dataset import health

    wrong = 0
    for folder in given.datasets:
        found = health.faults(folder)
        wrong += len(found)
        for fault in found:
            print(f"{fault.what} {fault.path}: {fault.mend}")
        if not found:
            print(f"{folder}: every file is as its manifest says")
    return 1 if wrong else 0


def rebuild(given: argparse.Namespace) -> int:
    from experiments.console import progress
    from twins.dataset import again

    with progress("dataset") as advance:
        print(again.rebuild(given.datasets, given.workers, advance).path)
    return 0


def replay(given: argparse.Namespace) -> int:
    from experiments.datasets import replayed

    print(replayed(given.datasets, given.shard))
    return 0


def merge(given: argparse.Namespace) -> int:
    from experiments.console import progress
    from twins.dataset import open_dataset
    from twins.dataset.merge import merge

    with progress("merging") as advance:
        print(merge([*map(open_dataset, given.datasets)], given.root or given.datasets[0].parent, advance).path)
    return 0


def rerender(given: argparse.Namespace) -> int:
    from experiments.console import progress, say
    from experiments.datasets import values
    from twins.dataset import again, open_dataset

    with progress("rendering") as advance:
        root = given.root or given.datasets.parent
        made, how = again.rerender(open_dataset(given.datasets), values(given.values), root, given.workers, advance)
    say(how)
    print(made.path)
    return 0


def card(given: argparse.Namespace) -> int:
    from twins.dataset import card, manifest

    print(card.text(given.datasets.name, manifest.read(given.datasets)), end="")
    return 0


def push(given: argparse.Namespace) -> int:
    from experiments.console import progress
    from twins.dataset import open_dataset, remote

    with progress("pushing") as advance:
        print(remote.push(open_dataset(given.datasets), given.url, advance))
    return 0


def pull(given: argparse.Namespace) -> int:
    from experiments.console import progress
    from twins.dataset import remote

    with progress("pulling") as advance:
        print(remote.pull(given.datasets, given.root or Path("datasets"), advance).path)
    return 0


COMMANDS = {f.__name__: f for f in (ls, show, verify, rebuild, replay, merge, rerender, card, push, pull)}

if __name__ == "__main__":
    main()
