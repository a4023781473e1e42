"""Who says nothing, or nothing defined, tops no leaderboard: the same in every protocol."""

import json

import numpy as np
import pyarrow as pa
import pytest

from tfrecs import baselines
from tfrecs.datasets.sessions import session_spec
from tfrecs.evaluation import (
    Results,
    full_ranking,
    impression_quality,
    next_item_ranking,
    sampled_ranking,
    splits,
)
from tfrecs.evaluation.guards import all_tied, best_of, silent
from tfrecs.evaluation.protocols import beaten, best_baseline


class Scores:
    """Gives every query the same scores, by both faces."""

    def __init__(self, *scores):
        self.scores = np.array(scores, "float32")

    def score(self, queries):
        return np.tile(self.scores, (queries.num_rows, 1))

    def recommend(self, queries, k, exclude=None):
        found = self.score(queries)
        if exclude is not None:
            found[exclude.nonzero()] = -np.inf
        places = np.argsort(-found, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(found, places, axis=1)
        return best, np.where(np.isneginf(best), -1, places)


CONSTANT, ORDERED = Scores(1, 1, 1, 1), Scores(4, 3, 2, 1)
DIVERGED = Scores(np.nan, np.nan, 2, np.nan)


def full(small, recommenders, **more):
    split = splits.given(
        train=pa.table({"user": [10, 20], "item": [1, 2]}),
        test=pa.table({"user": [10, 20, 30], "item": [2, 1, 1]}),
    )
    return full_ranking(recommenders, split, small, ks=(1, 2), **more)


def sampled(small, recommenders, **more):
    test = pa.table({"user": [10, 20], "item": [1, 2], "negatives": [[2, 3], [4]]})
    return sampled_ranking(recommenders, test, small, ks=(1, 2), **more)


def sessions(small, recommenders, **more):
    events = pa.table({"session_id": [1, 1, 1], "item_id": ["a", "b", "c"], "time": [1, 2, 3]})
    items = pa.table({"item_id": ["a", "b", "c", "d"]})
    known = {"data": "d", "split": "s", "ks": (1, 2), **more}
    judged = np.ones(3, bool)
    return next_item_ranking(recommenders, events, judged, items, session_spec(), **known)


PROTOCOLS = pytest.mark.parametrize("judge", [full, sampled, sessions])


@PROTOCOLS
def test_a_constant_model_has_no_value_and_a_warning(judge, small):
    found = judge(small, {"constant": CONSTANT, "ordered": ORDERED})
    for metric in ("ndcg@1", "ndcg@2", "mrr@2"):
        assert np.isnan(found["constant", metric])
        assert not np.isnan(found["ordered", metric])
    message = "constant gives all candidates the same score in 100 % of the rankings"
    assert any(line.startswith(message) and "NaN" in line for line in found.warnings)
    assert "nan" in str(found.table())
    again = Results.from_json(found.to_json())
    assert np.isnan(again["constant", found.metrics[0]])
    assert json.dumps(found.rows())


@PROTOCOLS
def test_a_nan_score_is_an_error_and_not_the_best_rank(judge, small):
    with pytest.raises(ValueError, match=r"recommenders\['x'\].*a recommender of defined scores"):
        judge(small, {"x": DIVERGED})


@PROTOCOLS
def test_the_protocol_says_what_ties_do(judge, small):
    assert "ties" in judge(small, {"ordered": ORDERED}).protocol


def test_few_ties_are_told_and_many_take_the_value():
    values = np.ones((4, 2))
    few, said = silent("m", values, np.array([True, False, False, False]))
    assert (few == 1).all()
    assert said == [
        "m gives all candidates the same score in 25 % of the rankings: "
        "their order is that of ties."
    ]
    assert np.isnan(silent("m", values, np.array([True, True, False, False]))[0]).all()
    assert silent("m", values, np.zeros(4, bool))[1] == []


def test_equal_first_scores_above_others_are_an_order(small):
    found = full(small, {"top": Scores(2, 2, 2, 1)})
    assert not np.isnan(found["top", "recall@2"])
    assert not any("same score" in line for line in found.warnings)


def test_one_score_alone_is_no_tie():
    there = np.array([[True, False], [True, True]])
    assert all_tied(np.ones((2, 2)), there).tolist() == [False, True]


def test_a_value_that_is_none_is_never_the_best():
    values = {"a": float("nan"), "b": 0.1, "c": 0.3}
    assert best_of(["a", "b", "c"], values, lower=False) == "c"
    assert best_of(["a", "b", "c"], values, lower=True) == "b"
    assert best_of(["a"], values, lower=False) is None


def test_a_constant_baseline_is_not_the_reference(small):
    class Nothing(baselines.Popularity):
        def score(self, queries):
            return np.zeros((queries.num_rows, 4), np.float32)

    train = pa.table({"user": [10], "item": [1]})
    nothing, popularity = Nothing(), baselines.Popularity()
    for baseline in (nothing, popularity):
        baseline.fit(train, small.candidates, small.spec)
    found = full(small, {"nothing": nothing, "popularity": popularity, "model": ORDERED})
    assert found.reference == "popularity"
    assert set(found.differences) == {"nothing", "model"}


def test_lower_is_better_for_an_error(small):
    from tfrecs.evaluation import Estimate

    kinds = {"mean": "baseline", "good": "model", "bad": "model"}
    values = {"mean": 1.0, "good": 0.5, "bad": 2.0}
    scores = {name: {"rmse": Estimate(value)} for name, value in values.items()}
    assert best_baseline(scores, kinds) == "mean"
    differences = {
        "good": {"rmse": Estimate(-0.5, -0.6, -0.4)},
        "bad": {"rmse": Estimate(1.0, 0.9, 1.1)},
    }
    assert [line.split()[0] for line in beaten(kinds, "mean", differences)] == ["bad"]


def test_impressions_without_any_order_have_no_value():
    labels, lengths = [1, 0, 0, 0, 1, 0], [3, 3]
    quality = impression_quality(labels, [1.0] * 6, lengths)
    assert quality.tied == 1.0
    assert all(np.isnan(value) for value in quality.means.values())
    some = impression_quality(labels, [1.0, 1.0, 1.0, 0.1, 0.3, 0.2], lengths)
    assert some.tied == 0.5
    assert all(np.isnan(value) for value in some.means.values())
    fine = impression_quality(labels, [1.0, 1.0, 0.9, 0.1, 0.3, 0.2], lengths)
    assert fine.tied == 0
    assert fine.means["auc"] == pytest.approx((0.75 + 1) / 2)
