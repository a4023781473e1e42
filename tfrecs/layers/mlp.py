"""Dense layers on top of each other."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from tfrecs import checks

Tensor = Any  # a tensor of whichever backend Keras runs on


class MLP(keras.layers.Layer):
    """Dense layers on top of each other, with a linear unit at the end.

    `x_l+1 = dropout(activation(W_l x_l + b_l)); score = w . x_L + b`

    Its weights are there once it is constructed.

    Args:
        input_dim: Length of the input.
        hidden: Units of the hidden layers; empty for the linear unit alone.
        activation: Of the hidden layers. Defaults to "relu".
        first: Of the first of them, where it has another. Defaults to `None`.
        dropout: Share of hidden units left out in training. Defaults to 0.
        head: Whether the linear unit is there. Defaults to `True`.
        seed: Seed of the initial weights and the dropout. Defaults to 0.

    Call arguments:
        x: Float tensor `(B, input_dim)`.

    Returns:
        `(B,)`, or without the head `(B, hidden[-1])`.

    Example:

    >>> MLP(3, (8, 4))(ops.ones((2, 3))).shape
    TensorShape([2])
    """

    def __init__(
        self,
        input_dim: int,
        hidden: Sequence[int],
        *,
        activation: str = "relu",
        first: Callable[[Tensor], Tensor] | None = None,
        dropout: float = 0.0,
        head: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise ValueError(checks.expected("dropout", "from 0 to below 1", dropout))
        self.dense: list[keras.layers.Layer] = []
        self.dropouts: list[keras.layers.Layer] = []
        for number, units in enumerate([*hidden, *([1] if head else [])]):
            checks.positive("hidden", units)
            last = head and number == len(hidden)
            layer = keras.layers.Dense(
                units,
                None if last else first if first and not number else activation,
                kernel_initializer=keras.initializers.GlorotUniform(seed + number),
                name=f"dense_{number}",
                dtype=self.dtype_policy,
            )
            layer.build((None, input_dim))
            self.dense.append(layer)
            if dropout and not last:
                self.dropouts.append(keras.layers.Dropout(dropout, seed=seed + number))
            input_dim = units
        self.head = head
        self.built = True

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Returns the score `(B,)`, or the last hidden layer `(B, H)`."""
        for number, layer in enumerate(self.dense):
            x = layer(x)
            if number < len(self.dropouts):
                x = self.dropouts[number](x, training=training)
        return ops.squeeze(x, -1) if self.head else x
