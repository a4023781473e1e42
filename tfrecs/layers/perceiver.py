"""Perceiver IO: inputs of any length into a few latents, and from them outputs of any number."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.layers.perceiver_attention import PerceiverAttention

Tensor = Any  # a tensor of whichever backend Keras runs on


class PerceiverEncoder(keras.layers.Layer):
    """Learned latents that attend to the inputs once, then to themselves.

    Args:
        input_dim: Width of the inputs.
        num_latents: Number of latents, N.
        latent_dim: Their width, D.
        num_layers: Self-attention layers of a block.
        num_blocks: How often the block is applied, with the same weights. Defaults to 1.
        num_heads: Heads of self-attention. Defaults to 8.
        cross_heads: Heads of the attention to the inputs. Defaults to 1.
        widening: Hidden units of the networks, in multiples of D. Defaults to 1.
        seed: Seed of initial weights. Defaults to 0.

    Example:

    >>> encode = PerceiverEncoder(5, 4, 8, num_layers=1)
    >>> encode(ops.ones((2, 100, 5)), ops.ones((2, 100), "bool")).shape
    TensorShape([2, 4, 8])

    Reference:
        Jaegle et al. 2021, Perceiver IO, arXiv:2107.14795.
    """

    def __init__(
        self,
        input_dim: int,
        num_latents: int,
        latent_dim: int,
        *,
        num_layers: int,
        num_blocks: int = 1,
        num_heads: int = 8,
        cross_heads: int = 1,
        widening: int = 1,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for argument, value in (("num_latents", num_latents), ("num_blocks", num_blocks)):
            checks.positive(argument, value)
        self.num_blocks = num_blocks
        self.latents = self.add_weight(
            (num_latents, latent_dim),
            keras.initializers.TruncatedNormal(stddev=0.02, seed=seed),
            name="latents",
        )
        dtype = self.dtype_policy
        self.cross = PerceiverAttention(
            latent_dim,
            input_dim,
            num_heads=cross_heads,
            widening=widening,
            seed=seed + 10,
            dtype=dtype,
        )
        self.layers = [
            PerceiverAttention(
                latent_dim,
                num_heads=num_heads,
                widening=widening,
                seed=seed + 20 + 10 * n,
                dtype=dtype,
            )
            for n in range(num_layers)
        ]
        self.built = True

    def call(self, inputs: Tensor, kept: Tensor = None) -> Tensor:
        """Returns latents `(B, N, D)` of inputs `(B, M, input_dim)` and `kept`, bool `(B, M)`."""
        return self.process(self.read(inputs, kept))

    def read(self, inputs: Tensor, kept: Tensor = None) -> Tensor:
        """Returns latents `(B, N, D)` that have attended to the inputs, and not yet to others.

        Those of inputs of several lengths can go through `process` together, which is faster.
        """
        latents = ops.expand_dims(ops.cast(self.latents, self.compute_dtype), 0)
        return self.cross(latents, inputs, kept)

    def process(self, latents: Tensor) -> Tensor:
        """Returns latents `(B, N, D)` that have attended to themselves."""
        x = latents
        for _ in range(self.num_blocks):
            for layer in self.layers:
                x = layer(x)
        return x


class PerceiverDecoder(keras.layers.Layer):
    """Learned queries that attend to the latents: one vector an output.

    Args:
        latent_dim: Width of the latents.
        num_outputs: Number of outputs, Q: 1 for a vector, more for a sequence.
        output_dim: Their width.
        num_heads: Heads. Defaults to 1.
        widening: Hidden units of the network, in multiples of `output_dim`. Defaults to 1.
        residual: Whether the queries are added to what they find. Defaults to `False`.
        seed: Seed of initial weights. Defaults to 0.

    Example:

    >>> PerceiverDecoder(8, 3, 6)(ops.ones((2, 4, 8))).shape
    TensorShape([2, 3, 6])
    """

    def __init__(
        self,
        latent_dim: int,
        num_outputs: int,
        output_dim: int,
        *,
        num_heads: int = 1,
        widening: int = 1,
        residual: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.positive("num_outputs", num_outputs)
        self.queries = self.add_weight(
            (num_outputs, output_dim),
            keras.initializers.TruncatedNormal(stddev=0.02, seed=seed),
            name="queries",
        )
        self.cross = PerceiverAttention(
            output_dim,
            latent_dim,
            num_heads=num_heads,
            widening=widening,
            residual=residual,
            seed=seed + 10,
            dtype=self.dtype_policy,
        )
        self.built = True

    def call(self, latents: Tensor) -> Tensor:
        """Returns `(B, Q, output_dim)` of latents `(B, N, latent_dim)`."""
        queries = ops.expand_dims(ops.cast(self.queries, self.compute_dtype), 0)
        return self.cross(queries, latents)
