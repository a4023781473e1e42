"""Blocks of recurrent session models."""

from typing import Any

import keras
from keras import ops

from tfrecs.layers.bloom import BloomEmbedding
from tfrecs.layers.embedding import IdEmbedding

Tensor = Any  # a tensor of whichever backend Keras runs on


class BiasedEmbedding(IdEmbedding):
    """A table of rows with a bias each: the last column, which starts at 0.

    `s = h . e_i + b_i = [h, 1] . [e_i, b_i]`, so that one gather and one row-sparse update serve
    both, and an index of dot products serves the model. Rows start normal with the variance
    `2 / (size + dim)`, that of Glorot's uniform.

    Args:
        size: Number of rows.
        dim: Length of a row, without the bias.
        seed: Seed of the initial rows. Defaults to 0.

    Example:

    >>> BiasedEmbedding(5, 3)(ops.array([4])).shape
    TensorShape([1, 4])
    """

    def __init__(self, size: int, dim: int, *, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(size, dim + 1, stddev=(2 / (size + dim)) ** 0.5, seed=seed, **kwargs)
        rows = self.embeddings[:, :-1]
        self.embeddings.assign(ops.concatenate([rows, ops.zeros((size, 1))], axis=1))


class BiasedBloom(BloomEmbedding):
    """A `BloomEmbedding` whose rows have a bias each, the last column, as `BiasedEmbedding`.

    Args:
        size: Number of ids.
        dim: Length of a row, without the bias.
        num_bits: Rows that the ids share.
        seed: Seed of bits and of initial rows. Defaults to 0.

    Example:

    >>> BiasedBloom(50, 3, num_bits=20)(ops.array([4])).shape
    TensorShape([1, 4])
    """

    def __init__(self, size: int, dim: int, *, num_bits: int, seed: int = 0, **kwargs: Any) -> None:
        stddev = (2 / (size + dim)) ** 0.5
        super().__init__(size, num_bits, dim + 1, stddev=stddev, seed=seed, **kwargs)
        rows = self.rows.embeddings[:, :-1]
        self.rows.embeddings.assign(ops.concatenate([rows, ops.zeros_like(rows[:, :1])], axis=1))


def biased_table(
    size: int, dim: int, num_bits: int | None = None, **kwargs: Any
) -> BiasedEmbedding | BiasedBloom:
    """Returns a `BiasedEmbedding`, or with `num_bits` a `BiasedBloom`."""
    if num_bits is None:
        return BiasedEmbedding(size, dim, **kwargs)
    return BiasedBloom(size, dim, num_bits=num_bits, **kwargs)


def with_one(vectors: Tensor) -> Tensor:
    """Returns `[h, 1]` `(B, D + 1)`, which meets the bias of `BiasedEmbedding`."""
    return ops.concatenate([vectors, ops.ones_like(vectors[:, :1])], axis=-1)


def without_bias(rows: Tensor) -> Tensor:
    """Returns `e` `(..., D)` of the rows `[e, b]` of a `BiasedEmbedding`."""
    shape = ops.shape(rows)
    # not rows[..., :-1], whose gradient takes ten times as long on TensorFlow
    return ops.slice(rows, (0,) * len(shape), (*shape[:-1], shape[-1] - 1))


class GatedCell(keras.layers.Layer):
    """A gated recurrent unit on inputs that are projected already.

    `r, z = sigmoid(x_r + U_r h), sigmoid(x_z + U_z h)`
    `n = tanh(x_n + r (U_n h + b_n)); h' = (1 - z) n + z h`

    The input is `x = [x_r, x_z, x_n]`, `(B, 3H)`: `W e + b` of an embedding, or rows of a table,
    which is `W` of a one-hot input. With a gate for the state, `[x, g]` `(B, 4H)`, the state is
    first multiplied by `1 + g`: a context can so decide what is remembered.

    Args:
        units: H.
        seed: Seed of the initial weights, uniform by Glorot for each gate apart. Defaults to 0.

    Example:

    >>> cell = GatedCell(2)
    >>> h, _ = cell(ops.zeros((1, 6)), [ops.ones((1, 2))])
    >>> h.shape
    TensorShape([1, 2])

    Reference:
        Cho et al. 2014, arXiv:1406.1078, in the form of cuDNN (the reset after the product).
    """

    def __init__(self, units: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units
        start = glorot_gates(units, units, seed)
        self.recurrent = self.add_weight(
            shape=(units, 3 * units), initializer=start, name="recurrent"
        )
        self.bias = self.add_weight(shape=(3 * units,), initializer="zeros", name="bias")
        self.built = True

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Returns the new state, as output and as state."""
        h, size = states[0], self.units
        if inputs.shape[-1] == 4 * size:
            inputs, gate = inputs[:, : 3 * size], inputs[:, 3 * size :]
            h *= 1 + gate
        inner = ops.matmul(h, self.recurrent) + self.bias  # (B, 3H), U h + b
        x_r, x_z, x_n = ops.split(inputs, 3, axis=-1)
        h_r, h_z, h_n = ops.split(inner, 3, axis=-1)
        r, z = ops.sigmoid(x_r + h_r), ops.sigmoid(x_z + h_z)
        n = ops.tanh(x_n + r * h_n)
        h = n + z * (h - n)
        return h, [h]


def glorot_gates(num_inputs: int, units: int, seed: int) -> keras.initializers.Initializer:
    """Returns Glorot's uniform initializer of three gates that stand side by side."""
    limit = (6 / (num_inputs + units)) ** 0.5
    return keras.initializers.RandomUniform(-limit, limit, seed=seed)


def projection(num_inputs: int, units: int, seed: int, name: str, **kwargs: Any) -> Any:
    """Returns the layer `W e + b` from `num_inputs` to the three gates of a `GatedCell`."""
    start = glorot_gates(num_inputs, units, seed)
    layer = keras.layers.Dense(3 * units, kernel_initializer=start, name=name, **kwargs)
    layer.build((None, num_inputs))
    return layer
