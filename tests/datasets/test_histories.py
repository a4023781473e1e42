import numpy as np
import pyarrow as pa

from tfrecs import datasets
from tfrecs.datasets.histories import session_events, session_tables, with_histories
from tfrecs.datasets.sessions import gap_buckets, make_sessions
from tfrecs.spec import Categorical, FeatureSpec, Sequence, Timestamp

SPEC = FeatureSpec(
    (
        Categorical("session_id", "query", is_id=True),
        Categorical("item", "candidate", is_id=True),
        Timestamp("at", "time", unit="ms"),
        Categorical("kind", "context"),
    )
)


def events(*rows):
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(("session_id", "item", "at", "kind"), columns, strict=True)))


TRAIN = events(
    ("b", "x", 9000, "view"),
    ("a", "y", 8000, "buy"),
    ("a", "x", 1000, "view"),
    ("a", "z", 4000, "view"),
)
TEST = events(("c", "y", 20_000, "view"), ("c", "x", 19_000, "buy"), ("b", "y", 30_000, "buy"))
TABLES = datasets.Tables(
    "shop",
    pa.concat_tables([TRAIN, TEST]),
    pa.table({"session_id": ["c", "b", "a", "d"]}),
    pa.table({"item": ["x", "y", "z"]}),
    SPEC,
)


def test_events_are_brought_in_order_of_sessions_and_times():
    found = session_events(TRAIN, SPEC)
    assert found["item"].to_pylist() == ["x", "z", "y", "x"]  # a: 1000, 4000, 8000; b: 9000
    assert found["gap"].to_pylist() == ["first", "2", "2", "first"]  # log2(4), log2(5)


def test_without_times_rows_are_in_order():
    found = session_events(TRAIN, SPEC.select("session_id", "item"))
    assert found["item"].to_pylist() == ["x", "y", "x", "z"]
    assert "gap" not in found.column_names


def test_a_query_knows_its_training_events_and_a_new_one_its_test_events_but_the_last():
    found = with_histories(TABLES, TRAIN, TEST)
    rows = {row["session_id"]: row for row in found.queries.to_pylist()}
    assert rows["a"]["history"] == ["x", "z", "y"]
    assert rows["a"]["history_kind"] == ["view", "view", "buy"]
    assert rows["b"]["history"] == ["x"]
    assert (rows["c"]["history"], rows["c"]["history_gap"]) == (["x"], ["first"])
    assert rows["d"]["history"] == []
    assert found.spec["history"] == Sequence("history", "query", shared_with="item")
    again = with_histories(found, TRAIN, TEST)
    assert again.queries.equals(found.queries)
    assert again.spec == found.spec


def test_buckets_of_gaps_by_hand():
    seconds = np.array([0.0, 0.9, 2.0, 3602.0, 3600.0])
    # the last one goes backwards: as if at once
    assert gap_buckets(np.array([5]), seconds).to_pylist() == ["first", "0", "1", "11", "0"]


def test_sessions_become_tables_with_their_contexts():
    rows = pa.table(
        {
            "session_id": [4, 4, 5, 5],
            "item_id": ["a", "b", "b", "a"],
            "time": [1, 2, 3, 4],
            "kind": ["view", "buy", "view", "view"],
        }
    )
    spec = datasets.sessions.session_spec(Sequence("history_kind", "context"))
    found = session_tables(make_sessions("shop", rows.slice(0, 2), rows.slice(2), spec))
    assert found.spec.names == ("session_id", "item_id", "kind", "time")
    assert found.events.num_rows == 4
    assert found.queries["session_id"].to_pylist() == [4, 5]
