import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from tfrecs.evaluation import ModelPredictor, rating_errors, splits
from tfrecs.evaluation.predictor import join_events
from tfrecs.spec import Categorical, FeatureSpec


@pytest.fixture
def split():
    train = pa.table({"user": [10, 10], "item": [1, 2], "rating": [2.0, 4.0]})
    test = pa.table({"user": [10, 20, 20], "item": [3, 1, 2], "rating": [4.0, 2.0, 5.0]})
    return splits.given(train, test, protocol="by hand")


def says(values):
    return SimpleNamespace(predict=lambda events: np.array(values))


def test_errors_are_over_events_beside_the_mean(small, split):
    results = rating_errors({"hand": says([3.0, 2.0, 3.0])}, split, small)
    # errors -1 0 -2; the mean of training is 3, its errors -1 1 -2
    assert results["hand", "rmse"] == pytest.approx(math.sqrt(5 / 3))
    assert results["hand", "mae"] == pytest.approx(1.0)
    assert results["global mean", "rmse"] == pytest.approx(math.sqrt(6 / 3))
    assert results["global mean", "mae"] == pytest.approx(4 / 3)
    assert results.reference == "global mean"
    assert results.differences["hand"]["rmse"].value == pytest.approx(
        math.sqrt(5 / 3) - math.sqrt(2)
    )
    assert results.protocol == "by hand; ratings of test events"
    assert results.headline() == ["rmse", "mae"]


def test_users_are_resampled_with_all_their_events(small, split):
    found = rating_errors({"hand": says([3.0, 2.0, 3.0])}, split, small).scores["hand"]["mae"]
    # only user 10: 1 / 1; only user 20: 2 / 2; both: 3 / 3. All are 1.
    assert (found.low, found.high) == (1.0, 1.0)


def test_predictions_are_cut_to_the_scale(small, split):
    results = rating_errors({"far": says([9.0, -3.0, 5.0])}, split, small, clip=(1, 5))
    assert results["far", "mae"] == pytest.approx((1 + 1 + 0) / 3)
    assert results.protocol == "by hand; ratings of test events, cut to 1..5"


def test_unusable_predictors_are_refused(small, split):
    with pytest.raises(ValueError, match=r"`predictors\['bad'\]` must be a predictor of 3 finite"):
        rating_errors({"bad": says([1.0, np.nan, 2.0])}, split, small)
    with pytest.raises(ValueError, match="a predictor of 3 finite ratings"):
        rating_errors({"bad": says([1.0])}, split, small)
    with pytest.raises(ValueError, match="of other names than 'global mean'"):
        rating_errors({"global mean": says([1.0, 1.0, 1.0])}, split, small)
    small.spec = small.spec.select("user", "item")
    with pytest.raises(ValueError, match=r"role='label'.*Add Numeric"):
        rating_errors({"hand": says([1.0, 1.0, 1.0])}, split, small)


def test_events_are_joined_with_what_is_known(small, split):
    small.candidates = small.candidates.append_column("kind", pa.array(["a", "b", "c", "d"]))
    small.queries = small.queries.append_column("land", pa.array(["x", "y", "z"]))
    small.spec = FeatureSpec(
        (*small.spec, Categorical("kind", "candidate"), Categorical("land", "query"))
    )
    events = pa.table({"user": [20, 99], "item": [77, 2]})
    assert join_events(events, small).to_pylist() == [
        {"user": 20, "item": 77, "land": "y", "kind": None},
        {"user": 99, "item": 2, "land": None, "kind": "b"},
    ]


def test_a_model_predicts_event_by_event(world, small):
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 11, 50), rng.integers(0, 23, 50)
    small.queries, small.candidates = world.queries, world.candidates
    predictor = ModelPredictor(world.ranker, world.transform, small, batch_size=7)
    predicted = predictor.predict(pa.table({"user": users, "item": items}))
    np.testing.assert_array_equal(predicted, world.scores[users, items])


def test_a_model_that_gives_no_number_a_row_is_refused(world, small):
    small.queries, small.candidates = world.queries, world.candidates
    events = pa.table({"user": [1, 2], "item": [3, 4]})

    def pairwise(batch, training=False):
        return world.retriever.score(world.retriever.query(batch), world.retriever.candidate(batch))

    with pytest.raises(ValueError, match=r"`model` must be a model of one score a row, \(2,\)"):
        ModelPredictor(pairwise, world.transform, small).predict(events)
    with pytest.raises(ValueError, match="`batch_size` must be greater than 0"):
        ModelPredictor(world.ranker, world.transform, small, batch_size=0)
