"""Own tables that cannot be read for sure: the message names column, row and option."""

import pytest

from tfrecs.datasets import read_tables
from tfrecs.spec import Categorical, FeatureSpec, Numeric

IDS = {"user": ["a", "b"], "item": ["x", "y"]}
DAYS = ["31/01/2024", "31/02/2024"]
SECONDS = ["1700000000", "1700000060", "soon"]


@pytest.mark.parametrize(
    "more, message",
    [
        ({"date": DAYS}, r"Column 'date' must hold dates\. Received: '31/02/2024' in row 1"),
        ({"date": ["01/02/2024", "03/02/2024"]}, r"01/02/2024' in row 0 may be both.*--date-order"),
        (
            {"time": [1_700_000_000, 1_700_000_000_000]},
            r"'time' must hold times of one unit\. Received: 1700000000 in row 0 and "
            r"1700000000000 in row 1: these look like seconds and ms",
        ),
        (
            {"time": [1.7e18, 1.7e9]},
            r"times of one unit\. Received: 1700000000\.0 in row 1.*seconds and ns",
        ),
        ({"time": ["2024-01-31", "soon"]}, r"`time` must be a column of.*'soon' in row 1"),
        ({"time": ["31.01.2024", "1700000000"]}, r"`time` must be a column.*'1700000000' in row 1"),
        ({"rating": ["5", "good"]}, r"`label` must be a column of.*'good' in row 1.*--positive"),
    ],
)
def test_times_and_labels_that_cannot_be_read(more, message):
    with pytest.raises(ValueError, match=message):
        read_tables({**IDS, **more})


def test_float_times_of_nanoseconds_are_read():
    read = read_tables({**IDS, "time": [1.7e18, 1.70000001e18]})
    assert read.tables.events["time"].to_pylist() == [1_700_000_000, 1_700_000_010]


@pytest.mark.parametrize(
    "text, message",
    [
        (
            'session_id,items,times\na,"[1, 2]","[5, 6]"\nb,[3],7\n',
            r"Column 'times' of .*e\.csv must hold lists\. Row 1: '7'",
        ),
        (
            "session_id,items,times\na,x y,1 2\nb,y,3 4\n",
            r"`times` must be lists as long as those of 'items' in .*e\.csv.*2 values for 1 items "
            r"in row 1'\. 1 such rows\. Fix them, or leave the column out: --drop times",
        ),
        ("Unnamed: 0\n0\n1\n", r"e\.csv has no column left"),
    ],
)
def test_files_that_hold_no_events(text, message, tmp_path):
    (tmp_path / "e.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_tables(tmp_path / "e.csv")


def test_a_spec_that_says_another_type_of_ids():
    spec = FeatureSpec(
        (
            Categorical("user", "query", dtype="int64", is_id=True),
            Categorical("item", "candidate", is_id=True),
            Numeric("price", "candidate"),
        )
    )
    message = r"`spec` of `user` must be a Categorical of dtype 'string', as the table holds"
    with pytest.raises(ValueError, match=message):
        read_tables(IDS, spec=spec)


@pytest.mark.parametrize(
    "test_events, message",
    [
        (
            {"user": ["a"], "thing": ["x"]},
            r"`test_events` must be with the item in a column 'item'",
        ),
        (
            {"user": ["a"], "item": ["x"], "floor": [1.5]},
            r"Column 'floor' of the table `test_events` must hold int64 as well",
        ),
    ],
)
def test_test_events_of_other_columns(test_events, message):
    with pytest.raises(ValueError, match=message):
        read_tables({**IDS, "floor": [1, 2]}, test_events=test_events)


def test_numbers_beside_lists_in_json_are_of_the_session(tmp_path):
    (tmp_path / "e.csv").write_text('session_id,items,total\na,"[1, 2]",5\nb,[3],7\n')
    events = read_tables(tmp_path / "e.csv").tables.events
    assert events.select(["items", "total"]).to_pydict() == {
        "items": ["1", "2", "3"],
        "total": [5, 5, 7],
    }
