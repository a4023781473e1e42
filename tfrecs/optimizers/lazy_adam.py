"""Adam that updates just the rows of the batch."""

from typing import Any

import keras
from keras import ops

from tfrecs.optimizers import rows

Tensor = Any  # a tensor of whichever backend Keras runs on


@keras.saving.register_keras_serializable("tfrecs")
class LazyAdam(rows.RowSparse, keras.optimizers.Adam):
    """Adam that updates just the rows of the batch.

    On the rows whose ids are in the batch, `g` being the sum over a row's occurrences and `t` the
    step of the optimizer, not of the row:

    `m += (1 - beta_1) (g - m);  v += (1 - beta_2) (g^2 - v)`
    `w -= learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)`

    That is `keras.optimizers.Adam` on those rows. What is lazy: a row absent from the batch keeps
    its weights and its moments, where Adam goes on moving it by its decaying `m` at every step.
    So the two agree as long as every row is in every batch, and at any row's first step; after
    an absence, LazyAdam starts from moments that did not decay. The cost grows with the batch and
    not with the table. Dense gradients go through TensorFlow's one operation for all of the above,
    on another backend (where every gradient is dense) through Keras's own code. Clipping is as
    Keras's on the dense gradient.

    Args:
        learning_rate: Float or schedule. Defaults to 0.001.
        beta_1: Decay of `m`. Defaults to 0.9.
        beta_2: Decay of `v`. Defaults to 0.999.
        epsilon: Defaults to 1e-7.
        amsgrad: Whether to divide by the largest `v` so far. Defaults to `False`.
        name: Name of the optimizer.
        kwargs: `clipnorm`, `clipvalue`, `global_clipnorm` as in Keras. What touches every row at
            each step is refused: `weight_decay`, `use_ema`, `gradient_accumulation_steps`, and
            `loss_scale_factor`, for which there is `keras.optimizers.LossScaleOptimizer`.

    Example:

    >>> table = keras.Variable([[1.0, 1.0], [2.0, 2.0]])
    >>> import tensorflow as tf
    >>> gradient = tf.IndexedSlices(tf.constant([[3.0, -3.0]]), tf.constant([1]), (2, 2))
    >>> _ = LazyAdam(0.5).apply_gradients([(gradient, table)])
    >>> print(table.numpy().round(3))
    [[1.  1. ]
     [1.5 2.5]]

    Reference:
        Kingma, Ba 2014, arXiv:1412.6980.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        name: str = "lazy_adam",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            name=name,
            **kwargs,
        )

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Updates one variable."""
        tensorflow = keras.backend.backend() == "tensorflow"
        if self.amsgrad or not tensorflow or rows.is_sparse(gradient):
            super().update_step(gradient, variable, learning_rate)
            return
        t = ops.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        rows.apply_adam(
            variable,
            self._momentums[index],
            self._velocities[index],
            gradient,
            rate=learning_rate,
            powers=(ops.power(self.beta_1, t), ops.power(self.beta_2, t)),
            betas=(self.beta_1, self.beta_2),
            epsilon=self.epsilon,
        )

    def update_rows(
        self, index: int, variable: Any, ids: Tensor, g: Tensor, learning_rate: Tensor
    ) -> None:
        """Updates the rows of a variable that have a gradient."""
        m, v = rows.read(self._momentums[index], ids), rows.read(self._velocities[index], ids)
        m = m + (1 - self.beta_1) * (g - m)
        v = v + (1 - self.beta_2) * (ops.square(g) - v)
        rows.write(self._momentums[index], ids, m)
        rows.write(self._velocities[index], ids, v)
        if self.amsgrad:
            v = ops.maximum(v, rows.read(self._velocity_hats[index], ids))
            rows.write(self._velocity_hats[index], ids, v)
        t = ops.cast(self.iterations + 1, g.dtype)
        correction = ops.sqrt(1 - ops.power(self.beta_2, t)) / (1 - ops.power(self.beta_1, t))
        alpha = learning_rate * ops.cast(correction, g.dtype)
        rows.subtract(variable, ids, alpha * m / (ops.sqrt(v) + self.epsilon))
