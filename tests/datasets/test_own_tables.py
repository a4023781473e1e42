"""Own tables of every kind: the right value, a question, or a refusal; never a silent guess."""

import logging

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import own_tables
from tfrecs import baselines
from tfrecs.datasets import read_tables
from tfrecs.datasets.positive import parse_positive
from tfrecs.evaluation import splits
from tfrecs.features import FeatureTransform
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical

CASES = own_tables.cases()
TABLE = {"user": ["007", "b"], "item": [12, 7], "price": [1.5, 2.0]}


def test_there_are_enough_cases_of_every_kind():
    assert len(CASES) >= 60
    assert len({(case.kind, case.name) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.name}")
def test_nothing_is_guessed_wrong_in_silence(case, tmp_path):
    verdict, got = own_tables.judged(case, tmp_path)
    wanted = ["right"] if case.value is not None and not case.asks else ["told", "refused"]
    assert verdict in wanted, got


def test_a_wrong_value_without_a_question_is_found(tmp_path):
    case = own_tables.Case("ids", "wrong", "user,item\na,x\n", own_tables.items_of, ["y"])
    assert own_tables.judged(case, tmp_path)[0] == "WRONG"


@pytest.mark.parametrize(
    "bring",
    [
        lambda t: t,
        pa.table,
        pd.DataFrame,
        pl.DataFrame,
        lambda t: duckdb.from_arrow(pa.table(t)),
        lambda t: pa.table(t).to_batches()[0],
        lambda t: {name: np.array(cells) for name, cells in t.items()},
        lambda t: pd.DataFrame(t).set_index(pd.Index([5, 9])),
    ],
    ids=["dict", "arrow", "pandas", "polars", "duckdb", "batch", "numpy", "pandas with an index"],
)
def test_tables_of_every_library_give_the_same(bring):
    read = read_tables(bring(TABLE))
    assert read.tables.events.select(["user", "item", "price"]).to_pydict() == TABLE
    assert read.tables.spec.query_id.dtype == "string"
    assert read.tables.spec.candidate_id.dtype == "int64"


@pytest.mark.parametrize("value", [7, None, ["a"], np.zeros((2, 2)), pl.LazyFrame(TABLE)])
def test_what_is_no_table_is_refused_in_one_message(value):
    with pytest.raises(
        TypeError, match="`events` must be a table: pandas, polars, pyarrow, a Duck"
    ):
        read_tables(value)


def test_a_column_of_mixed_types_is_refused():
    with pytest.raises(TypeError, match=r"`events` must be a table.*Make each column of one type"):
        read_tables(pd.DataFrame({"user": ["a", 7], "item": [1, 2]}))


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(IDS, min_size=2, max_size=6, unique=True))
def test_ids_come_back_as_they_came(ids):
    users = [f"u{n}" for n in range(len(ids))]
    tables = read_tables({"user": users, "item": ids}).tables
    transform = FeatureTransform(tables.spec).adapt(tables.queries, tables.candidates)
    codes = transform.encode(tables.candidates, ["item"])["item"]
    assert transform.vocabulary("item")[codes - 2].tolist() == ids
    best = baselines.Popularity().fit(tables.events, tables.candidates, tables.spec)
    places = best.recommend(tables.queries, len(ids))[1][0]
    assert sorted(tables.candidates["item"].take(pa.array(places)).to_pylist()) == sorted(ids)


@pytest.mark.parametrize(
    "text, rows",
    [
        ("stars >= 4", [0, 2]),
        ("1 < stars < 5", [1, 2]),
        ("kind in ('buy', 'cart') and not stars < 4", [0, 2]),
        ("kind not in ['buy']", [1]),
        ("stars == 5 or kind == 'view'", [0, 1]),
        ("`how much` > -1", [0, 1]),
        ("seen == true", [0]),
        ("seen", [0]),
    ],
)
def test_positive_expressions_choose_rows(text, rows):
    events = pa.table(
        {
            "row": [0, 1, 2],
            "stars": [5.0, 2.0, 4.0],
            "kind": ["buy", "view", "buy"],
            "how much": [1, 0, -1],
            "seen": [True, False, None],
        }
    )
    assert events.filter(parse_positive(text, events)[0])["row"].to_pylist() == rows


@pytest.mark.parametrize(
    "text, message",
    [
        ("__import__('os').system('true')", "comparisons of columns with values"),
        ("stars + 1 > 2", "comparisons of columns with values"),
        ("stars.real > 2", "comparisons of columns with values"),
        ("[x for x in stars]", "comparisons of columns with values"),
        ("stars >", "an expression"),
        ("star > 3", "Did you mean 'stars'"),
        ("stars == 'five'", "'stars' holds double"),
        ("kind > 3", "'kind' holds string. Received: 3. The first value of 'kind' is 'buy'"),
    ],
)
def test_other_expressions_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_positive(text, pa.table({"stars": [5.0], "kind": ["buy"]}))


def test_columns_that_say_what_is_positive_are_no_features():
    events = {"user": ["a", "b"], "item": ["x", "y"], "event": ["buy", "view"], "hour": [1, 2]}
    read = read_tables(events, positive="event == 'buy'")
    assert read.tables.spec.names == ("user", "item", "hour")
    assert read.left == {"event": "says which events are positive"}
    assert read.tables.positives.num_rows == 1


def test_a_spec_is_read_back_and_its_types_win(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("user,item,year,note\na,x,1999,hm\nb,y,2001,ha\n")
    spec = FeatureSpec(
        (
            Categorical("user", "query", is_id=True),
            Categorical("item", "candidate", is_id=True),
            Categorical("year", "context"),
        )
    )
    (tmp_path / "spec.json").write_text(spec.to_json())
    read = read_tables(path, spec=tmp_path / "spec.json")
    assert read.tables.spec == spec
    assert read.tables.events["year"].to_pylist() == ["1999", "2001"]
    assert read.left == {"note": "not in --spec"}
    (tmp_path / "spec.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"spec\.json must hold a spec as JSON.*tfrecs spec EVENTS"
    ):
        read_tables(path, spec=tmp_path / "spec.json")


def test_features_and_drop_choose_columns():
    events = {"user": ["a"], "item": ["x"], "hour": [1], "day": [2]}
    assert read_tables(events, features=["hour"]).tables.spec.names == ("user", "item", "hour")
    assert read_tables(events, drop=["hour"]).tables.spec.names == ("user", "item", "day")
    with pytest.raises(ValueError, match=r"`drop` must be columns among .* Did you mean 'hour'"):
        read_tables(events, drop=["hours"])


def test_ties_and_repeated_pairs_are_counted():
    events = {"user": ["a", "a", "b"], "item": ["x", "x", "y"], "time": [5, 5, 5]}
    notes = read_tables(events).notes
    assert notes[0].startswith("2 of 3 events share their time with another one of the same user")
    assert notes[1] == "1 of 3 events repeats a pair of user and item; all are kept."


def test_one_long_list_does_not_widen_all_rows(caplog):
    tags = [["a"]] * 1999 + [[f"t{n}" for n in range(500)]]
    spec = FeatureSpec((MultiCategorical("tags", "candidate"),))
    with caplog.at_level(logging.WARNING, "tfrecs"):
        transform = FeatureTransform(spec).adapt(pa.table({"tags": tags}))
    assert transform.encode(pa.table({"tags": tags}))["tags"].shape == (2000, 1)
    assert "cut after 1 values: 1 of 2,000 rows have more, up to 500" in caplog.text


def test_test_events_of_their_own_file_bring_histories():
    events = {"user": ["a", "a", "b"], "item": ["x", "y", "z"], "time": [1, 2, 3]}
    trial = {"user": ["n"], "history": [["y", "z"]], "target": ["x"]}
    rows = read_tables(events, test_events=trial).tables.events.to_pylist()
    assert [(r["user"], r["item"], r["__part__"]) for r in rows[3:]] == [
        ("n", "y", "given"),
        ("n", "z", "given"),
        ("n", "x", "test"),
    ]


@pytest.mark.parametrize(
    "bring", [pd.DataFrame, pl.DataFrame, pa.Table.to_pydict, duckdb.from_arrow]
)
def test_splits_and_baselines_take_tables_of_every_library(bring):
    table = pa.table(
        {"user": ["a", "a", "b", "b"], "item": ["x", "y", "y", "x"], "at": [1, 2, 3, 4]}
    )
    tables = read_tables(table, time="at").tables
    given = brought(bring, table)
    wanted = splits.leave_last_out(table, tables.spec)
    split = splits.leave_last_out(given, tables.spec)
    assert split.train.equals(wanted.train.cast(split.train.schema))
    assert splits.random(given, fraction=0.5).test.num_rows == 2
    best = baselines.Popularity().fit(given, brought(bring, tables.candidates), tables.spec)
    assert best.recommend(tables.queries, 2)[1].shape == (2, 2)


def brought(bring, items):
    return bring(items if bring in (pa.Table.to_pydict, duckdb.from_arrow) else items.to_pydict())


@pytest.mark.parametrize("value", [7, None, ["a"], "events.csv"])
def test_splits_and_baselines_refuse_what_is_no_table(value):
    spec = read_tables(TABLE).tables.spec
    with pytest.raises(
        TypeError, match="`events` must be a table: pandas, polars, pyarrow, a Duck"
    ):
        splits.random(value, fraction=0.5)
    with pytest.raises(
        TypeError, match="`events` must be a table: pandas, polars, pyarrow, a Duck"
    ):
        baselines.Popularity().fit(value, {"item": [12, 7]}, spec)
