"""V-SKNN: recent sessions like this one, the last items counting most."""

from typing import Self

import numpy as np
import pyarrow as pa
import scipy.sparse

from tfrecs import checks
from tfrecs.arrow import as_table
from tfrecs.baselines.session_rules import SessionBaseline
from tfrecs.spec import FeatureSpec

_LAST = 50  # items of a session so far that are looked at: bits of a float64


class VSKNN(SessionBaseline):
    """Recommends what similar recent sessions hold (vector multiplication session-kNN).

    `similarity(q, s) = 1/n * sum over items i of both of p_i / n`, `p_i` the place of i in q, 1..n
    `score(q, j) = sum over the neighbours s with j of similarity(q, s) / step(q, s) [idf_j]`

    `step` is 1 if the last item of q is in s, 2 if only the one before is, and so on. Neighbours
    are the `neighbours` most similar of the `sample_size` most recent sessions that share an item
    with q. Sessions so far count with their last 50 items. A session without known items gets the
    popularity order.

    Args:
        neighbours: Defaults to 100.
        sample_size: Most recent sessions compared. Defaults to 1000.
        idf: Whether to multiply by `log(sessions / sessions with j)`. Defaults to `False`.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.datasets.sessions import session_spec
    >>> events = pa.table({"session_id": [1, 1, 2, 2], "item_id": ["x", "y", "z", "w"]})
    >>> items = pa.table({"item_id": ["w", "x", "y", "z"]})
    >>> knn = VSKNN().fit(events, items, session_spec())
    >>> knn.recommend(pa.table({"history": [["x"]]}), k=2)[1]  # session 1
    array([[1, 2]])

    Reference:
        Ludewig, Jannach 2018, arXiv:1803.09587, section 3.2.
    """

    def __init__(
        self, neighbours: int = 100, sample_size: int = 1000, *, idf: bool = False
    ) -> None:
        checks.positive("neighbours", neighbours)
        checks.positive("sample_size", sample_size)
        self.neighbours = neighbours
        self.sample_size = sample_size
        self.idf = idf

    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        events = as_table("events", events)
        candidates = as_table("candidates", candidates)
        items, sessions = self._sessions(events, candidates, spec)
        size, number = self._num_candidates(), int(sessions.max(initial=-1)) + 1
        ones = np.ones(len(items), np.float32)
        met = scipy.sparse.csr_matrix((ones, (sessions, items)), shape=(number, size))
        met.data[:] = 1
        self._met = met  # (S, C), sessions by age
        counts = np.bincount(items, minlength=size)
        self._popularity = (1e-6 * counts / max(counts.max(), 1)).astype(np.float32)
        within = np.asarray(met.sum(axis=0)).ravel()
        self._idf = np.log(number / np.maximum(within, 1)).astype(np.float32)
        self._recent = _last_of_rows(met.T.tocsr(), self.sample_size)  # (C, S)
        return self

    def score(self, queries: pa.Table) -> np.ndarray:
        items, rows = self._histories(queries)
        num_rows, size = queries.num_rows, self._num_candidates()
        counts = np.bincount(rows, minlength=num_rows)
        places = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
        late = counts[rows] - places <= _LAST
        items, rows, places = items[late], rows[late], places[late]
        lengths = np.minimum(counts, _LAST)[rows]
        places = places - (counts[rows] - lengths) + 1  # 1..n
        last = _latest(rows, items, places, size)
        rows, items, places, lengths = rows[last], items[last], places[last], lengths[last]
        kinds = []
        # of the places of shared items, the sum; and the largest, as the highest power of two
        for values in (places / lengths**2, np.exp2(places - lengths)):
            own = scipy.sparse.csr_matrix((values, (rows, items)), shape=(num_rows, size))
            found = (own @ self._recent).tocsr()
            found.sort_indices()
            kinds.append(found)
        similar, bits = kinds
        steps = 1 - np.floor(np.log2(bits.data))
        kept = np.concatenate(
            [
                start + self._nearest(similar.indices[start:stop], similar.data[start:stop])
                for start, stop in zip(similar.indptr[:-1], similar.indptr[1:], strict=True)
            ]
            or [np.empty(0, int)]
        ).astype(int)
        row_of = np.repeat(np.arange(num_rows), np.diff(similar.indptr))
        weights = (similar.data[kept] / steps[kept]).astype(np.float32)
        shape = (num_rows, self._met.shape[0])
        near = scipy.sparse.csr_matrix(
            (weights, (row_of[kept], similar.indices[kept])), shape=shape
        )
        scores = (near @ self._met).toarray()
        if self.idf:
            scores *= self._idf
        scores += self._popularity
        return np.asarray(scores)

    def _nearest(self, sessions: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Returns which of a row's sessions, given by age, are its neighbours."""
        first = max(0, len(sessions) - self.sample_size)
        recent = similarity[first:]
        if len(recent) <= self.neighbours:
            return np.arange(first, len(sessions))
        # of equal ones the most recent
        order = np.argsort(recent, kind="stable")[-self.neighbours :]
        return order + first


def _last_of_rows(matrix: scipy.sparse.csr_matrix, number: int) -> scipy.sparse.csr_matrix:
    """Returns the matrix with the last `number` entries of each row."""
    matrix.sort_indices()
    left = np.repeat(matrix.indptr[1:], np.diff(matrix.indptr)) - np.arange(matrix.nnz)
    matrix.data[left > number] = 0
    matrix.eliminate_zeros()
    return matrix.astype(np.float64)


def _latest(rows: np.ndarray, items: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    """Returns which entries are the last of their item in their row."""
    keys = rows.astype(np.int64) * size + items
    order = np.lexsort((places, keys))
    last = np.r_[np.diff(keys[order]) != 0, True] if len(keys) else np.empty(0, bool)
    found: np.ndarray = np.sort(order[last])
    return found
