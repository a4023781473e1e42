"""Binary cross-entropy of one score a row: clicks."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs.losses.base import Tensor, check_labels


@keras.saving.register_keras_serializable(package="tfrecs", name="losses.LogLoss")
class LogLoss(keras.losses.Loss):
    """Binary cross-entropy of one score a row: clicks.

    `loss = log(1 + exp(s)) - y s`, in nats, `s` a logit

    `keras.losses.BinaryCrossentropy` takes the mean over the last axis, which for scores `(B,)`
    is the batch: then weights of rows do not weigh rows, and under `tf.distribute` the gradient is
    as many times too large as there are replicas. Here every row has a loss of its own.

    A label of -1 is ignored: its loss is 0. A label other than 1, 0 and -1 is an error where the
    values are known, and in a compiled graph makes the loss NaN.

    Args:
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss. Defaults to "log_loss".
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`, also under mixed
            precision.

    Example:

    >>> float(LogLoss()([1, 0], [0.0, 0.0]))  # log 2
    0.6931...
    """

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str = "log_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        check_labels(y_true, y_pred)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, labels: Tensor, scores: Tensor) -> Tensor:
        """Returns the loss of each row, of the shape of the scores."""
        known = ops.logical_or(ops.equal(labels, 0), ops.equal(labels, 1))
        losses = ops.where(known, ops.softplus(scores) - labels * scores, 0)
        wrong = ops.logical_xor(known, ops.not_equal(labels, -1))
        return ops.where(wrong, np.nan, losses)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "dtype": self.dtype}
