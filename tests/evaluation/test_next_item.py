import math

import numpy as np
import pyarrow as pa
import pytest

from tfrecs.baselines import Popularity
from tfrecs.datasets.sessions import session_spec
from tfrecs.evaluation import next_item_ranking
from tfrecs.evaluation.sessions import by_session_start
from tfrecs.spec import Categorical, FeatureSpec, Timestamp

SPEC = session_spec()
ITEMS = pa.table({"item_id": ["a", "b", "c"]})


class Fixed:
    """Scores a, b, c by 3, 2, 1 whatever came before."""

    def score(self, queries):
        return np.tile(np.array([3.0, 2.0, 1.0], "float32"), (queries.num_rows, 1))


def events(*sessions):
    rows = [(number, item) for number, items in enumerate(sessions) for item in items]
    numbers, items = zip(*rows, strict=True)
    return pa.table({"session_id": numbers, "item_id": items, "time": list(range(len(rows)))})


def ranked(table, judged, **more):
    given = {"data": "made up", "split": "by hand", "ks": (1, 2), **more}
    return next_item_ranking({"fixed": Fixed()}, table, judged, ITEMS, SPEC, **given)


def test_metrics_by_hand():
    # targets: b, c in the first session, a in the second; ranks 2, 3, 1
    found = ranked(events("abc", "ca"), np.ones(5, bool))
    assert found["fixed", "recall@1"] == pytest.approx(1 / 3)
    assert found["fixed", "recall@2"] == pytest.approx(2 / 3)
    assert found["fixed", "mrr@2"] == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert found["fixed", "ndcg@2"] == pytest.approx((1 / math.log2(3) + 0 + 1) / 3)
    assert found.setting.num_users == 3
    assert found.setting.left_out == {"first of its session, or of an unknown item": 2}


def test_events_that_are_not_judged_are_known_all_the_same():
    found = ranked(events("abc", "ca"), np.array([False, False, True, False, False]))
    assert found.setting.num_users == 1
    assert found["fixed", "recall@2"] == 0  # c


def test_of_many_events_some_are_drawn_and_the_protocol_says_so():
    found = ranked(events("abc", "ca"), np.ones(5, bool), max_events=2)
    assert found.setting.num_users == 2
    assert "2 of 3 events drawn" in found.protocol


def test_intervals_are_of_whole_sessions():
    # every session has one hit and one miss: the mean is the same whichever are drawn
    found = ranked(events("cac", "cac", "cac"), np.ones(9, bool), ks=(1,))
    assert found.scores["fixed"]["recall@1"].stderr == 0


def test_the_best_baseline_is_what_the_model_is_compared_with():
    table = events("cbc", "cbc")
    popularity = Popularity().fit(table, ITEMS, SPEC)
    found = next_item_ranking(
        {"popularity": popularity, "fixed": Fixed()},
        table,
        np.ones(6, bool),
        ITEMS,
        SPEC,
        data="made up",
        split="by hand",
        ks=(1,),
    )
    assert found.reference == "popularity"
    assert found.differences["fixed"]["recall@1"].value == pytest.approx(-0.5)
    assert any("fixed is worse than the baseline popularity" in line for line in found.warnings)


def test_nothing_to_judge_says_what_may_be_wrong():
    with pytest.raises(ValueError, match="Do sessions have an id of their own"):
        ranked(events("a", "b", "c"), np.ones(3, bool))


def test_whole_sessions_are_held_out_by_their_start():
    spec = FeatureSpec((Categorical("session", is_id=True), Timestamp("at", "time")))
    table = pa.table({"session": ["a", "b", "a", "c"], "at": [1, 3, 9, 4]})
    split = by_session_start(table, spec, 0.3)
    assert split.test.to_pylist() == [{"session": "c", "at": 4}]
    assert split.protocol == "by time, the last 30 % of sessions"
    with pytest.raises(ValueError, match="`fraction` must be above 0 and below 1"):
        by_session_start(table, spec, 1.0)
