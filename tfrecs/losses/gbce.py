"""Generalised binary cross-entropy, for negatives that were sampled."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import ListLoss, Tensor, lowest, summed


@keras.saving.register_keras_serializable(package="tfrecs")
class GBCE(ListLoss):
    """Binary cross-entropy that does not become overconfident when negatives are sampled.

    `loss = - 1/(|P|+|N|) * (b sum_{p in P} log sigmoid(s_p) + sum_{n in N} log sigmoid(-s_n))`,
    `b = a (t (1 - 1/a) + 1/a)`, `a = |N| / (num_candidates - 1)`

    P are the row's positives, N its negatives. With t = 0 it is `Sigmoid`; with t = 1 the
    probabilities are those of training without sampling.

    Args:
        num_candidates: Size of the catalogue that the negatives are sampled from, above 1.
        calibration: t, from 0 to 1. Defaults to 0.75.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.

    Example:

    >>> loss = GBCE(num_candidates=5, calibration=1.0)
    >>> float(loss([[1, 0]], [[0.0, 0.0]]))  # b = 1 / 4: (0.25 log 2 + log 2) / 2
    0.4332...

    Reference:
        Petrov, Macdonald 2023, gSASRec, arXiv:2308.07192.
    """

    def __init__(
        self,
        num_candidates: int,
        calibration: float = 0.75,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if num_candidates < 2:
            raise ValueError(checks.expected("num_candidates", "2 or more", num_candidates))
        if not 0 <= calibration <= 1:
            raise ValueError(checks.expected("calibration", "from 0 to 1", calibration))
        self.num_candidates = num_candidates
        self.calibration = calibration

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"num_candidates": self.num_candidates, "calibration": self.calibration}
        return {**super().get_config(), **own}

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
        near = ops.sum(ops.softplus(ops.where(positive, -scores, low)), axis=-1)
        far = ops.sum(ops.softplus(ops.where(negative, scores, low)), axis=-1)
        total = self._power(num_negatives) * near + far
        return total / ops.maximum(num_positives + num_negatives, 1)

    def pairs(
        self, positive: Tensor, negatives: Tensor, num_negatives: Tensor, counts: Tensor = None
    ) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        near, far = ops.softplus(-positive[:, 0]), summed(ops.softplus(negatives), counts)
        loss = (self._power(num_negatives) * near + far) / (1 + num_negatives)
        return ops.where(num_negatives > 0, loss, 0)

    def _power(self, num_negatives: Tensor) -> Tensor:
        """Returns b, which is `t (a - 1) + 1`."""
        rate = num_negatives / (self.num_candidates - 1)
        return self.calibration * (rate - 1) + 1
