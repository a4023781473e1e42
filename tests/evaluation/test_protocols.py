import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest

from tfrecs import baselines
from tfrecs.evaluation import Estimate, Results, Setting, full_ranking, splits

PERFECT = {10: [2, 3], 20: [0, 1], 30: [3, 0]}


def events(*pairs):
    users, items = zip(*pairs, strict=True)
    return pa.table({"user": users, "item": items})


@pytest.fixture
def split():
    return splits.given(
        train=events((10, 1), (10, 2), (30, 3)),
        # user 10 takes one new item, 20 two, 30 the same one twice
        test=events((10, 3), (20, 1), (20, 2), (30, 4), (30, 4), (99, 1), (20, 77), (10, 1)),
        protocol="by hand",
    )


@pytest.fixture
def hand(small):
    """User 10 hits at rank 1, 20 at rank 2, 30 misses."""
    return small.fixed({10: [2, 3], 20: [3, 0], 30: [0, 1]})


def test_metrics_are_means_over_users(small, split, hand):
    results = full_ranking({"hand": hand}, split, small, ks=(2,))
    # user 20: dcg 1 / log2(3) = 0.63093 over 1 + 0.63093; map 1/2 * 1/2
    expected = {
        "ndcg@2": (1 + 0.63093 / 1.63093) / 3,
        "recall@2": (1 + 1 / 2) / 3,
        "hr@2": 2 / 3,
        "mrr@2": (1 + 1 / 2) / 3,
        "map@2": (1 + 1 / 4) / 3,
        "precision@2": (1 / 2 + 1 / 2) / 3,
        "coverage@2": 1.0,  # 2 3, 3 0, 0 1
        "average_popularity@2": ((1 + 0) / 2 + (0 + 1) / 2 + (1 + 1) / 2) / 3,
        "gini@2": (-3 * 1 - 1 * 1 + 1 * 2 + 3 * 2) / (4 * 6),  # sorted 1 1 2 2
    }
    assert results.metrics == list(expected)
    for name, value in expected.items():
        assert results["hand", name] == pytest.approx(value, abs=1e-5), name


def test_the_setting_says_what_was_measured_and_left_out(small, split, hand):
    results = full_ranking({"hand": hand}, split, small, ks=(1,))
    assert results.setting == Setting(
        data="small",
        protocol="by hand; all candidates ranked, training pairs masked, ties by position",
        num_users=3,
        num_candidates=4,
        left_out={"user unknown": 1, "item unknown": 1, "seen in training": 1},
    )
    assert results.remarks()[1] == (
        "3 users, 4 candidates; test events left out: "
        "1 user unknown, 1 item unknown, 1 seen in training"
    )


def test_without_masking_repeated_pairs_are_hits(small, split):
    lists = {10: [0, 2], 20: [0, 1], 30: [3, 2]}
    results = full_ranking({"all": small.fixed(lists)}, split, small, ks=(2,), seen="none")
    assert results["all", "recall@2"] == 1.0
    assert "nothing masked" in results.protocol
    assert "seen in training" not in results.setting.left_out


def test_exposure_is_by_tenth_of_the_catalogue(small, split, hand):
    results = full_ranking({"hand": hand}, split, small, ks=(2,))
    # training events 1 1 1 0, so the order is 0 1 2 3; recommended 2 1 1 2 times of 6
    assert results.exposure["hand"] == pytest.approx([2 / 6, 1 / 6, 1 / 6, 2 / 6] + [0] * 6)
    assert results.exposure["test"] == pytest.approx([1 / 4] * 4 + [0] * 6)


def test_small_batches_give_the_same(small, split, hand):
    whole, parts = (
        full_ranking({"hand": hand}, split, small, ks=(1, 2), batch_size=size) for size in (9, 1)
    )
    assert whole.scores == parts.scores
    assert whole.exposure == parts.exposure


def test_differences_to_the_best_baseline_are_paired(small, split, hand):
    spec = small.spec
    popularity, chance = baselines.Popularity(), baselines.Random()
    for baseline in (popularity, chance):
        baseline.fit(split.train, small.candidates, spec)
    oracle = baselines.Oracle(lambda queries: np.zeros((queries.num_rows, 4)))
    oracle.fit(split.train, small.candidates, spec)
    recommenders = {
        "popularity": popularity,
        "hand": hand,
        "perfect": small.fixed(PERFECT),
        "oracle": oracle,
    }
    results = full_ranking(recommenders, split, small, ks=(2,))
    assert results.kinds == {
        "popularity": "baseline",
        "hand": "model",
        "perfect": "model",
        "oracle": "ceiling",
    }
    assert results.reference == "popularity"
    assert set(results.differences) == {"hand", "perfect", "oracle"}
    difference = results.differences["perfect"]["ndcg@2"]
    assert difference.value == pytest.approx(1 - results["popularity", "ndcg@2"])
    assert difference.low <= difference.value <= difference.high
    assert any(
        line.startswith("perfect against popularity: ndcg@2 +") for line in results.remarks()
    )


def test_equal_recommenders_differ_by_exactly_nothing(small, split, hand):
    class Same(baselines.Popularity):
        def recommend(self, queries, k, exclude=None):
            return hand.recommend(queries, k)

    results = full_ranking({"base": Same(), "model": hand}, split, small, ks=(2,))
    assert results.scores["model"]["ndcg@2"].stderr > 0  # users differ, and so do resamples
    assert results.differences["model"]["ndcg@2"] == Estimate(0.0, 0.0, 0.0, 0.0)


def test_a_model_that_recommends_everyone_the_same_is_reported(small, split, hand):
    constant = small.fixed({10: [2, 3], 20: [2, 3], 30: [3, 0]})
    results = full_ranking({"constant": constant, "hand": hand}, split, small, ks=(1,))
    assert results.warnings == [
        "constant recommends the same candidate first to 67 % of users: "
        "has it learned anything about them?"
    ]
    assert results.remarks()[-1].startswith("Warning: constant")


def test_a_recommender_that_returns_seen_items_is_refused(small, split):
    cheat = small.fixed({10: [0, 2], 20: [0, 1], 30: [3, 0]})
    with pytest.raises(ValueError, match=r"`recommenders\['cheat'\]` .* that leaves out"):
        full_ranking({"cheat": cheat}, split, small, ks=(2,))
    with pytest.raises(
        ValueError, match=r"`recommenders\['short'\]` .* returns positions \(3, 4\)"
    ):
        full_ranking({"short": small.fixed(PERFECT)}, split, small, ks=(4,))


def test_arguments_out_of_range_are_refused(small, split, hand):
    for ks in ((), (0,), (5,)):
        with pytest.raises(ValueError, match="`ks` must be cut-offs from 1 to the number of"):
            full_ranking({"hand": hand}, split, small, ks=ks)
    with pytest.raises(ValueError, match="`seen` must be one of 'train', 'disliked', 'none'"):
        full_ranking({"hand": hand}, split, small, ks=(1,), seen="test")
    with pytest.raises(ValueError, match="`batch_size` must be greater than 0"):
        full_ranking({"hand": hand}, split, small, ks=(1,), batch_size=0)
    lost = splits.given(split.train, events((99, 1), (98, 2)))
    with pytest.raises(ValueError, match=r"None of the 2 test events.*'user unknown': 2"):
        full_ranking({"hand": hand}, lost, small, ks=(1,))


def test_results_come_back_from_json(small, split, hand):
    results = full_ranking({"hand": hand, "perfect": small.fixed(PERFECT)}, split, small, ks=(1, 2))
    again = Results.from_json(results.to_json())
    assert again.to_dict() == json.loads(results.to_json())
    assert again.scores == results.scores
    assert again.setting == results.setting
    assert str(again.table()) == str(results.table())


def test_tables_and_rows_say_the_same(small, split, hand):
    results = full_ranking({"hand": hand}, split, small, ks=(2,), num_bootstrap=0)
    columns, rows = results.table(["ndcg@2", "precision@2"])
    assert (columns, rows) == (["", "ndcg@2", "precision@2"], [["hand", "0.462", "0.333"]])
    row = next(row for row in results.rows() if row["metric"] == "precision@2")
    assert row == {
        "data": "small",
        "protocol": results.protocol,
        "model": "hand",
        "metric": "precision@2",
        "value": pytest.approx(1 / 3),
        "stderr": None,
        "unit": "",
        "peer": None,
        "ratio": None,
    }
    assert results.headline()[0] == "ndcg@2"


def test_results_of_one_setting_merge(small, split, hand):
    one, two = (full_ranking({name: hand}, split, small, ks=(1,)) for name in ("one", "two"))
    both = one.merge(two)
    assert list(both.scores) == ["one", "two"]
    assert both["two", "ndcg@1"] == one["one", "ndcg@1"]
    with pytest.raises(ValueError, match="`other` must be of other recommenders"):
        one.merge(one)


@pytest.mark.parametrize(
    "name, value", [("protocol", "sampled"), ("data", "other"), ("num_users", 7)]
)
def test_results_of_different_settings_cannot_be_compared(small, split, hand, name, value):
    ours = full_ranking({"hand": hand}, split, small, ks=(1,))
    setting = dataclasses.replace(ours.setting, **{name: value})
    theirs = Results(setting, {"their": {"ndcg@1": Estimate(0.9)}}, {"their": "model"})
    with pytest.raises(ValueError, match=f"Results of different {name} cannot be compared"):
        ours.merge(theirs)


def test_unknown_names_get_a_suggestion(small, split, hand):
    results = full_ranking({"hand": hand}, split, small, ks=(1,))
    with pytest.raises(ValueError, match="Did you mean 'ndcg@1'"):
        results["hand", "ndcg@2"]
    with pytest.raises(ValueError, match="`recommender` must be one of 'hand'"):
        results["hnd", "ndcg@1"]


def test_a_model_that_does_not_beat_a_baseline_is_told_so_in_words(small, split):
    base = baselines.Popularity().fit(split.train, small.candidates, small.spec)
    worst = small.fixed({10: [3, 2], 20: [2, 3], 30: [0, 1]})
    results = full_ranking({"popularity": base, "worst": worst}, split, small, ks=(2,))
    assert results.warnings[-1].startswith(
        "worst is worse than the baseline popularity by ndcg@2 (-"
    )
    assert results.warnings[-1].endswith("tune it, or serve the baseline.")
    perfect = {"popularity": base, "perfect": small.fixed(PERFECT)}
    without = full_ranking(perfect, split, small, ks=(2,), num_bootstrap=0)
    assert not any("baseline" in line for line in without.warnings)


def test_users_count_by_their_weights_and_intervals_by_their_groups(small, split, hand):
    ids = small.queries["user"].to_pylist()
    weights = pa.array([{10: 3.0, 20: 1.0, 30: 0.0}.get(user, 1.0) for user in ids])
    groups = pa.array([str(user) for user in ids])
    small.queries = small.queries.append_column("w", weights).append_column("group", groups)
    options = {"weight": "w", "strata": "group", "num_bootstrap": 20}
    results = full_ranking({"hand": hand}, split, small, ks=(2,), **options)
    # recall 1, 1/2 and 0, weighing 3, 1 and 0; in groups of one, everybody is drawn each time
    found = results.scores["hand"]["recall@2"]
    assert (found.value, found.low, found.high) == pytest.approx((3.5 / 4,) * 3)
    assert "users weighed by w, resampled within group" in results.setting.protocol
    with pytest.raises(ValueError, match=r"must be one of .*'group'"):
        full_ranking({"hand": hand}, split, small, ks=(2,), strata="grup")
