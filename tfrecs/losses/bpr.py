"""Bayesian personalised ranking."""

from typing import Any, Literal

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import ListLoss, Tensor, lowest, summed


@keras.saving.register_keras_serializable(package="tfrecs")
class BPR(ListLoss):
    """Bayesian personalised ranking: a positive shall score above a negative.

    `loss = - 1/(|P||N|) * sum_{p in P, n in N} log sigmoid(s_p - s_n)`

    P are the row's positives, N its negatives. The paper sums over sampled pairs; the mean keeps
    the learning rate independent of the number of negatives. A row of labels with several
    positives compares all pairs, which takes `C * C` numbers a row; `InBatch` and `Sampled` take
    `C`.

    With `form="sigmoid"` the loss of a pair is `1 - sigmoid(s_p - s_n)`, its chance of being in
    the wrong order: bounded, so that outliers count less, and flat where a pair is very wrong.

    Args:
        form: "log_sigmoid" as above, or "sigmoid". Defaults to "log_sigmoid".
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`, also under mixed
            precision.

    Example:

    >>> loss = BPR()
    >>> float(loss([[1, 0]], [[2.0, 2.0]]))  # -log sigmoid(0) = log 2
    0.6931...

    Reference:
        - [Rendle et al., 2009](https://arxiv.org/abs/1205.2618), without its regulariser: give
          the embeddings an L2 regulariser, or the optimizer weight decay.
    """

    def __init__(
        self,
        form: Literal["log_sigmoid", "sigmoid"] = "log_sigmoid",
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        checks.one_of("form", form, ("log_sigmoid", "sigmoid"))
        self.form = form

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "form": self.form}

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
        total = ops.sum(self._pair(worse - better), axis=(-2, -1))
        return total / ops.maximum(num_positives * num_negatives, 1)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        loss = summed(self._pair(negatives - positive), counts)
        return loss / ops.maximum(num_negatives, 1)

    def _pair(self, difference: Tensor) -> Tensor:
        """Returns the loss of pairs whose negative is better by `difference`."""
        return ops.softplus(difference) if self.form == "log_sigmoid" else ops.sigmoid(difference)
