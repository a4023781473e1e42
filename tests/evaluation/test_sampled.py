import os

import numpy as np
import pyarrow as pa
import pytest

from tfrecs import baselines
from tfrecs.datasets import movielens
from tfrecs.datasets.movielens import ncf_leave_one_out
from tfrecs.evaluation import ModelRecommender, sampled_ranking


@pytest.fixture
def popularity(small):
    # items 1 2 3 4 have 2 0 1 1 events
    train = pa.table({"user": [10, 20, 10, 10], "item": [1, 1, 3, 4]})
    return baselines.Popularity().fit(train, small.candidates, small.spec)


def test_ranks_count_ties_against_the_item(small, popularity):
    test = pa.table({"user": [10, 20], "item": [3, 1], "negatives": [[1, 4], [2, 3]]})
    results = sampled_ranking({"popularity": popularity}, test, small, ks=(2, 3))
    # item 3 has one above and one level: rank 2, 1 / log2(4). item 1 comes first.
    assert results["popularity", "hr@2"] == 1 / 2
    assert results["popularity", "hr@3"] == 1.0
    assert results["popularity", "ndcg@3"] == pytest.approx((1 / 2 + 1) / 2)
    assert results["popularity", "mrr@3"] == pytest.approx((1 / 3 + 1) / 2)
    assert results.protocol == (
        "given negatives; 3 given candidates ranked, ties against the test item"
    )


def test_unknown_ids_and_the_item_itself_are_no_rivals(small, popularity):
    # item 2 has 0 events, item 3 has 1
    test = pa.table({"user": [10, 99], "item": [3, 1], "negatives": [[3, 2, 77], [3]]})
    results = sampled_ranking({"popularity": popularity}, test, small, ks=(1,))
    assert results["popularity", "hr@1"] == 1.0
    assert results.setting.left_out == {"user or item unknown": 1, "negatives unknown": 1}
    assert results.setting.num_users == 1


def test_a_rival_that_comes_twice_counts_once(small, popularity):
    test = pa.table({"user": [10], "item": [3], "negatives": [[1, 1, 1, 2]]})
    results = sampled_ranking({"popularity": popularity}, test, small, ks=(2,))
    assert results["popularity", "mrr@2"] == 1 / 2  # item 1 alone is above it
    assert results.setting.left_out == {"repeated negatives": 2}


def test_an_item_without_a_rival_is_not_first_but_left_out(small, popularity):
    test = pa.table({"user": [10, 10, 20], "item": [2, 2, 3], "negatives": [[], [2, 77], [1]]})
    results = sampled_ranking({"popularity": popularity}, test, small, ks=(1,))
    assert results["popularity", "hr@1"] == 0
    assert results.setting.num_users == 1
    assert results.setting.left_out["test events without a rival"] == 2
    with pytest.raises(ValueError, match="`negatives` must be lists with candidates"):
        sampled_ranking({"popularity": popularity}, test.slice(0, 2), small)


def test_scoring_the_given_ones_equals_ranking_all(world, small):
    model = ModelRecommender(world.retriever, world.transform, world.candidates)

    class RanksAll:
        recommend = model.recommend

    rng = np.random.default_rng(0)
    test = pa.table(
        {
            "user": rng.integers(0, 11, 40),
            "item": rng.integers(0, 23, 40),
            "negatives": [rng.integers(0, 23, rng.integers(0, 9)).tolist() for _ in range(40)],
        }
    )
    small.queries, small.candidates = world.queries, world.candidates
    results = sampled_ranking({"model": model, "all": RanksAll()}, test, small, ks=(1, 3))
    assert results.scores["model"] == results.scores["all"]
    assert 0 < results["model", "hr@3"] < 1


def test_unusable_tests_are_refused(small, popularity):
    test = pa.table({"user": [10], "item": [3], "negatives": [[1]]})
    with pytest.raises(ValueError, match=r"a table with the column 'negative'.*Did you mean"):
        sampled_ranking({"p": popularity}, test, small, negatives="negative")
    with pytest.raises(ValueError, match="`item` must be a column of lists of ids"):
        sampled_ranking({"p": popularity}, test, small, negatives="item")
    with pytest.raises(ValueError, match="`ks` must be cut-offs from 1"):
        sampled_ranking({"p": popularity}, test, small, ks=())
    lost = test.set_column(0, "user", pa.array([99]))
    with pytest.raises(ValueError, match="events of known users and items"):
        sampled_ranking({"p": popularity}, lost, small)


def test_popularity_ranks_the_published_negatives_as_it_should():
    folder = os.environ.get("TFRECS_DATA")
    if not folder:
        pytest.skip("TFRECS_DATA names no folder of real data")
    tables = movielens("1m", folder)
    train, test = ncf_leave_one_out(folder)
    popularity = baselines.Popularity().fit(train, tables.candidates, tables.spec)
    results = sampled_ranking({"popularity": popularity}, test, tables)
    # measured with these files; a tie counted as a win would give more
    assert results["popularity", "hr@10"] == pytest.approx(0.453, abs=0.003)
    assert results["popularity", "ndcg@10"] == pytest.approx(0.254, abs=0.003)
    assert results.setting.num_users == 6040


def test_the_bias_of_sampled_metrics_is_told_with_the_result():
    from tfrecs.evaluation.sampled import BIASED

    assert "Krichene and Rendle" in BIASED
