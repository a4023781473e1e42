"""How a model scores queries against a catalogue: by vectors, or pair by pair."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pyarrow as pa
from keras import ops

from tfrecs import checks

_ROWS = 1 << 16  # candidates encoded at once


class VectorScorer:
    """Scores by a `Retriever`: candidates are encoded once, a block of scores is one product.

    Args:
        model: A `Retriever`.
        transform: Its adapted `FeatureTransform`.
        candidates: Table of the C candidates.
    """

    max_scores = 1 << 24  # 64 MiB of float32, about four times that while masked and ranked

    def __init__(self, model: Any, transform: Any, candidates: pa.Table) -> None:
        self.model, self.transform, self.table = model, transform, candidates
        self._graph = graph(lambda batch: model.candidate(batch))
        self.refresh()

    def refresh(self) -> None:
        """Encodes the candidates by the model as it is now."""
        names = [f.name for f in self.transform.spec.by_role("candidate")]
        blocks = [
            self._graph(as_tensors(self.transform.encode(self.table.slice(start, _ROWS), names)))
            for start in range(0, self.table.num_rows, _ROWS)
        ]
        self.candidates = blocks[0] if len(blocks) == 1 else ops.concatenate(blocks, axis=0)
        check_finite(self.candidates, "vectors of candidates")

    def query(self, batch: dict[str, Any]) -> Any:
        """Returns query vectors `(B, D)`."""
        return self.model.query(batch)

    def block(self, query: Any, candidates: Any, width: Any) -> Any:
        """Returns scores `(B, c)` of all queries against `c = width` candidates."""
        del width
        return self.model.score(query, candidates)

    def given(self, query: Any, candidates: Any, positions: Any) -> Any:
        """Returns scores `(B, N)` of each query's own candidates, `positions` `(B, N)`."""
        return self.model.score(query, ops.take(candidates, positions, axis=0))


class PairScorer:
    """Scores by a `Ranker`: the features of every query meet those of every candidate.

    The two sides are encoded apart, so a Cross of both is not among the features.

    Args:
        model: A `Ranker`.
        transform: Its adapted `FeatureTransform`.
        candidates: Table of the C candidates.
    """

    max_scores = 1 << 16  # a pair carries all its features

    def __init__(self, model: Any, transform: Any, candidates: pa.Table) -> None:
        self.model = model
        names = [f.name for f in transform.spec.by_role("candidate")]
        self.candidates = as_tensors(transform.encode(candidates, names))

    def refresh(self) -> None:
        """Does nothing: features of candidates do not change with the model."""

    def query(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns the features as they are."""
        return batch

    def block(self, query: dict[str, Any], candidates: dict[str, Any], width: Any) -> Any:
        """Returns scores `(B, c)` of all queries against `c = width` candidates."""
        pairs = ops.arange(_num_rows(query) * width)
        return self._pairs(query, candidates, pairs % width, width)

    def given(self, query: dict[str, Any], candidates: dict[str, Any], positions: Any) -> Any:
        """Returns scores `(B, N)` of each query's own candidates, `positions` `(B, N)`."""
        return self._pairs(
            query, candidates, ops.reshape(positions, (-1,)), ops.shape(positions)[1]
        )

    def _pairs(
        self, query: dict[str, Any], candidates: dict[str, Any], positions: Any, width: Any
    ) -> Any:
        num_rows = _num_rows(query)
        rows = ops.arange(num_rows * width) // width  # 0 0 0 1 1 1 ...
        batch = {name: ops.take(x, rows, axis=0) for name, x in query.items()}
        batch |= {name: ops.take(x, positions, axis=0) for name, x in candidates.items()}
        return ops.reshape(self.model(batch, training=False), (num_rows, width))


def graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles `function` for varying batch sizes where Keras runs on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    compiled: Callable[..., Any] = tf.function(function, reduce_retracing=True)
    return compiled


def as_tensors(batch: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the arrays of a batch as tensors."""
    return {name: ops.convert_to_tensor(array) for name, array in batch.items()}


def check_finite(values: Any, what: str) -> None:
    """Raises ValueError where `values` hold a NaN or an infinity."""
    finite = np.isfinite(ops.convert_to_numpy(values))
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        raise ValueError(
            checks.expected(
                "model",
                f"trained to finite {what}",
                f"{int((~finite).sum())} NaN or infinite numbers, the first in row {row}",
                "Train again with a smaller learning rate.",
            )
        )


def _num_rows(batch: dict[str, Any]) -> Any:
    return ops.shape(next(iter(batch.values())))[0]
