"""Adagrad with momentum that updates just the rows of the batch."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.optimizers import rows

Tensor = Any  # a tensor of whichever backend Keras runs on


@keras.saving.register_keras_serializable("tfrecs")
class AdagradMomentum(rows.RowSparse, keras.optimizers.Adagrad):
    """Adagrad with momentum that updates just the rows of the batch.

    `a += g^2; v = momentum v - learning_rate g / sqrt(a + epsilon); w += v`

    On a table, on the rows whose ids are in the batch, `g` being the sum over a row's occurrences;
    the other rows keep weights, `a` and `v`, also where `v` would carry them further. Without
    momentum it is `SparseAdagrad`. Made for `GRU4Rec`, whose authors train with it.

    Args:
        learning_rate: Float or schedule. Defaults to 0.05.
        momentum: From 0 to below 1. Defaults to 0.
        initial_accumulator_value: Start of `a`. Defaults to 0.
        epsilon: Defaults to 1e-6.
        name: Name of the optimizer.
        kwargs: `clipnorm`, `clipvalue`, `global_clipnorm` as in Keras; what touches every row at
            each step is refused, as by `SparseAdagrad`.

    Example:

    >>> table = keras.Variable([[1.0, 1.0], [2.0, 2.0]])
    >>> import tensorflow as tf
    >>> gradient = tf.IndexedSlices(tf.constant([[3.0, -3.0]]), tf.constant([1]), (2, 2))
    >>> optimizer = AdagradMomentum(0.5, momentum=0.2)
    >>> for _ in range(2):  # steps of 0.5, then of 0.2 * 0.5 + 0.5 / sqrt(2)
    ...     _ = optimizer.apply_gradients([(gradient, table)])
    >>> print(table.numpy().round(3))
    [[1.    1.   ]
     [1.046 2.954]]

    Reference:
        Hidasi, Karatzoglou 2018, arXiv:1706.03847.
    """

    def __init__(
        self,
        learning_rate: Any = 0.05,
        momentum: float = 0.0,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-6,
        name: str = "adagrad_momentum",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            name=name,
            **kwargs,
        )
        if not 0 <= momentum < 1:
            raise ValueError(checks.expected("momentum", "from 0 to below 1", momentum))
        self.momentum = momentum

    def build(self, variables: list[Any]) -> None:
        """Creates `a`, and `v` where there is momentum."""
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Updates one variable, by row when the gradient is."""
        if rows.is_sparse(gradient):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        accumulator = self._accumulators[index]
        g = ops.cast(gradient, variable.dtype)
        self.assign_add(accumulator, ops.square(g))
        step = self._step(g, accumulator, learning_rate)
        if self.momentum:
            velocity = self._velocities[index]
            if keras.backend.backend() == "tensorflow":
                rows.apply_momentum(variable, velocity, step, self.momentum)
            else:
                self.assign(velocity, self.momentum * velocity - step)
                self.assign_add(variable, velocity)
        else:
            self.assign_sub(variable, step)

    def update_rows(
        self, index: int, variable: Any, ids: Tensor, g: Tensor, learning_rate: Tensor
    ) -> None:
        """Updates the rows of a variable that have a gradient."""
        a = rows.read(self._accumulators[index], ids) + ops.square(g)
        rows.write(self._accumulators[index], ids, a)
        step = self._step(g, a, learning_rate)
        if self.momentum:
            velocity = self._velocities[index]
            step -= self.momentum * rows.read(velocity, ids)
            rows.write(velocity, ids, -step)
        rows.subtract(variable, ids, step)

    def _step(self, g: Tensor, a: Tensor, learning_rate: Tensor) -> Tensor:
        return ops.cast(learning_rate, g.dtype) * g * ops.rsqrt(a + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "momentum": self.momentum}
