"""Losses from the ids of the positives: against the batch, or against sampled negatives."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import ListLoss, Tensor, lowest


class PairLoss(keras.losses.Loss):
    """Base of the losses that wrap a list loss and are given ids instead of labels.

    Args:
        loss: `Softmax`, `BPR`, `Sigmoid` or another `ListLoss`; its `reduction` is not used.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.
    """

    def __init__(
        self,
        loss: ListLoss,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not isinstance(loss, ListLoss):
            raise TypeError(
                checks.expected(
                    "loss",
                    "a list loss such as Softmax()",
                    loss,
                    f"Write {type(self).__name__}(Softmax()).",
                )
            )
        self.loss = loss

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "loss": keras.saving.serialize_keras_object(self.loss),
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PairLoss":
        """Rebuilds the loss from `get_config`."""
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


@keras.saving.register_keras_serializable(package="tfrecs")
class InBatch(PairLoss):
    """Makes the other rows' positives of the batch this row's negatives.

    `loss_i = loss(s_ii | {s_ij : id_j != id_i})`

    `y_true` holds the ids of the positives, integers of shape `(B,)` (or `(B, 1)`); `y_pred` the
    scores `(B, B)`, row i by query, column j by candidate. The diagonal is the positive; another
    candidate with the same id is neither positive nor negative. Scores `(B, S)` are of groups of S
    consecutive rows, each a batch of its own. Ids are compared as integers, before Keras would
    turn them into float32, in which 2**24 and 2**24 + 1 are equal.

    Args:
        loss: `Softmax`, `BPR`, `Sigmoid` or another `ListLoss`; its `reduction` is not used.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`, also under mixed
            precision.

    Example:

    >>> import numpy as np
    >>> from tfrecs.losses import Softmax
    >>> loss = InBatch(Softmax(), reduction=None)
    >>> rows = loss(np.array([7, 8, 7]), np.zeros((3, 3), "float32"))
    >>> np.round(np.asarray(rows), 4)  # log 2, log 3, log 2: the 7s do not compete
    array([0.6931, 1.0986, 0.6931], dtype=float32)

    Reference:
        - [Yi et al., 2019](https://doi.org/10.1145/3298689.3346996); the correction for popular
          candidates happens in the model, where their frequencies are known.
    """

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Returns the reduced loss of ids `(B,)` and scores `(B, B)` or `(B, S)`."""
        y_pred = ops.cast(ops.convert_to_tensor(y_pred), self.dtype)
        ids = flat_ids(y_true, y_pred)
        rows, size = y_pred.shape if len(y_pred.shape) == 2 else (1, 0)
        if size == 0 or (None not in (rows, size) and rows % size):
            raise ValueError(
                checks.expected(
                    "y_pred",
                    "the scores of every row against every candidate of the batch, (B, B), or of "
                    "its group of S rows, (B, S) with S a divisor of B",
                    tuple(y_pred.shape),
                    "Use Sampled(loss) for a positive and its own negatives.",
                )
            )
        size = ops.shape(y_pred)[1] if size is None else size
        groups = ops.reshape(ids, (-1, size))  # (B / S, S)
        scores = ops.reshape(y_pred, (-1, size, size))  # (B / S, S, S)
        same = ops.equal(groups[:, :, None], groups[:, None, :])  # the diagonal too
        num_negatives = ops.reshape(size - ops.sum(ops.cast(same, "int32"), axis=-1), (-1,))
        positive = ops.reshape(ops.diagonal(scores, axis1=-2, axis2=-1), (-1, 1))  # (B, 1)
        negatives = ops.reshape(ops.where(same, lowest(scores), scores), (-1, size))  # (B, S)
        # small counts are exact in any float dtype that trains, ids are not
        return super().__call__(num_negatives, (positive, negatives), sample_weight)

    def call(self, num_negatives: Tensor, scores: tuple[Tensor, Tensor]) -> Tensor:
        """Returns the loss of each row, `(B,)`."""
        positive, negatives = scores
        return self.loss.pairs(positive, negatives, num_negatives)


@keras.saving.register_keras_serializable(package="tfrecs")
class Sampled(PairLoss):
    """Takes column 0 of the scores as the positive and the others as its negatives.

    `loss_i = loss(s_i0 | {s_i1, ..., s_iN})`

    `y_true` holds the ids of the positives, of shape `(B,)` (or `(B, 1)`), of which only the
    number is looked at; `y_pred` the scores `(B, 1 + N)`. A model masks a negative that happens
    to be a positive (an accidental hit) by a large negative score: it then adds nothing to the
    loss, but counts in the mean over N of `BPR` and `Sigmoid`.

    Args:
        loss: `Softmax`, `BPR`, `Sigmoid` or another `ListLoss`; its `reduction` is not used.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`, also under mixed
            precision.

    Example:

    >>> import numpy as np
    >>> from tfrecs.losses import BPR
    >>> loss = Sampled(BPR())
    >>> float(loss(np.array([7]), np.array([[1.0, 1.0, 1.0]])))  # log 2
    0.6931...
    """

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Returns the reduced loss of ids `(B,)` and scores `(B, 1 + N)`."""
        y_pred = ops.convert_to_tensor(y_pred)
        flat_ids(y_true, y_pred)
        if len(y_pred.shape) != 2 or (y_pred.shape[1] is not None and y_pred.shape[1] < 2):
            raise ValueError(
                checks.expected(
                    "y_pred",
                    "the scores of a positive and at least one negative, (B, 1 + N)",
                    tuple(y_pred.shape),
                    "Use InBatch(loss) to take the negatives from the batch.",
                )
            )
        return super().__call__(y_pred[:, 0], y_pred, sample_weight)

    def call(self, unused: Tensor, scores: Tensor) -> Tensor:
        """Returns the loss of each row, `(B,)`."""
        num_negatives = ops.cast(ops.shape(scores)[1] - 1, scores.dtype)
        return self.loss.pairs(scores[:, :1], scores[:, 1:], num_negatives)


def flat_ids(ids: Tensor, scores: Tensor) -> Tensor:
    """Returns integer ids as `(B,)`; raises unless they are one id for each row of scores."""
    ids = ops.convert_to_tensor(ids)
    if not keras.backend.is_int_dtype(ids.dtype):
        raise TypeError(
            checks.expected(
                "y_true",
                "the ids of the positives, integers of shape (B,)",
                f"{keras.backend.standardize_dtype(ids.dtype)} {tuple(ids.shape)}",
                "Use Softmax(), BPR() or Sigmoid() for labels of the shape of the scores.",
            )
        )
    aligned = len(ids.shape) == 1 or (len(ids.shape) == 2 and ids.shape[1] == 1)
    if not aligned or not _agree(ids.shape[0], scores.shape[0]):
        raise ValueError(
            checks.expected(
                "y_true",
                f"one id for each row of the scores {tuple(scores.shape)}",
                tuple(ids.shape),
            )
        )
    return ops.reshape(ids, (-1,))


def _agree(a: int | None, b: int | None) -> bool:
    """Whether two dimensions may be equal: one that is not yet known agrees with all."""
    return a is None or b is None or a == b
