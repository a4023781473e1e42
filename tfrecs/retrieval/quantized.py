"""Exact search over quantised candidates: a table of a half or a quarter of the size."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.retrieval.base import Index
from tfrecs.retrieval.exact import nearest, search_block
from tfrecs.retrieval.tuning import SAMPLE, per_query_recall

DTYPES = ("int8", "bfloat16")
BLOCK = 2**16  # candidates made float32 at a time: 16 MiB at 64 dimensions
_STEPS = 127


@keras.saving.register_keras_serializable(package="tfrecs")
class Quantized(Index):
    """Scores every candidate, from vectors kept in fewer bits.

    `int8` keeps `round(127 x / max|x|)` and `max|x| / 127` for each candidate; `bfloat16` keeps
    8 bits of each number's mantissa. Queries stay float32, and a block of candidates at a time
    is made float32 again, so memory is saved, not time. `recall` is measured while indexing.

    Args:
        k: Number of results when a call does not say. Defaults to 10.
        similarity: "dot", "cosine" or "squared_l2". Defaults to "dot".
        table_dtype: "int8" or "bfloat16". Defaults to "int8".
        seed: Of the sample of candidates that recall is measured on. Defaults to 0.
        name: Name of the layer.

    Example:

    >>> index = Quantized(k=1).index(np.eye(3), ["a", "b", "c"])
    >>> _, ids = index(np.array([[0.1, 0.9, 0.5]], "float32"))
    >>> np.asarray(ids).tolist(), index.recall
    ([[b'b']], 1.0)
    """

    def __init__(
        self,
        k: int = 10,
        similarity: str = "dot",
        table_dtype: str = "int8",
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(k=k, similarity=similarity, name=name)
        checks.one_of("table_dtype", table_dtype, DTYPES)
        self.table_dtype = table_dtype
        self.seed = seed
        self._state: dict[str, _Untracked] = {}
        self._recall = 0.0

    @property
    def needs_scann(self) -> bool:
        """False: the search is made of TensorFlow's own operations."""
        return False

    @property
    def vectors(self) -> np.ndarray:
        """The candidates' vectors as they were rounded, `(C, D)` (of unit length for cosine)."""
        self._ids()
        parts = {n: np.asarray(ops.convert_to_numpy(p.variable)) for n, p in self._state.items()}
        return (parts["table"].astype(np.float32) * parts.get("scales", np.float32(1))).T

    @property
    def recall(self) -> float:
        """Recall@k against exact search, of a sample of the candidates asked as queries."""
        self._ids()
        return self._recall

    @property
    def num_bytes(self) -> int:
        """Bytes of the table and what belongs to it."""
        self._ids()
        arrays = (np.asarray(ops.convert_to_numpy(part.variable)) for part in self._state.values())
        return sum(array.nbytes for array in arrays)

    def export_module(self) -> Any:
        """Returns a `tf.Module` of stock operations; the table is shared, not copied."""
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "Export needs the TensorFlow backend. Set KERAS_BACKEND=tensorflow, load the "
                "saved index and export it there."
            )
        from tfrecs.retrieval.graph import ExactModule

        parts = {name: part.variable.value for name, part in self._state.items()}

        def search(table: Any, queries: Any, k: Any, exclude: Any) -> tuple[Any, Any]:
            return search_quantized({**parts, "table": table}, queries, k, exclude, self.similarity)

        module = ExactModule(parts["table"], search)
        module.parts = parts
        return module

    def _build_state(self, vectors: np.ndarray) -> None:
        table, state = vectors, {}
        if self.table_dtype == "int8":
            scales = np.abs(vectors).max(axis=1) / _STEPS
            scales = np.where(scales > 0, scales, 1).astype(np.float32)  # (C,)
            table, state["scales"] = np.rint(vectors / scales[:, None]), scales
        if self.similarity == "squared_l2":
            state["squares"] = np.square(vectors, dtype=np.float64).sum(1).astype(np.float32)
        self._keep({"table": np.ascontiguousarray(table.T), **state})
        random = np.random.default_rng(self.seed)
        count, k = len(vectors), min(self.k, len(vectors))
        sample = vectors[random.choice(count, min(SAMPLE, count), replace=False)]
        truth = nearest(vectors, sample, k, self.similarity)
        found = self._search(ops.convert_to_tensor(sample), k, None)[1]
        self._recall = float(per_query_recall(np.asarray(found), truth).mean())

    def _keep(self, arrays: Mapping[str, np.ndarray]) -> None:
        dtypes = {"table": self.table_dtype}
        self._state = {
            name: _Untracked(keras.Variable(a, False, dtypes.get(name, "float32"), name=name))
            for name, a in arrays.items()
        }

    def _search(self, queries: Any, k: Any, exclude_positions: Any) -> tuple[Any, Any]:
        parts = {name: part.variable for name, part in self._state.items()}
        return search_quantized(parts, queries, k, exclude_positions, self.similarity)

    def _arrays(self) -> Mapping[str, np.ndarray]:
        arrays = {n: np.asarray(ops.convert_to_numpy(p.variable)) for n, p in self._state.items()}
        if self.table_dtype == "bfloat16":
            arrays["table"] = arrays["table"].view(np.uint16)  # which .npy files know
        return arrays

    def _settings(self) -> dict[str, Any]:
        return {"recall": self._recall}

    def _restore_state(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        if self.table_dtype == "bfloat16":
            wide = arrays["table"].astype(np.uint32) << 16  # bfloat16 is the upper half of float32
            arrays = {**arrays, "table": wide.view(np.float32)}
        self._keep(arrays)
        self._recall = settings["recall"]


class _Untracked:
    """Holds a variable out of Keras's tracking, so that re-indexing frees the old one."""

    def __init__(self, variable: keras.Variable) -> None:
        self.variable = variable


def search_quantized(
    parts: Mapping[str, Any], queries: Any, k: Any, exclude: Any, similarity: str
) -> tuple[Any, Any]:
    """Searches block after block of candidates, and the best of all blocks.

    Args:
        parts: "table", `(D, C)`; "scales", `(C,)`, for int8; "squares", `(C,)`, for squared_l2.
        queries: `(B, D)` float32.
        k: Number of results, int or scalar tensor.
        exclude: `(B, E)` positions padded with -1, or None.
        similarity: As for the index.

    Returns:
        `scores` and `positions`, `(B, k)`.
    """
    count = parts["table"].shape[1]
    found = []
    for start in range(0, count, BLOCK):
        end = min(start + BLOCK, count)
        block = ops.cast(parts["table"][:, start:end], "float32")  # (D, block)
        if "scales" in parts:
            block = block * parts["scales"][start:end]
        if "squares" in parts:
            block = ops.concatenate([block, parts["squares"][None, start:end]])
        wanted = min(k, end - start) if isinstance(k, int) else ops.minimum(k, end - start)
        near = None if exclude is None else ops.where(exclude < start, -1, exclude - start)
        scores, places = search_block(block, queries, near, k=wanted, similarity=similarity)
        found.append((scores, ops.where(places < 0, -1, places + start)))
    if len(found) == 1:
        return found[0]
    scores, positions = (ops.concatenate(side, axis=1) for side in zip(*found, strict=True))
    best, columns = ops.top_k(scores, k)
    return best, ops.take_along_axis(positions, columns, axis=1)
