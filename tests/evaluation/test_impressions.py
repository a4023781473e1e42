import math

import numpy as np
import pytest

from tfrecs.evaluation import impression_quality, score_impressions, write_predictions
from tfrecs.features import ImpressionIds, from_histories
from tfrecs.models import NRMS
from tfrecs.spec import Categorical, FeatureSpec, Sequence

# MIND's evaluate.py, in its words


def dcg_score(y_true, y_score, k):
    order = np.argsort(y_score, kind="stable")[::-1]
    y_true = np.take(y_true, order[:k])
    return np.sum((2**y_true - 1) / np.log2(np.arange(len(y_true)) + 2))


def mrr_score(y_true, y_score):
    order = np.argsort(y_score, kind="stable")[::-1]
    y_true = np.take(y_true, order)
    return np.sum(y_true / (np.arange(len(y_true)) + 1)) / np.sum(y_true)


def auc_score(y_true, y_score):
    p, n = y_score[y_true == 1], y_score[y_true == 0]
    return np.mean((p[:, None] > n) + 0.5 * (p[:, None] == n))


def test_metrics_are_those_of_the_official_script():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 30, 200)
    labels = (rng.random(lengths.sum()) < 0.15).astype(int)
    scores = np.round(rng.normal(size=len(labels)), 1)  # with ties
    expected, left_out = {"auc": [], "mrr": [], "ndcg@5": [], "ndcg@10": []}, 0
    for y, s in zip(*(np.split(x, np.cumsum(lengths)[:-1]) for x in (labels, scores)), strict=True):
        if y.min() == y.max():
            left_out += 1
            continue
        expected["auc"].append(auc_score(y, s))
        expected["mrr"].append(mrr_score(y, s))
        for k in (5, 10):
            expected[f"ndcg@{k}"].append(dcg_score(y, s, k) / dcg_score(y, y, k))
    found = impression_quality(labels, scores, lengths)
    assert found.left_out == left_out > 0
    for name, values in expected.items():
        np.testing.assert_allclose(found.per_impression[name], values, atol=1e-12)
        assert found.errors[name] == pytest.approx(np.std(values) / math.sqrt(len(values)))


def test_one_auc_of_all_is_not_the_mean_of_each():
    # each impression is ordered well, but the second's scores are all higher
    found = impression_quality([1, 0, 1, 0], [1.0, 0.0, 9.0, 8.0], [2, 2])
    assert found.means["auc"] == 1
    assert found.flat_auc == 0.75


@pytest.mark.parametrize(
    "labels, scores, lengths, message",
    [
        ([1, 0], [1.0], [2], "`scores` must be of 2 candidates"),
        ([1, 0], [1.0, np.nan], [2], "`scores` must be finite"),
        ([0, 0], [1.0, 2.0], [2], "`labels` must be with an impression of which some was clicked"),
        ([1, -1], [1.0, 2.0], [2], "`labels` must be with an impression"),
    ],
)
def test_what_cannot_be_measured_is_named(labels, scores, lengths, message):
    with pytest.raises(ValueError, match=message):
        impression_quality(labels, scores, lengths)


def test_predictions_are_ranks_in_the_order_of_the_candidates(tmp_path):
    path = tmp_path / "prediction.txt"
    write_predictions(path, [7, 8], [0.1, 0.9, 0.5, 2.0, 2.0], [3, 2])
    assert path.read_text() == "7 [3,1,2]\n8 [1,2]\n"


def test_scores_of_a_log_are_those_of_call():
    size = 12
    spec = FeatureSpec(
        (
            Categorical("news_id", "candidate", is_id=True, size=size),
            Sequence("history", "query", shared_with="news_id", size=size),
        )
    )
    model = NRMS(spec, 8, num_heads=2, head_dim=4, attention_dim=4)
    log = ImpressionIds(
        np.array([2, 3, 4]), np.array([2, 1]), np.array([5, 6, 7, 1]), np.zeros(4), np.array([3, 1])
    )
    items = {"news_id": np.arange(2, size)}
    found = score_impressions(model, items, from_histories(log, 1), log)
    history = np.array([[2, 3], [4, 0]])
    batch = {"history": history, "history_mask": history > 0}
    called = model({**batch, "news_id": np.array([[5, 6, 7], [1, 0, 0]])})
    np.testing.assert_allclose(found[:3], called[0], atol=1e-5)
    np.testing.assert_allclose(found[3], called[1, 0], atol=1e-5)
