"""FTRL that updates just the rows of the batch."""

from typing import Any

import keras
from keras import ops

from tfrecs.optimizers import rows

Tensor = Any  # a tensor of whichever backend Keras runs on


@keras.saving.register_keras_serializable("tfrecs")
class SparseFTRL(rows.RowSparse, keras.optimizers.Ftrl):
    """FTRL that updates just the rows of the batch, and keeps weights without evidence at zero.

    On the rows whose ids are in the batch, `g` being the sum over a row's occurrences:

    `sigma = (sqrt(n + g^2) - sqrt(n)) / learning_rate;  n += g^2;  z += g - sigma w`
    `w = 0 if |z| <= l1 else -(z - sign(z) l1) / (sqrt(n) / learning_rate + 2 l2)`

    That is `keras.optimizers.Ftrl` on those rows. Keras computes every row anew from its `z` at
    each step, so a row that no batch has touched jumps from its initial value to 0 at the first
    step; here it stays where it was. With tables that start at 0 the results are the same. Dense
    gradients (every gradient, on another backend than TensorFlow) are Keras's own code.

    Args:
        learning_rate: Float or schedule. Defaults to 0.05.
        learning_rate_power: The exponent -1/2 of `n` above, 0 or less. Defaults to -0.5.
        initial_accumulator_value: Start of `n`. Defaults to 0.1.
        l1_regularization_strength: `l1`, on the sum of gradients. Defaults to 0.
        l2_regularization_strength: `l2`. Defaults to 0.
        beta: Added to `sqrt(n)`, as in the paper. Defaults to 0.
        name: Name of the optimizer.
        kwargs: `l2_shrinkage_regularization_strength`, `clipnorm`, `clipvalue`, `global_clipnorm`
            as in Keras. What touches every row at each step is refused: `weight_decay`,
            `use_ema`, `gradient_accumulation_steps`, `loss_scale_factor`.

    Example:

    >>> table = keras.Variable([[0.0], [0.0]])
    >>> import tensorflow as tf
    >>> gradient = tf.IndexedSlices(tf.constant([[3.0]]), tf.constant([1]), (2, 1))
    >>> optimizer = SparseFTRL(1.0, l1_regularization_strength=1.0, initial_accumulator_value=0.0)
    >>> _ = optimizer.apply_gradients([(gradient, table)])
    >>> print(table.numpy().round(3))  # z = 3, n = 9: -(3 - 1) / 3
    [[ 0.   ]
     [-0.667]]

    Reference:
        McMahan et al. 2013, Ad click prediction: a view from the trenches.
    """

    def __init__(
        self,
        learning_rate: Any = 0.05,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        beta: float = 0.0,
        name: str = "sparse_ftrl",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            learning_rate_power=learning_rate_power,
            initial_accumulator_value=initial_accumulator_value,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
            beta=beta,
            name=name,
            **kwargs,
        )

    def update_rows(
        self, index: int, variable: Any, ids: Tensor, g: Tensor, learning_rate: Tensor
    ) -> None:
        """Updates the rows of a variable that have a gradient."""
        accumulator, linear = self._accumulators[index], self._linears[index]
        rate, power = learning_rate, -self.learning_rate_power
        w, n = rows.read(variable, ids), rows.read(accumulator, ids)
        new_n = n + ops.square(g)
        sigma = (ops.power(new_n, power) - ops.power(n, power)) / rate
        shrinkage = 2 * self.l2_shrinkage_regularization_strength * w
        z = rows.read(linear, ids) + g + shrinkage - sigma * w
        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength
        quadratic = (ops.power(new_n, power) + self.beta) / rate + 2 * l2
        rows.write(accumulator, ids, new_n)
        rows.write(linear, ids, z)
        rows.write(variable, ids, (ops.clip(z, -l1, l1) - z) / quadratic)
