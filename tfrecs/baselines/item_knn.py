"""Item-to-item nearest neighbours on co-occurrence."""

from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse

from tfrecs import checks
from tfrecs.baselines.base import Baseline, find_positions, id_column, interaction_matrix
from tfrecs.spec import FeatureSpec

_BLOCK_ENTRIES = 1 << 23  # co-occurrences in memory at once, about 100 MiB
_MAX_BLOCK = 1024


class ItemKNN(Baseline):
    """Recommends what is similar to what the query's events hold.

    `similarity(i, j) = n_ij / (sqrt(n_i n_j) + shrinkage)` for the nearest neighbours j of i, with
    n_i the queries that met i and n_ij those that met both;
    `score(q, j) = sum of similarity(i, j) over the candidates i that q met`.

    A query without events in `fit` gets the counts n_j as scores: the popularity order. Similar
    items are kept sparse: `C x neighbours` numbers.

    Args:
        neighbours: Most neighbours kept of an item. Defaults to 100.
        shrinkage: Pulls the similarity of rare items towards 0, in queries. Defaults to 10.0.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> events = pa.table({"user_id": ["a", "a", "b"], "item_id": ["x", "z", "x"]})
    >>> knn = ItemKNN(shrinkage=0.0).fit(events, pa.table({"item_id": ["x", "y", "z"]}), spec)
    >>> scores, positions = knn.recommend(pa.table({"user_id": ["b"]}), k=1)
    >>> positions, scores.round(3)  # z is with x once, of twice and once: 1 / sqrt(2)
    (array([[2]]), array([[0.707]], dtype=float32))

    Reference:
        Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001.
    """

    def __init__(self, neighbours: int = 100, shrinkage: float = 10.0) -> None:
        checks.positive("neighbours", neighbours)
        if not shrinkage >= 0:
            raise ValueError(checks.expected("shrinkage", "0 or more", shrinkage))
        self.neighbours = neighbours
        self.shrinkage = shrinkage

    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        self._prepare(candidates, spec)
        self._query_ids = pc.unique(id_column(events, spec.query_id.name, "events"))
        met = interaction_matrix(events, self._query_ids, self._candidate_ids, spec)
        met.data[:] = 1.0  # met or not, however often
        self._met = met
        self._counts = np.asarray(met.sum(axis=0), np.float32).ravel()  # n_i
        self._similar = _nearest(met, self._counts, self.neighbours, self.shrinkage)
        return self

    def score(self, queries: pa.Table) -> np.ndarray:
        num_candidates = self._num_candidates()
        name = self._spec.query_id.name
        rows = find_positions(id_column(queries, name, "queries"), self._query_ids, name)
        scores = np.empty((len(rows), num_candidates), np.float32)
        known = rows >= 0
        scores[known] = (self._met[rows[known]] @ self._similar).toarray()
        scores[~known] = self._counts
        return scores


def _nearest(
    met: scipy.sparse.csr_matrix, counts: np.ndarray, neighbours: int, shrinkage: float
) -> scipy.sparse.csr_matrix:
    """Returns the similarities `(C, C)`, at most `neighbours` a row, itself left out."""
    num_items = met.shape[1]
    by_item = met.T.tocsr()  # (C, Q)
    block = min(_MAX_BLOCK, max(1, _BLOCK_ENTRIES // max(1, num_items)))
    parts = []
    for start in range(0, num_items, block):
        together = (by_item[start : start + block] @ met).tocsr()  # (b, C), n_ij
        together.sort_indices()  # so that ties are kept in order of position
        rows = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr)) + start
        scale = np.sqrt(counts[rows]) * np.sqrt(counts[together.indices]) + shrinkage
        together.data = (together.data / scale).astype(np.float32)
        together.data[rows == together.indices] = 0.0
        parts.append(_keep_best(together, neighbours))
    return scipy.sparse.csr_matrix(scipy.sparse.vstack(parts, format="csr"))


def _keep_best(similar: scipy.sparse.csr_matrix, k: int) -> scipy.sparse.csr_matrix:
    """Zeroes all but the `k` largest entries of each row, ties in order of position."""
    for start, stop in zip(similar.indptr[:-1], similar.indptr[1:], strict=True):
        if stop - start <= k:
            continue
        row = similar.data[start:stop]
        last = np.partition(row, len(row) - k)[len(row) - k]  # the k-th largest
        level = np.flatnonzero(row == last)
        room = k - np.count_nonzero(row > last)
        row[row < last] = 0.0
        row[level[room:]] = 0.0
    similar.eliminate_zeros()
    return similar
