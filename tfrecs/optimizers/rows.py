"""Gradients that concern a few rows of a table: the part the row-sparse optimizers share.

TensorFlow gives the gradient of a gather as `tf.IndexedSlices`: values `(N, D)` and the ids `(N,)`
of their rows, with duplicates. Other backends give dense gradients.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from tfrecs import checks

Tensor = Any  # a tensor of whichever backend Keras runs on


class RowSparse:
    """What a row-sparse optimizer adds to one of Keras's, before which it stands among the bases.

    A subclass writes `update_rows`. Dense gradients are Keras's own affair, unless it overrides
    `update_step` for them too.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        refuse_dense_options(self)

    @abstractmethod
    def update_rows(
        self, index: int, variable: Any, ids: Tensor, g: Tensor, learning_rate: Tensor
    ) -> None:
        """Updates the rows of a variable that have a gradient.

        Args:
            index: Place of the variable among the optimizer's.
            variable: The table.
            ids: int `(U,)`, each once.
            g: Their gradients `(U, D)`.
            learning_rate: In the dtype of `g`.
        """
        raise NotImplementedError

    def update_step(self: Any, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Updates one variable, by row when the gradient is."""
        if not is_sparse(gradient):
            super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
            return
        g, ids = unique_rows(gradient, variable.dtype)  # (U, D), (U,)
        index, rate = self._get_variable_index(variable), tf.cast(learning_rate, g.dtype)
        self.update_rows(index, variable, ids, g, rate)

    def add_variable_from_reference(
        self: Any, reference_variable: Any, name: str | None = None, initializer: Any = "zeros"
    ) -> Any:
        """Adds a slot; one of equal values is filled at once, not made of two tables."""
        if isinstance(initializer, keras.initializers.Constant):
            initializer = _Filled(initializer.value)
        return super().add_variable_from_reference(reference_variable, name, initializer)  # type: ignore[misc]

    def _clip_gradients(self: Any, grads: Sequence[Tensor]) -> Sequence[Tensor]:
        sparse = any(map(is_sparse, grads))
        return clip(self, grads) if sparse else super()._clip_gradients(grads)  # type: ignore[misc]


class _Filled(keras.initializers.Constant):
    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        return keras.ops.full(shape, self.value, dtype)


def refuse_dense_options(optimizer: keras.optimizers.Optimizer) -> None:
    """Raises ValueError for options that would touch every row of every table at each step."""
    remedies = {
        "weight_decay": "Use the model's own `l2`, which concerns the rows of the batch.",
        "use_ema": "Average checkpoints instead, or use the dense Keras optimizer.",
        "gradient_accumulation_steps": "Use a larger batch: its cost is that of its rows.",
        "loss_scale_factor": "Wrap the optimizer in keras.optimizers.LossScaleOptimizer.",
    }
    for option, remedy in remedies.items():
        value = getattr(optimizer, option)
        if value:
            raise ValueError(
                checks.expected(option, "unset on a row-sparse optimizer", value, remedy)
            )


def is_sparse(gradient: Tensor) -> bool:
    """Returns whether `gradient` is of a few rows, not of the whole table."""
    return isinstance(gradient, tf.IndexedSlices)


def unique_rows(gradient: Tensor, dtype: Any) -> tuple[Tensor, Tensor]:
    """Sums the gradients of each row.

    Args:
        gradient: `tf.IndexedSlices` of N rows with duplicates.
        dtype: Dtype of the sums.

    Returns:
        The sums `(U, D)` and the ids `(U,)`, each once.
    """
    ids, positions = tf.unique(gradient.indices)  # (U,), (N,)
    values, number = tf.cast(gradient.values, dtype), tf.size(ids)
    if control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()):
        return tf.math.unsorted_segment_sum(values, positions, number), ids  # XLA has no others
    few = 8 * number > 7 * tf.size(positions)  # few rows come a second time
    sums = tf.cond(
        few,
        lambda: _first_and_again(values, positions, number),
        lambda: _product(values, positions, number),
    )
    return sums, ids


def _first_and_again(values: Tensor, positions: Tensor, number: Tensor) -> Tensor:
    """Returns the sums as the first row of each id, to which the others are added."""
    places = tf.range(tf.size(positions))
    first = tf.math.unsorted_segment_min(places, positions, number)
    again = tf.where(tf.gather(first, positions) != places)  # (N - U, 1)
    more, to = tf.gather_nd(values, again), tf.gather_nd(positions, again)
    return tf.tensor_scatter_nd_add(tf.gather(values, first), to[:, None], more)


def _product(values: Tensor, positions: Tensor, number: Tensor) -> Tensor:
    """Returns the sums as a product with the `(U, N)` matrix of ones, faster than by segments."""
    columns = tf.range(tf.size(positions, tf.int64))
    ones = tf.SparseTensor(
        tf.stack([tf.cast(positions, tf.int64), columns], axis=1),
        tf.ones_like(columns, values.dtype),
        tf.stack([tf.cast(number, tf.int64), tf.size(columns, tf.int64)]),
    )
    return tf.sparse.sparse_dense_matmul(ones, values)


def read(variable: Any, ids: Tensor) -> Tensor:
    """Returns the rows `ids` of a variable, without reading the others."""
    return tf.gather(_tf_variable(variable), ids)


def write(variable: Any, ids: Tensor, rows: Tensor) -> None:
    """Overwrites the rows `ids` of a variable."""
    _tf_variable(variable).scatter_update(tf.IndexedSlices(rows, ids))


def subtract(variable: Any, ids: Tensor, rows: Tensor) -> None:
    """Subtracts from the rows `ids` of a variable, each id once."""
    # TensorFlow's scatter_sub takes six times as long as reading and overwriting the rows
    write(variable, ids, read(variable, ids) - rows)


def apply_adam(
    variable: Any,
    momentum: Any,
    velocity: Any,
    gradient: Tensor,
    *,
    rate: Tensor,
    powers: tuple[Tensor, Tensor],
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """Updates a variable and its moments in one pass; a dozen operations would each make one."""
    dtype = variable.dtype
    tf.raw_ops.ResourceApplyAdam(
        var=_tf_variable(variable).handle,
        m=_tf_variable(momentum).handle,
        v=_tf_variable(velocity).handle,
        beta1_power=tf.cast(powers[0], dtype),
        beta2_power=tf.cast(powers[1], dtype),
        lr=tf.cast(rate, dtype),
        beta1=tf.cast(betas[0], dtype),
        beta2=tf.cast(betas[1], dtype),
        epsilon=tf.cast(epsilon, dtype),
        grad=tf.cast(gradient, dtype),
    )


def apply_momentum(variable: Any, velocity: Any, step: Tensor, momentum: float) -> None:
    """Does `v = momentum v - step; w += v` in one pass over a variable."""
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=_tf_variable(variable).handle,
        accum=_tf_variable(velocity).handle,
        lr=tf.ones((), variable.dtype),
        grad=step,
        momentum=tf.cast(momentum, variable.dtype),
    )


def _without_duplicates(gradient: Tensor) -> Tensor:
    if not is_sparse(gradient):
        return gradient
    values, ids = unique_rows(gradient, gradient.values.dtype)
    return tf.IndexedSlices(values, ids, gradient.dense_shape)


def clip(optimizer: keras.optimizers.Optimizer, gradients: Sequence[Tensor]) -> list[Tensor]:
    """Clips as Keras does on dense gradients: duplicated rows are summed before a norm is taken."""
    if not (optimizer.clipnorm or optimizer.global_clipnorm or optimizer.clipvalue):
        return list(gradients)
    summed = [_without_duplicates(gradient) for gradient in gradients]
    values = [g.values if is_sparse(g) else g for g in summed]
    if optimizer.clipnorm:
        values = [tf.clip_by_norm(v, optimizer.clipnorm) for v in values]
    elif optimizer.global_clipnorm:
        values, _ = tf.clip_by_global_norm(values, optimizer.global_clipnorm)
    else:
        values = [tf.clip_by_value(v, -optimizer.clipvalue, optimizer.clipvalue) for v in values]
    return [
        tf.IndexedSlices(v, g.indices, g.dense_shape) if is_sparse(g) else v
        for v, g in zip(values, summed, strict=True)
    ]


def _tf_variable(variable: Any) -> Any:
    value = variable.value if isinstance(variable, keras.Variable) else variable
    # under tf.distribute, the copy of the replica that is being updated
    return value._get() if hasattr(value, "_get") else value
