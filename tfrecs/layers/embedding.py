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


def id_embedding(
    feature: Categorical, dim: int, *, stddev: float, seed: int, name: str, dtype: Any = None
) -> keras.layers.Embedding:
    """Builds the table of a categorical feature, its weights created at once.

    Args:
        feature: The feature; its `size` is the number of rows.
        dim: Length of a row.
        stddev: Standard deviation of the initial rows; those of the reserved ids are zeros.
        seed: Seed of the initial rows.
        name: Name of the layer.
        dtype: Dtype policy of the layer; `None` for Keras's global one.

    Returns:
        A layer from int ids of any shape to vectors, one axis more.

    Raises:
        ValueError: If `feature.size` is not known yet.

    Example:

    >>> user = Categorical("user_id", size=5)
    >>> layer = id_embedding(user, 3, stddev=0.1, seed=0, name="users")
    >>> layer(ops.array([1, 4])).shape, len(layer.weights)
    (TensorShape([2, 3]), 1)
    """
    checks.positive("embedding_dim", dim)
    if feature.size is None:
        remedy = "Use the spec of an adapted FeatureTransform, transform.spec, or set size=..."
        raise ValueError(
            checks.expected(f"size of {feature.name!r}", "the number of its ids", None, remedy)
        )
    table = keras.layers.Embedding(
        feature.size,
        dim,
        embeddings_initializer=ReservedZeros(stddev, seed),
        name=name,
        dtype=dtype,
    )
    table.build()
    return table
