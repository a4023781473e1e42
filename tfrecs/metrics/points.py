"""Keras metrics of single scores: AUC, log loss, RMSE, MAE."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks

Tensor = Any


@keras.saving.register_keras_serializable(package="tfrecs")
class AUC(keras.metrics.Metric):
    """Area under the ROC curve, exact: no thresholds.

    `auc = P(s_p > s_n) + 1/2 P(s_p = s_n)` for a random positive p and a random negative n.

    A label of -1 is ignored. To be exact it keeps every score since the last reset: 12 bytes
    each, for `capacity` of them, and every update rewrites them; give it the number of
    validation rows. Without a positive or a negative, with a NaN score or an unknown label, or
    after more than `capacity` scores the result is NaN.

    Args:
        capacity: Most scores between two resets. Defaults to 1,000,000.
        name: Name of the metric. Defaults to "auc".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = AUC(capacity=4)
    >>> float(metric([1, 0, 0, 1], [0.9, 0.1, 0.5, 0.5]))  # (1 + 1 + 1 + 1/2) / 4
    0.875

    Reference:
        - [Fawcett, 2006](https://doi.org/10.1016/j.patrec.2005.10.010)
    """

    def __init__(
        self, capacity: int = 1_000_000, name: str = "auc", dtype: str | None = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        checks.positive("capacity", capacity)
        self.capacity = capacity
        # score, weight as a positive, weight as a negative
        self.rows = self.add_variable((capacity, 3), initializer="zeros", name="rows")
        self.count = self.add_variable((), initializer="zeros", dtype="int32", name="count")
        self.invalid = self.add_variable((), initializer="zeros", name="invalid")

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds labels 1, 0, -1 and scores, of one shape; weights of that shape too."""
        labels, scores, weights = flatten(y_true, y_pred, sample_weight, self.dtype)
        positive, negative = ops.equal(labels, 1), ops.equal(labels, 0)
        known = ops.logical_or(positive, negative)
        wrong = ops.logical_or(
            ops.logical_and(known, ops.isnan(scores)),
            ops.logical_xor(known, ops.not_equal(labels, -1)),
        )
        rows = ops.stack(
            [
                ops.where(known, scores, ops.zeros_like(scores)),
                ops.where(positive, weights, ops.zeros_like(weights)),
                ops.where(negative, weights, ops.zeros_like(weights)),
            ],
            axis=-1,
        )
        number = ops.shape(scores)[0]
        place = ops.mod(self.count + ops.arange(number, dtype="int32"), self.capacity)
        self.rows.assign(ops.scatter_update(self.rows, place[:, None], rows))
        self.count.assign(self.count + number)
        self.invalid.assign(ops.maximum(self.invalid, ops.cast(ops.any(wrong), self.dtype)))

    def result(self) -> Tensor:
        """Returns the area, a scalar."""
        order = ops.argsort(self.rows[:, 0])
        scores = ops.take(self.rows[:, 0], order, axis=0)
        positive = ops.take(self.rows[:, 1], order, axis=0)
        negative = ops.cumsum(ops.take(self.rows[:, 2], order, axis=0))
        negative = ops.concatenate([ops.zeros_like(negative[:1]), negative])
        below = ops.take(negative, ops.searchsorted(scores, scores, side="left"), axis=0)
        up_to = ops.take(negative, ops.searchsorted(scores, scores, side="right"), axis=0)
        pairs = ops.sum(positive) * negative[-1]
        area = ops.sum(positive * (below + up_to)) / 2 / pairs  # 0 / 0 is NaN, as it should be
        fine = ops.logical_and(self.count <= self.capacity, ops.equal(self.invalid, 0))
        return ops.where(fine, area, np.nan)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"capacity": self.capacity, "name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="tfrecs")
class LogLoss(keras.metrics.Mean):
    """Mean binary cross-entropy of scores that are logits, in nats.

    `log_loss = mean(log(1 + exp(s)) - y * s)`

    A label of -1 is ignored; an unknown label makes the result NaN.

    Args:
        name: Name of the metric. Defaults to "log_loss".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = LogLoss()
    >>> float(metric([1, 0, -1], [0.0, 0.0, 5.0]))  # log 2
    0.6931...
    """

    def __init__(self, name: str = "log_loss", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds labels 1, 0, -1 and scores, of one shape; weights of that shape too."""
        labels, scores, weights = flatten(y_true, y_pred, sample_weight, self.dtype)
        known = ops.logical_or(ops.equal(labels, 0), ops.equal(labels, 1))
        wrong = ops.logical_xor(known, ops.not_equal(labels, -1))
        scores = ops.where(known, scores, ops.zeros_like(scores))
        values = ops.where(wrong, np.nan, ops.softplus(scores) - labels * scores)
        counts = ops.where(ops.equal(labels, -1), ops.zeros_like(weights), weights)
        super().update_state(values, counts)


@keras.saving.register_keras_serializable(package="tfrecs")
class RMSE(keras.metrics.Mean):
    """Root mean squared error, of ratings and scores in the rating's unit.

    `rmse = sqrt(mean((y - s)^2))`. No label is special: a row to be ignored has weight 0.

    Args:
        name: Name of the metric. Defaults to "rmse".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = RMSE()
    >>> float(metric([3.0, 5.0], [3.0, 3.0]))  # sqrt((0 + 4) / 2)
    1.4142...
    """

    def __init__(self, name: str = "rmse", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds ratings and scores, of one shape; weights of that shape too."""
        labels, scores, weights = flatten(y_true, y_pred, sample_weight, self.dtype)
        super().update_state(ops.square(labels - scores), weights)

    def result(self) -> Tensor:
        """Returns the error, a scalar."""
        return ops.sqrt(super().result())


@keras.saving.register_keras_serializable(package="tfrecs")
class MAE(keras.metrics.Mean):
    """Mean absolute error, of ratings and scores in the rating's unit.

    `mae = mean(|y - s|)`. No label is special: a row to be ignored has weight 0.

    Args:
        name: Name of the metric. Defaults to "mae".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = MAE()
    >>> float(metric([3.0, 5.0], [3.0, 3.0]))
    1.0
    """

    def __init__(self, name: str = "mae", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds ratings and scores, of one shape; weights of that shape too."""
        labels, scores, weights = flatten(y_true, y_pred, sample_weight, self.dtype)
        super().update_state(ops.abs(labels - scores), weights)


def flatten(
    labels: Tensor, scores: Tensor, weights: Tensor | None, dtype: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns labels, scores and weights as `(N,)` of one dtype.

    `(B, 1)` and `(B,)` agree, and a weight a row serves all its candidates; other shapes that
    differ raise ValueError, where they would broadcast to `(B, B)`.
    """
    labels = ops.cast(ops.convert_to_tensor(labels), dtype)
    scores = ops.cast(ops.convert_to_tensor(scores), dtype)
    if not _agree(_squeezed(labels), _squeezed(scores)):
        raise ValueError(
            checks.expected(
                "y_true", f"of the shape of the scores, {tuple(scores.shape)}", tuple(labels.shape)
            )
        )
    if weights is None:
        weights = ops.ones_like(scores)
    else:
        weights = ops.cast(ops.convert_to_tensor(weights), dtype)
        if len(scores.shape) == 2 and len(weights.shape) == 1:
            weights = weights[:, None]
        elif len(scores.shape) == 1:
            weights = ops.reshape(weights, (-1,))
        weights = ops.broadcast_to(weights, ops.shape(scores))
    return ops.reshape(labels, (-1,)), ops.reshape(scores, (-1,)), ops.reshape(weights, (-1,))


def _squeezed(tensor: Tensor) -> tuple[int | None, ...]:
    shape = tuple(tensor.shape)
    return shape[:1] if len(shape) == 2 and shape[1] == 1 else shape


def _agree(a: tuple[int | None, ...], b: tuple[int | None, ...]) -> bool:
    return len(a) == len(b) and all(
        x is None or y is None or x == y for x, y in zip(a, b, strict=True)
    )
