"""What item-kNN, user-kNN and EASE share: who met what, weights, nearest neighbours."""

from abc import abstractmethod
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse

from tfrecs import checks
from tfrecs.arrow import as_table
from tfrecs.baselines.base import Baseline, find_positions, id_column, interaction_matrix
from tfrecs.spec import FeatureSpec, MultiCategorical, Sequence

Weighting = Literal["binary", "tf_idf", "bm25"]
WEIGHTINGS: tuple[Weighting, ...] = ("binary", "tf_idf", "bm25")
_BM25_SATURATION, _BM25_LENGTH = 100.0, 0.8  # as in the library `implicit`
_BLOCK_ENTRIES = 1 << 23  # similarities in memory at once, about 100 MiB
_MAX_BLOCK = 1024


class Neighbourhood(Baseline):
    """Base of the baselines that score by what a query met; subclasses are final.

    A query with events in `fit` has met those. Where `spec` has a list of candidates among the
    query's features (a history) and the queries come with that column, a query that is not empty
    there has met what it says instead: so queries unknown in `fit` are answered. A query that met
    nothing, or nothing that tells of any candidate, gets the number of queries that met each
    candidate as scores: the popularity order.
    """

    _query_ids: pa.Array
    _met: scipy.sparse.csr_matrix
    _counts: np.ndarray

    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        events = as_table("events", events)
        candidates = as_table("candidates", candidates)
        self._prepare(candidates, spec)
        self._query_ids = pc.unique(id_column(events, spec.query_id.name, "events"))
        times = interaction_matrix(events, self._query_ids, self._candidate_ids, spec)
        self._met = times.copy()
        self._met.data[:] = 1.0  # met or not, however often
        self._counts = np.asarray(self._met.sum(axis=0), np.float32).ravel()
        self._learn(times)
        return self

    @abstractmethod
    def _learn(self, times: scipy.sparse.csr_matrix) -> None:
        """Learns from how often each query met each candidate, `(Q, C)`."""

    @abstractmethod
    def _score(self, met: scipy.sparse.csr_matrix, rows: np.ndarray) -> np.ndarray:
        """Scores all candidates for what queries met, `(B, C)` both; `rows` of `fit`, or -1."""

    def score(self, queries: pa.Table) -> np.ndarray:
        num_candidates, name = self._num_candidates(), self._spec.query_id.name
        rows = find_positions(id_column(queries, name, "queries"), self._query_ids, name)
        met = self._met_by(queries, rows)
        known = np.diff(met.indptr) > 0
        scores = np.empty((len(known), num_candidates), np.float32)
        scores[known] = self._score(met[known], rows[known])
        known &= scores.any(axis=1, where=known[:, None])
        scores[~known] = self._counts
        return scores

    def _met_by(self, queries: pa.Table, rows: np.ndarray) -> scipy.sparse.csr_matrix:
        met = self._met[np.maximum(rows, 0)].multiply((rows >= 0)[:, None]).tocsr()
        met.eliminate_zeros()
        history = _history(self._spec)
        if history is None or history not in queries.column_names:
            return scipy.sparse.csr_matrix(met)
        listed = _listed(queries[history].combine_chunks(), self._candidate_ids, history)
        given = np.diff(listed.indptr) > 0
        chosen = met.multiply(~given[:, None]) + listed
        return scipy.sparse.csr_matrix(chosen)


def _history(spec: FeatureSpec) -> str | None:
    """Returns the name of the list of candidates among the query's features, if there is one."""
    owner = spec.candidate_id.name
    lists = [f for f in spec.by_role("query") if isinstance(f, MultiCategorical | Sequence)]
    return next((f.name for f in lists if f.shared_with == owner), None)


def _listed(lists: Any, known: Any, name: str) -> scipy.sparse.csr_matrix:
    """Returns which of the known candidates each list has, 1.0 or nothing."""
    places = find_positions(lists.flatten(), known, name)
    rows = np.repeat(np.arange(len(lists)), np.asarray(lists.value_lengths().fill_null(0)))
    rows, places = rows[places >= 0], places[places >= 0]
    ones: Any = np.ones(len(rows), np.float32)
    listed = scipy.sparse.csr_matrix((ones, (rows, places)), shape=(len(lists), len(known)))
    listed.data[:] = 1.0
    return listed


def weigh(times: scipy.sparse.csr_matrix, weighting: Weighting) -> scipy.sparse.csr_matrix:
    """Weighs how often queries (the terms) met candidates (the documents).

    - "binary": 1
    - "tf_idf": `sqrt(n_qi) idf_q`, with `idf_q = ln(C / (1 + number of candidates q met)) + 1`
    - "bm25": `idf_q n_qi (100 + 1) / (100 (0.2 + 0.8 n_i / mean n) + n_qi)`

    So a query that met much says less of each, as it does in the library `implicit`.

    Args:
        times: `(Q, C)`, numbers of events.
        weighting: Which one.

    Example:

    >>> weigh(scipy.sparse.csr_matrix([[4.0, 0.0]]), "tf_idf").toarray()  # 2 (ln(2 / 2) + 1)
    array([[2., 0.]], dtype=float32)
    """
    checks.one_of("weighting", weighting, WEIGHTINGS)
    weighted = times.astype(np.float32)
    if weighting == "binary":
        weighted.data[:] = 1.0
        return weighted
    num_met = np.diff(times.indptr)
    idf = np.repeat(np.log(times.shape[1] / (1 + num_met)) + 1, num_met)
    if weighting == "tf_idf":
        weighted.data = (np.sqrt(times.data) * idf).astype(np.float32)
        return weighted
    lengths = np.asarray(times.sum(axis=0)).ravel()
    length = 1 - _BM25_LENGTH + _BM25_LENGTH * lengths / lengths.mean()
    damping = _BM25_SATURATION * length[times.indices] + times.data
    weighted.data = (idf * times.data * (_BM25_SATURATION + 1) / damping).astype(np.float32)
    return weighted


def nearest(
    rows: scipy.sparse.csr_matrix,
    others: scipy.sparse.csr_matrix,
    neighbours: int,
    shrinkage: float,
    left_out: np.ndarray,
) -> scipy.sparse.csr_matrix:
    """Returns shrunk cosines of `rows` `(R, F)` with `others` `(O, F)`, the largest of each row.

    `<a, b> / (|a| |b| + shrinkage)`, at most `neighbours` a row, ties in order of position.

    Args:
        rows: Whose neighbours are wanted.
        others: The possible neighbours.
        neighbours: Most neighbours of a row.
        shrinkage: Pulls the similarity of rows with little in common towards 0.
        left_out: int `(R,)`, who is no neighbour of a row: itself; -1 for none.
    """
    turned = others.T.tocsr()
    norms = [np.sqrt(np.asarray(m.multiply(m).sum(axis=1))).ravel() for m in (rows, others)]
    block = min(_MAX_BLOCK, max(1, _BLOCK_ENTRIES // max(1, others.shape[0])))
    parts = []
    for start in range(0, rows.shape[0], block):
        together = (rows[start : start + block] @ turned).tocsr()  # (b, O)
        together.sort_indices()  # so that ties are kept in order of position
        places = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr)) + start
        scale = norms[0][places] * norms[1][together.indices] + shrinkage
        together.data = (together.data / scale).astype(np.float32)
        together.data[left_out[places] == together.indices] = 0.0
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
