"""The ceiling: a recommender that knows the truth of a generated world."""

from collections.abc import Callable
from typing import Self

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.arrow import as_table
from tfrecs.baselines.base import Baseline
from tfrecs.spec import FeatureSpec


class Oracle(Baseline):
    """Ranks candidates by a given score, such as the demo world's true click probability.

    Args:
        score_function: Takes a table of B queries, returns the scores of all C candidates, in the
            order of the candidate table: `(B, C)`.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> truth = lambda queries: np.tile([0.2, 0.5], (queries.num_rows, 1))
    >>> events = pa.table({"user_id": ["a"], "item_id": ["x"]})
    >>> oracle = Oracle(truth).fit(events, pa.table({"item_id": ["x", "y"]}), spec)
    >>> oracle.recommend(pa.table({"user_id": ["a"]}), k=2)[1]
    array([[1, 0]])
    """

    def __init__(self, score_function: Callable[[pa.Table], np.ndarray]) -> None:
        self.score_function = score_function

    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        events = as_table("events", events)
        candidates = as_table("candidates", candidates)
        self._prepare(candidates, spec)
        return self

    def score(self, queries: pa.Table) -> np.ndarray:
        scores = np.asarray(self.score_function(queries), np.float32)
        shape = (queries.num_rows, self._num_candidates())
        if scores.shape != shape:
            raise ValueError(
                checks.expected(
                    "score_function",
                    f"a function that returns scores of shape {shape} = (queries, candidates)",
                    scores.shape,
                )
            )
        return scores
