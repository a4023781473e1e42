import gzip

import numpy as np
import pyarrow as pa
import pytest

from tfrecs.datasets import Impressions, mind, write_mind

ENTITY = '[{"Label": "Golf", "WikidataId": "Q5377", "Confidence": 1.0}]'
NEWS = [
    ["N1", "sports", "golf", 'A "quoted" title', "The body", "http://x", ENTITY, "[]"],
    ["N2", "news", "politics", "Another", "", "", "", ENTITY.replace("5377", "9")],
    ["N3", "news", "world", "", "Body", "", "[]", "[]"],
]
LOG = [
    ["1", "U1", "11/9/2019 9:05:58 AM", "N1 N7", "N1-1 N2-0"],
    ["7", "U2", "11/10/2019 12:00:00 PM", "", "N3-0 N8-0 N1-0"],
    ["9", "U1", "11/11/2019 11:59:59 PM", "N2", "N3-1"],
]


def written(folder, news=NEWS, log=LOG):
    for name, rows in (("news.tsv", news), ("behaviors.tsv", log)):
        (folder / name).write_text("".join("\t".join(row) + "\n" for row in rows))
    return folder


def test_both_files_are_read(tmp_path):
    data = mind(written(tmp_path))
    assert data.log.to_pylist()[0] == {
        "impression_id": 1,
        "user_id": "U1",
        "time": 1573290358,  # date -u -d "2019-11-09 09:05:58" +%s
        "history": ["N1", "N7"],
        "candidates": ["N1", "N2"],
        "clicked": [1, 0],
    }
    assert data.log["time"].to_pylist()[1] == 1573387200
    assert data.log["history"].to_pylist()[1] == []  # an empty history
    assert data.log["clicked"].to_pylist()[1] == [0, 0, 0]  # none clicked
    first, second, third = data.news.to_pylist()
    assert first["title"] == 'A "quoted" title'
    assert first["entities"] == ["Q5377"]
    assert (second["body"], second["entities"]) == (None, ["Q9"])  # no body
    assert (third["title"], third["entities"]) == (None, [])


def test_ids_without_news_are_counted_and_can_be_added(tmp_path):
    data = mind(written(tmp_path))
    assert data.absent == {"history": 1, "candidates": 1}
    whole = data.with_all_ids()
    assert whole.absent == {"history": 0, "candidates": 0}
    assert whole.news["news_id"].to_pylist() == ["N1", "N2", "N3", "N7", "N8"]
    assert whole.news["title"].to_pylist()[3:] == [None, None]
    assert data.describe() == {
        "impressions": "3 by 2 users",
        "news": "3, 1 without body",
        "candidates": "6, 2 clicked",
        "history": "1.0 on average, 1 empty",
        "absent from news": "1 of history, 1 of candidates",
    }


def test_a_log_without_labels_is_read_as_such(tmp_path):
    log = [[*row[:4], row[4].replace("-1", "").replace("-0", "")] for row in LOG]
    data = mind(written(tmp_path, log=log))
    assert data.log["candidates"].to_pylist()[0] == ["N1", "N2"]
    assert data.log["clicked"].to_pylist() == [None] * 3


def test_compressed_files_are_read(tmp_path):
    expected = mind(written(tmp_path)).log
    for path in list(tmp_path.iterdir()):
        path.with_suffix(".tsv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert mind(tmp_path).log == expected


def test_what_is_written_is_read_again(tmp_path):
    data = mind(written(tmp_path))
    write_mind(data, tmp_path / "copy")
    copy = mind(tmp_path / "copy")
    assert copy.log == data.log
    assert copy.news == data.news


def test_impressions_are_split_by_time(tmp_path):
    data = mind(written(tmp_path))
    train, test = data.split(1 / 3)
    assert train.log["impression_id"].to_pylist() == [1, 7]
    assert test.log["impression_id"].to_pylist() == [9]
    with pytest.raises(ValueError, match="`fraction` must be between 0 and 1"):
        data.split(1)


def changed(rows, row, column, value):
    return [
        [value if (r, c) == (row, column) else old for c, old in enumerate(fields)]
        for r, fields in enumerate(rows)
    ]


@pytest.mark.parametrize(
    "row, column, value, message",
    [
        (1, 0, "x", r"an impression id, an integer, in line 2\. Received: 'x'"),
        (2, 2, "2019-11-09", r"a time such as .* in line 3\. Received: '2019-11-09'"),
        (1, 4, "", "a candidate or more in line 2"),
        (2, 4, "N1-1 N2-2", r"candidates as N1-1 N2-0 in line 3\. Received: 'N1-1 N2-2'"),
        (0, 4, "N1", r"candidates as N1-1 N2-0 in line 1"),
    ],
)
def test_a_malformed_impression_is_named_by_its_line(tmp_path, row, column, value, message):
    with pytest.raises(ValueError, match=message):
        mind(written(tmp_path, log=changed(LOG, row, column, value)))


@pytest.mark.parametrize(
    "row, column, value, message",
    [
        (1, 0, "", "a news id in line 2"),
        (2, 0, "N1", "`news_id` of `news.tsv` must hold distinct ids. Received: 'N1' in rows 0, 2"),
        (1, 6, "[1]", r"a JSON list .* in line 2\. Received: '\[1\]'"),
        (2, 7, "{", r"a JSON list .* in line 3"),
    ],
)
def test_a_malformed_news_is_named_by_its_line(tmp_path, row, column, value, message):
    with pytest.raises(ValueError, match=message):
        mind(written(tmp_path, news=changed(NEWS, row, column, value)))


@pytest.mark.parametrize("part", ["news", "log"])
def test_a_row_of_too_few_columns_is_named_by_its_line(tmp_path, part):
    rows = {"news": NEWS, "log": LOG}[part]
    rows = [*rows[:2], rows[2][:-1]]
    with pytest.raises(ValueError, match=r"malformed: .*line 3"):
        mind(written(tmp_path, **{part: rows}))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no news\.tsv of MIND"):
        mind(tmp_path)


def test_tables_of_other_columns_are_refused():
    news = pa.table({"news_id": ["N1"]})
    log = pa.table({"user_id": ["U"], "history": [["N1"]], "candidates": [["N1"]]})
    data = Impressions.of("x", news, log)
    assert data.log["clicked"].to_pylist() == [None]
    with pytest.raises(ValueError, match=r"`news` must be of the columns news_id string"):
        Impressions("x", news, data.log)
    with pytest.raises(ValueError, match=r"`log` must be of as many labels as candidates \(1 in"):
        Impressions.of("x", news, log.append_column("clicked", [[[1, 0]]]))


def test_the_fragment_of_mind_small_is_read(tfrecs_data):
    data = mind(tfrecs_data / "mind-small-fragment", "MIND-small fragment")
    assert (data.log.num_rows, data.news.num_rows) == (5000, 2000)
    # 189,359 candidates, of which 5,310 have their news; 159,802 clicks before, 6,161 with news
    assert data.absent == {"history": 159_802 - 6_161, "candidates": 189_359 - 5_310}
    clicked = np.concatenate(data.log["clicked"].to_numpy(zero_copy_only=False))
    assert (len(clicked), clicked.sum()) == (189_359, 7_542)
    empty = [row for row in data.log["history"].to_pylist() if not row]
    assert len(empty) == 107
    assert data.news["body"].null_count == 99
