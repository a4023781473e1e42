"""Losses against negatives that a whole batch shares."""

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import Tensor
from tfrecs.losses.pairs import PairLoss, flat_ids
from tfrecs.spec import PADDING_ID


@keras.saving.register_keras_serializable(package="tfrecs")
class SharedNegatives(PairLoss):
    """Makes the other rows' positives, and sampled candidates of all rows, a row's negatives.

    `loss_i = loss(s_ii | {s_ij : j != i, j = 1..B + N})`

    `y_true` holds the ids of the positives, integers of shape `(B,)`; `y_pred` the scores
    `(B, B + N)`, column j by the positive of row j, then the N sampled ones. As its authors do for
    GRU4Rec, a negative that happens to be a row's positive is a negative all the same: logQ
    accounts for it. A row of padding (id 0) has loss 0 and is nobody's negative.

    Where a sampled candidate was drawn several times, one column can stand for them: `y_true`
    `(2, B + N)` then holds the id of each column and how often it counts, 0 for not at all. The
    loss is that of as many equal columns.

    Args:
        loss: `Softmax`, `BPR`, `TOP1`, `BPRMax`, `TOP1Max` or another `ListLoss`; its `reduction`
            is not used.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.

    Example:

    >>> import numpy as np
    >>> from tfrecs.losses import Softmax
    >>> loss = SharedNegatives(Softmax(), reduction=None)
    >>> rows = loss(np.array([7, 8, 0]), np.zeros((3, 5), "float32"))
    >>> np.round(np.asarray(rows), 4)  # log 4, log 4: column 2 is padding
    array([1.3863, 1.3863, 0.    ], dtype=float32)

    Reference:
        Hidasi, Karatzoglou 2018, arXiv:1706.03847, section 3.
    """

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Returns the reduced loss of ids `(B,)`, or `(2, B + N)`, and scores `(B, B + N)`."""
        y_pred = ops.cast(ops.convert_to_tensor(y_pred), self.dtype)
        rows, columns = y_pred.shape if len(y_pred.shape) == 2 else (1, 0)
        if None not in (rows, columns) and columns < max(rows, 2):
            raise ValueError(
                checks.expected(
                    "y_pred",
                    "the scores of the B positives and N sampled candidates, (B, B + N)",
                    tuple(y_pred.shape),
                    "Use Sampled(loss) for a positive and its own negatives.",
                )
            )
        size, width = ops.shape(y_pred)
        y_true = ops.convert_to_tensor(y_true)
        if y_true.shape[0] == 2 and len(y_true.shape) == 2 and y_true.shape[1] != 1:
            flat_ids(y_true[0, :size], y_pred)
            counts = y_true[1]
        else:
            counts = ops.cast(ops.not_equal(flat_ids(y_true, y_pred), PADDING_ID), "int32")
            counts = ops.pad(counts, (0, width - size), constant_values=1)
        num_negatives = ops.broadcast_to(ops.sum(counts) - 1, (size,))
        weight = ops.cast(counts[:size] > 0, y_pred.dtype)
        if sample_weight is not None:
            weight *= ops.cast(sample_weight, weight.dtype)
        return super().__call__(num_negatives, (y_pred, ops.cast(counts, y_pred.dtype)), weight)

    def call(self, num_negatives: Tensor, columns: tuple[Tensor, Tensor]) -> Tensor:
        """Returns the loss of each row, `(B,)`, of scores and how often their columns count."""
        scores, counts = columns
        return self.loss.shared(scores, counts, ops.cast(num_negatives, scores.dtype))
