"""What the losses over candidate lists share: the labels 1, 0 and -1."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks

Tensor = Any


class ListLoss(keras.losses.Loss):
    """Base of the losses that compare the candidates of a row with each other.

    A subclass says two things: `pairs`, the loss of one positive against its negatives, and
    `lists`, the loss of a row of labels. A row without a positive or without a negative has the
    loss 0: there is nothing to compare.

    Labels are 1 (positive), 0 (negative) and -1 (ignore). Any other label raises ValueError where
    the values are known (NumPy arrays, eager tensors); inside a compiled graph it makes the loss
    of its row NaN, which `keras.callbacks.TerminateOnNaN` stops.
    """

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        check_labels(y_true, y_pred)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, labels: Tensor, scores: Tensor) -> Tensor:
        """Returns the loss of each row.

        Args:
            labels: float tensor `(..., C)` of 1, 0 and -1.
            scores: float tensor `(..., C)`, higher is better.

        Returns:
            `(...,)`.
        """
        positive, negative = ops.equal(labels, 1), ops.equal(labels, 0)
        num_positives, num_negatives = count(positive), count(negative)
        loss = self.lists(
            positive,
            negative,
            scores,
            ops.cast(num_positives, scores.dtype),
            ops.cast(num_negatives, scores.dtype),
        )
        both = ops.logical_and(num_positives > 0, num_negatives > 0)
        # an unknown label belongs to none of the three counts
        known = num_positives + num_negatives + count(ops.equal(labels, -1))
        loss = ops.where(both, loss, ops.zeros_like(loss))
        return ops.where(known < ops.shape(labels)[-1], np.nan, loss)

    @abstractmethod
    def lists(
        self,
        positive: Tensor,
        negative: Tensor,
        scores: Tensor,
        num_positives: Tensor,
        num_negatives: Tensor,
    ) -> Tensor:
        """Returns the loss of each row that has both kinds.

        Args:
            positive: bool tensor `(..., C)`.
            negative: bool tensor `(..., C)`.
            scores: float tensor `(..., C)`.
            num_positives: float tensor `(...,)`.
            num_negatives: float tensor `(...,)`.

        Returns:
            `(...,)`; rows that lack one kind may hold any finite value.
        """
        raise NotImplementedError

    @abstractmethod
    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each row of one positive and its negatives.

        Args:
            positive: float tensor `(B, 1)`, the positive's score.
            negatives: float tensor `(B, N)`; what does not count holds `lowest`.
            num_negatives: float tensor `(B,)` or number, how many of the N count.
            counts: float tensor `(N,)` or `(B, N)`, how often each of the N counts; `None` for
                once each. What does not count holds `lowest` all the same.

        Returns:
            `(B,)`; 0 for rows without negatives.
        """
        raise NotImplementedError

    def shared(self, scores: Tensor, counts: Tensor, num_negatives: Tensor) -> Tensor:
        """Returns the loss of each row whose positive stands on the diagonal.

        A subclass overrides it where it can do without a copy of the scores.

        Args:
            scores: float tensor `(B, C)`, all finite; the positive of row i is in column i.
            counts: float tensor `(C,)`, how often each column counts as a negative of the other
                rows; 0 for not at all.
            num_negatives: float tensor `(B,)`, how many of them a row has.

        Returns:
            `(B,)`; any finite value where a row's own column has count 0.
        """
        dead = ops.logical_or(ops.eye(*ops.shape(scores), dtype="bool"), ops.equal(counts, 0))
        negatives = ops.where(dead, lowest(scores), scores)
        return self.pairs(ops.diagonal(scores)[:, None], negatives, num_negatives, counts)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "dtype": self.dtype}


def lowest(scores: Tensor) -> float:
    """Returns the score of a candidate that does not count, finite in the scores' dtype.

    It leaves room to subtract another score, so that no `inf - inf` arises.
    """
    return -3e4 if keras.backend.standardize_dtype(scores.dtype) == "float16" else -1e30


def summed(values: Tensor, counts: Tensor | None) -> Tensor:
    """Returns the sum over the last axis of what each negative adds, as often as it counts."""
    return ops.sum(values if counts is None else values * counts, axis=-1)


def repeated(scores: Tensor, counts: Tensor | None) -> Tensor:
    """Returns scores whose exponential sums are those of negatives that count so often."""
    if counts is None:
        return scores
    return scores + ops.where(counts > 0, ops.log(ops.maximum(counts, 1)), lowest(scores))


def in_halves(loss: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Returns `loss` of all rows, `(B,)`, from two halves that two cores can work on at a time."""
    if any(tensor.shape[0] in (None, 1) for tensor in tensors):
        return loss(*tensors)
    halves = zip(*(ops.array_split(tensor, 2) for tensor in tensors), strict=True)
    return ops.concatenate([loss(*half) for half in halves])


def count(mask: Tensor) -> Tensor:
    """Returns the number of `True` along the last axis, int32."""
    return ops.sum(ops.cast(mask, "int32"), axis=-1)


def concrete(tensor: Tensor) -> np.ndarray | None:
    """Returns the values of `tensor`, or `None` for a tensor of a graph that has none yet."""
    try:
        return np.asarray(ops.convert_to_numpy(tensor))
    except (NotImplementedError, TypeError, ValueError):  # TensorFlow, JAX, KerasTensor
        return None


def check_labels(labels: Tensor, scores: Tensor) -> None:
    """Raises ValueError unless the labels have the scores' shape and are 1, 0 or -1."""
    label_shape, score_shape = tuple(labels.shape), tuple(scores.shape)
    same = len(label_shape) == len(score_shape) and all(
        a is None or b is None or a == b for a, b in zip(label_shape, score_shape, strict=True)
    )
    if not same:
        raise ValueError(
            checks.expected(
                "y_true",
                f"labels of the shape of the scores, {score_shape}",
                label_shape,
                "For ids of the positives, of shape (B,), use InBatch(loss) or Sampled(loss).",
            )
        )
    values = concrete(labels)
    if values is None:
        return
    wrong = ~np.isin(values, (-1, 0, 1))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            checks.expected(
                "y_true",
                "1 (positive), 0 (negative) or -1 (ignore)",
                values[place].item(),
                f"It stands at {place}.",
            )
        )
