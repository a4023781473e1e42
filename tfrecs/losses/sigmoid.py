"""Binary cross-entropy over a list of candidates."""

import keras
from keras import ops

from tfrecs.losses.base import ListLoss, Tensor, lowest, summed


@keras.saving.register_keras_serializable(package="tfrecs")
class Sigmoid(ListLoss):
    """Binary cross-entropy of every candidate of the row by itself.

    `loss = - 1/(|P|+|N|) * (sum_{p in P} log sigmoid(s_p) + sum_{n in N} log sigmoid(-s_n))`

    P are the row's positives, N its negatives: the mean over the candidates that count, so a row
    weighs the same whatever the number of its candidates.

    Args:
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`, also under mixed
            precision.

    Example:

    >>> loss = Sigmoid()
    >>> float(loss([[1, 0, -1]], [[0.0, 0.0, 9.0]]))  # (log 2 + log 2) / 2
    0.6931...

    Reference:
        - [He et al., 2017](https://arxiv.org/abs/1708.05031), equation 7.
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
        signed = ops.where(positive, -scores, ops.where(negative, scores, lowest(scores)))
        total = ops.sum(ops.softplus(signed), axis=-1)
        return total / ops.maximum(num_positives + num_negatives, 1)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        loss = ops.softplus(-positive[:, 0]) + summed(ops.softplus(negatives), counts)
        return ops.where(num_negatives > 0, loss / (1 + num_negatives), 0)
