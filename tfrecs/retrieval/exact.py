"""Exact search: every candidate is scored. The index for small catalogues, GPU and TPU."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.retrieval.base import Index

MAX_SCORES = 2**25  # 128 MiB


@keras.saving.register_keras_serializable(package="tfrecs")
class Exact(Index):
    """Scores every candidate and keeps the best `k`.

    The search is keras.ops on any backend and compiles with XLA when `k` is a python int.
    Ids of results are tensors on the TensorFlow backend and NumPy arrays elsewhere.

    Args:
        k: Number of results when a call does not say. Defaults to 10.
        similarity: "dot", "cosine" or "squared_l2". Defaults to "dot".
        max_scores: Most scores held at a time: queries are searched in blocks of
            `max_scores / C`, at least one. Defaults to 2**25 (128 MiB).
        name: Name of the layer.

    Example:

    >>> import numpy as np
    >>> index = Exact(k=2).index(np.eye(3), ["a", "b", "c"])
    >>> scores, ids = index(np.array([[0.1, 0.9, 0.5]], "float32"))
    >>> np.asarray(ids).tolist()
    [[b'b', b'c']]
    """

    def __init__(
        self,
        k: int = 10,
        similarity: str = "dot",
        max_scores: int = MAX_SCORES,
        name: str | None = None,
    ) -> None:
        super().__init__(k=k, similarity=similarity, name=name)
        checks.positive("max_scores", max_scores)
        self.max_scores = max_scores
        self._state: dict[str, Any] = {}

    @property
    def needs_scann(self) -> bool:
        """False: exact search is made of TensorFlow's own operations."""
        return False

    @property
    def vectors(self) -> np.ndarray:
        """The candidates' vectors, `(C, D)` (of unit length for cosine)."""
        return np.asarray(ops.convert_to_numpy(self._table))[: self.dim].T

    @property
    def _table(self) -> Any:
        self._ids()
        return self._state["table"].variable

    def export_module(self) -> Any:
        """Returns a `tf.Module` of stock operations; the vectors are shared, not copied."""
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "Export needs the TensorFlow backend. Set KERAS_BACKEND=tensorflow, load the "
                "saved index and export it there."
            )
        from tfrecs.retrieval.graph import ExactModule

        search = partial(search_blocks, similarity=self.similarity, max_scores=self.max_scores)
        return ExactModule(self._table.value, search)

    def _build_state(self, vectors: np.ndarray) -> None:
        self._state["table"] = _Untracked(as_table(vectors, self.similarity))

    def _search(self, queries: Any, k: Any, exclude_positions: Any) -> tuple[Any, Any]:
        return search_blocks(
            ops.convert_to_tensor(self._table),
            queries,
            k,
            exclude_positions,
            similarity=self.similarity,
            max_scores=self.max_scores,
        )

    def _arrays(self) -> Mapping[str, np.ndarray]:
        return {"vectors": self.vectors}

    def _restore_state(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        self._build_state(arrays["vectors"])


class _Untracked:
    """Holds a variable out of Keras's tracking, so that re-indexing frees the old one."""

    def __init__(self, table: np.ndarray) -> None:
        self.variable = keras.Variable(table, trainable=False, name="candidates")


def as_table(vectors: np.ndarray, similarity: str) -> np.ndarray:
    """Returns the vectors as columns: `(D, C)`, or `(D + 1, C)` with `|x|^2` last.

    For "squared_l2", `2 q . x - |x|^2` is then one product with a longer query.
    """
    table = vectors.T
    if similarity == "squared_l2":
        table = np.concatenate([table, np.square(vectors, dtype=np.float64).sum(1)[None]])
    return np.ascontiguousarray(table, np.float32)


def nearest(
    vectors: np.ndarray, queries: np.ndarray, k: int, similarity: str = "dot"
) -> np.ndarray:
    """Returns the positions of the best `k`, `(B, k)`, by exact search.

    Args:
        vectors: `(C, D)`, of unit length for "cosine".
        queries: `(B, D)`.
        k: Number of results.
        similarity: As for the index. Defaults to "dot".

    Example:

    >>> nearest(np.eye(3, dtype="float32"), np.array([[0.1, 0.3, 0.2]], "float32"), 2)
    array([[1, 2]], dtype=int32)
    """
    table = ops.convert_to_tensor(as_table(vectors, similarity))
    queries = ops.convert_to_tensor(np.asarray(queries, np.float32))
    found = search_blocks(table, queries, k, None, similarity=similarity, max_scores=MAX_SCORES)
    return np.asarray(ops.convert_to_numpy(found[1]))


def search_blocks(
    table: Any,
    queries: Any,
    k: Any,
    exclude_positions: Any,
    *,
    similarity: str,
    max_scores: int,
) -> tuple[Any, Any]:
    """Searches block after block of queries.

    Args:
        table: `(D, C)` vectors as columns; `(D + 1, C)` with `|x|^2` last for "squared_l2".
        queries: `(B, D)`.
        k: Number of results, int or scalar tensor.
        exclude_positions: `(B, E)` padded with -1, or None.
        similarity: As for the index.
        max_scores: Most scores held at a time (one query's at least).

    Returns:
        `scores` and `positions`, `(B, k)`.
    """
    rows = max(1, max_scores // table.shape[1])
    search = partial(search_block, table, k=k, similarity=similarity)
    batch = queries.shape[0]
    if batch is None:
        few = ops.shape(queries)[0] <= rows
        return ops.cond(  # type: ignore[no-any-return]
            few,
            lambda: search(queries, exclude_positions),
            lambda: _search_mapped(search, queries, exclude_positions, rows),
        )
    blocks = []
    for start in range(0, max(batch, 1), rows):
        part = slice(start, start + rows)
        exclude = None if exclude_positions is None else exclude_positions[part]
        blocks.append(search(queries[part], exclude))
    if len(blocks) == 1:
        return blocks[0]
    scores, positions = zip(*blocks, strict=True)
    return ops.concatenate(scores), ops.concatenate(positions)


def _search_mapped(search: Any, queries: Any, exclude_positions: Any, rows: int) -> tuple[Any, Any]:
    """The loop over blocks for a batch whose size is known only when it runs."""
    batch, dim = ops.shape(queries)[0], queries.shape[1]
    count = -(-batch // rows)
    if exclude_positions is None:
        exclude_positions = ops.full((batch, 1), -1, dtype="int32")
    width = ops.shape(exclude_positions)[1]
    fill = count * rows - batch
    queries = ops.concatenate([queries, ops.zeros((fill, dim))])
    none = ops.full((fill, width), -1, dtype="int32")
    exclude_positions = ops.concatenate([exclude_positions, none])
    scores, positions = ops.map(
        lambda block: search(*block),
        (
            ops.reshape(queries, (count, rows, dim)),
            ops.reshape(exclude_positions, (count, rows, width)),
        ),
    )
    k = ops.shape(scores)[-1]
    return (
        ops.reshape(scores, (count * rows, k))[:batch],
        ops.reshape(positions, (count * rows, k))[:batch],
    )


def search_block(
    table: Any, queries: Any, exclude_positions: Any = None, *, k: Any, similarity: str
) -> tuple[Any, Any]:
    """Scores every column of `table`, drops the excluded ones and returns the best `k`."""
    whole = ops.all(ops.isfinite(queries), axis=-1, keepdims=True)  # (B, 1)
    queries = ops.where(whole, queries, ops.zeros_like(queries))
    norm = ops.sqrt(ops.sum(ops.square(queries), axis=-1, keepdims=True))
    if similarity == "cosine":
        queries = queries / ops.where(norm > 0, norm, 1.0)
    if similarity == "squared_l2":
        queries = ops.concatenate([2.0 * queries, -ops.ones_like(norm)], axis=-1)
    scores = ops.matmul(queries, table)  # (B, C)
    if exclude_positions is not None and exclude_positions.shape[1] is None:
        # a pass over all scores is worth saving where there is nothing to exclude
        scores = ops.cond(
            ops.shape(exclude_positions)[1] > 0,
            lambda: drop(scores, exclude_positions),
            lambda: scores,
        )
    elif exclude_positions is not None and exclude_positions.shape[1] != 0:
        scores = drop(scores, exclude_positions)
    best, positions = ops.top_k(scores, k)  # (B, k)
    if similarity == "squared_l2":
        best = ops.minimum(best - ops.square(norm), 0.0)
    found = ops.logical_and(whole, best > float("-inf"))
    best = ops.where(found, best, float("-inf"))
    return best, ops.where(found, ops.cast(positions, "int32"), -1)


def drop(scores: Any, positions: Any) -> Any:
    """Sets `scores[b, positions[b, e]]` to -inf; positions outside the catalogue do nothing."""
    count = scores.shape[1]
    inside = ops.logical_and(positions >= 0, positions < count)  # (B, E)
    update = ops.where(inside, float("-inf"), float("inf"))  # min with +inf changes nothing
    columns = ops.where(inside, positions, 0)
    rows = ops.broadcast_to(ops.arange(ops.shape(scores)[0])[:, None], ops.shape(columns))
    indices = ops.reshape(ops.stack([rows, columns], axis=-1), (-1, 2))
    return ops.scatter_update(scores, indices, ops.reshape(update, (-1,)), reduction="min")
