"""The losses of GRU4Rec over a positive and many negatives: TOP1, TOP1-max, BPR-max."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import ListLoss, Tensor, in_halves, lowest, repeated, summed


@keras.saving.register_keras_serializable(package="tfrecs")
class TOP1(ListLoss):
    """TOP1: negatives shall score below the positive, and near zero.

    `loss = 1/|N| * sum_{n in N} sigmoid(s_n - s_p) + sigmoid(s_n^2)`

    With several positives, the mean over them. A lone positive far above its negatives leaves
    a loss of 1/2, from the second term.

    Args:
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.

    Example:

    >>> float(TOP1()([[1, 0]], [[0.0, 0.0]]))  # sigmoid(0) + sigmoid(0)
    1.0

    Reference:
        Hidasi et al. 2016, arXiv:1511.06939, section 3.3.
    """

    def lists(self, *row: Tensor) -> Tensor:
        """Returns the loss of each row of labels, `(...,)`."""
        return per_positive(self.pairs, *row)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        loss = summed(_counted(negatives) * _top1(positive, negatives), counts)
        return loss / ops.maximum(num_negatives, 1)


@keras.saving.register_keras_serializable(package="tfrecs")
class TOP1Max(ListLoss):
    """TOP1-max: TOP1 with each negative weighted by its share of the negatives' softmax.

    `loss = sum_{n in N} w_n (sigmoid(s_n - s_p) + sigmoid(s_n^2)), w = softmax over N of s`

    So what pushes is the negative that scores highest, however many others score low. Arguments
    as `TOP1`.

    Example:

    >>> float(TOP1Max()([[1, 0, 0]], [[0.0, 0.0, 0.0]]))
    1.0

    Reference:
        Hidasi, Karatzoglou 2018, arXiv:1706.03847, section 3.2.
    """

    def lists(self, *row: Tensor) -> Tensor:
        """Returns the loss of each row of labels, `(...,)`."""
        return per_positive(self.pairs, *row)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        weights = ops.softmax(repeated(negatives, counts)) * _counted(negatives)
        return ops.sum(weights * _top1(positive, negatives), axis=-1)


@keras.saving.register_keras_serializable(package="tfrecs")
class BPRMax(ListLoss):
    """BPR-max: the positive shall score above the highest negative, softly chosen.

    `loss = -log sum_{n in N} w_n sigmoid(s_p - s_n) + lambda sum_{n in N} w_n s_n^2`
    `w = softmax over N of s`

    With several positives, the mean over them.

    Args:
        score_regularization: lambda, which keeps negatives near zero. Defaults to 1.
        elu: Where above 0, scores below 0 first become `elu (exp(s) - 1)`, which bounds them and
            changes no order. Defaults to 0: scores as they are.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.

    Example:

    >>> float(BPRMax(score_regularization=0.0)([[1, 0, 0]], [[0.0, 0.0, 0.0]]))  # log 2
    0.6931...

    Reference:
        Hidasi, Karatzoglou 2018, arXiv:1706.03847, section 3.2.
    """

    def __init__(
        self,
        score_regularization: float = 1.0,
        elu: float = 0.0,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        for argument, value in (("score_regularization", score_regularization), ("elu", elu)):
            if not value >= 0:
                raise ValueError(checks.expected(argument, "0 or more", value))
        self.score_regularization = score_regularization
        self.elu = elu

    def lists(self, *row: Tensor) -> Tensor:
        """Returns the loss of each row of labels, `(...,)`."""
        return per_positive(self.pairs, *row)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        live = _live(negatives)
        offsets = ops.where(live, ops.zeros_like(negatives), lowest(negatives))
        negatives = ops.where(live, negatives, 0)
        return self._against(positive, negatives, offsets, num_negatives, counts)

    def shared(self, scores: Tensor, counts: Tensor, num_negatives: Tensor) -> Tensor:
        """Returns the loss of each row whose positive stands on the diagonal, `(B,)`."""
        own = lowest(scores) * ops.eye(*ops.shape(scores), dtype=scores.dtype)
        loss = partial(self._against, counts=counts)
        return in_halves(loss, ops.diagonal(scores)[:, None], scores, own, num_negatives)

    def _against(
        self,
        positive: Tensor,
        negatives: Tensor,
        offsets: Tensor,
        num_negatives: Tensor,
        counts: Tensor | None,
    ) -> Tensor:
        """Returns the loss, `offsets` being 0 or, for what does not count, `lowest`."""
        if self.elu:
            positive, negatives = ops.elu(positive, self.elu), ops.elu(negatives, self.elu)
        counted = negatives + offsets
        # w_n sigmoid(s_p - s_n) = exp(s_p) / Z sigmoid(s_n - s_p) with w_n = exp(s_n) / Z: few
        # passes over the scores, and none of them overflows
        logits = repeated(counted, counts)
        highest = ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
        shares = ops.exp(logits - highest)  # w Z / exp(highest)
        total = ops.sum(shares, axis=-1)
        near = summed(ops.sigmoid(counted - positive), counts)
        least = -1 / lowest(near)  # all negatives so far below the positive that the loss is 0
        loss = ops.log(total) + (highest - positive)[:, 0] - ops.log(ops.maximum(near, least))
        loss = ops.where(near > least, loss, 0)
        if self.score_regularization:
            norms = ops.sum(shares * ops.square(negatives), axis=-1) / total
            loss += self.score_regularization * norms
        return ops.where(num_negatives > 0, loss, 0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"score_regularization": self.score_regularization, "elu": self.elu}
        return {**super().get_config(), **own}


def per_positive(
    pairs: Callable[..., Tensor],
    positive: Tensor,
    negative: Tensor,
    scores: Tensor,
    num_positives: Tensor,
    num_negatives: Tensor,
) -> Tensor:
    """Returns the mean of `pairs` over a row's positives, `(...,)`; takes `C * C` numbers a row."""
    size = ops.shape(scores)[-1]
    negatives = ops.where(negative, scores, lowest(scores))[..., None, :]  # (..., 1, C)
    every = ops.broadcast_to(negatives, (*ops.shape(scores), size))
    loss = pairs(
        ops.reshape(scores, (-1, 1)),
        ops.reshape(every, (-1, size)),
        ops.reshape(ops.repeat(num_negatives[..., None], size, axis=-1), (-1,)),
    )
    loss = ops.where(positive, ops.reshape(loss, ops.shape(scores)), 0)
    return ops.sum(loss, axis=-1) / ops.maximum(num_positives, 1)


def _top1(positive: Tensor, negatives: Tensor) -> Tensor:
    # what does not count would overflow when squared
    squares = ops.square(ops.where(_live(negatives), negatives, 0))
    return ops.sigmoid(negatives - positive) + ops.sigmoid(squares)


def _counted(negatives: Tensor) -> Tensor:
    """Returns 1 where a negative counts, else 0."""
    return ops.cast(_live(negatives), negatives.dtype)


def _live(negatives: Tensor) -> Tensor:
    """Returns where a negative counts, bool."""
    return negatives > lowest(negatives) / 2
