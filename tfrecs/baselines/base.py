"""What every baseline shares: ids to positions, the interaction matrix, the best k in blocks."""

import abc
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse

from tfrecs import checks
from tfrecs.spec import FeatureSpec

_BLOCK_CELLS = 1 << 22  # scores in memory at once: 16 MiB of float32


class Baseline(abc.ABC):
    """A recommender without a network: `fit` on events, then `recommend` for queries.

    Subclasses are final; they write `fit`, which ends in `_prepare`, and `score`. Scores are made
    and ranked in blocks of queries, so that queries x candidates is never in memory at once.
    """

    _spec: FeatureSpec
    _candidate_ids: pa.Array | None = None

    @abc.abstractmethod
    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        """Learns from `events`, one row an interaction, and returns itself.

        Args:
            events: Interactions, with the query id and the candidate id of `spec`.
            candidates: The catalogue, with the candidate id. A position is a row of this table.
            spec: The features, of which the two ids matter (and the time, with a window).
        """

    @abc.abstractmethod
    def score(self, queries: pa.Table) -> np.ndarray:
        """Scores every candidate for every query, higher is better: float32 `(B, C)`."""

    def recommend(
        self, queries: pa.Table, k: int, exclude: scipy.sparse.csr_matrix | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the best `k` candidates of each query, ties in order of position.

        Args:
            queries: Table of B queries, with the query id.
            k: Number of candidates wanted, at most C.
            exclude: `(B, C)` sparse; what is not zero is not recommended. Defaults to none.

        Returns:
            Scores `(B, k)` float32, the best first, and positions `(B, k)` int64. Where exclusion
            leaves fewer than `k`, the last slots hold -inf and -1.

        Raises:
            ValueError: Before `fit`; `k` not in 1..C; `exclude` of another shape; a score is NaN.
        """
        num_candidates = self._num_candidates()
        _check_k(k, num_candidates)
        if exclude is not None:
            _check_shape("exclude", exclude, (queries.num_rows, num_candidates))
            exclude = scipy.sparse.csr_matrix(exclude)
        scores = np.empty((queries.num_rows, k), np.float32)
        positions = np.empty((queries.num_rows, k), np.int64)
        block = max(1, _BLOCK_CELLS // num_candidates)
        for start in range(0, queries.num_rows, block):
            rows = slice(start, start + block)
            found = np.array(self.score(queries.slice(start, block)), np.float32)  # (b, C)
            if exclude is not None:
                found[exclude[rows].nonzero()] = -np.inf
            scores[rows], positions[rows] = top_k(found, k)
        return scores, positions

    def _prepare(self, candidates: pa.Table, spec: FeatureSpec) -> None:
        ids = id_column(candidates, spec.candidate_id.name, "candidates")
        self._candidate_ids = distinct_ids(ids, "candidates")
        self._spec = spec

    def _num_candidates(self) -> int:
        if self._candidate_ids is None:
            name = type(self).__name__
            raise ValueError(
                f"`{name}` has not been fitted. Call `fit(events, candidates, spec)` first."
            )
        return len(self._candidate_ids)


def interaction_matrix(
    events: pa.Table, query_ids: Any, candidate_ids: Any, spec: FeatureSpec
) -> scipy.sparse.csr_matrix:
    """Counts how often each query met each candidate.

    Args:
        events: Interactions, with the query id and the candidate id of `spec`.
        query_ids: The Q ids of the rows, distinct: an Arrow or numpy array.
        candidate_ids: The C ids of the columns, distinct.
        spec: The features, of which the two ids matter.

    Returns:
        float32 sparse matrix `(Q, C)`; an entry is a number of events.

    Raises:
        ValueError: A column is missing, an id is missing, repeated among the rows or columns, of
            another type, or in `events` but not in `query_ids` or `candidate_ids`.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> events = pa.table({"user_id": ["a", "b", "a"], "item_id": ["x", "y", "x"]})
    >>> interaction_matrix(events, ["a", "b"], ["x", "y"], spec).toarray()
    array([[2., 0.],
           [0., 1.]], dtype=float32)
    """
    rows = event_positions(events, spec.query_id.name, query_ids, "query_ids")
    columns = event_positions(events, spec.candidate_id.name, candidate_ids, "candidate_ids")
    counts = np.ones(events.num_rows, np.float32)
    shape = (len(query_ids), len(candidate_ids))
    return scipy.sparse.csr_matrix((counts, (rows, columns)), shape=shape)


def event_positions(events: pa.Table, name: str, known_ids: Any, argument: str) -> np.ndarray:
    """Returns the position among `known_ids` of the id `name` of each event, int64.

    Raises:
        ValueError: As `interaction_matrix`; `argument` is what the message calls `known_ids`.
    """
    known = distinct_ids(known_ids, argument)
    wanted = id_column(events, name, "events")
    found = find_positions(wanted, known, name)
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise ValueError(
            f"`events` row {row} has {name} {wanted[row].as_py()!r}, which is not in "
            f"`{argument}` ({len(known)} ids). Add it there, or drop its events."
        )
    return found


def id_column(table: pa.Table, name: str, argument: str) -> pa.Array:
    """Returns the id column `name` of `table`, checked to be there and without nulls.

    Raises:
        ValueError: The column is missing or holds a missing id.
    """
    if name not in table.column_names:
        raise ValueError(
            checks.expected(
                argument,
                f"a table with the column {name!r}",
                table.column_names,
                checks.did_you_mean(name, table.column_names),
            )
        )
    column = table[name]
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise ValueError(
            f"`{argument}` has no {name} in row {row} ({column.null_count} such rows). "
            "Drop the rows without an id."
        )
    return _flat(column)


def find_positions(wanted: pa.Array, known: pa.Array, name: str) -> np.ndarray:
    """Returns the position of each wanted id among the known ids, int64, -1 where there is none.

    Raises:
        ValueError: The ids are text on one side and numbers on the other.
    """
    if len(known) and len(wanted) and _is_text(wanted) != _is_text(known):
        raise ValueError(
            f"`{name}` must have one type everywhere. Received: {wanted.type} where the known ids "
            f"are {known.type}. Cast one of the columns."
        )
    if len(known) == 0 or len(wanted) == 0:
        return np.full(len(wanted), -1, np.int64)
    found = pc.index_in(wanted.cast(known.type), value_set=known)
    positions: np.ndarray = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
    return positions.astype(np.int64)


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best `k` of each row, ties in order of position.

    Args:
        scores: `(B, C)` float; -inf is never taken.
        k: At most C.

    Returns:
        Scores `(B, k)`, the best first, and positions `(B, k)` int64; -inf and -1 where empty.

    Raises:
        ValueError: A score is NaN.

    Example:

    >>> scores, positions = top_k(np.array([[0.1, 0.7, 0.7, 0.3]]), 2)
    >>> positions
    array([[1, 2]])
    """
    if np.isnan(scores).any():
        row, position = (int(i) for i in np.argwhere(np.isnan(scores))[0])
        raise ValueError(f"The score of row {row}, position {position} is NaN.")
    if scores.shape[0] == 0:
        return np.empty((0, k), scores.dtype), np.empty((0, k), np.int64)
    num_rows, num_columns = scores.shape
    last = np.partition(scores, num_columns - k, axis=1)[:, num_columns - k, None]  # k-th best
    above, level = scores > last, scores == last
    room = k - above.sum(axis=1, keepdims=True)
    taken = above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= room))
    positions = np.nonzero(taken)[1].reshape(num_rows, k)
    best = np.take_along_axis(scores, positions, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    positions = np.take_along_axis(positions, order, axis=1)
    return best, np.where(np.isneginf(best), -1, positions)


def distinct_ids(values: Any, argument: str) -> pa.Array:
    """Returns ids as an Arrow array, checked to be distinct and without nulls.

    Raises:
        ValueError: An id is missing or repeated.
    """
    array = _flat(values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values))
    if array.null_count or len(pc.unique(array)) != len(array):
        seen = pc.value_counts(array)
        repeated = [v["values"].as_py() for v in seen if v["counts"].as_py() > 1]
        raise ValueError(
            checks.expected(argument, "distinct ids, none missing", repeated or [None])
        )
    return array


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _is_text(array: pa.Array) -> bool:
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_k(k: int, num_candidates: int) -> None:
    whole = isinstance(k, int | np.integer) and not isinstance(k, bool)
    if not whole or not 1 <= k <= num_candidates:
        raise ValueError(
            checks.expected(
                "k", f"an integer from 1 to the number of candidates ({num_candidates})", k
            )
        )


def _check_shape(argument: str, value: Any, shape: tuple[int, int]) -> None:
    if value.shape != shape:
        raise ValueError(
            checks.expected(
                argument, f"of shape {shape} = (queries, candidates)", tuple(value.shape)
            )
        )
