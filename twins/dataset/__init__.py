"""Datasets: made from a twin and a plan, stored as checked Parquet shards, read as memory-mapped episodes."""

from twins.dataset.generate import SPLITS, Live, Plan, Progress, configuration, ensure
from twins.dataset.identity import describe, identity
from twins.dataset.store import Dataset, open_dataset

__all__ = [
    "SPLITS",
    "Dataset",
    "Live",
    "Plan",
    "Progress",
    "configuration",
    "describe",
    "ensure",
    "identity",
    "open_dataset",
]
