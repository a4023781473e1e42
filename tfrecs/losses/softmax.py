"""Softmax cross-entropy over a list of candidates."""

import keras
from keras import ops

from tfrecs.losses.base import ListLoss, Tensor, in_halves, lowest, repeated


@keras.saving.register_keras_serializable(package="tfrecs")
class Softmax(ListLoss):
    """Softmax cross-entropy: the positives' share of the row's probability.

    `loss = - 1/|P| * sum_{p in P} log(exp(s_p) / sum_{j in P or N} exp(s_j))`

    P are the row's positives, N its negatives; ignored candidates are in neither. With several
    positives the least possible loss is `log|P|`, with one it is 0. Computed with
    shifted exponents, so any finite score is safe.

    Args:
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`, also under mixed
            precision.

    Example:

    >>> loss = Softmax()
    >>> float(loss([[1, 0, -1]], [[0.0, 0.0, 9.0]]))  # log 2
    0.6931...

    Reference:
        - [Hidasi et al., 2016](https://arxiv.org/abs/1511.06939) for ranking by cross-entropy;
          [Liang et al., 2018](https://arxiv.org/abs/1802.05814) for several positives.
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
        scores = ops.where(ops.logical_or(positive, negative), scores, lowest(scores))
        share = ops.cast(positive, scores.dtype) / ops.maximum(num_positives, 1)[..., None]
        return ops.categorical_crossentropy(share, scores, from_logits=True)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        # = log(exp(s_p) + sum exp(s_n)) - s_p, with no copy of the (B, N) scores
        against = ops.logsumexp(repeated(negatives, counts), axis=-1)
        return ops.softplus(against - positive[:, 0])

    def shared(self, scores: Tensor, counts: Tensor, num_negatives: Tensor) -> Tensor:
        """Returns the loss of each row whose positive stands on the diagonal, `(B,)`."""
        # log sum exp over all that count, a row's own column among them, once
        every = in_halves(lambda rows: ops.logsumexp(repeated(rows, counts), axis=-1), scores)
        return every - ops.diagonal(scores)
