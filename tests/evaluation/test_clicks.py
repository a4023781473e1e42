import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from tfrecs.datasets import Tables
from tfrecs.evaluation import click_quality, plots, splits, summarize, write_report
from tfrecs.metrics import calibration_curve
from tfrecs.spec import Categorical, FeatureSpec, Numeric

SCORES = [2.0, -1.0, 0.5, -0.5]


@pytest.fixture
def split():
    train = pa.table({"user": [10, 10, 20, 20], "item": [1, 2, 1, 2], "click": [1, 0, 0, 0]})
    test = pa.table({"user": [10, 10, 20, 20], "item": [3, 4, 1, 2], "click": [1, 0, 0, 1]})
    return splits.given(train, test, protocol="by hand")


def says(values):
    return SimpleNamespace(predict=lambda events: np.array(values))


def softplus(x):
    return math.log1p(math.exp(x))


def test_clicks_are_measured_in_order_probability_and_calibration(small, split):
    results = click_quality({"hand": says(SCORES)}, split, small)
    # clicks score 2 and -0.5, the others -1 and 0.5: three of four pairs are in order
    assert results["hand", "auc"] == pytest.approx(3 / 4)
    # user 10: in order; user 20: not
    assert results["hand", "gauc"] == pytest.approx(1 / 2)
    losses = [softplus(-2), softplus(-1), softplus(0.5), softplus(0.5)]
    assert results["hand", "log_loss"] == pytest.approx(sum(losses) / 4)
    assert results["hand", "normalized_entropy"] == pytest.approx(sum(losses) / 4 / math.log(2))
    promised = sum(1 / (1 + math.exp(-s)) for s in SCORES)
    assert results["hand", "calibration"] == pytest.approx(promised / 2)
    assert results.headline() == ["auc", "log_loss", "gauc", "normalized_entropy", "calibration"]
    assert results.protocol == "by hand; clicks of test events"


def test_intervals_resample_users_whatever_the_order_of_their_rows(small, split):
    order = [0, 2, 1, 3]  # the users' rows in turn
    mixed = splits.given(split.train, split.test.take(order), protocol="by hand")
    whole = click_quality({"hand": says(SCORES)}, split, small)
    apart = click_quality({"hand": says([SCORES[n] for n in order])}, mixed, small)
    for metric in ("auc", "gauc", "log_loss"):
        found, expected = (r.scores["hand"][metric] for r in (apart, whole))
        assert found.stderr == pytest.approx(expected.stderr)
        assert expected.stderr > 0


def test_the_report_draws_the_calibration_of_models(small, split, tmp_path):
    results = click_quality({"hand": says(SCORES)}, split, small)
    assert len(results.calibration["hand"]) == 4  # a bin an event
    page = write_report(
        tmp_path / "report.html",
        title="Clicks",
        summary=summarize(small, split),
        results=results,
        examples=[],
    ).read_text()
    assert "<h2>Calibration</h2>" in page
    assert "observed rate" in page


def test_the_mean_rate_of_training_is_the_floor(small, split):
    results = click_quality({"hand": says(SCORES)}, split, small)
    assert results.reference == "mean rate"
    assert results["mean rate", "auc"] == 0.5
    # one click in four is promised, two come
    assert results["mean rate", "calibration"] == pytest.approx(1 / 2)
    assert results.differences["hand"]["auc"].value == pytest.approx(1 / 4)


def test_users_are_resampled_with_all_their_events(small):
    rng = np.random.default_rng(0)
    users, clicks = np.repeat(np.arange(200), 5), rng.integers(0, 2, 1000)
    events = pa.table({"user": users, "item": [1] * 1000, "click": clicks})
    scores = clicks + rng.normal(size=1000)
    results = click_quality({"m": says(scores)}, splits.given(events, events), small)
    found = results.scores["m"]["auc"]
    assert found.low < found.value < found.high
    # of 500 clicks and as many others an area of 0.76 has a standard error of about 0.015
    assert found.stderr == pytest.approx(0.015, abs=0.006)


def test_labels_and_predictors_are_checked(small, split):
    bad = splits.given(split.train, split.test.set_column(2, "click", pa.array([1, 0, 3, 0])))
    with pytest.raises(ValueError, match=r"Column `click` must hold clicks.* 3 in row 2 \(1 such"):
        click_quality({}, bad, small)
    with pytest.raises(ValueError, match=r"`predictors\['bad'\]` must be a predictor of 4 finite"):
        click_quality({"bad": says([1.0, np.nan, 2.0, 0.0])}, split, small)
    with pytest.raises(ValueError, match="of other names than 'mean rate'"):
        click_quality({"mean rate": says(SCORES)}, split, small)


def test_the_calibration_plot_names_its_models():
    svg = plots.calibration({"deepfm": calibration_curve([0, 1, 1], [-1.0, 0.0, 2.0], 3)})
    assert svg.startswith("<svg")
    assert "deepfm" in svg


def test_events_without_users_stand_for_themselves(split, tmp_path):
    events = split.train.drop_columns(["user", "item"]).append_column("slot", [list("abab")])
    spec = FeatureSpec((Categorical("slot", "context"), Numeric("click", "label")))
    tables = Tables("impressions", events, None, None, spec)
    results = click_quality({"hand": says(SCORES)}, split, tables, num_bootstrap=0)
    assert results["hand", "auc"] == pytest.approx(3 / 4)
    assert "gauc" not in results.metrics
    assert results.setting.counted == "4 test events"
    summary = summarize(tables, split)
    page = write_report(tmp_path / "r.html", title="Clicks", summary=summary, results=results)
    assert "long tail" not in page.read_text()
