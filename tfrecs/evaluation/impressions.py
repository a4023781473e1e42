"""How well impressions are ranked, as MIND measures it, and the leaderboard's prediction file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from tfrecs import checks, metrics
from tfrecs.evaluation.guards import MOST_TIED
from tfrecs.evaluation.scorers import as_tensors, check_finite, graph

_ROWS = 1024  # items encoded at once
_PAIRS = 1 << 20  # vectors of pairs scored at once


@dataclass(frozen=True)
class ImpressionQuality:
    """Metrics of impressions that have a click and something left.

    Args:
        per_impression: By name, "auc", "mrr", "ndcg@5", "ndcg@10": float64 `(J,)`.
        flat_auc: One AUC over all candidates of these impressions together.
        left_out: Number of impressions of one kind only, which have no metrics.
        tied: Share of the impressions whose candidates all have the same score. From a half on
            all metrics are NaN: such a model orders nothing.
    """

    per_impression: dict[str, np.ndarray]
    flat_auc: float
    left_out: int
    tied: float = 0.0

    @property
    def means(self) -> dict[str, float]:
        """The means over impressions, and "flat_auc"."""
        means = {name: float(values.mean()) for name, values in self.per_impression.items()}
        return {**means, "flat_auc": self.flat_auc}

    @property
    def errors(self) -> dict[str, float]:
        """The standard errors of the means."""
        size = len(next(iter(self.per_impression.values())))
        return {name: float(v.std() / np.sqrt(size)) for name, v in self.per_impression.items()}


def impression_quality(labels: Any, scores: Any, lengths: Any) -> ImpressionQuality:
    """Measures the order within each impression, as MIND's own script does.

    `auc` is the area under the impression's ROC curve; `mrr` the mean over its clicked items of
    1 / rank; `ndcg@k = sum_{i<=k} rel_i / log2(i + 1)` over the best possible. Each is averaged
    over the impressions that have both kinds. Equal scores are half right for AUC; for the others
    they keep the candidates' order, the later first, as that script's reversed sort does. Where
    half of the impressions are all ties, the metrics are NaN.

    Args:
        labels: 1 clicked, 0 not, `(M,)`; impressions with any -1 are left out.
        scores: float `(M,)`, higher is better.
        lengths: Candidates of each impression, `(I,)`.

    Raises:
        ValueError: Other lengths, scores that are not finite, or no impression has both kinds.

    Example:

    >>> quality = impression_quality([1, 0, 1, 0, 0], [3.0, 2.0, 1.0, 1.0, 2.0], [3, 2])
    >>> quality.means["auc"], round(quality.means["mrr"], 3), quality.left_out  # (1 + 1/3) / 2
    (0.5, 0.667, 1)

    Reference:
        Wu et al. 2020 (MIND), ACL; evaluate.py of https://msnews.github.io.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    lengths = np.asarray(lengths, np.int64)
    if not len(labels) == len(scores) == lengths.sum():
        expectation = f"of {int(lengths.sum())} candidates, the sum of the lengths"
        raise ValueError(checks.expected("scores", expectation, (len(labels), len(scores))))
    if not np.isfinite(scores).all():
        expectation = "finite"
        raise ValueError(checks.expected("scores", expectation, scores[~np.isfinite(scores)][0]))
    group = np.repeat(np.arange(len(lengths)), lengths)
    positives = np.bincount(group, labels == 1, len(lengths))
    negatives = np.bincount(group, labels == 0, len(lengths))
    both = (positives > 0) & (negatives > 0) & (positives + negatives == lengths)
    if not both.any():
        expectation = "with an impression of which some was clicked and some was not"
        raise ValueError(checks.expected("labels", expectation, f"{len(lengths)} impressions"))
    kept = both[group]
    labels, scores, group = labels[kept], scores[kept], np.cumsum(both)[group[kept]] - 1
    count = int(both.sum())
    order = np.lexsort((-np.arange(len(scores)), -scores, group))
    hit = labels[order] == 1
    sizes = lengths[both]
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    found: dict[str, np.ndarray] = {
        "auc": _auc(labels, scores, group, count),
        "mrr": np.bincount(group, hit / rank, count) / positives[both],
    }
    gain = 1 / np.log2(rank + 1)
    for k in (5, 10):
        reached = np.bincount(group, hit * gain * (rank <= k), count)
        best = np.bincount(group, gain * (rank <= np.minimum(k, positives[both])[group]), count)
        found[f"ndcg@{k}"] = reached / best
    first = scores[np.cumsum(sizes) - sizes][group]
    tied = float(np.mean(np.bincount(group, scores != first, count) == 0))
    flat = metrics.auc(labels, scores)
    if tied >= MOST_TIED:
        found, flat = {name: np.full(count, np.nan) for name in found}, float("nan")
    return ImpressionQuality(found, flat, int((~both).sum()), tied)


def _auc(labels: np.ndarray, scores: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Returns the AUC of each group, `(J,)`."""
    order = np.lexsort((scores, group))
    labels, scores, group = labels[order], scores[order], group[order]
    new = np.r_[True, (np.diff(scores) != 0) | (np.diff(group) != 0)]
    tie = np.cumsum(new) - 1
    sizes = np.bincount(tie)
    before = (np.cumsum(sizes) - sizes)[tie]  # of all that are lower
    rank = before + (sizes[tie] + 1) / 2 - np.searchsorted(group, group, "left")
    clicks, total = np.bincount(group, labels, count), np.bincount(group, minlength=count)
    above = np.bincount(group, rank * labels, count) - clicks * (clicks + 1) / 2
    result: np.ndarray = above / (clicks * (total - clicks))
    return result


def score_impressions(
    model: Any, items: dict[str, np.ndarray], histories: Iterable[Any], log: Any
) -> np.ndarray:
    """Scores all candidates of a log: items are encoded once, users once an impression.

    Args:
        model: A `Retriever`.
        items: Of all items their id and features, as `transform.encode` gives them.
        histories: Batches of `features.from_histories`, in the order of the log.
        log: `ImpressionIds`; a candidate that is not among the items scores as one without tokens.

    Returns:
        float32 `(M,)`, in the order of the log's candidates.

    Raises:
        ValueError: If a score is not finite.
    """
    name = model.tokens.item_id.name
    size = len(items[name])
    encode = graph(lambda batch: model.candidate(batch))
    parts = [
        encode(as_tensors({key: value[start : start + _ROWS] for key, value in items.items()}))
        for start in range(0, size, _ROWS)
    ]
    vectors = ops.convert_to_numpy(ops.concatenate(parts, axis=0))
    none = {key: np.zeros((1, *value.shape[1:]), value.dtype) for key, value in items.items()}
    table = np.repeat(ops.convert_to_numpy(encode(as_tensors(none))), int(items[name].max()) + 1, 0)
    table[items[name]] = vectors
    query = graph(lambda batch: model.query(batch))
    users = np.concatenate([ops.convert_to_numpy(query(batch)) for batch in histories])
    row = np.repeat(np.arange(len(log.lengths)), log.lengths)
    ids = np.minimum(log.candidates, len(table) - 1)
    scores = np.empty(len(ids), np.float32)
    for start in range(0, len(ids), _PAIRS // 8):
        part = slice(start, start + _PAIRS // 8)
        pairs = model.score(users[row[part]], table[ids[part]][:, None])
        scores[part] = ops.convert_to_numpy(ops.cast(pairs, "float32"))[:, 0]
    check_finite(scores, "scores of impressions")
    return scores


def write_predictions(path: str | Path, numbers: Any, scores: Any, lengths: Any) -> None:
    """Writes the prediction file of MIND's leaderboard: `<impression id> [rank,rank,...]` a line.

    Ranks count from 1, the best, in the candidates' order; of equal scores the first is better.

    Args:
        path: The file, such as prediction.txt.
        numbers: Ids of the impressions, `(I,)`.
        scores: float `(M,)`.
        lengths: Candidates of each impression, `(I,)`.
    """
    scores, ends = np.asarray(scores), np.cumsum(lengths)
    with Path(path).open("w", encoding="ascii") as file:
        for number, end, length in zip(numbers, ends, lengths, strict=True):
            order = np.argsort(-scores[end - length : end], kind="stable")
            ranks = np.empty(length, np.int64)
            ranks[order] = np.arange(1, length + 1)
            file.write(f"{number} [{','.join(map(str, ranks))}]\n")
