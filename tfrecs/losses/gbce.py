"""Generalised binary cross-entropy, calibrated for sampled negatives."""

import keras
from keras import ops

from tfrecs import checks
from tfrecs.losses.base import ListLoss, Tensor, lowest
from tfrecs.losses.sessions import per_positive


@keras.saving.register_keras_serializable(package="tfrecs")
class GBCE(ListLoss):
    """Generalised binary cross-entropy: a gentler push on positives where negatives are sampled.

    `loss = -1/(1 + |N|) * (beta log sigmoid(s_p) + sum_{n in N} log(1 - sigmoid(s_n)))`
    `beta = a (t (1 - 1/a) + 1/a)`, `a = sampling_rate`

    With beta = 1 it is binary cross-entropy, which overrates the top when negatives are sampled.

    Args:
        sampling_rate: Negatives of a positive over all items but it, above 0 and at most 1.
        calibration: t, from 0 (binary cross-entropy) to 1 (fully calibrated). Defaults to 0.75.
        reduction: As in `keras.losses.Loss`. Defaults to "sum_over_batch_size".
        name: Name of the loss; `None` for a generated one.
        dtype: Dtype of the computation; `None` for `keras.config.floatx()`.

    Example:

    >>> float(GBCE(0.5, calibration=0.0)([[1, 0]], [[0.0, 0.0]]))  # log 2
    0.6931...

    Reference:
        Petrov, Macdonald 2023, arXiv:2308.07192.
    """

    def __init__(
        self,
        sampling_rate: float,
        calibration: float = 0.75,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 < sampling_rate <= 1:
            expectation = "above 0 and at most 1"
            raise ValueError(checks.expected("sampling_rate", expectation, sampling_rate))
        if not 0 <= calibration <= 1:
            raise ValueError(checks.expected("calibration", "from 0 to 1", calibration))
        self.sampling_rate = sampling_rate
        self.calibration = calibration
        rate = sampling_rate
        self.beta = rate * (calibration * (1 - 1 / rate) + 1 / rate)

    def lists(self, *row: Tensor) -> Tensor:
        """Returns the loss of each row of labels, `(...,)`."""
        return per_positive(self.pairs, *row)

    def pairs(self, positive: Tensor, negatives: Tensor, num_negatives: Tensor) -> Tensor:
        """Returns the loss of each positive against its negatives, `(B,)`."""
        counted = negatives > lowest(negatives) / 2
        pushed = ops.sum(ops.where(counted, ops.softplus(negatives), 0), axis=-1)
        return (self.beta * ops.softplus(-positive[:, 0]) + pushed) / (1 + num_negatives)

    def get_config(self) -> dict[str, float]:
        """Returns the constructor's arguments."""
        own = {"sampling_rate": self.sampling_rate, "calibration": self.calibration}
        return {**super().get_config(), **own}
