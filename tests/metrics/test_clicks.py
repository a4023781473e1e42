import keras
import numpy as np
import pytest

from tfrecs.metrics import clicks
from tfrecs.metrics.clicks import Calibration, NormalizedEntropy

LABELS, SCORES = np.array([1, 0, 0, 1, 0]), np.array([2.0, -1.0, 0.5, 0.5, -3.0])


def by_pairs(labels, scores):
    pairs = [(p > n) + (p == n) / 2 for p in scores[labels == 1] for n in scores[labels == 0]]
    return np.mean(pairs) if pairs else np.nan


def test_auc_counts_pairs_and_halves_ties():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 200), rng.integers(0, 9, 200).astype(float)
    assert clicks.auc(labels, scores) == pytest.approx(by_pairs(labels, scores))


def test_grouped_auc_weighs_groups_of_both_kinds_by_their_rows():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 200), rng.integers(0, 9, 200).astype(float)
    groups = rng.integers(0, 40, 200)
    areas = [
        (np.sum(groups == g), by_pairs(labels[groups == g], scores[groups == g]))
        for g in set(groups)
    ]
    areas = [(n, area) for n, area in areas if not np.isnan(area)]
    expected = sum(n * area for n, area in areas) / sum(n for n, _ in areas)
    assert clicks.grouped_auc(labels, scores, groups) == pytest.approx(expected)


def test_log_loss_of_sure_and_wrong_logits_is_finite():
    # 1,000 for the wrong one, 0 for the right one
    assert clicks.log_loss([1, 0], [-1000.0, -1000.0]) == pytest.approx(500)


def test_the_streamed_metrics_are_those_of_the_whole():
    metrics = {Calibration(): clicks.calibration, NormalizedEntropy(): clicks.normalized_entropy}
    for metric, function in metrics.items():
        metric.update_state(LABELS[:2], SCORES[:2])
        metric.update_state(np.r_[LABELS[2:], -1], np.r_[SCORES[2:], 50.0])
        assert float(metric.result()) == pytest.approx(function(LABELS, SCORES), rel=1e-6)
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert copy.get_config() == metric.get_config()
        metric.reset_state()
        metric.update_state(LABELS, SCORES, sample_weight=np.array([1, 1, 1, 0, 0]))
        expected = function(LABELS[:3], SCORES[:3])
        assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


def test_a_calibrated_model_lies_on_the_diagonal():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=100_000)
    labels = rng.random(100_000) < 1 / (1 + np.exp(-scores))
    curve = clicks.calibration_curve(labels, scores)
    # 10,000 rows a bin: a standard error of 0.005
    np.testing.assert_allclose(curve[:, 0], curve[:, 1], atol=0.02)
    assert (np.diff(curve[:, 0]) > 0).all()


def test_labels_of_one_kind_have_no_area_and_no_entropy():
    assert np.isnan(clicks.auc([1, 1], [0.0, 1.0]))
    assert np.isnan(clicks.normalized_entropy([0, 0], [0.0, 1.0]))
    assert np.isnan(clicks.calibration([0, 0], [0.0, 1.0]))
    assert np.isnan(float(Calibration()([0, 0], [0.0, 1.0])))


@pytest.mark.parametrize(
    "labels, scores, message",
    [
        ([1, 2], [0.0, 0.0], r"`labels` must be 0 or 1\. Received: 2\.0\. It stands in row 1"),
        ([1], [0.0, 0.0], r"`labels` must be as many as scores"),
        ([1, 0], [0.0, np.nan], r"`scores` must be numbers\. Received: 'NaN'"),
    ],
)
def test_unusable_rows_are_named(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        clicks.log_loss(labels, scores)


def test_groups_and_bins_are_checked():
    with pytest.raises(ValueError, match=r"`groups` must be one for each of the 2 labels"):
        clicks.grouped_auc([1, 0], [0.0, 1.0], [1])
    with pytest.raises(ValueError, match=r"`num_bins` must be greater than 0"):
        clicks.calibration_curve([1, 0], [0.0, 1.0], num_bins=0)
