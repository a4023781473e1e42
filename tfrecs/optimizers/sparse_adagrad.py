"""Adagrad that updates just the rows of the batch."""

from typing import Any

import keras

from tfrecs.optimizers import rows

Tensor = Any  # a tensor of whichever backend Keras runs on


@keras.saving.register_keras_serializable("tfrecs")
class SparseAdagrad(rows.RowSparse, keras.optimizers.Adagrad):
    """Adagrad that updates just the rows of the batch.

    `a += g^2; w -= learning_rate g / sqrt(a + epsilon)`, on the rows whose ids are in the batch,
    `g` being the sum over a row's occurrences.

    A row with no gradient keeps its weights and its accumulator in Adagrad anyway, so the result
    is that of `keras.optimizers.Adagrad`; only the cost differs, which grows with the batch and
    not with the table. Dense gradients (every gradient, on another backend than TensorFlow) are
    Keras's own code. Clipping is as Keras's on the dense gradient.

    Args:
        learning_rate: Float or schedule. Defaults to 0.001; 0.05 to 0.5 suits embeddings.
        initial_accumulator_value: Start of `a`. Defaults to 0.1.
        epsilon: Defaults to 1e-7.
        name: Name of the optimizer.
        kwargs: `clipnorm`, `clipvalue`, `global_clipnorm` as in Keras. What touches every row at
            each step is refused: `weight_decay`, `use_ema`, `gradient_accumulation_steps`, and
            `loss_scale_factor`, for which there is `keras.optimizers.LossScaleOptimizer`.

    Example:

    >>> table = keras.Variable([[1.0, 1.0], [2.0, 2.0]])
    >>> optimizer = SparseAdagrad(0.5, initial_accumulator_value=0.0)
    >>> import tensorflow as tf
    >>> gradient = tf.IndexedSlices(tf.constant([[3.0, -3.0]]), tf.constant([1]), (2, 2))
    >>> _ = optimizer.apply_gradients([(gradient, table)])
    >>> print(table.numpy().round(3))
    [[1.  1. ]
     [1.5 2.5]]

    Reference:
        Duchi, Hazan, Singer 2011, Adaptive subgradient methods.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        name: str = "sparse_adagrad",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            name=name,
            **kwargs,
        )

    def update_rows(
        self, index: int, variable: Any, ids: Tensor, g: Tensor, learning_rate: Tensor
    ) -> None:
        """Updates the rows of a variable that have a gradient."""
        accumulator = self._accumulators[index]
        a = rows.read(accumulator, ids) + keras.ops.square(g)
        rows.write(accumulator, ids, a)
        rows.subtract(variable, ids, learning_rate * g / keras.ops.sqrt(a + self.epsilon))
