"""Triplet loss: a positive nearer than each negative, by a margin."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import ListLoss, Tensor, summed


@keras.saving.register_keras_serializable(package="tfrecs")
class Triplet(ListLoss):
    """Triplet loss: a positive nearer than each negative, by a margin.

    `loss = 1/|P| sum_{p in P} sum_{n in N} max(0, m + s_n - s_p)`, of scores `s = -d`

    The anchor is the query; the distance is the model's, which returns it negated: Euclidean,
    squared or cosine. Negatives are summed, as the authors do, or their mean taken.

    Args:
        margin: m. Defaults to 0.1.
        mean: Whether to take the mean over negatives instead of the sum. Defaults to `False`.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.

    Example:

    >>> loss = Triplet(margin=1.0)  # distances 2 of the positive, 2.5 and 7 of the negatives
    >>> float(loss([[1, 0, 0]], [[-2.0, -2.5, -7.0]]))
    0.5

    Reference:
        Schroff et al. 2015, arXiv:1503.03832; for news, the platform of Stockmark (ICDM 2022).
    """

    def __init__(
        self,
        margin: float = 0.1,
        mean: bool = False,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        checks.positive("margin", margin)
        self.margin, self.mean = margin, mean

    def lists(
        self,
        positive: Tensor,
        negative: Tensor,
        scores: Tensor,
        num_positives: Tensor,
        num_negatives: Tensor,
    ) -> Tensor:
        """Returns the loss of each row of labels, `(...,)`."""
        # (..., P, N): every candidate as a positive against every candidate as a negative
        excess = ops.relu(self.margin + scores[..., None, :] - scores[..., :, None])
        pairs = ops.logical_and(positive[..., :, None], negative[..., None, :])
        total = ops.sum(ops.where(pairs, excess, ops.zeros_like(excess)), axis=(-2, -1))
        total = total / ops.maximum(num_positives, 1)
        return total / ops.maximum(num_negatives, 1) if self.mean else total

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        loss = summed(ops.relu(self.margin + negatives - positive), counts)
        if not self.mean:
            return loss
        return loss / ops.maximum(ops.cast(num_negatives, loss.dtype), 1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "margin": self.margin, "mean": self.mean}
