"""Hard negative mining: only the negatives with the highest scores count."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import ListLoss, Tensor, lowest


@keras.saving.register_keras_serializable(package="tfrecs")
class Hardest(ListLoss):
    """Applies a loss to the `num_negatives` hardest negatives of each row.

    `loss(P, {n in N : s_n among the num_negatives highest of N})`

    It wraps a list loss, and is wrapped by `InBatch` or `Sampled`: so every retriever can mine
    its batch or its samples. Of negatives with equal scores at the end, all count in a row of
    labels.

    Args:
        loss: `Softmax`, `BPR` or another `ListLoss`; its `reduction` is not used.
        num_negatives: Negatives that count, 1 or more.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.

    Example:

    >>> from tfrecs.losses import BPR
    >>> loss = Hardest(BPR(), 1)
    >>> float(loss([[1, 0, 0]], [[2.0, 2.0, -5.0]]))  # -log sigmoid(2 - 2)
    0.6931...
    """

    def __init__(
        self,
        loss: ListLoss,
        num_negatives: int,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not isinstance(loss, ListLoss):
            raise TypeError(checks.expected("loss", "a list loss such as Softmax()", loss))
        checks.positive("num_negatives", num_negatives)
        self.loss = loss
        self.num_negatives = num_negatives

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"loss": keras.saving.serialize_keras_object(self.loss)}
        return {**super().get_config(), **own, "num_negatives": self.num_negatives}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Hardest":
        """Rebuilds the loss from `get_config`."""
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})

    def lists(
        self,
        positive: Tensor,
        negative: Tensor,
        scores: Tensor,
        num_positives: Tensor,
        num_negatives: Tensor,
    ) -> Tensor:
        """Returns the loss of each row of labels, `(...,)`."""
        best, _ = self._best(ops.where(negative, scores, lowest(scores)))
        hard = ops.logical_and(negative, scores >= best[..., -1:])
        counted = ops.sum(ops.cast(hard, scores.dtype), axis=-1)
        return self.loss.lists(positive, hard, scores, num_positives, counted)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its hardest negatives, `(B,)`."""
        best, places = self._best(negatives)
        most = self.num_negatives
        if counts is None:
            most = best.shape[-1]
        else:  # the first so many of the best, each repeated as often as it counts
            row = ops.broadcast_to(counts, ops.shape(negatives))
            counts = ops.take_along_axis(row, places, axis=-1)
            before = ops.cumsum(counts, axis=-1) - counts
            counts = ops.clip(most - before, 0, counts)
            best = ops.where(counts > 0, best, lowest(best))
        return self.loss.pairs(positive, best, ops.minimum(num_negatives, most), counts)

    def _best(self, negatives: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the highest scores and their places."""
        size = negatives.shape[-1] or self.num_negatives
        best, places = ops.top_k(negatives, min(self.num_negatives, size))
        return best, places
