"""What Perceiver IO is made of: attention of a few queries to many inputs, or to each other."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.layers.attention import attention_weights, self_attention
from tfrecs.layers.gelu import gelu

Tensor = Any  # a tensor of whichever backend Keras runs on
_EPSILON = 1e-5


class PerceiverAttention(keras.layers.Layer):
    """Attention of queries to inputs (or to themselves), then a network on each query.

    `x = q + W_o Attention(norm(q), norm(inputs)); x = x + W_2 gelu(W_1 norm(x))`

    Time and memory are linear in the number of inputs. Where a row has no input at all, the
    attention adds nothing. Scale and offset of the inputs' normalisation are multiplied into the
    weights of keys and values, so that inputs which are no result of training cost no gradient.
    Keys have no bias: it would add the same to all scores of a query, which softmax takes away.

    Args:
        query_dim: Width of the queries, and of what comes out.
        input_dim: Width of the inputs; `None` for attention of the queries to themselves.
        num_heads: Heads, a divisor of `query_dim`.
        widening: Hidden units of the network, in multiples of `query_dim`. Defaults to 1.
        residual: Whether the queries are added to what they find. Defaults to `True`.
        seed: Seed of initial weights. Defaults to 0.

    Example:

    >>> layer = PerceiverAttention(8, 5, num_heads=2)
    >>> layer(ops.ones((2, 3, 8)), ops.ones((2, 100, 5)), ops.ones((2, 100), "bool")).shape
    TensorShape([2, 3, 8])
    """

    def __init__(
        self,
        query_dim: int,
        input_dim: int | None = None,
        *,
        num_heads: int = 1,
        widening: int = 1,
        residual: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if query_dim % num_heads:
            raise ValueError(checks.expected("num_heads", f"a divisor of {query_dim}", num_heads))
        self.num_heads, self.residual, self.own = num_heads, residual, input_dim is None
        self.scale = (query_dim // num_heads) ** -0.5
        input_dim = input_dim or query_dim

        def dense(number: int, units: int, dim: int, **options: Any) -> Any:
            start = keras.initializers.GlorotUniform(seed + number)
            layer = keras.layers.Dense(
                units, kernel_initializer=start, dtype=self.dtype_policy, **options
            )
            layer.build((None, None, dim))
            return layer

        def norm(dim: int) -> Any:
            layer = keras.layers.LayerNormalization(epsilon=_EPSILON, dtype=self.dtype_policy)
            layer.build((None, None, dim))
            return layer

        self.query_norm, self.norm = norm(query_dim), norm(query_dim)
        self.input_norm = self.query_norm if self.own else norm(input_dim)
        self.query = dense(1, query_dim, query_dim)
        self.key = dense(2, query_dim, input_dim, use_bias=False)
        self.value = dense(3, query_dim, input_dim)
        self.output_dense = dense(4, query_dim, query_dim)
        self.wide = dense(5, widening * query_dim, query_dim)
        self.narrow = dense(6, query_dim, widening * query_dim)
        self.built = True

    def call(self, query: Tensor, inputs: Tensor = None, kept: Tensor = None) -> Tensor:
        """Returns `(B, N, query_dim)`.

        Args:
            query: `(B, N, query_dim)`, or `(1, N, query_dim)` for the same queries in each row.
            inputs: `(B, M, input_dim)`; `None` for the queries themselves.
            kept: Bool `(B, M)`, which inputs count; `None` for all.
        """
        found = self.attend(query, inputs, kept)
        x = query + found if self.residual else found
        return x + self.narrow(gelu(self.wide(self.norm(x))))

    def attend(self, query: Tensor, inputs: Tensor, kept: Tensor) -> Tensor:
        """Returns `W_o Attention(...)`, `(B, N, query_dim)`."""
        latents = query.shape[1]
        normal = self.query_norm(query)
        if self.own:
            found = self._of_themselves(normal, kept)
        else:
            q = self._split(self.query(normal)) * self.scale  # (B, H, N, d)
            wide, width = _wide(inputs), inputs.shape[-1]
            mean, variance = ops.moments(wide, axes=-1, keepdims=True)
            normal = ops.cast((wide - mean) * ops.rsqrt(variance + _EPSILON), self.compute_dtype)
            products = self.num_heads * latents * width  # for each input, of either kind below
            if query.shape[0] == 1 and products <= query.shape[2] * (width + latents):
                found = self._by_queries(q, normal, kept)
            else:
                found = self._by_keys(q, normal, kept)
        found = ops.reshape(ops.swapaxes(found, 1, 2), (-1, latents, query.shape[2]))
        found = self.output_dense(found)
        if kept is None:
            return found
        return ops.where(ops.any(kept, axis=1)[:, None, None], found, ops.zeros_like(found))

    def _of_themselves(self, normal: Tensor, kept: Tensor) -> Tensor:
        """Returns `(B, H, N, d)` by one product for queries, keys and values."""
        kernels = [_wide(x.kernel) for x in (self.query, self.key, self.value)]
        of_query, of_value = (_wide(x.bias) for x in (self.query, self.value))
        biases = [of_query, ops.zeros_like(of_query), of_value]
        kernel, bias = (
            ops.cast(ops.concatenate(x, axis=-1), self.compute_dtype) for x in (kernels, biases)
        )
        return self_attention(ops.matmul(normal, kernel) + bias, self.num_heads, kept)

    def _of_normal(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns kernels of keys and values `(C, H d)` and bias of values for normalised inputs.

        `W (gamma n + beta) + b = (W gamma) n + (W beta + b)`
        """
        norm = self.input_norm
        gamma, beta = (ops.expand_dims(_wide(x), 1) for x in (norm.gamma, norm.beta))
        key, value = (_wide(x.kernel) for x in (self.key, self.value))
        bias = _wide(self.value.bias) + ops.sum(beta * value, axis=0)
        return gamma * key, gamma * value, bias

    def _by_keys(self, q: Tensor, normal: Tensor, kept: Tensor) -> Tensor:
        """Returns `(B, H, N, d)` by keys and values of the inputs."""
        key, value, bias = self._of_normal()
        kernel = ops.cast(ops.concatenate([key, value], axis=1), self.compute_dtype)
        k, v = ops.split(ops.matmul(normal, kernel), 2, axis=-1)
        k, v = self._split(k), self._split(v + ops.cast(bias, self.compute_dtype))  # (B, H, M, d)
        scores = ops.matmul(q, ops.swapaxes(k, -1, -2))  # (B, H, N, M)
        return ops.matmul(attention_weights(scores, kept), v)

    def _by_queries(self, q: Tensor, normal: Tensor, kept: Tensor) -> Tensor:
        """Returns the same for few queries that all rows share: no keys and values are made.

        `q . (W_k x) = (W_k^T q) . x` and `sum a (W_v x) = W_v (sum a x)`
        """
        key, value, bias = (self._heads(x) for x in self._of_normal())  # (H, C, d), (H, d)
        q, width = _wide(q)[0], normal.shape[-1]  # (H, N, d)
        heads, latents = q.shape[0], q.shape[1]
        asked = ops.matmul(q, ops.swapaxes(key, 1, 2))  # (H, N, C)
        asked = ops.cast(ops.reshape(asked, (1, heads * latents, width)), self.compute_dtype)
        # no product broadcasts a matrix over a batch: TensorFlow 2.20 crashes in one on the CPU
        asked = asked + ops.zeros_like(normal[:, :1, :1])
        scores = ops.matmul(asked, ops.swapaxes(normal, 1, 2))  # (B, H N, M)
        found = _wide(ops.matmul(attention_weights(scores, kept), normal))  # (B, H N, C)
        found = ops.reshape(found, (-1, heads, latents, width))
        value = ops.expand_dims(value, 0) + ops.zeros_like(found[:, :1, :1, :1])
        found = ops.matmul(found, value) + ops.expand_dims(bias, 1)  # (B, H, N, d)
        return ops.cast(found, self.compute_dtype)

    def _heads(self, weight: Tensor) -> Tensor:
        """Returns a kernel `(C, H d)` as `(H, C, d)`, a bias as `(H, d)`."""
        size = weight.shape[-1] // self.num_heads
        heads = ops.reshape(weight, (*weight.shape[:-1], self.num_heads, size))
        return heads if len(heads.shape) == 2 else ops.swapaxes(heads, 0, 1)

    def _split(self, x: Tensor) -> Tensor:
        """Returns `(B, H, L, d)` of `(B, L, H d)`."""
        size = x.shape[-1] // self.num_heads
        x = ops.reshape(x, (-1, ops.shape(x)[1], self.num_heads, size))
        return ops.swapaxes(x, 1, 2)


def _wide(x: Tensor) -> Tensor:
    """Returns a tensor in float32: sums of squares need the precision."""
    return ops.cast(x, "float32")
