"""Keras metrics of single scores: AUC, log loss, RMSE, MAE."""

import warnings
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

    A label of -1 is ignored, and so is a row of weight 0. To be exact it keeps every score since
    the last reset: 12 bytes each, for `capacity` of them, and every update rewrites them; give it
    the number of validation rows. Replicas keep rows of their own; the result is of all of them.

    Without a positive or a negative, with a NaN score, an unknown label or a weight that is none,
    or after more than `capacity` scores the result is NaN; too many scores are told in a warning.

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
        self._direction = "up"  # callbacks ask
        kw: dict[str, Any] = {"initializer": "zeros", "dtype": self.dtype}
        # score, weight as a positive, weight as a negative
        self.rows = self.add_variable((capacity, 3), name="rows", **kw)
        self.count = self.add_variable((), initializer="zeros", dtype="int32", name="count")
        self.invalid = self.add_variable((), name="invalid", **kw)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds labels 1, 0, -1 and scores, of one shape; weights of that shape too."""
        labels, scores, weights, wrong = clicks(y_true, y_pred, sample_weight, self.dtype)
        rows = ops.stack([scores, weights * labels, weights * (1 - labels)], axis=-1)
        number = ops.shape(scores)[0]
        place = ops.mod(self.count + ops.arange(number, dtype="int32"), self.capacity)
        self.rows.assign(ops.scatter_update(self.rows, place[:, None], rows))
        self.count.assign(self.count + number)
        self.invalid.assign(ops.maximum(self.invalid, ops.cast(ops.any(wrong), self.dtype)))

    def result(self) -> Tensor:
        """Returns the area, a scalar."""
        rows, count = ops.concatenate(_copies(self.rows), axis=0), sum(_copies(self.count))
        order = ops.argsort(rows[:, 0])
        scores = ops.take(rows[:, 0], order, axis=0)
        positive = ops.take(rows[:, 1], order, axis=0)
        negative = ops.cumsum(ops.take(rows[:, 2], order, axis=0))
        negative = ops.concatenate([ops.zeros_like(negative[:1]), negative])
        below = ops.take(negative, ops.searchsorted(scores, scores, side="left"), axis=0)
        up_to = ops.take(negative, ops.searchsorted(scores, scores, side="right"), axis=0)
        pairs = ops.sum(positive) * negative[-1]
        area = ops.sum(positive * (below + up_to)) / 2 / pairs  # 0 / 0 is NaN, as it should be
        total = ops.convert_to_tensor(self.count)
        held = ops.logical_and(count <= self.capacity, ops.equal(count, total))
        _warn_of(count, total, self.capacity)
        return ops.where(ops.logical_and(held, ops.equal(self.invalid, 0)), area, np.nan)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"capacity": self.capacity, "name": self.name, "dtype": self.dtype}


def _copies(variable: Any) -> list[Tensor]:
    """Returns the copies of a variable on this machine's replicas; just one inside a replica."""
    held = variable.value
    copies = getattr(held, "values", None)
    return [ops.convert_to_tensor(x) for x in (copies if isinstance(copies, tuple) else (held,))]


def _warn_of(held: Tensor, count: Tensor, capacity: int) -> None:
    """Warns where scores are missing; not inside a graph, which cannot tell."""
    try:
        held, total = int(ops.convert_to_numpy(held)), int(ops.convert_to_numpy(count))
    except (TypeError, NotImplementedError):
        return
    remedy = f"Give it the number of validation rows: AUC(capacity={total})."
    if total > held:
        remedy = "Evaluate on one machine: each worker holds the scores of its own rows."
    elif total <= capacity:
        return
    kept = min(held, capacity)
    warnings.warn(
        f"AUC is NaN: it holds {kept:,} of {total:,} scores. {remedy}", UserWarning, stacklevel=3
    )


class DefinedMean(keras.metrics.Mean):
    """A weighted mean that is NaN, and not 0, where nothing was counted.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> float(DefinedMean("mean").result())
    nan
    """

    def __init__(self, name: str, dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._direction = "down"  # of errors and losses: callbacks ask

    def result(self) -> Tensor:
        """Returns the mean, a scalar."""
        return self.total / self.count


@keras.saving.register_keras_serializable(package="tfrecs")
class LogLoss(DefinedMean):
    """Mean binary cross-entropy of scores that are logits, in nats.

    `log_loss = mean(log(1 + exp(s)) - y * s)`

    A label of -1 is ignored, and so is a row of weight 0. NaN without a row, with a NaN score, an
    unknown label or a weight that is none.

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
        labels, scores, weights, wrong = clicks(y_true, y_pred, sample_weight, self.dtype)
        values = ops.softplus(scores) - labels * scores
        super().update_state(ops.where(wrong, np.nan, values), weights)


@keras.saving.register_keras_serializable(package="tfrecs")
class RMSE(DefinedMean):
    """Root mean squared error, of ratings and scores in the rating's unit.

    `rmse = sqrt(mean((y - s)^2))`. No label is special: a row to be ignored has weight 0, whatever
    it holds. NaN without a row, with a NaN or with a weight that is none.

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
        error, weights = errors(y_true, y_pred, sample_weight, self.dtype)
        super().update_state(ops.square(error), weights)

    def result(self) -> Tensor:
        """Returns the error, a scalar."""
        return ops.sqrt(super().result())


@keras.saving.register_keras_serializable(package="tfrecs")
class MAE(DefinedMean):
    """Mean absolute error, of ratings and scores in the rating's unit.

    `mae = mean(|y - s|)`. No label is special: a row to be ignored has weight 0, whatever it
    holds. NaN without a row, with a NaN or with a weight that is none.

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
        error, weights = errors(y_true, y_pred, sample_weight, self.dtype)
        super().update_state(ops.abs(error), weights)


def clicks(
    labels: Tensor, scores: Tensor, weights: Tensor | None, dtype: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns labels 1 and 0, scores, weights `(N,)`, and whether anything is undefined.

    Ignored rows, of label -1 or weight 0, are zeros, so that nothing in them counts. Undefined is
    a NaN score, an unknown label, or a weight that is negative or NaN, of a row that counts.
    """
    labels, scores, weights = flatten(labels, scores, weights, dtype)
    counted = ops.logical_and(ops.not_equal(labels, -1), ops.not_equal(weights, 0))
    known = ops.logical_or(ops.equal(labels, 0), ops.equal(labels, 1))
    fine = ops.logical_and(ops.logical_and(known, ops.equal(scores, scores)), weights > 0)
    wrong = ops.any(ops.logical_and(counted, ops.logical_not(fine)))
    none = ops.zeros_like(scores)
    kept = (ops.where(ops.logical_and(counted, fine), x, none) for x in (labels, scores, weights))
    return (*kept, wrong)


def errors(
    labels: Tensor, scores: Tensor, weights: Tensor | None, dtype: str
) -> tuple[Tensor, Tensor]:
    """Returns label minus score and weights, `(N,)`; rows of weight 0 are 0, bad weights NaN."""
    labels, scores, weights = flatten(labels, scores, weights, dtype)
    error = ops.where(ops.equal(weights, 0), ops.zeros_like(scores), labels - scores)
    return error, ops.where(weights >= 0, weights, np.nan)


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
