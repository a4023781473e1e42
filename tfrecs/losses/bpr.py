"""Bayesian personalised ranking."""

import keras
from keras import ops

from tfrecs.losses.base import ListLoss, Tensor, lowest


@keras.saving.register_keras_serializable(package="tfrecs")
class BPR(ListLoss):
    """Bayesian personalised ranking: a positive shall score above a negative.

    `loss = - 1/(|P||N|) * sum_{p in P, n in N} log sigmoid(s_p - s_n)`

    P are the row's positives, N its negatives. The paper sums over sampled pairs; the mean keeps
    the learning rate independent of the number of negatives. A row of labels with several
    positives compares all pairs, which takes `C * C` numbers a row; `InBatch` and `Sampled` take
    `C`.

    Args:
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
        total = ops.sum(ops.softplus(worse - better), axis=(-2, -1))
        return total / ops.maximum(num_positives * num_negatives, 1)

    def pairs(self, positive: Tensor, negatives: Tensor, num_negatives: Tensor) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        total = ops.sum(ops.softplus(negatives - positive), axis=-1)
        return total / ops.maximum(num_negatives, 1)
