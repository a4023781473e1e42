import numpy as np
import pyarrow as pa
import pytest

from tfrecs import FeatureTransform
from tfrecs.datasets.sessions import session_spec
from tfrecs.evaluation.sessions import (
    SessionScorer,
    next_item_ranks,
    next_items,
    recall_and_mrr,
)
from tfrecs.models import GRU4Rec
from tfrecs.spec import Categorical, Sequence

ITEMS = pa.table({"item_id": list("abc")})
TEST = pa.table(
    {
        "session_id": [1, 1, 1, 2, 2],
        "item_id": list("abcxa"),
        "time": [1, 2, 3, 1, 2],
        "kind": list("pqrst"),
    }
)


def test_every_event_but_the_first_is_a_target_and_unknown_items_are_none():
    test = TEST.set_column(1, "item_id", [list("axcba")])
    found = next_items(test, ITEMS, session_spec())
    assert found.queries["history"].to_pylist() == [["a", "x"], ["b"]]
    assert found.targets.tolist() == [2, 0]
    assert found.rows.tolist() == [2, 4]


def test_contexts_stand_beside_the_history_and_beside_the_target():
    spec = session_spec(Sequence("history_kind", "context"), Categorical("kind", "context"))
    found = next_items(TEST, ITEMS, spec).queries
    assert found["history_kind"].to_pylist() == [["p"], ["p", "q"], ["s"]]
    assert found["kind"].to_pylist() == ["q", "r", "t"]


def test_long_sessions_keep_their_last_events():
    found = next_items(TEST, ITEMS, session_spec(), max_length=1)
    assert found.queries["history"].to_pylist() == [["a"], ["b"], ["x"]]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="the column 'place' of feature 'history_place'"):
        next_items(TEST, ITEMS, session_spec(Sequence("history_place", "context")))


@pytest.mark.parametrize("ties, expected", [("standard", 2), ("conservative", 3), ("median", 2.5)])
def test_ties_count_as_stated(ties, expected):
    events = next_items(TEST.slice(0, 2), ITEMS, session_spec())  # the target is b
    ranks = next_item_ranks(lambda q: np.array([[0.9, 0.5, 0.5]]), events, ties=ties)
    assert ranks.tolist() == [expected]


def test_blocks_change_nothing():
    events = next_items(TEST, ITEMS, session_spec())
    table = {("a",): [0, 1, 2], ("a", "b"): [2, 1, 0], ("x",): [1, 5, 0]}

    def score(queries):
        return np.array([table[tuple(h)] for h in queries["history"].to_pylist()], float)

    for block in (1, 2, 512):
        # b is second of 0 1 2; c is last of 2 1 0; a is second of 1 5 0
        assert next_item_ranks(score, events, block=block).tolist() == [2, 3, 2]


def test_recall_and_mrr_by_hand():
    found = recall_and_mrr(np.array([1, 2, 3]), k=2)
    assert found == {"recall@2": pytest.approx(2 / 3), "mrr@2": pytest.approx(0.5)}


def test_a_score_that_is_not_a_number_is_an_error():
    events = next_items(TEST, ITEMS, session_spec())
    with pytest.raises(
        ValueError, match=r"a recommender of defined scores.*NaN, the first in row 0"
    ):
        next_item_ranks(lambda q: np.full((q.num_rows, 3), np.nan), events)


def test_unknown_ties_are_named():
    with pytest.raises(ValueError, match="`ties` must be one of 'standard'"):
        next_item_ranks(lambda q: None, next_items(TEST, ITEMS, session_spec()), ties="best")


def test_a_model_is_scored_by_its_vectors():
    spec = session_spec().select("item_id", "history")
    events = next_items(TEST, ITEMS, spec)
    transform = FeatureTransform(spec).adapt(ITEMS, events.queries)
    model = GRU4Rec(transform.spec, (4,))
    found = SessionScorer(model, transform, ITEMS).score(events.queries)
    batch = transform.encode(events.queries, ["history"])
    candidates = transform.encode(ITEMS, ["item_id"])
    expected = model.score(model.query(batch), model.candidate(candidates))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_sessions_that_interleave_or_run_backwards_are_refused():
    rows = {"session_id": [1, 2, 1], "item_id": ["a", "b", "c"], "time": [1, 2, 3]}
    with pytest.raises(ValueError, match=r"one session after the other.*session 1 again in row 2"):
        next_items(pa.table(rows), ITEMS, session_spec())
    rows |= {"session_id": [1, 1, 2], "time": [5, 4, 3]}
    with pytest.raises(ValueError, match=r"in order of time.*row 1 before the row above it"):
        next_items(pa.table(rows), ITEMS, session_spec())
