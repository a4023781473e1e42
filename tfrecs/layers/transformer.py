"""Transformer blocks of sequence models."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.layers.embedding import IdEmbedding
from tfrecs.layers.gelu import gelu

Tensor = Any  # a tensor of whichever backend Keras runs on


class TransformerBlock(keras.layers.Layer):
    """Self-attention and a network on each position, normalised before each.

    `x = x + Attention(norm(x)); x = x + W_2 gelu(W_1 norm(x))`

    Args:
        dim: Width, a multiple of `num_heads`.
        num_heads: Number of heads.
        dropout: Share dropped of attention weights and of both branches. Defaults to 0.
        seed: Seed of initial weights and dropout. Defaults to 0.

    Example:

    >>> x = TransformerBlock(8, 2)(ops.ones((3, 5, 8)), ops.ones((3, 5, 5), "bool"))
    >>> x.shape
    TensorShape([3, 5, 8])

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020, arXiv:2002.04745 (norm first).
    """

    def __init__(
        self, dim: int, num_heads: int, *, dropout: float = 0.0, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if dim % num_heads:
            raise ValueError(checks.expected("num_heads", f"a divisor of {dim}", num_heads))
        layers, dtype = keras.layers, self.dtype_policy

        def start(number: int) -> Any:
            return keras.initializers.GlorotUniform(seed=seed + number)

        self.attention = layers.MultiHeadAttention(
            num_heads,
            dim // num_heads,
            dropout=dropout,
            kernel_initializer=start(1),
            seed=seed + 2,
            dtype=dtype,
        )
        self.wide = layers.Dense(4 * dim, kernel_initializer=start(3), dtype=dtype)
        self.narrow = layers.Dense(dim, kernel_initializer=start(4), dtype=dtype)
        self.norms = [layers.LayerNormalization(epsilon=1e-6, dtype=dtype) for _ in range(2)]
        self.dropouts = [layers.Dropout(dropout, seed=seed + n, dtype=dtype) for n in (5, 6)]
        self.attention.build((None, None, dim), (None, None, dim))
        self.wide.build((None, None, dim))
        self.narrow.build((None, None, 4 * dim))
        for norm in self.norms:
            norm.build((None, None, dim))
        self.built = True

    def call(self, x: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """Returns `(B, L, D)`; `mask` bool `(B, L, L)`: which position (row) sees which."""
        y = self.norms[0](x)
        y = self.attention(y, y, attention_mask=mask, training=training)
        x = x + self.dropouts[0](y, training=training)
        y = self.narrow(gelu(self.wide(self.norms[1](x))))
        return x + self.dropouts[1](y, training=training)


class SequenceEncoder(keras.layers.Layer):
    """Positions, transformer blocks and a last normalisation.

    Positions count from the end, so that the last event is at the same one whatever the length.

    Args:
        dim: Width.
        num_layers: Number of blocks.
        num_heads: Heads of each.
        max_length: Number of positions; events before the last so many share the first position.
        causal: Whether a position sees just itself and those before. Defaults to `True`.
        dropout: Share dropped. Defaults to 0.
        seed: Seed of initial weights and dropout. Defaults to 0.

    Example:

    >>> encode = SequenceEncoder(8, num_layers=1, num_heads=2, max_length=5)
    >>> encode(ops.ones((3, 4, 8)), ops.ones((3, 4), "bool")).shape
    TensorShape([3, 4, 8])
    """

    def __init__(
        self,
        dim: int,
        *,
        num_layers: int,
        num_heads: int,
        max_length: int,
        causal: bool = True,
        dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for argument, value in (("num_layers", num_layers), ("max_length", max_length)):
            checks.positive(argument, value)
        dtype = self.dtype_policy
        self.causal, self.max_length = causal, max_length
        self.positions = IdEmbedding(max_length + 2, dim, stddev=0.02, seed=seed, dtype=dtype)
        self.blocks = [
            TransformerBlock(dim, num_heads, dropout=dropout, seed=seed + 10 * n + 10, dtype=dtype)
            for n in range(num_layers)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, dtype=dtype)
        self.norm.build((None, None, dim))
        self.dropout = keras.layers.Dropout(dropout, seed=seed + 1, dtype=dtype)
        self.built = True

    def call(self, x: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """Returns `(B, L, D)` of `(B, L, D)`; `mask` bool `(B, L)`: which positions count."""
        places = ops.arange(ops.shape(x)[1])
        from_end = ops.expand_dims(lengths(mask), 1) - places  # (B, L), 1 for the last event
        # the first two rows of a table are those of the reserved ids
        ids = self.max_length + 2 - ops.clip(from_end, 1, self.max_length)
        x = self.dropout(x + self.positions(ids), training=training)
        seen = ops.expand_dims(mask, 1)  # (B, 1, L)
        own = ops.equal(places[:, None], places[None, :])
        if self.causal:
            seen = ops.logical_and(seen, places[:, None] >= places[None, :])
        seen = ops.logical_or(seen, own)  # so that padding sees something
        for block in self.blocks:
            x = block(x, seen, training=training)
        return self.norm(x)


def lengths(mask: Tensor) -> Tensor:
    """Returns the place after the last `True` of each row, int32 `(B,)`.

    Example:

    >>> lengths(ops.array([[True, False, True, False], [False] * 4])).numpy()
    array([3, 0], dtype=int32)
    """
    places = ops.arange(1, ops.shape(mask)[1] + 1)
    return ops.max(ops.where(mask, places, 0), axis=1)


def at_last(x: Tensor, mask: Tensor) -> Tensor:
    """Returns `x` `(B, L, D)` at each row's last `True`, `(B, D)`; zeros for rows without one."""
    size = lengths(mask)
    last = ops.maximum(size - 1, 0)[:, None, None]
    rows = ops.take_along_axis(x, ops.broadcast_to(last, (ops.shape(x)[0], 1, x.shape[-1])), 1)
    return ops.where(size[:, None] > 0, rows[:, 0], 0)
