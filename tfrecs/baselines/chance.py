"""Candidates at random: the floor of every table."""

import zlib
from typing import Self

import numpy as np
import pyarrow as pa

from tfrecs.arrow import as_table
from tfrecs.baselines.base import Baseline, id_column
from tfrecs.spec import FeatureSpec


class Random(Baseline):
    """Ranks candidates at random: `score(q, c) ~ U[0, 1)`.

    The score is a hash of seed, query id and position, so that a query gets the same candidates
    in any batch and in any order; an unknown query is as good as a known one.

    Args:
        seed: Another seed gives another order. Defaults to 0.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> events = pa.table({"user_id": ["a"], "item_id": ["x"]})
    >>> chance = Random(seed=1).fit(events, pa.table({"item_id": ["x", "y", "z"]}), spec)
    >>> chance.recommend(pa.table({"user_id": ["a", "b"]}), k=3)[1].shape
    (2, 3)
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        events = as_table("events", events)
        candidates = as_table("candidates", candidates)
        self._prepare(candidates, spec)
        return self

    def score(self, queries: pa.Table) -> np.ndarray:
        columns = np.arange(self._num_candidates(), dtype=np.uint64)
        ids = id_column(queries, self._spec.query_id.name, "queries").to_pylist()
        rows = np.array([zlib.crc32(repr(i).encode()) for i in ids], np.uint64)
        rows = _mix(rows + _mix(np.array([self.seed % 2**64], np.uint64)))
        bits = _mix(rows[:, None] + columns[None, :])  # (B, C)
        # 24 bits are what a float32 holds exactly
        return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def _mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: spreads consecutive integers over all 64 bits."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
