"""A trained model with a catalogue: the same `recommend` as the baselines have."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from keras import ops

from tfrecs import checks
from tfrecs.arrow import as_table
from tfrecs.evaluation.scorers import PairScorer, VectorScorer, as_tensors, check_finite, graph


class ModelRecommender:
    """Ranks a whole catalogue by a model.

    A `Retriever` encodes the candidates once, here, and ranks them by `score`; a `Ranker` scores
    every pair of a query and a candidate. After more training of the model, `refresh` it.

    Memory is bounded by the candidates' vectors (or features) and one block of scores: at most
    2^24 scores (2^16 of a Ranker) at a time, whatever the numbers of queries and candidates.
    Blocks of candidates are merged into a running top k; seen candidates are masked in the same
    graph. Equal scores are ordered by position.

    Args:
        model: A `Retriever` or a `Ranker`.
        transform: The adapted `FeatureTransform` of the model.
        candidates: Table of the C candidates; a position is a row of it.
        index: A retrieval index over the same candidates in the same order, to search instead of
            scoring all; `None` to score all.
        batch_size: Queries at a time, at most. Defaults to 1024.

    Raises:
        ValueError: If there are no candidates, a vector is not finite, or `index` is of other
            candidates or comes with a model that has no vectors.
    """

    def __init__(
        self,
        model: Any,
        transform: Any,
        candidates: pa.Table,
        index: Any = None,
        batch_size: int = 1024,
    ) -> None:
        checks.positive("batch_size", batch_size)
        if candidates.num_rows == 0:
            raise ValueError(checks.expected("candidates", "a table with rows", "0 rows"))
        retrieves = hasattr(model, "candidate")
        if index is not None:
            _check_index(index, model, candidates, transform.spec.candidate_id.name)
        self.transform = transform
        self.num_candidates = candidates.num_rows
        self.index = index
        self.batch_size = batch_size
        self._retrieves = retrieves
        self._scorer: Any = (VectorScorer if retrieves else PairScorer)(
            model, transform, candidates
        )
        self._encode = graph(self._scorer.query)
        self._merge = graph(self._merge_block)
        self._given = graph(self._scorer.given)
        self._search = graph(self._search_index)

    def recommend(
        self, queries: pa.Table, k: int, exclude: sp.csr_matrix | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the best `k` candidates of each query.

        Args:
            queries: Table of B queries, raw, with the query's features.
            k: Number of candidates wanted, at most C.
            exclude: `(B, C)` sparse; what is not zero is not recommended. Defaults to none.

        Returns:
            Scores `(B, k)` float32, the best first, and positions `(B, k)` int64. Where exclusion
            leaves fewer than `k`, the last slots hold -inf and -1.

        Raises:
            ValueError: `k` not in 1..C, `exclude` of another shape, a vector or a score is NaN.
        """
        queries = as_table("queries", queries)
        shape = (queries.num_rows, self.num_candidates)
        if not 1 <= k <= self.num_candidates:
            expectation = f"from 1 to the number of candidates ({self.num_candidates})"
            raise ValueError(checks.expected("k", expectation, k))
        if exclude is not None and exclude.shape != shape:
            expectation = f"of shape {shape} = (queries, candidates)"
            raise ValueError(checks.expected("exclude", expectation, exclude.shape))
        scores = np.full((queries.num_rows, k), -np.inf, np.float32)
        positions = np.full((queries.num_rows, k), -1, np.int64)
        masked = sp.csr_matrix(shape if exclude is None else exclude)
        masked.eliminate_zeros()
        rank = self._rank_all if self.index is None else self._rank_found
        for rows, query in self._encoded(queries, width=k):
            best, place = rank(query, masked[rows], k)
            scores[rows] = best
            positions[rows] = np.where(np.isneginf(best), -1, place)
        return scores, positions

    def refresh(self) -> None:
        """Encodes the candidates anew, after more training; an index stays as it was built."""
        self._scorer.refresh()

    def score(self, queries: pa.Table, positions: np.ndarray) -> np.ndarray:
        """Scores given candidates.

        Args:
            queries: Table of B queries, raw, with the query's features.
            positions: int `(B, N)`, the candidates of each query; -1 is none.

        Returns:
            float32 `(B, N)`; -inf where there is none.

        Raises:
            ValueError: A vector or a score is NaN.
        """
        positions = np.asarray(positions)
        scores = np.empty(positions.shape, np.float32)
        for rows, query in self._encoded(queries, width=positions.shape[1] * 64):
            at = ops.convert_to_tensor(np.maximum(positions[rows], 0), "int32")
            scores[rows] = ops.convert_to_numpy(self._given(query, self._scorer.candidates, at))
        check_finite(scores, "scores")
        return np.where(positions >= 0, scores, -np.inf)

    def _encoded(self, queries: pa.Table, width: int) -> Iterator[tuple[slice, Any]]:
        """Yields blocks of encoded queries, so few that `width` scores each are within bounds."""
        spec = self.transform.spec
        names = [f.name for f in spec.by_role("query")]
        names += [f.name for f in spec.by_role("context", "time") if f.name in queries.column_names]
        size = max(1, min(self.batch_size, self._scorer.max_scores // width))
        for start in range(0, queries.num_rows, size):
            block = queries.slice(start, size)
            query = self._encode(as_tensors(self.transform.encode(block, names)))
            if self._retrieves:
                check_finite(query, "vectors of queries")
            yield slice(start, start + block.num_rows), query

    def _rank_all(self, query: Any, masked: sp.csr_matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
        num_rows = masked.shape[0]
        scores = ops.full((num_rows, k), -np.inf, "float32")
        positions = ops.full((num_rows, k), -1, "int32")
        width = max(1, self._scorer.max_scores // num_rows)
        for start in range(0, self.num_candidates, width):
            stop = min(start + width, self.num_candidates)
            cells = np.stack(masked[:, start:stop].nonzero(), axis=1)  # (M, 2)
            scores, positions, wrong = self._merge(
                query,
                self._scorer.candidates,
                ops.convert_to_tensor([start, stop], "int32"),
                ops.convert_to_tensor(cells, "int32"),
                scores,
                positions,
            )
            if bool(wrong):
                check_finite(np.array([np.nan]), "scores")
        return ops.convert_to_numpy(scores), ops.convert_to_numpy(positions)

    def _merge_block(
        self, query: Any, candidates: Any, window: Any, cells: Any, scores: Any, positions: Any
    ) -> tuple[Any, Any, Any]:
        """Merges the candidates of `window` into the best so far, `(B, k)`; inside a graph."""
        start, stop = window[0], window[1]
        block = keras.tree.map_structure(lambda x: x[start:stop], candidates)
        found = ops.cast(self._scorer.block(query, block, stop - start), "float32")  # (B, c)
        # finite vectors have been checked; pairs have not
        wrong = False if self._retrieves else ops.any(ops.isnan(found))
        found = ops.scatter_update(found, cells, ops.full((ops.shape(cells)[0],), -np.inf))
        k = ops.shape(scores)[1]  # not a constant when it has varied from call to call
        # the earlier ones stand first: of equal scores, top_k takes the first
        best, place = ops.top_k(ops.concatenate([scores, found], axis=1), k)
        earlier = ops.take_along_axis(positions, ops.minimum(place, k - 1), axis=1)
        return best, ops.where(place < k, earlier, place - k + start), wrong

    def _rank_found(
        self, query: Any, masked: sp.csr_matrix, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Asks the index."""
        widths = np.diff(masked.indptr)
        exclude = np.full((masked.shape[0], max(widths.max(), 1)), -1, np.int32)
        rows = np.repeat(np.arange(masked.shape[0]), widths)
        exclude[rows, np.arange(masked.nnz) - masked.indptr[rows]] = masked.indices
        found = self._search(query, ops.convert_to_tensor(exclude), k)
        scores, positions = (ops.convert_to_numpy(x) for x in found)
        return scores, positions

    def _search_index(self, query: Any, exclude: Any, k: int) -> Any:
        return self.index.search(query, k, exclude)


def _check_index(index: Any, model: Any, candidates: pa.Table, name: str) -> None:
    if not hasattr(model, "candidate"):
        raise ValueError(
            checks.expected("model", "a Retriever where there is an index", type(model).__name__)
        )
    ids = candidates[name].to_pylist()
    if list(index.ids) != ids:
        raise ValueError(
            checks.expected(
                "index",
                f"over the {len(ids)} candidates in their order",
                f"{len(index.ids)} ids",
                "Build it from the same table.",
            )
        )
