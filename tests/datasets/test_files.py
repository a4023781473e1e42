import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrecs.datasets import read_tables
from tfrecs.datasets.readers import read_file
from tfrecs.spec import Categorical, MultiCategorical, Numeric, Text, Timestamp, Vector

ROWS = [
    {"userId": "a", "sku": "x", "ts": 1, "stars": 5},
    {"userId": "b", "sku": "y", "ts": 2, "stars": 1},
]
ROWS += [{"userId": "a", "sku": "y", "ts": 3, "stars": 0}]


def delimited(separator):
    lines = [separator.join(map(str, row.values())) for row in ROWS]
    return "\n".join([separator.join(ROWS[0]), *lines]) + "\n"


def write(path, text):
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def events_file(folder, name):
    path = folder / name
    if ".parquet" in name:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return path
    if "json" in name or "nd" in name:
        return write(path, "\n".join(map(json.dumps, ROWS)) + "\n")
    return write(path, delimited("\t" if ".tsv" in name else ","))


@pytest.mark.parametrize(
    "name",
    ["e.csv", "e.csv.gz", "e.tsv", "e.tsv.gz", "e.parquet", "e.jsonl", "e.jsonl.gz", "e.ndjson"],
)
def test_every_format_gives_the_same_tables(tmp_path, name):
    read = read_tables(events_file(tmp_path, name))
    assert read.columns == {"user": "userId", "item": "sku", "time": "ts", "label": "stars"}
    assert read.tables.events.to_pylist() == ROWS
    assert read.tables.queries.to_pylist() == [{"userId": "a"}, {"userId": "b"}]
    assert read.tables.candidates.to_pylist() == [{"sku": "x"}, {"sku": "y"}]
    assert read.tables.name == "e"
    assert read.tables.positives["ts"].to_pylist() == [1, 2]  # stars above 0
    assert read.tables.spec.query_id == Categorical("userId", "query", is_id=True)


def test_a_csv_file_may_use_semicolons(tmp_path):
    path = write(tmp_path / "e.csv", delimited(";"))
    assert read_tables(path).tables.events.num_rows == 3


@pytest.mark.parametrize(
    "names, columns",
    [
        (["customer", "product", "date", "weight"], ["customer", "product", "date", "weight"]),
        (["user", "movieId", "timestamp", "rating"], ["user", "movieId", "timestamp", "rating"]),
        (["visitor_id", "click_article_id", "click_timestamp"], None),
    ],
)
def test_known_names_are_guessed(tmp_path, names, columns):
    cells = "1,2,2020-01-01,3\n" if columns else "1,2,1600000000000\n"
    path = write(tmp_path / "e.csv", ",".join(names) + "\n" + cells)
    found = list(read_tables(path).columns.values())
    assert found == (columns or [*names, None])


def test_the_only_timestamps_are_the_time(tmp_path):
    row = "1,2,2020-01-01T10:00:00"
    path = write(tmp_path / "e.csv", f"listener,track,played_at\n{row}\n")
    assert read_tables(path).columns["time"] == "played_at"
    path = write(tmp_path / "two.csv", f"listener,track,began,ended\n{row},2020-01-01T10:03:00\n")
    assert read_tables(path).columns["time"] is None


def test_named_columns_win(tmp_path):
    path = write(tmp_path / "e.csv", "user_id,item_id,who,what\n1,2,3,4\n")
    read = read_tables(path, user="who", item="what")
    assert read.tables.queries.to_pylist() == [{"who": "3"}]


def test_item_features_are_guessed_from_types(tmp_path):
    events = write(tmp_path / "e.csv", "user,item\n1,1\n1,2\n2,3\n2,4\n")
    items = pa.table(
        {
            "id": [1, 2, 3, 4],
            "name": ["A lamp", "A red lamp", "A bulb", "A chair"],
            "about": ["Gives light in every room of the house and outside"] * 4,
            "colour": ["red", "red", "blue", "blue"],
            "genres": ["Light|Red", "Light", "Light|Bulb", "Seat"],
            "tags": [["a"], ["b", "c"], [], None],
            "price": [1.5, None, 2.0, 3.0],
            "brand_id": [7, 7, 8, 8],
            "new": [True, False, True, False],
            "since": pa.array([0, 1, 2, 3], pa.timestamp("ms")),
            "day": pa.array([0, 1, 2, 3], pa.date32()),
            "image": [[0.0, 1.0]] * 4,
            "cost": pa.array([1, 2, 3, 4], pa.int32()).cast(pa.decimal128(12, 2)),
            "empty": pa.nulls(4),
        }
    )
    pq.write_table(items, tmp_path / "items.parquet")
    read = read_tables(events, tmp_path / "items.parquet")
    assert {feature.name: feature for feature in read.tables.spec.by_role("candidate")} == {
        "item": Categorical("item", "candidate", is_id=True),
        "title": Text("title", "candidate"),
        "about": Text("about", "candidate"),
        "colour": Categorical("colour", "candidate"),
        "genres": MultiCategorical("genres", "candidate"),
        "tags": MultiCategorical("tags", "candidate"),
        "price": Numeric("price", "candidate", normalize="standard"),
        "brand_id": Categorical("brand_id", "candidate", "int64"),
        "new": Numeric("new", "candidate"),
        "since": Timestamp("since", "candidate", "ms"),
        "day": Timestamp("day", "candidate", "s"),
        "image": Vector("image", "candidate", dim=2),
        "cost": Numeric("cost", "candidate", normalize="standard"),
    }
    assert read.tables.candidates["genres"][0].as_py() == ["Light", "Red"]
    assert read.tables.candidates["day"].to_pylist() == [0, 86_400, 172_800, 259_200]
    assert read.notes == (
        f"'id' of {tmp_path}/items.parquet is 'item' of the events: it holds 100 % of their items.",
        f"The item ids are whole numbers in {tmp_path}/items.parquet and text in {tmp_path}/e.csv: "
        "the numbers are written as text, 7 as '7'.",
        "'name' of the items is taken for their title.",
        "'genres' is read as lists separated by |.",
        "'empty' is left out: no feature is made of null.",
    )


def test_ids_that_only_events_have_are_kept_and_counted(tmp_path):
    events = write(tmp_path / "e.csv", "user,item\na,1\nb,2\n")
    items = write(tmp_path / "i.csv", "item,price\n1,5\n3,6\n")
    read = read_tables(events, items)
    assert read.tables.candidates.to_pylist() == [
        {"item": "1", "price": 5},
        {"item": "3", "price": 6},
        {"item": "2", "price": None},
    ]
    assert "1 of 2 items of the events are not in i.csv" in read.notes[0]


def test_ids_of_text_on_one_side_are_text_on_both(tmp_path):
    events = write(tmp_path / "e.csv", "user,item\na,1\nb,2\n")
    items = write(tmp_path / "i.jsonl", '{"item": "1"}\n{"item": "2"}\n')
    assert read_tables(events, items).tables.events["item"].to_pylist() == ["1", "2"]


def test_whole_numbers_written_as_floats_are_ids(tmp_path):
    pq.write_table(pa.table({"user": [1.0, 2.0], "item": [3.0, 4.0]}), tmp_path / "e.parquet")
    tables = read_tables(tmp_path / "e.parquet").tables
    assert tables.events["user"].to_pylist() == [1, 2]


def test_features_of_one_name_are_renamed_apart(tmp_path):
    events = write(tmp_path / "e.csv", "user,item,city\na,x,Rome\n")
    items = write(tmp_path / "i.csv", "item,city,user\nx,Bonn,seller\n")
    users = write(tmp_path / "u.csv", "user,city\na,Wien\n")
    read = read_tables(events, items, users)
    assert read.tables.queries.to_pylist() == [{"user": "a", "user_city": "Wien"}]
    assert read.tables.candidates.to_pylist() == [
        {"item": "x", "city": "Bonn", "item_user": "seller"}
    ]
    assert read.tables.events.column_names == ["user", "item"]
    assert "'city' of the events is left out: users or items have it too." in read.notes


@pytest.mark.parametrize(
    "cells, unit, expected",
    [
        (["1600000000", "1600000001"], "s", 1_600_000_000),
        (["1600000000000", "1600000000001"], "ms", 1_600_000_000_000),
        (["1600000000000", "1600000001000"], "s", 1_600_000_000),
        (["1600000000.75", "1600000001.5"], "ms", 1_600_000_000_750),
        (["2020-09-13", "2020-09-14"], "s", 1_599_955_200),
        (["2020-09-13T12:26:40Z", "2020-09-14T00:00:00Z"], "s", 1_600_000_000),
    ],
)
def test_times_become_integers_of_a_unit(tmp_path, cells, unit, expected):
    rows = "".join(f"a,x,{cell}\n" for cell in cells)
    tables = read_tables(write(tmp_path / "e.csv", "user,item,time\n" + rows)).tables
    assert tables.events["time"][0].as_py() == expected
    assert tables.spec["time"] == Timestamp("time", "time", unit)


BAD_EVENTS = [
    ("user,thing\na,x\n", {}, r"e\.csv looks like the item id.*thing \(string\).*item='...'"),
    (
        "user,item\na,x\n",
        {"time": "tiem"},
        r"`time` must be a column of .*e\.csv.*Received: 'tiem'",
    ),
    ("user,item,stars\na,x,1\n", {"label": "star"}, "`label` must be .* Did you mean 'stars'"),
    ("user,item\na,x\n", {"item": "user"}, "`item` must be another column than the user id"),
    ("user,item\na,x,z\nb,y\n", {}, r"e\.csv is malformed: line 2: Expected 2 columns, got 3"),
    ("", {}, r"e\.csv is empty"),
    ("user,item\n", {}, r"e\.csv has no rows"),
    ("user,item\na,x\n,y\n", {}, r"`user` of `events` has no value in row 1 .*e\.csv"),
    ("user,item,rating\na,x,1\nb,y,NaN\n", {}, "`rating` of `events` has no value in row 1"),
    (
        "user,item,rating\na,x,inf\nb,y,1\n",
        {},
        "`rating` .* finite numbers. Received: inf in row 0",
    ),
    ("user,item,age\na,x,1\nb,y,-inf\n", {}, "`age` .* finite numbers. Received: -inf in row 1"),
    (
        "user,item,ok\na,x,so so\n",
        {"label": "ok"},
        "`label` must be a column of numbers or of yes and no; 'ok' is not",
    ),
    (
        "user,item,at\na,x,soon\n",
        {"time": "at"},
        "`time` must be .* 2020-01-31 12:00.*; 'at' is not",
    ),
    (
        "user,item,at\na,x,true\n",
        {"time": "at"},
        "`time` must be .*; 'at' is not. Received: 'true'",
    ),
    (b"user,item\na,x\nb,caf\xe9\n", {}, r"e\.csv must be UTF-8.*in column 'item', row 1"),
]


@pytest.mark.parametrize(
    "ids, message",
    [
        ([1.5], "'user' of .*`events` must hold ids"),
        ([True], "'user' of .*`events` must hold ids, text or integers. Received: bool"),
        ([2.0**53], r"9007199254740992.0 in row 0, a number .* merges ids from 2\*\*53 on"),
    ],
)
def test_ids_that_are_no_ids_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        read_tables({"user": ids, "item": ["x"]}, user="user")


@pytest.mark.parametrize("text, named, message", BAD_EVENTS)
def test_bad_events_are_refused_by_file_row_and_column(tmp_path, text, named, message):
    with pytest.raises(ValueError, match=message):
        read_tables(write(tmp_path / "e.csv", text), **named)


@pytest.mark.parametrize(
    "text, message",
    [
        ("item,price\nx,1\nx,2\n", r"distinct ids. Received: 'x' in rows 0, 1.*i\.csv"),
        ("price\n1\n", r"i\.csv must have the item id in a column 'item'.*\['price'\]"),
        (
            "item,price\nX,1\n",
            r"No item of the events is in .*i\.csv. Received: item 'x' there, 'X'",
        ),
        (
            "item,price\nx,nan\ny,inf\n",
            "`price` of `candidates` must hold finite numbers.*in row 1",
        ),
    ],
)
def test_bad_items_are_refused(tmp_path, text, message):
    events = write(tmp_path / "e.csv", "user,item\na,x\n")
    with pytest.raises(ValueError, match=message):
        read_tables(events, write(tmp_path / "i.csv", text))


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("e.xlsx", "", r"extensions .csv, .tsv, .parquet.*Received: 'e\.xlsx'"),
        ("e.parqet", "", "Did you mean '.parquet'"),
        ("e.parquet", "", r"e\.parquet is empty"),
        ("e.parquet", "PAR1 and no more", r"e\.parquet is truncated or not Parquet"),
        ("e.jsonl", "", r"e\.jsonl is empty"),
        ("e.jsonl", '{"a": 1}\n{"a": 2,}\n', r"e\.jsonl is malformed: line 2, column \d+"),
        ("e.jsonl", '{"a": 1}\n{"a": "x"}\n', "line 2: field 'a' is a str after number values"),
        ("e.jsonl", "[1]\n", r"e\.jsonl is malformed: line 1 is not an object"),
        ("e.jsonl", b'{"a": "x"}\n{"a": "\xff"}\n', r"e\.jsonl must be UTF-8.*'a', row 1"),
        ("e.csv.gz", b"not gzip", r"e\.csv\.gz is truncated or not gzip"),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        read_file(tmp_path / name)


def test_text_that_is_not_utf8_in_parquet_is_named(tmp_path):
    column = pa.array([b"ok", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"a": column}), tmp_path / "e.parquet")
    with pytest.raises(ValueError, match=r"e\.parquet must be UTF-8. Received: b'\\xff'.*row 1"):
        read_file(tmp_path / "e.parquet")


def test_a_truncated_parquet_file_is_named(tmp_path):
    path = events_file(tmp_path, "e.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"e\.parquet is truncated or not Parquet"):
        read_tables(path)


def test_a_malformed_line_far_down_is_named(tmp_path):
    lines = ["user,item"] + ["a,x"] * 200_000
    lines[150_000] = "a"
    with pytest.raises(ValueError, match="line 150001: Expected 2 columns, got 1"):
        read_file(write(tmp_path / "e.csv", "\n".join(lines)))


@pytest.mark.parametrize("name", ["e.csv", "e.parquet", "e.jsonl"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        read_tables(tmp_path / name)
