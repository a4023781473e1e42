"""Weighted approximate-rank pairwise loss."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import ListLoss, Tensor, lowest, summed


@keras.saving.register_keras_serializable(package="tfrecs")
class WARP(ListLoss):
    """A hinge against the negatives that come too close, heavier for badly ranked positives.

    `loss = 1/|P| * sum_{p in P} ln(1 + v_p) / v_p * sum_{n in N} max(0, margin - s_p + s_n)`

    P are the row's positives, N its negatives, `v_p` the negatives within the margin of p or above
    it: its rank. WARP samples negatives until one violates the margin; here the row's negatives
    are the sample, and all that violate it count. A positive without such has loss 0.

    Args:
        margin: How far below a positive a negative shall be, above 0. Defaults to 1.0.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.

    Example:

    >>> loss = WARP()
    >>> float(loss([[1, 0, 0]], [[2.0, 1.5, 0.0]]))  # ln 2 * (1 - 0.5)
    0.3465...

    Reference:
        Weston, Bengio, Usunier 2011, WSABIE: scaling up to large vocabulary image annotation.
    """

    def __init__(
        self,
        margin: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        checks.positive("margin", margin)
        self.margin = margin

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "margin": self.margin}

    def lists(
        self,
        positive: Tensor,
        negative: Tensor,
        scores: Tensor,
        num_positives: Tensor,
        num_negatives: Tensor,
    ) -> Tensor:
        """Returns the loss of each row of labels, `(...,)`."""
        low = lowest(scores)
        worse = ops.where(negative, scores, low)[..., None, :]  # (..., 1, C)
        better = ops.where(positive, scores, -low)[..., :, None]  # (..., C, 1)
        return ops.sum(self._ranked(worse - better), axis=-1) / ops.maximum(num_positives, 1)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        return self._ranked(negatives - positive, counts)

    def _ranked(self, differences: Tensor, counts: Tensor = None) -> Tensor:
        """Returns the loss of positives against negatives better by `differences`, `(..., C)`."""
        hinges = ops.relu(self.margin + differences)
        rank = summed(ops.cast(hinges > 0, hinges.dtype), counts)  # no gradient
        return ops.log1p(rank) / ops.maximum(rank, 1) * summed(hinges, counts)
