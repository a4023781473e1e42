"""Cosine contrastive loss."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import ListLoss, Tensor, lowest, summed


@keras.saving.register_keras_serializable(package="tfrecs")
class CCL(ListLoss):
    """Cosine contrastive loss: positives to 1, and only the negatives above a margin down.

    `loss = 1/|P| * sum_{p in P} (1 - s_p) + weight / |N| * sum_{n in N} max(0, s_n - margin)`

    P are the row's positives, N its negatives. For scores that are cosines, such as `TwoTower`'s
    with a temperature of 1.

    Args:
        margin: Cosine below which a negative is let be. Defaults to 0.5.
        weight: Of the negatives, above 0. Defaults to 1.0.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.

    Example:

    >>> loss = CCL(margin=0.5, weight=2.0)
    >>> float(loss([[1, 0, 0]], [[0.75, 1.0, 0.25]]))  # 0.25 + 2 / 2 * 0.5
    0.75

    Reference:
        Mao et al. 2021, SimpleX, arXiv:2109.12613.
    """

    def __init__(
        self,
        margin: float = 0.5,
        weight: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        checks.positive("weight", weight)
        self.margin = margin
        self.weight = weight

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "margin": self.margin, "weight": self.weight}

    def lists(
        self,
        positive: Tensor,
        negative: Tensor,
        scores: Tensor,
        num_positives: Tensor,
        num_negatives: Tensor,
    ) -> Tensor:
        """Returns the loss of each row of labels, `(...,)`."""
        near = ops.sum(ops.where(positive, 1 - scores, 0), axis=-1) / ops.maximum(num_positives, 1)
        low = lowest(scores)
        return near + self._far(ops.where(negative, scores, low), num_negatives)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        loss = 1 - positive[:, 0] + self._far(negatives, num_negatives, counts)
        return ops.where(num_negatives > 0, loss, 0)

    def _far(self, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None) -> Tensor:
        above = summed(ops.relu(negatives - self.margin), counts)
        return self.weight * above / ops.maximum(num_negatives, 1)
