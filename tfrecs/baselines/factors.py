"""What factorizations of the rating matrix share: the matrix, and scores by inner products."""

from abc import abstractmethod
from typing import Self

import numpy as np
import pyarrow as pa
import scipy.sparse

from tfrecs.arrow import as_table
from tfrecs.baselines.base import Baseline, event_positions, find_positions, id_column
from tfrecs.spec import FeatureSpec, Numeric


def rating_matrix(
    events: pa.Table,
    query_ids: pa.Array,
    candidate_ids: pa.Array,
    spec: FeatureSpec,
    view_weight: float,
) -> scipy.sparse.csr_matrix:
    """Returns ratings as a sparse matrix: the label of an event, `view_weight` where it is 0.

    Without a Numeric label every event is 1. Of several events of a pair the last counts.

    Args:
        events: Interactions, with the two ids of `spec`.
        query_ids: The Q ids of the rows, distinct.
        candidate_ids: The C ids of the columns, distinct.
        spec: The features.
        view_weight: What a view without a rating counts.

    Returns:
        float32 `(Q, C)`.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ...     Numeric("rating", "label"),
    ... ))
    >>> events = pa.table({"user_id": ["a", "a"], "item_id": ["x", "y"], "rating": [-1.0, 0.0]})
    >>> rating_matrix(events, pa.array(["a"]), pa.array(["x", "y"]), spec, 0.1).toarray()
    array([[-1. ,  0.1]], dtype=float32)
    """
    rows = event_positions(events, spec.query_id.name, query_ids, "query_ids")
    columns = event_positions(events, spec.candidate_id.name, candidate_ids, "candidate_ids")
    labels = [f.name for f in spec.by_role("label") if isinstance(f, Numeric)]
    values = np.ones(events.num_rows, np.float32)
    if labels and labels[0] in events.column_names:
        values = events[labels[0]].to_numpy().astype(np.float32)
        values = np.where(values == 0, np.float32(view_weight), values)
    _, last = np.unique((rows * len(candidate_ids) + columns)[::-1], return_index=True)
    kept = len(rows) - 1 - last
    shape = (len(query_ids), len(candidate_ids))
    return scipy.sparse.csr_matrix((values[kept], (rows[kept], columns[kept])), shape=shape)


class Factors(Baseline):
    """Scores by `p . q`, of vectors that a subclass finds for the rating matrix.

    Unknown queries have a vector of zeros.
    """

    view_weight: float
    query_vectors: np.ndarray
    candidate_vectors: np.ndarray

    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        """Factorizes the ratings of `events`; see `rating_matrix`."""
        events = as_table("events", events)
        candidates = as_table("candidates", candidates)
        self._prepare(candidates, spec)
        ids = id_column(events, spec.query_id.name, "events").unique()
        matrix = rating_matrix(events, ids, self._candidate_ids, spec, self.view_weight)
        vectors, self.candidate_vectors = self._factorize(matrix)
        self.query_vectors = np.concatenate([vectors, np.zeros_like(vectors[:1])])
        self._query_ids = ids
        return self

    def score(self, queries: pa.Table) -> np.ndarray:
        """Scores every candidate for every query: float32 `(B, C)`."""
        self._num_candidates()
        name = self._spec.query_id.name
        rows = find_positions(id_column(queries, name, "queries"), self._query_ids, name)
        scores: np.ndarray = self.query_vectors[rows] @ self.candidate_vectors.T
        return scores.astype(np.float32)

    @abstractmethod
    def _factorize(self, matrix: scipy.sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """Returns vectors of the rows `(Q, K)` and of the columns `(C, K)`."""
