"""Metrics of any small lists, with ties, empty rows and cut-offs, against plain Python."""

import math

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs import metrics
from tfrecs.evaluation.impressions import impression_quality
from tfrecs.evaluation.sampled import _metrics as sampled_metrics
from tfrecs.evaluation.sampled import _rivals as find_rivals
from tfrecs.evaluation.sessions import NextItems, next_item_ranks, recall_and_mrr

CLASSES = {
    "recall": metrics.Recall,
    "precision": metrics.Precision,
    "hr": metrics.HitRate,
    "mrr": metrics.MRR,
    "map": metrics.MAP,
    "ndcg": metrics.NDCG,
}
FEWER = settings(max_examples=settings.default.max_examples // 4)
few = st.sampled_from([-1.5, -0.5, 0.0, 0.25, 1.0])  # so that ties are frequent


def oracle(relevant, num_relevant, k):
    """Every metric of one ranked list of booleans."""
    hits = [i for i, wanted in enumerate(relevant[:k], 1) if wanted]
    least = min(num_relevant, k)
    return {
        "recall": len(hits) / num_relevant,
        "capped_recall": len(hits) / least,
        "precision": len(hits) / k,
        "hr": float(bool(hits)),
        "mrr": 1 / hits[0] if hits else 0.0,
        "map": sum(n / i for n, i in enumerate(hits, 1)) / num_relevant,
        "ndcg": sum(1 / math.log2(i + 1) for i in hits)
        / sum(1 / math.log2(i + 1) for i in range(1, least + 1)),
    }


def pairs_auc(labels, scores):
    """The share of pairs in the right order, ties half."""
    better = [
        (p > n) + 0.5 * (p == n)
        for p, a in zip(scores, labels, strict=True)
        for n, b in zip(scores, labels, strict=True)
        if a == 1 and b == 0
    ]
    return sum(better) / len(better) if better else float("nan")


@st.composite
def rankings(draw):
    """Ranked positions (U, K) with empty slots, what is relevant (U, C), and cut-offs."""
    users, candidates = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    depth = draw(st.integers(1, candidates))
    rows = []
    for _ in range(users):
        order = draw(st.permutations(range(candidates)))[:depth]
        kept = draw(st.lists(st.booleans(), min_size=depth, max_size=depth))
        rows.append([place if keep else -1 for place, keep in zip(order, kept, strict=True)])
    cells = st.lists(st.booleans(), min_size=candidates, max_size=candidates)
    relevant = draw(st.lists(cells, min_size=users, max_size=users))
    ks = draw(st.lists(st.integers(1, depth), min_size=1, max_size=3, unique=True))
    return np.array(rows), np.array(relevant), ks


@given(rankings())
def test_per_user_is_what_counting_by_hand_gives(case):
    positions, relevant, ks = case
    found = metrics.per_user(positions, sp.csr_matrix(relevant), ks)
    for user, row in enumerate(positions):
        wanted = [place >= 0 and bool(relevant[user, place]) for place in row]
        for k in ks:
            values = {name: found[f"{name}@{k}"][user] for name in (*CLASSES, "capped_recall")}
            if relevant[user].any():
                assert values == pytest.approx(oracle(wanted, int(relevant[user].sum()), k))
            else:
                assert np.isnan(list(values.values())).all()


@st.composite
def lists(draw):
    """Labels 1, 0, -1 and scores (B, C), of which many are equal."""
    rows, size = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    labels = st.lists(st.sampled_from([1, 0, 0, -1]), min_size=size, max_size=size)
    scores = st.lists(few, min_size=size, max_size=size)
    return (
        np.array(draw(st.lists(labels, min_size=rows, max_size=rows)), np.float32),
        np.array(draw(st.lists(scores, min_size=rows, max_size=rows)), np.float32),
    )


@FEWER  # eager metrics are slow
@given(lists(), st.sampled_from([None, 1, 2, 3, 9]))
def test_keras_metrics_of_lists_are_pessimistic_about_ties_and_leave_empty_rows_out(case, k):
    labels, scores = case
    expected = []
    for row, own in zip(labels, scores, strict=True):
        kept = sorted((-s, y) for y, s in zip(row, own, strict=True) if y >= 0)  # negatives first
        relevant = [y == 1 for _, y in kept]
        if any(relevant):
            depth = len(row) if k is None else k
            values = oracle(relevant, sum(relevant), depth)
            values["precision"] *= depth / min(depth, len(kept))  # as its docstring says
            expected.append(values)
    for name, build in CLASSES.items():
        metric = build(k=k)
        metric.update_state(labels[:1], scores[:1])
        if len(labels) > 1:
            metric.update_state(labels[1:], scores[1:])
        value = float(metric.result())
        if expected:
            mean = sum(values[name] for values in expected) / len(expected)
            assert value == pytest.approx(mean, abs=1e-6), name
        else:
            assert np.isnan(value), name
        metric.reset_state()
        metric.update_state([[1, 0]], [[2.0, 1.0]])
        again = oracle([True, False], 1, 2 if k is None else k)
        again["precision"] = 1 / min(2, k or 2)
        assert float(metric.result()) == pytest.approx(again[name], abs=1e-6), name


rows = st.lists(st.tuples(st.sampled_from([0, 1]), few, st.integers(0, 3)), min_size=1, max_size=12)


@given(rows)
def test_click_metrics_are_what_pairs_and_sums_give(case):
    labels, scores, groups = (np.array(column) for column in zip(*case, strict=True))
    assert metrics.auc(labels, scores) == pytest.approx(pairs_auc(labels, scores), nan_ok=True)
    parts = [(groups == g, pairs_auc(labels[groups == g], scores[groups == g])) for g in range(4)]
    parts = [(mask.sum(), value) for mask, value in parts if value == value]
    weight = sum(size for size, _ in parts)
    expected = sum(s * v for s, v in parts) / weight if weight else float("nan")
    assert metrics.grouped_auc(labels, scores, groups) == pytest.approx(expected, nan_ok=True)
    p = 1 / (1 + np.exp(-scores))
    loss = -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    assert metrics.log_loss(labels, scores) == pytest.approx(loss)
    share = labels.mean()
    if 0 < share < 1:
        entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
        assert metrics.normalized_entropy(labels, scores) == pytest.approx(loss / entropy)
        assert metrics.calibration(labels, scores) == pytest.approx(p.sum() / labels.sum())
    else:
        assert np.isnan(metrics.normalized_entropy(labels, scores))
        assert np.isnan(metrics.calibration(labels, scores)) == (share == 0)


marked = st.lists(
    st.tuples(st.sampled_from([1, 0, -1]), few, st.sampled_from([0.5, 1.0, 2.0])),
    min_size=2,
    max_size=12,
)


@FEWER
@given(marked)
def test_keras_metrics_of_clicks_are_the_functions_of_what_is_not_ignored(case):
    labels, scores, weights = (np.array(column, np.float32) for column in zip(*case, strict=True))
    known = labels >= 0
    half = len(labels) // 2
    # a weight of 1/2, 1 or 2 is one, two or four rows
    times = (2 * weights[known]).astype(int)
    y, s = np.repeat(labels[known], times), np.repeat(scores[known], times)
    for build, function in (
        (lambda: metrics.AUC(capacity=12), metrics.auc),
        (metrics.LogLoss, metrics.log_loss),
        (metrics.Calibration, metrics.calibration),
        (metrics.NormalizedEntropy, metrics.normalized_entropy),
    ):
        metric = build()
        for _ in range(2):  # the second time after a reset
            for part in (slice(0, half), slice(half, None)):
                metric.update_state(labels[part], scores[part], weights[part])
            value = float(metric.result())
            expected = function(y, s) if len(y) else float("nan")
            assert value == pytest.approx(expected, abs=2e-6, nan_ok=True), metric.name
            metric.reset_state()


POINTS = {
    "AUC": (lambda dtype: metrics.AUC(4, dtype=dtype), 1.0),
    "LogLoss": (lambda dtype: metrics.LogLoss(dtype=dtype), np.log1p(np.exp([-0.1, -0.3])).mean()),
    "Calibration": (
        lambda dtype: metrics.Calibration(dtype=dtype),
        (1 / (1 + np.exp([-0.1, 0.3]))).sum(),
    ),
    "NormalizedEntropy": (
        lambda dtype: metrics.NormalizedEntropy(dtype=dtype),
        np.log1p(np.exp([-0.1, -0.3])).mean() / np.log(2),
    ),
    "RMSE": (lambda dtype: metrics.RMSE(dtype=dtype), np.sqrt((0.9**2 + 0.3**2) / 2)),
    "MAE": (lambda dtype: metrics.MAE(dtype=dtype), 0.6),
}


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-7), ("float16", 1e-2)])
@pytest.mark.parametrize("name", POINTS)
def test_a_metric_computes_in_the_dtype_that_it_is_given(name, dtype, tolerance):
    build, expected = POINTS[name]
    value = build(dtype)(np.array([1.0, 0.0]), np.array([0.1, -0.3]))
    assert value.dtype == dtype
    # log(1 + e^-0.1) and log(1 + e^-0.3), or 0.9 and 0.3 apart
    assert float(value) == pytest.approx(float(expected), abs=tolerance)


@st.composite
def catalogues(draw):
    candidates, depth = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    rows = st.lists(st.integers(-1, candidates - 1), min_size=depth, max_size=depth)
    return np.array(draw(st.lists(rows, min_size=1, max_size=4))), candidates


@given(catalogues(), st.data())
def test_catalogue_metrics_are_what_counting_gives(case, data):
    positions, candidates = case
    k = data.draw(st.integers(1, positions.shape[1]))
    shown = [[int(place) for place in row[:k] if place >= 0] for row in positions]
    counts = sorted(sum(row.count(place) for row in shown) for place in range(candidates))
    assert metrics.coverage(positions, candidates, k) == sum(c > 0 for c in counts) / candidates
    popularity = np.arange(candidates) ** 2.0
    means = [np.mean(popularity[row]) for row in shown if row]
    expected = np.mean(means) if means else float("nan")
    found = metrics.average_popularity(positions, popularity, k)
    assert found == pytest.approx(expected, nan_ok=True)
    spread = sum(abs(a - b) for a in counts for b in counts)  # the other definition of Gini
    expected = spread / (2 * candidates * sum(counts)) if sum(counts) else float("nan")
    assert metrics.gini(positions, candidates, k) == pytest.approx(expected, nan_ok=True)


@given(st.lists(few, min_size=2, max_size=6), st.data())
def test_ranks_among_sampled_rivals_are_pessimistic_and_once_each(scores, data):
    size = len(scores)
    ids = data.draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size))
    # one score for an id, as a recommender gives; the last is that of the test item, 3
    table = dict(zip(ids, scores, strict=True)) | {3: scores[0]}
    others, repeated = find_rivals(np.array([ids]), np.array([3]))
    positions = np.concatenate([[[3]], others], axis=1)
    given_scores = np.array([[table.get(place, np.inf) for place in positions[0]]])
    found = sampled_metrics(given_scores, positions, (2,))[0]
    distinct = {i for i in ids if i not in (-1, 3)}
    rank = sum(table[i] >= table[3] for i in distinct)
    gains = [1 / math.log2(rank + 2), 1.0, 1 / (rank + 1)] if rank < 2 else [0, 0, 0]
    assert found.tolist() == pytest.approx(gains)
    known = [i for i in ids if i != -1]
    assert repeated.tolist() == [len(known) - len(set(known))]


@given(st.lists(few, min_size=2, max_size=6), st.data())
def test_ranks_of_next_items_are_the_best_the_worst_or_the_middle_of_ties(scores, data):
    target = data.draw(st.integers(0, len(scores) - 1))
    events = NextItems(pa.table({"row": [0]}), np.array([target]), np.array([0]))

    def rank(ties):
        return next_item_ranks(lambda queries: np.array([scores]), events, ties=ties)[0]

    best = 1 + sum(s > scores[target] for s in scores)
    worst = sum(s >= scores[target] for s in scores)
    assert (rank("standard"), rank("conservative"), rank("median")) == (
        best,
        worst,
        (best + worst) / 2,
    )
    found = recall_and_mrr(np.array([rank("conservative")]), k=2)
    assert found == {"recall@2": float(worst <= 2), "mrr@2": 1 / worst if worst <= 2 else 0.0}


@given(st.lists(st.lists(st.tuples(st.booleans(), few), min_size=1, max_size=6), max_size=4))
def test_impressions_are_judged_each_by_itself(impressions):
    impressions.append([(True, 1.0), (False, 0.25)])  # one that counts
    labels = np.array([float(y) for row in impressions for y, _ in row])
    scores = np.array([s for row in impressions for _, s in row])
    found = impression_quality(labels, scores, [len(row) for row in impressions])
    kept = [row for row in impressions if len({y for y, _ in row}) == 2]
    assert found.left_out == len(impressions) - len(kept)
    tied = sum(len({score for _, score in row}) == 1 for row in kept) / len(kept)
    assert found.tied == pytest.approx(tied)
    if tied >= 0.5:  # such a model orders nothing
        assert all(np.isnan(values).all() for values in found.per_impression.values())
        return
    for place, row in enumerate(kept):
        y, s = [float(y) for y, _ in row], [s for _, s in row]
        assert found.per_impression["auc"][place] == pytest.approx(pairs_auc(y, s))
        if len(set(s)) < len(s):
            continue  # the order of ties is by place, which has tests of its own
        ranked = [wanted for _, wanted in sorted(zip([-v for v in s], y, strict=True))]
        for k in (5, 10):
            expected = oracle(ranked, int(sum(y)), k)["ndcg"]
            assert found.per_impression[f"ndcg@{k}"][place] == pytest.approx(expected)
        # MIND's MRR is the mean over all clicks, not of the first
        reciprocal = [1 / i for i, wanted in enumerate(ranked, 1) if wanted]
        assert found.per_impression["mrr"][place] == pytest.approx(np.mean(reciprocal))
