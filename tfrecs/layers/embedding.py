"""Tables of id embeddings."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.spec import NUM_RESERVED_IDS, Categorical

Tensor = Any  # a tensor of whichever backend Keras runs on


@keras.saving.register_keras_serializable("tfrecs")
class ReservedZeros(keras.initializers.Initializer):
    """Normal random rows, but zeros for the reserved ids (padding, unknown).

    An id never seen in training then adds nothing to a score, instead of noise.

    Args:
        stddev: Standard deviation of the other rows. 0 gives zeros throughout.
        seed: Seed of the random numbers. Defaults to 0.

    Example:

    >>> rows = ReservedZeros(stddev=1.0, seed=7)((4, 2))
    >>> [bool(row) for row in ops.any(rows != 0, axis=-1)]
    [False, False, True, True]
    """

    def __init__(self, stddev: float, seed: int = 0) -> None:
        self.stddev = stddev
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        reserved = min(NUM_RESERVED_IDS, shape[0])
        known = (shape[0] - reserved, *shape[1:])
        normal = keras.initializers.RandomNormal(stddev=self.stddev, seed=self.seed)
        rows = normal(known, dtype) if self.stddev else ops.zeros(known, dtype)
        return ops.concatenate([ops.zeros((reserved, *shape[1:]), dtype), rows])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {"stddev": self.stddev, "seed": self.seed}


class IdEmbedding(keras.layers.Layer):
    """A table of rows, read by id.

    As `keras.layers.Embedding`, but on TensorFlow just the rows of the batch are read. Keras reads
    the whole table before it gathers, which after a row-sparse update copies it at every step.

    Args:
        size: Number of rows.
        dim: Length of a row.
        stddev: Standard deviation of the initial rows; those of the reserved ids are zeros.
        seed: Seed of the initial rows. Defaults to 0.

    Example:

    >>> layer = IdEmbedding(5, 3, stddev=0.1)
    >>> layer(ops.array([[1, 4]])).shape, len(layer.weights)
    (TensorShape([1, 2, 3]), 1)
    """

    def __init__(self, size: int, dim: int, *, stddev: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.dim = dim
        self.embeddings = self.add_weight(
            shape=(size, dim),
            initializer=ReservedZeros(stddev, seed),
            autocast=False,  # a cast would be of the whole table
            name="embeddings",
        )
        self.built = True

    def call(self, ids: Tensor) -> Tensor:
        """Returns rows, shape `ids.shape + (dim,)`."""
        # floats come from Keras's symbolic tracing alone
        ids = ids if "int" in keras.backend.standardize_dtype(ids.dtype) else ops.cast(ids, "int32")
        # `.value` is what TensorFlow can gather from without a read of the whole variable
        rows = ops.take(self.embeddings.value, ids, axis=0)
        return ops.cast(rows, self.compute_dtype)


def id_embedding(
    feature: Categorical, dim: int, *, stddev: float, seed: int, name: str, dtype: Any = None
) -> IdEmbedding:
    """Builds the table of a categorical feature.

    Args:
        feature: The feature; its `size` is the number of rows.
        dim: Length of a row.
        stddev: Standard deviation of the initial rows; those of the reserved ids are zeros.
        seed: Seed of the initial rows.
        name: Name of the layer.
        dtype: Dtype policy of the layer; `None` for Keras's global one.

    Returns:
        The layer, its weights created.

    Raises:
        ValueError: If `feature.size` is not known yet, or `dim` is not positive.

    Example:

    >>> layer = id_embedding(Categorical("user_id", size=5), 3, stddev=0.1, seed=0, name="users")
    >>> tuple(layer.embeddings.shape)
    (5, 3)
    """
    checks.positive("embedding_dim", dim)
    if feature.size is None:
        remedy = "Use the spec of an adapted FeatureTransform, transform.spec, or set size=..."
        raise ValueError(
            checks.expected(f"size of {feature.name!r}", "the number of its ids", None, remedy)
        )
    return IdEmbedding(feature.size, dim, stddev=stddev, seed=seed, name=name, dtype=dtype)
