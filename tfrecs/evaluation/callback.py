"""Validation of a retriever or a ranker while it is trained: over the whole catalogue."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfrecs import checks
from tfrecs.evaluation.guards import silent
from tfrecs.evaluation.protocols import check_ks, metric_names, rank_users
from tfrecs.evaluation.recommender import ModelRecommender
from tfrecs.evaluation.splits import Split
from tfrecs.evaluation.truth import Truth, find_truth

METRICS = ("recall", "ndcg")


class CatalogueMetrics(keras.callbacks.Callback):
    """Writes `val_recall@k` and `val_ndcg@k` into the logs of `fit`, as `full_ranking` has them.

    What a batch says of its own candidates is not what a recommendation is judged by. At the end of
    an epoch this ranks the whole catalogue for a sample of the users who took something in the
    validation part, without what they took in training. So `EarlyStopping`, `ModelCheckpoint` and
    the history can go by it; put them after it in `callbacks`, with `mode="max"`.

    It costs one encoding of the C candidates and `U C` scores for U sampled users (1,000 users and
    100,000 items of 64 numbers: 6.4e9 multiplications); graphs are traced once. A model of which
    half of the users have nothing but equal scores has no value: NaN, which is no improvement.

    Args:
        transform: The adapted `FeatureTransform` of the model.
        split: Has a validation part: `splits.by_time(..., validation=0.1)`.
        tables: Has `queries`, `candidates` and `spec`.
        ks: Cut-offs. Defaults to (10,).
        num_users: Users at most, drawn once; `None` for all. Defaults to 1000.
        every: Epochs from one validation to the next; the logs lack the metrics in between.
            Defaults to 1.
        seed: Of the draw. Defaults to 0.
        batch_size: Users at a time. Defaults to 1024.

    Raises:
        ValueError: The split has no validation part, no event of it can be judged, or an argument
            is out of range; in `fit`, a vector or a score is not finite.

    Example:

    >>> from tfrecs.datasets import demo
    >>> from tfrecs.evaluation import splits
    >>> from tfrecs.features import FeatureTransform, from_arrays
    >>> from tfrecs.losses import InBatch, Softmax
    >>> from tfrecs.models import TwoTower
    >>> tables = demo(num_users=40, num_items=30, num_events=2_000)
    >>> spec = tables.spec.select("user_id", "item_id")
    >>> split = splits.random(tables.positives, fraction=0.1, validation=0.2)
    >>> transform = FeatureTransform(spec).adapt(split.train)
    >>> rows = transform.encode(split.train, ["user_id", "item_id"])
    >>> model = TwoTower(transform.spec, 8, log_q=False)
    >>> model.compile("adam", InBatch(Softmax()))
    >>> metrics = CatalogueMetrics(transform, split, tables, ks=(5,))
    >>> stop = keras.callbacks.EarlyStopping("val_recall@5", mode="max", patience=2)
    >>> data = from_arrays(rows, 32, label="item_id")
    >>> history = model.fit(data, epochs=2, callbacks=[metrics, stop], shuffle=False, verbose=0)
    >>> sorted(history.history), len(history.history["val_recall@5"])
    (['loss', 'val_ndcg@5', 'val_recall@5'], 2)
    """

    def __init__(
        self,
        transform: Any,
        split: Split,
        tables: Any,
        ks: Sequence[int] = (10,),
        *,
        num_users: int | None = 1000,
        every: int = 1,
        seed: int = 0,
        batch_size: int = 1024,
    ) -> None:
        super().__init__()
        checks.positive("every", every)
        checks.positive("batch_size", batch_size)
        if num_users is not None:
            checks.positive("num_users", num_users)
        if split.validation is None:
            remedy = "Split with one, such as splits.by_time(events, spec, validation=0.1)."
            raise ValueError(checks.expected("split", "with a validation part", split, remedy))
        self.transform, self.every, self.batch_size = transform, every, batch_size
        self.candidates = tables.candidates
        self._recommender: ModelRecommender | None = None
        self._of: Any = None
        self.ks = check_ks(ks, self.candidates.num_rows)
        judged = Split(split.train, split.validation, split.protocol, disliked=split.disliked)
        self.truth = _sample(find_truth(judged, tables, "train"), num_users, seed)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the metrics to the logs, every so many epochs."""
        if logs is None or (epoch + 1) % self.every:
            return
        if self._recommender is None or self._of is not self.model:
            self._of, arguments = self.model, (self.model, self.transform, self.candidates)
            self._recommender = ModelRecommender(*arguments, batch_size=self.batch_size)
        else:
            self._recommender.refresh()  # graphs are traced once
        values, _, tied = rank_users(
            "model", self._recommender, self.truth, self.ks, self.batch_size
        )
        means = silent("model", values, tied)[0].mean(axis=0)
        for name, value in zip(metric_names(self.ks), means, strict=True):
            if name.partition("@")[0] in METRICS:
                logs[f"val_{name}"] = float(value)


def _sample(truth: Truth, number: int | None, seed: int) -> Truth:
    """Returns what `number` users took, drawn among all and in their order."""
    size = truth.queries.num_rows
    if number is None or number >= size:
        return truth
    rows = np.sort(np.random.default_rng(seed).choice(size, number, replace=False))
    return Truth(
        truth.queries.take(rows),
        truth.relevant[rows],
        truth.seen[rows],
        truth.popularity,
        truth.left_out,
    )
