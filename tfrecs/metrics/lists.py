"""Keras metrics of candidate lists: keras-rs's, with ties in a fixed order."""

from typing import Any

import keras
import keras_rs
import numpy as np
from keras import ops

from tfrecs import checks

Tensor = Any


class ListMetric:
    """What the metrics of this file add to keras-rs's.

    Labels are 1, 0 and -1 (ignore), of the shape `(B, C)` of the scores. The rules:

    - Ties are pessimistic: a positive that ties with a negative ranks after it, so that a model
      which gives every candidate the same score is the worst model, and the result does not
      depend on chance (keras-rs shuffles ties, also with `shuffle_ties=False`).
    - A row without a positive is left out (keras-rs lets it count as 0); without any row that is
      not, the result is NaN.
    - A NaN score of a candidate that counts, an unknown label, or a weight that is negative or
      NaN makes the result NaN. Candidates of label -1 and rows of weight 0 do not count, whatever
      they hold.

    Args:
        k: Cut-off, a positive integer; `None` for the whole list.
        name: Name of the metric; `None` for "ndcg@10" or, without a cut-off, "ndcg".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.
    """

    short_name = ""
    k: int | None
    name: str
    dtype: str
    total: Any
    count: Any

    def __init__(
        self, k: int | None = None, name: str | None = None, dtype: str | None = None
    ) -> None:
        if k is not None:
            checks.positive("k", k)
        default = self.short_name if k is None else f"{self.short_name}@{k}"
        super().__init__(  # type: ignore[call-arg]
            k=k, shuffle_ties=False, seed=0, name=name or default, dtype=dtype
        )
        self._direction = "up"  # callbacks ask

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds rows.

        Args:
            y_true: labels `(B, C)`: 1, 0, -1.
            y_pred: scores `(B, C)`, higher is better.
            sample_weight: weights of the rows `(B,)`, or `None` for 1.
        """
        labels = ops.cast(ops.convert_to_tensor(y_true), self.dtype)
        scores = ops.cast(ops.convert_to_tensor(y_pred), self.dtype)
        check_shapes(labels, scores)
        weights = ops.ones_like(scores[:, 0])
        if sample_weight is not None:
            weights = ops.reshape(ops.cast(sample_weight, self.dtype), (-1,))
        labels = ops.where(ops.equal(weights, 0)[:, None], -ops.ones_like(labels), labels)
        counted = ops.not_equal(labels, -1)
        known = ops.logical_or(ops.equal(labels, 0), ops.equal(labels, 1))
        fine = ops.logical_and(known, ops.equal(scores, scores))
        fine = ops.logical_and(fine, (weights >= 0)[:, None])
        wrong = ops.any(ops.logical_and(counted, ops.logical_not(fine)))
        positive = ops.any(ops.equal(labels, 1), axis=-1)
        scores = ops.where(counted, scores, ops.zeros_like(scores))
        ordered, ranks = rank(labels, scores)
        weights = ops.where(positive, weights, ops.zeros_like(weights))
        super().update_state(ordered, ranks, weights)  # type: ignore[misc]
        self.total.assign_add(ops.where(wrong, np.nan, 0.0))

    def result(self) -> Tensor:
        """Returns the mean over rows with a positive, a scalar; NaN without one."""
        return self.total / self.count

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"k": self.k, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ListMetric":
        """Rebuilds the metric from `get_config`."""
        return cls(**config)


def rank(labels: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Sorts the labels by score, best first, negatives before positives among equal scores.

    Returns:
        The labels `(B, C)` in that order, and scores that decrease along it, all different.

    Example:

    >>> import numpy as np
    >>> ordered, ranks = rank(np.array([[1.0, 0.0]]), np.array([[5.0, 5.0]]))
    >>> np.asarray(ordered), np.asarray(ranks)
    (array([[0., 1.]]), array([[2., 1.]]))
    """
    by_label = ops.argsort(labels, axis=-1)  # stable on every backend, so the
    labels = ops.take_along_axis(labels, by_label, axis=-1)  # second sort keeps this order
    scores = ops.take_along_axis(scores, by_label, axis=-1)
    by_score = ops.argsort(-scores, axis=-1)
    ordered = ops.take_along_axis(labels, by_score, axis=-1)
    ranks = ops.cumsum(ops.ones_like(ordered), axis=-1)
    return ordered, ops.flip(ranks, axis=-1)


def check_shapes(labels: Tensor, scores: Tensor) -> None:
    """Raises ValueError unless labels and scores are both `(B, C)`."""
    a, b = tuple(labels.shape), tuple(scores.shape)
    if (
        len(b) != 2
        or len(a) != 2
        or any(None not in pair and pair[0] != pair[1] for pair in zip(a, b, strict=True))
    ):
        remedy = ""
        if len(a) == 1 and len(b) == 2:
            remedy = (
                "Positive ids (B,) are what InBatch(loss) takes; metrics of such a model are of "
                "the whole catalogue: evaluation.full_ranking, or in a callback of fit."
            )
        expectation = f"labels (B, C) of the shape of the scores, {b}"
        raise ValueError(checks.expected("y_true", expectation, a, remedy))


@keras.saving.register_keras_serializable(package="tfrecs")
class Recall(ListMetric, keras_rs.metrics.RecallAtK):
    """Mean share of a row's positives that are among its k best candidates.

    `recall@k = hits@k / |P|`: with more than k positives it cannot reach 1. (Papers that divide
    by `min(k, |P|)`, as Mult-VAE's, mean what `metrics.per_user` calls `capped_recall@k`.)

    Ties, rows without positives and NaN: see `ListMetric`.

    Args:
        k: Cut-off, a positive integer; `None` for the whole list.
        name: Name of the metric; `None` for "recall@k".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = Recall(k=1)
    >>> float(metric([[1, 0, 1, -1]], [[0.9, 0.1, 0.2, 1.0]]))
    0.5
    """

    short_name = "recall"


@keras.saving.register_keras_serializable(package="tfrecs")
class Precision(ListMetric, keras_rs.metrics.PrecisionAtK):
    """Mean share of positives among the k best candidates of a row.

    `precision@k = hits@k / min(k, number of candidates that count)`

    Ties, rows without positives and NaN: see `ListMetric`.

    Args:
        k: Cut-off, a positive integer; `None` for the whole list.
        name: Name of the metric; `None` for "precision@k".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = Precision(k=2)
    >>> float(metric([[1, 0, 1, -1]], [[0.9, 0.3, 0.2, 1.0]]))
    0.5
    """

    short_name = "precision"


@keras.saving.register_keras_serializable(package="tfrecs")
class NDCG(ListMetric, keras_rs.metrics.NDCG):
    """Mean normalised discounted cumulative gain, of labels 1 and 0.

    `ndcg@k = sum_{i<=k} rel_i / log2(i + 1)`, over the same sum of the best possible order.

    Ties, rows without positives and NaN: see `ListMetric`.

    Args:
        k: Cut-off, a positive integer; `None` for the whole list.
        name: Name of the metric; `None` for "ndcg@k".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = NDCG(k=2)
    >>> float(metric([[1, 0]], [[0.1, 0.9]]))  # 1 / log2(3)
    0.6309...

    Reference:
        - [Järvelin and Kekäläinen, 2002](https://doi.org/10.1145/582415.582418)
    """

    short_name = "ndcg"


@keras.saving.register_keras_serializable(package="tfrecs")
class MRR(ListMetric, keras_rs.metrics.MeanReciprocalRank):
    """Mean of 1 / (rank of a row's best positive), 0 if none is in the k best.

    Ties, rows without positives and NaN: see `ListMetric`.

    Args:
        k: Cut-off, a positive integer; `None` for the whole list.
        name: Name of the metric; `None` for "mrr@k".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = MRR()
    >>> float(metric([[1, 0]], [[0.1, 0.9]]))
    0.5
    """

    short_name = "mrr"


@keras.saving.register_keras_serializable(package="tfrecs")
class HitRate(MRR):
    """Mean of 1 if a positive of the row is among its k best candidates, else 0.

    Ties, rows without positives and NaN: see `ListMetric`.

    Args:
        k: Cut-off, a positive integer; `None` for the whole list.
        name: Name of the metric; `None` for "hr@k".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = HitRate(k=1)
    >>> float(metric([[1, 0], [1, 0]], [[0.1, 0.9], [0.9, 0.1]]))
    0.5
    """

    short_name = "hr"

    def compute_metric(
        self, y_true: Tensor, y_pred: Tensor, mask: Tensor, sample_weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns value and weight of each row, `(B, 1)` both."""
        value, weight = super().compute_metric(y_true, y_pred, mask, sample_weight)
        return ops.cast(value > 0, value.dtype), weight


@keras.saving.register_keras_serializable(package="tfrecs")
class MAP(ListMetric, keras_rs.metrics.MeanAveragePrecision):
    """Mean average precision.

    `map@k = 1/|P| * sum_{i<=k} rel_i * hits@i / i`: with more than k positives it cannot reach 1.

    Ties, rows without positives and NaN: see `ListMetric`.

    Args:
        k: Cut-off, a positive integer; `None` for the whole list.
        name: Name of the metric; `None` for "map@k".
        dtype: Dtype of the result; `None` for `keras.config.floatx()`.

    Example:

    >>> metric = MAP()
    >>> float(metric([[1, 0, 1]], [[0.9, 0.5, 0.1]]))  # (1/1 + 2/3) / 2
    0.8333...
    """

    short_name = "map"
