"""How good predicted clicks are: NumPy functions of whole test sets, and Keras metrics."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.metrics import points

Tensor = Any


def auc(labels: Any, scores: Any) -> float:
    """Returns the area under the ROC curve, exact; NaN without a click or without a non-click.

    `auc = P(s_p > s_n) + 1/2 P(s_p = s_n)` for a random click p and a random non-click n.

    Args:
        labels: Array `(N,)` of 1 and 0.
        scores: Float array `(N,)`, higher is better.

    Example:

    >>> auc([1, 0, 0, 1], [0.9, 0.1, 0.5, 0.5])  # (1 + 1 + 1 + 1/2) / 4
    0.875
    """
    return grouped_auc(labels, scores, np.zeros(len(np.asarray(labels)), np.int64))


def grouped_auc(labels: Any, scores: Any, groups: Any) -> float:
    """Returns the mean AUC of the groups (users), weighted by their rows.

    `gauc = sum_g n_g auc_g / sum_g n_g`, over groups with a click and a non-click: it tells the
    order within what one user saw, and not who clicks much. NaN if there is no such group.

    Args:
        labels: Array `(N,)` of 1 and 0.
        scores: Float array `(N,)`.
        groups: Integer array `(N,)`.

    Example:

    >>> grouped_auc([1, 0, 1, 0, 1], [2.0, 1.0, 0.1, 0.2, 9.0], [0, 0, 1, 1, 2])  # (2 1 + 2 0) / 4
    0.5

    Reference:
        Zhu et al. 2017, Optimized cost per click in Taobao display advertising, arXiv:1703.02091.
    """
    labels, scores = _checked(labels, scores)
    groups = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    if len(groups) != len(labels):
        expectation = f"one for each of the {len(labels)} labels"
        raise ValueError(checks.expected("groups", expectation, len(groups)))
    order = np.lexsort((scores, groups))
    labels, scores, groups = labels[order], scores[order], groups[order]
    tied = np.r_[True, (np.diff(scores) != 0) | (np.diff(groups) != 0)].cumsum() - 1
    first = np.searchsorted(tied, tied, "left")
    last = np.searchsorted(tied, tied, "right")
    start = np.searchsorted(groups, groups, "left")
    rank = (first + last + 1) / 2 - start  # from 1, the mean of ties
    count = np.bincount(groups)
    clicks = np.bincount(groups, labels)
    pairs = clicks * (count - clicks)
    above = np.bincount(groups, rank * labels) - clicks * (clicks + 1) / 2
    both = pairs > 0
    if not both.any():
        return float("nan")
    return float(np.sum(count[both] * above[both] / pairs[both]) / np.sum(count[both]))


def log_loss(labels: Any, scores: Any) -> float:
    """Returns the mean binary cross-entropy of scores that are logits, in nats.

    `log_loss = mean(log(1 + exp(s)) - y s)`

    Example:

    >>> round(log_loss([1, 0], [0.0, 0.0]), 4)  # log 2
    0.6931
    """
    labels, scores = _checked(labels, scores)
    return float(np.mean(np.logaddexp(0, scores) - labels * scores))


def normalized_entropy(labels: Any, scores: Any) -> float:
    """Returns the log loss over that of predicting the mean: below 1 is better than knowing it.

    `ne = log_loss / -(p log p + (1 - p) log(1 - p))`, `p` the share of clicks; NaN if p is 0 or 1.

    Example:

    >>> normalized_entropy([1, 0, 0, 0], [-np.log(3)] * 4)  # 1/4 for all is what the mean knows
    1.0

    Reference:
        He et al. 2014, Practical lessons from predicting clicks on ads at Facebook.
    """
    labels, scores = _checked(labels, scores)
    share = labels.mean()
    if share in (0, 1):
        return float("nan")
    entropy = -(share * np.log(share) + (1 - share) * np.log1p(-share))
    return round(log_loss(labels, scores) / float(entropy), 12)


def calibration(labels: Any, scores: Any) -> float:
    """Returns predicted clicks over observed clicks: 1 is right, above 1 promises too many.

    `calibration = sum sigmoid(s) / sum y`; NaN without a click.

    Example:

    >>> calibration([1, 0, 0, 0], [0.0] * 4)  # 4/2 promised, 1 came
    2.0
    """
    labels, scores = _checked(labels, scores)
    clicked = np.sum(labels)
    return float(np.sum(sigmoid(scores)) / clicked) if clicked else float("nan")


def calibration_curve(labels: Any, scores: Any, num_bins: int = 10) -> np.ndarray:
    """Returns mean predicted and observed rate of bins of equally many rows, `(num_bins, 2)`.

    Args:
        labels: Array `(N,)` of 1 and 0.
        scores: Float array `(N,)`, logits.
        num_bins: Number of bins; fewer where there are fewer rows. Defaults to 10.

    Example:

    >>> calibration_curve([0, 0, 1, 1], [-9.0, -9.0, 9.0, 9.0], num_bins=2).round(2).tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    checks.positive("num_bins", num_bins)
    labels, scores = _checked(labels, scores)
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(num_bins, len(order)))
    predicted = sigmoid(scores)
    return np.array([[predicted[part].mean(), labels[part].mean()] for part in parts])


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """Returns probabilities of logits, without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, -scores)))


def _checked(labels: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns both as float64 arrays `(N,)`, checked."""
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape or not len(labels):
        shapes = (labels.shape, scores.shape)
        raise ValueError(checks.expected("labels", "as many as scores, one or more", shapes))
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        remedy = f"It stands in row {row}."
        raise ValueError(checks.expected("labels", "0 or 1", float(labels[row]), remedy))
    if np.isnan(scores).any():
        raise ValueError(checks.expected("scores", "numbers", "NaN", "Train with a smaller rate."))
    return labels, scores


@keras.saving.register_keras_serializable(package="tfrecs")
class Calibration(keras.metrics.Metric):
    """Predicted clicks over observed clicks: 1 is right, above 1 promises too many.

    `calibration = sum w sigmoid(s) / sum w y`

    A label of -1 is ignored, and so is a row of weight 0. NaN without a click, with a NaN score,
    an unknown label or a weight that is none.

    Args:
        name: Name of the metric. Defaults to "calibration".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = Calibration()
    >>> float(metric([1, 0, 0, 0, -1], [0.0, 0.0, 0.0, 0.0, 9.0]))
    2.0
    """

    def __init__(self, name: str = "calibration", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        kw: dict[str, Any] = {"initializer": "zeros", "dtype": self.dtype}
        self.predicted = self.add_variable((), name="predicted", **kw)
        self.observed = self.add_variable((), name="observed", **kw)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds labels 1, 0, -1 and logits, of one shape; weights of that shape too."""
        labels, scores, weights, wrong = points.clicks(y_true, y_pred, sample_weight, self.dtype)
        weights = ops.where(wrong, np.nan, weights)
        self.predicted.assign(self.predicted + ops.sum(weights * ops.sigmoid(scores)))
        self.observed.assign(self.observed + ops.sum(weights * labels))

    def result(self) -> Tensor:
        """Returns the ratio, a scalar."""
        clicked = self.observed > 0
        return ops.where(clicked, self.predicted / self.observed, np.nan)


@keras.saving.register_keras_serializable(package="tfrecs")
class NormalizedEntropy(keras.metrics.Metric):
    """Log loss over that of predicting the share of clicks: below 1 is better than knowing it.

    `ne = log_loss / -(p log p + (1 - p) log(1 - p))`, `p` the weighted share of clicks

    A label of -1 is ignored, and so is a row of weight 0. NaN if all labels are alike, with a NaN
    score, an unknown label or a weight that is none.

    Args:
        name: Name of the metric. Defaults to "normalized_entropy".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = NormalizedEntropy()
    >>> float(metric([1, 0], [0.0, 0.0]))
    1.0
    """

    def __init__(self, name: str = "normalized_entropy", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._direction = "down"  # callbacks ask
        names = ("loss", "clicks", "rows")
        kw: dict[str, Any] = {"initializer": "zeros", "dtype": self.dtype}
        self.sums = [self.add_variable((), name=name, **kw) for name in names]

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds labels 1, 0, -1 and logits, of one shape; weights of that shape too."""
        labels, scores, weights, wrong = points.clicks(y_true, y_pred, sample_weight, self.dtype)
        weights = ops.where(wrong, np.nan, weights)
        losses = ops.softplus(scores) - labels * scores
        for total, values in zip(self.sums, (losses, labels, 1), strict=True):
            total.assign(total + ops.sum(weights * values))

    def result(self) -> Tensor:
        """Returns the ratio, a scalar."""
        loss, clicks, rows = self.sums
        share = clicks / rows
        entropy = -(share * ops.log(share) + (1 - share) * ops.log1p(-share))
        return loss / rows / entropy
