import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tfrecs.datasets import Tables, demo
from tfrecs.spec import (
    Attributes,
    Categorical,
    Cross,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Timestamp,
    Vector,
)

FEATURES = (
    Categorical("user_id", "query", is_id=True),
    Categorical("country", "query"),
    Categorical("item_id", "candidate", is_id=True),
    Text("title", "candidate"),
    MultiCategorical("tags", "candidate"),
    Numeric("price", "candidate"),
    Vector("image", "candidate", dim=2),
    Numeric("rating", "label"),
    Timestamp("time", "time"),
    Cross("user_country", "query", ("user_id", "country")),
)
EVENTS = {
    "user_id": ["a", "b", "a"],
    "item_id": ["x", "x", "y"],
    "rating": [5.0, 3.0, 4.0],
    "time": [0, 86_400, 3_600],
}
QUERIES = {"user_id": ["a", "b"], "country": ["AT", None]}
CANDIDATES = {
    "item_id": ["x", "y"],
    "title": ["One", "Two"],
    "tags": [["new"], None],
    "price": [1.5, None],
    "image": [[0.0, 1.0], [1.0, 0.0]],
}


def world(events=None, queries=None, candidates=None, **arguments):
    """Tables with some columns replaced; a column of `None` is left out."""
    parts = []
    for given, changed in ((EVENTS, events), (QUERIES, queries), (CANDIDATES, candidates)):
        if isinstance(changed, pa.Table):
            parts.append(changed)
            continue
        columns = {**given, **(changed or {})}
        parts.append(pa.table({k: v for k, v in columns.items() if v is not None}))
    named = dict(zip(("events", "queries", "candidates"), parts, strict=True))
    return Tables(**{"name": "world", "spec": FeatureSpec(FEATURES), **named, **arguments})


def test_all_events_are_positive_unless_said_otherwise():
    assert world().positives.num_rows == 3
    positive = world(positive=pc.field("rating") >= 4).positives
    assert positive["item_id"].to_pylist() == ["x", "y"]


def test_the_summary_counts_users_items_events():
    summary = world(positive=pc.field("rating") >= 4).describe()
    assert (summary["users"], summary["items"], summary["events"]) == (2, 2, 3)
    assert summary["density"] == "75 %"  # 3 events of 2 * 2 cells
    assert summary["positives"] == "2 (66.7 %): (rating >= 4)"
    # user a has 2 events, b has 1: the median is 1.5, printed rounded to even
    assert summary["events per user"].startswith("median 2 (quarters 1 and 2)")
    assert summary["time"] == "1970-01-01 00:00 to 1970-01-02 00:00"
    assert summary["queries columns"] == "user_id, country"


def test_a_user_without_events_counts_as_zero():
    summary = world(queries={"user_id": ["a", "b", "c"], "country": None}, spec=ids()).describe()
    assert summary["events per user"].endswith("from 0 to 2")


def ids():
    return FeatureSpec(tuple(f for f in FEATURES if getattr(f, "is_id", False)))


def test_arrow_times_are_described_in_dates_and_must_have_the_unit_of_their_feature():
    times = [datetime.datetime(2020, 5, 17, 8, 30)] * 3
    seconds = pa.array(times, pa.timestamp("s"))
    assert world(events={"time": seconds}).describe()["time"].startswith("2020-05-17 08:30")
    with pytest.raises(ValueError, match=r"timestamps of unit 's'.*Received: timestamp\[ms\]"):
        world(events={"time": pa.array(times, pa.timestamp("ms"))})


def test_a_time_beyond_the_calendar_is_described_as_it_is():
    assert world(events={"time": [0, 1, 2**62]}).describe()["time"].endswith(" s")


def test_dictionaries_and_large_text_are_text():
    events = {
        "user_id": pa.array(EVENTS["user_id"]).dictionary_encode(),
        "item_id": pa.array(EVENTS["item_id"], pa.large_string()),
    }
    candidates = {"item_id": pa.array(["x", "y"]).dictionary_encode()}
    tables = world(events, candidates=candidates)
    assert tables.describe()["events per item"].endswith("from 1 to 2")


@pytest.mark.parametrize("table", ["events", "queries", "candidates"])
def test_an_empty_table_is_refused(table):
    empty = pa.table({"user_id": pa.array([], pa.string())})
    with pytest.raises(ValueError, match=f"`{table}` must be a table of one row or more"):
        world(**{table: empty})


def test_something_else_than_a_table_is_refused():
    with pytest.raises(TypeError, match=r"`events` must be a table: pandas.* Received: 'int'"):
        Tables("world", 7, pa.table(QUERIES), pa.table(CANDIDATES), FeatureSpec(FEATURES))


def test_two_columns_of_one_name_are_refused():
    events = pa.table(EVENTS).append_column("rating", pa.array([1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"different names.*\['rating'\]"):
        Tables("world", events, pa.table(QUERIES), pa.table(CANDIDATES), FeatureSpec(FEATURES))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"events": {"item_id": None}}, "`events` must be a table with the column 'item_id'"),
        ({"queries": {"user_id": None}}, "`queries` must be a table with the column 'user_id'"),
        ({"queries": {"country": None}}, "`queries` must be a table with the column 'country'"),
        (
            {"candidates": {"title": None, "titel": ["One", "Two"]}},
            "`candidates` must .* 'title'.* Did you mean 'titel'",
        ),
        ({"events": {"rating": None}}, "`events` must be a table with the column 'rating'"),
        (
            {"candidates": {"item_id": ["x", "x"]}},
            "`item_id` of `candidates` must hold distinct ids. Received: 'x' in rows 0, 1",
        ),
        (
            {"queries": {"user_id": ["b", "b"]}},
            "`user_id` of `queries` must hold distinct ids. Received: 'b' in rows 0, 1",
        ),
        (
            {"events": {"user_id": ["a", None, "a"]}},
            r"`user_id` of `events` has no value in row 1 \(1 such rows\)",
        ),
        ({"events": {"user_id": ["a", "b", ""]}}, "`user_id` of `events` has no value in row 2"),
        ({"candidates": {"item_id": ["x", None]}}, "`item_id` of `candidates` has no value in row"),
        ({"events": {"time": [0, None, 1]}}, "`time` of `events` has no value in row 1"),
        ({"events": {"rating": [1.0, 2.0, None]}}, "`rating` of `events` has no value in row 2"),
        (
            {"events": {"rating": [1.0, np.nan, 2.0]}},
            "`rating` of `events` must hold finite numbers. Received: nan in row 1",
        ),
        (
            {"candidates": {"price": [np.inf, 1.0]}},
            "`price` of `candidates` must hold finite numbers. Received: inf in row 0",
        ),
        (
            {"candidates": {"image": [[0.0, 1.0], [1.0, -np.inf]]}},
            "`image` of `candidates` must hold finite numbers. Received: -inf in row 1",
        ),
        (
            {"events": {"rating": ["5", "3", "4"]}},
            "`rating` of `events` must hold numbers, as its feature Numeric says. Received: string",
        ),
        ({"queries": {"country": [1, 2]}}, "`country` of `queries` must hold text"),
        (
            {"candidates": {"tags": ["new", "old"]}},
            "`tags` of `candidates` must hold lists of text",
        ),
        ({"candidates": {"tags": [[1], [2]]}}, "`tags` of `candidates` must hold lists of text"),
        ({"events": {"time": ["now", "then", "soon"]}}, "must hold integers or timestamps"),
        (
            {"events": {"item_id": ["x", "z", "z"]}},
            r"Every item_id of `events` must have a row in `candidates`. Received: 'z' in row 1 of "
            r"`events` \(2 such rows\)",
        ),
        ({"events": {"user_id": ["a", "b", "c"]}}, "Every user_id of `events` must have a row"),
    ],
)
def test_a_bad_table_is_refused_by_table_column_and_row(change, message):
    with pytest.raises(ValueError, match=message):
        world(**change)


NESTED = FeatureSpec((*FEATURES, Vector("photos", dim=2, max_count=3), Attributes("facts")))


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"photos": [1.0, 2.0]}, "`photos` of `candidates` must hold lists of vectors of"),
        ({"photos": [[["a"]], None]}, "`photos` of `candidates` must hold lists of vectors of num"),
        (
            {"photos": [[[1.0, 2.0]], [[1.0, 2.0], [np.inf, 1.0]]]},
            "`photos` of `candidates` must hold finite numbers. Received: inf in row 1",
        ),
        ({"facts": ["brand", "size"]}, "`facts` of `candidates` must hold maps, structs or lists"),
    ],
)
def test_columns_of_lists_of_lists_are_checked(changed, message):
    good = {"photos": [[[1.0, 2.0]], None], "facts": [{"brand": "x"}, None]}
    assert world(candidates=good, spec=NESTED).candidates.num_columns == 7
    with pytest.raises(ValueError, match=message):
        world(candidates=good | changed, spec=NESTED)


def test_minus_one_is_no_integer_id():
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", "int64", is_id=True),
            Categorical("item_id", "candidate", "int64", is_id=True),
            Sequence("history", "query", "int64"),
        )
    )
    events = pa.table({"user_id": [1], "item_id": [1]})
    queries = pa.table({"user_id": [1, -1], "history": [[1, -1], None]})
    with pytest.raises(ValueError, match="`user_id` of `queries` has no value in row 1"):
        Tables("world", events, queries, pa.table({"item_id": [1]}), spec)


def test_ids_of_two_types_are_refused():
    both = FeatureSpec((Categorical("user_id", "query", is_id=True), *FEATURES[2:3]))
    events = pa.table({"user_id": [1, 2], "item_id": ["x", "y"]})
    with pytest.raises(ValueError, match="`user_id` of `events` must hold text"):
        Tables("world", events, pa.table(QUERIES), pa.table(CANDIDATES), both)


def test_a_rule_for_positives_must_be_an_expression():
    with pytest.raises(TypeError, match="`positive` must be an Arrow expression"):
        world(positive="rating >= 4")


def impressions(**arguments):
    """What is known of impressions without users and items."""
    events = pa.table({"clicked": [1, 0, 1], "slot": ["top", "side", None], "price": [1.0, 2.0, 3]})
    spec = FeatureSpec(
        (Numeric("clicked", "label"), Categorical("slot", "context"), Numeric("price", "candidate"))
    )
    parts = {"queries": None, "candidates": None, **arguments}
    return Tables("impressions", events, spec=spec, **parts)


def test_events_may_have_neither_user_nor_item():
    tables = impressions()
    assert (tables.queries.num_columns, tables.candidates.num_rows) == (0, 0)
    summary = tables.describe()
    assert summary == {"events": 3, "events columns": "clicked, slot, price"}


def test_events_may_have_a_user_and_no_item():
    spec = FeatureSpec((Categorical("user_id", "query", is_id=True), Numeric("rating", "label")))
    tables = world(spec=spec, candidates=pa.table({}), queries={"country": None})
    summary = tables.describe()
    assert (summary["users"], summary["events"]) == (2, 3)
    assert "items" not in summary
    assert "density" not in summary


def test_a_table_of_items_needs_their_id():
    items = pa.table({"item_id": ["x"]})
    message = r"`candidates` must be `None`, since the spec has no candidate id.*Add"
    with pytest.raises(ValueError, match=message):
        impressions(candidates=items)


def test_tables_show_their_sizes_and_columns_and_none_of_their_rows():
    shown = repr(demo(num_users=20, num_items=30, num_events=100)).splitlines()
    assert shown[0] == "Tables: demo world (generated, seed 0)"
    assert shown[1].startswith("  events             100 rows: user_id, item_id, timestamp")
    assert shown[2].startswith("  queries             20 rows: user_id")
    assert shown[4] == "  positive   (clicked == 1)"
    assert max(map(len, shown)) <= 100
