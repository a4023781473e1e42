"""Attention of NRMS: self-attention without projection of the output, and additive pooling."""

from typing import Any

import keras
from keras import ops

from tfrecs.layers.negatives import mask_scores

Tensor = Any  # a tensor of whichever backend Keras runs on


class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention, the heads one after the other.

    `h_k = softmax(Q_k K_k^T / sqrt(d)) V_k` with `Q_k = x W_k` and so on, without biases.

    Args:
        input_dim: Width of the input.
        num_heads: Number of heads.
        head_dim: Width of a head, d.
        seed: Seed of initial weights. Defaults to 0.

    Example:

    >>> SelfAttention(5, 2, 3)(ops.ones((4, 7, 5)), ops.ones((4, 7), "bool")).shape
    TensorShape([4, 7, 6])

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762; Wu et al. 2019 (NRMS), doi 10.18653/v1/D19-1671.
    """

    def __init__(
        self, input_dim: int, num_heads: int, head_dim: int, *, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads, self.head_dim = num_heads, head_dim
        start = keras.initializers.GlorotUniform
        width = num_heads * head_dim
        self.kernels = [
            self.add_weight((input_dim, width), start(seed + n), name=name)
            for n, name in enumerate(("query", "key", "value"))
        ]
        self.built = True

    def call(self, x: Tensor, kept: Tensor = None) -> Tensor:
        """Returns `(B, L, H d)` of `(B, L, input_dim)`; `kept` bool `(B, L)`: what is attended."""
        all_three = ops.matmul(x, ops.concatenate(self.kernels, axis=1))  # (B, L, 3 H d)
        found = ops.swapaxes(self_attention(all_three, self.num_heads, kept), 1, 2)  # (B, L, H, d)
        return ops.reshape(found, (-1, ops.shape(x)[1], self.num_heads * self.head_dim))


class AdditiveAttention(keras.layers.Layer):
    """Weighted mean of a sequence: `sum_i a_i x_i`, `a = softmax_i(v . tanh(W x_i + b))`.

    Zeros for a sequence that is masked throughout.

    Args:
        input_dim: Width of the input.
        hidden_dim: Length of v.
        seed: Seed of initial weights. Defaults to 0.

    Example:

    >>> AdditiveAttention(5, 3)(ops.ones((4, 7, 5)), ops.ones((4, 7), "bool")).shape
    TensorShape([4, 5])

    Reference:
        Wu et al. 2019 (NRMS), doi 10.18653/v1/D19-1671.
    """

    def __init__(self, input_dim: int, hidden_dim: int, *, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        start = keras.initializers.GlorotUniform
        self.kernel = self.add_weight((input_dim, hidden_dim), start(seed), name="kernel")
        self.bias = self.add_weight((hidden_dim,), "zeros", name="bias")
        self.query = self.add_weight((hidden_dim, 1), start(seed + 1), name="query")
        self.built = True

    def call(self, x: Tensor, kept: Tensor = None) -> Tensor:
        """Returns `(B, D)` of `(B, L, D)`; `kept` bool `(B, L)`: what counts."""
        scores = ops.matmul(ops.tanh(ops.matmul(x, self.kernel) + self.bias), self.query)[..., 0]
        weights = attention_weights(scores, kept)  # (B, L)
        found = ops.sum(ops.expand_dims(weights, -1) * x, axis=1)
        if kept is None:
            return found
        return ops.where(ops.any(kept, axis=1, keepdims=True), found, ops.zeros_like(found))


def self_attention(all_three: Tensor, num_heads: int, kept: Tensor = None) -> Tensor:
    """Returns what each head finds, `(B, H, L, d)`.

    Args:
        all_three: Queries, keys and values side by side, `(B, L, 3 H d)`.
        num_heads: Number of heads, H.
        kept: Bool `(B, L)`, what is attended; `None` for all.
    """
    head_dim = all_three.shape[-1] // (3 * num_heads)
    shape = (-1, ops.shape(all_three)[1], 3, num_heads, head_dim)
    every = ops.transpose(ops.reshape(all_three, shape), (2, 0, 3, 1, 4))
    q, k, v = ops.unstack(every, 3, axis=0)  # (B, H, L, d)
    scores = ops.matmul(q, ops.swapaxes(k, -1, -2)) * head_dim**-0.5  # (B, H, L, L)
    return ops.matmul(attention_weights(scores, kept), v)


def attention_weights(scores: Tensor, kept: Tensor = None) -> Tensor:
    """Returns the softmax along the last axis of scores, 0 where `kept` is `False`.

    Args:
        scores: Float tensor `(B, ..., M)`.
        kept: Bool `(B, M)`; `None` for all.
    """
    if scores.shape[-1] == 1:
        return ops.ones_like(scores)  # Keras would warn
    if kept is not None:
        for axis in range(1, len(scores.shape) - 1):
            kept = ops.expand_dims(kept, axis)
        scores = mask_scores(scores, ops.logical_not(kept))
    return ops.softmax(scores, axis=-1)
