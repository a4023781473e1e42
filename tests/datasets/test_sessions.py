import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrecs import FeatureTransform, datasets
from tfrecs.datasets.sessions import latest, make_sessions, session_lengths, split_sessions


def events(rows):
    ids, items, times = zip(*rows, strict=True)
    return pa.table({"session_id": ids, "item_id": items, "time": times})


def rows_of(table):
    return list(zip(table["session_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))


def test_sessions_are_sorted_by_their_start_and_events_by_time():
    # session 2 starts first; the times of session 1 go backwards; equal times keep their order
    given = events([(1, "b", 9), (1, "a", 5), (2, "c", 1), (1, "c", 9), (2, "a", 3)])
    made = make_sessions("x", given, given)
    assert rows_of(made.train) == [(2, "c"), (2, "a"), (1, "a"), (1, "b"), (1, "c")]
    assert made.lengths.tolist() == [2, 3]


def test_rows_of_a_session_that_stand_apart_are_brought_together():
    given = events([(1, "a", 1), (2, "b", 2), (1, "b", 3), (2, "a", 4)])
    assert rows_of(make_sessions("x", given, given).train)[:2] == [(1, "a"), (1, "b")]


def test_rare_items_then_short_sessions_then_unseen_items_are_dropped():
    train = events([(1, "a", 1), (1, "b", 2), (2, "a", 3), (2, "c", 4), (3, "a", 5), (3, "b", 6)])
    test = events([(4, "a", 7), (4, "c", 8), (5, "a", 9), (5, "z", 9), (5, "b", 9), (6, "a", 10)])
    made = make_sessions("x", train, test, min_support=2)
    # c has one event, so session 2 has one left
    assert rows_of(made.train) == [(1, "a"), (1, "b"), (3, "a"), (3, "b")]
    # c and z are unseen: session 4 has one left; session 6 has one event
    assert rows_of(made.test) == [(5, "a"), (5, "b")]
    assert made.candidates["item_id"].to_pylist() == ["a", "b"]


def test_sessions_are_split_by_their_first_event():
    given = events([(1, "a", 1), (1, "b", 20), (2, "b", 10), (2, "a", 11)])
    made = split_sessions("x", given, test_from=10)
    assert rows_of(made.train) == [(1, "a"), (1, "b")]
    assert rows_of(made.test) == [(2, "b"), (2, "a")]


def test_the_latest_events_come_in_whole_sessions():
    given = events([(s, i, 10 * s) for s in range(4) for i in "ab"])
    cut = latest(make_sessions("x", given, given), 3)
    assert session_lengths(cut.train).tolist() == [2]


def test_histories_are_the_sessions_as_lists():
    given = events([(1, "a", 1), (1, "b", 2), (2, "b", 3), (2, "c", 4)])
    made = make_sessions("x", given, given)
    assert made.histories["history"].to_pylist() == [["a", "b"], ["b", "c"]]
    transform = FeatureTransform(made.spec.select("item_id", "history"))
    assert transform.adapt(made.train, made.histories).spec["history"].size == 5


@pytest.mark.parametrize(
    "train, message",
    [
        (pa.table({"session_id": [1], "time": [1]}), "`train` must be a table with the column 'it"),
        (events([(1, None, 1), (1, "a", 2)]), "`train` must be without missing item_id"),
        (events([(1, "a", 1), (2, "a", 2)]), "`train` has no session left with min_length=2"),
    ],
)
def test_bad_events_are_named(train, message):
    with pytest.raises(ValueError, match=message):
        make_sessions("x", train, train)


def test_a_folder_of_tab_files_is_read(tmp_path):
    text = "SessionId\tItemId\tTime\n1\t10\t1396321200.5\n1\t11\t1396321201.25\n"
    (tmp_path / "clicks_train_full.txt").write_text(text)
    (tmp_path / "clicks_test.txt.gz").write_bytes(gzip.compress(text.encode()))
    found = datasets.session_folder(tmp_path)
    assert found.train["time"].to_pylist() == [1396321200500, 1396321201250]
    assert found.test["item_id"].to_pylist() == ["10", "11"]


def test_what_a_folder_lacks_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no \*_train_full.txt"):
        datasets.session_folder(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}_train_full.txt").write_text("SessionId\tItemId\n1\t2\n")
    with pytest.raises(ValueError, match=r"holds several \*_train_full.txt"):
        datasets.session_folder(tmp_path)
    with pytest.raises(ValueError, match="a file with the column 'Time'"):
        datasets.read_session_file(tmp_path / "a_train_full.txt")


def test_diginetica_s_prefixes_become_sessions_again(tmp_path):
    train = pa.table({"items": [[1, 2, 3], [4, 5]]})
    test = pa.table({"prefix": [[1, 2], [1], [4]], "target": [3, 2, 5]})
    pq.write_table(train, tmp_path / "train_sessions.parquet")
    pq.write_table(test, tmp_path / "test_prefixes.parquet")
    found = datasets.diginetica(tmp_path)
    assert found.lengths.tolist() == [3, 2]
    assert [item for _, item in rows_of(found.test)] == ["1", "2", "3", "4", "5"]
    assert session_lengths(found.test).tolist() == [3, 2]


def test_globo_is_split_by_hour_file_with_contexts(tmp_path):
    kinds = ("environment", "deviceGroup", "os", "country", "region", "referrer_type")
    columns = {f"click_{name}": [1, 2, 1, 2] for name in kinds}
    columns |= {"session_id": [1, 1, 2, 2], "click_article_id": [7, 8, 8, 7]}
    columns |= {"click_timestamp": [0, 3_600_000, 7_200_000, 7_200_001]}
    columns |= {"hour_file": [0, 0, 361, 361]}
    pq.write_table(pa.table(columns), tmp_path / "clicks.parquet")
    found = datasets.globo(tmp_path)
    assert rows_of(found.train) == [(1, "7"), (1, "8")]
    assert found.test["hour"].to_pylist() == ["2", "2"]
    assert found.train["gap"].to_pylist() == ["first", "11"]  # an hour: log2(3601)
    assert found.histories["history_devicegroup"].to_pylist() == [["1", "2"]]


def test_user_sequences_of_both_layouts(tmp_path):
    (tmp_path / "lines.txt").write_text("1 5 6 7\n2 6 5\n")
    (tmp_path / "pairs.txt").write_text("1 5\n1 6\n1 7\n2 6\n2 5\n")
    (tmp_path / "lines_item2attributes.json.gz").write_bytes(
        gzip.compress(json.dumps({"5": [1, 2]}).encode())
    )
    lines, pairs = (datasets.user_sequences(tmp_path / f"{n}.txt") for n in ("lines", "pairs"))
    for found in (lines, pairs):
        assert [user.tolist() for user in found.users()] == [[5, 6, 7], [6, 5]]
        assert found.num_items == 7
    assert lines.attributes == {5: [1, 2]}
    assert pairs.attributes == {}


def test_a_line_that_is_no_sequence_is_named(tmp_path):
    (tmp_path / "bad.txt").write_text("1 5\n2 x\n")
    with pytest.raises(ValueError, match="line 2 is '2 x'"):
        datasets.user_sequences(tmp_path / "bad.txt")


def test_the_published_sets_have_their_published_sizes(tfrecs_data):
    found = datasets.session_folder(tfrecs_data / "rsc15-100k")
    assert (found.train.num_rows, len(found.lengths)) == (70_278, 17_794)
    assert (found.candidates.num_rows, found.test.num_rows) == (2933, 13_568)
    beauty = datasets.user_sequences(tfrecs_data / "s3rec-sequences" / "Beauty.txt.gz")
    assert (len(beauty.items), len(beauty.lengths), beauty.num_items) == (198_502, 22_363, 12_101)
    assert np.isin(list(beauty.attributes), beauty.items).all()
