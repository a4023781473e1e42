import pytest

from tfrecs.datasets import grocery, grocery_relations

TRAIN = ["user_id\titem_id\ttime", "7\t1\t86400", "7\t3\t172800", "8\t1\t86400"]
META = [
    "item_id\ti_category\tr_complement\tr_substitute",
    "1\t0\t[3, 2]\t[2]",
    "2\t5\t[]\t[]",
    "3\t5\t[1]\t[]",
]


def write(folder, train=TRAIN, meta=META):
    (folder / "train.csv").write_text("\n".join(train) + "\n")
    (folder / "item_meta.csv").write_text("\n".join(meta) + "\n")
    return folder


def test_events_and_items_are_read(tmp_path):
    tables = grocery(write(tmp_path))
    assert tables.events.to_pylist()[1] == {"user_id": 7, "item_id": 3, "time": 172_800}
    assert tables.queries["user_id"].to_pylist() == [7, 8]
    assert tables.candidates["category"].to_pylist() == [0, 5, 5]


def test_relations_are_pairs_in_their_order(tmp_path):
    pairs = grocery_relations(write(tmp_path))
    assert list(zip(*(pairs[n].to_pylist() for n in pairs.column_names), strict=True)) == [
        (1, 3, "also bought"),
        (1, 2, "also bought"),
        (3, 1, "also bought"),
        (1, 2, "also viewed"),
    ]


@pytest.mark.parametrize(
    "meta, message",
    [
        ([*META, "4\t1\t[9]\t[]"], r"item_meta.csv must hold every item of r_complement.*lacks 9"),
        ([*META, "4\t1\t[1, \t[]"], r"item_meta.csv, line 5, r_complement must be a list of items"),
        ([*META, "4\t1\t[]\t[1.5]"], r"line 5, r_substitute must be a list of items: \[3, 17\]"),
        ([*META, "4\t1\t\t[]"], "line 5, r_complement must be a list"),
        (["item_id\ti_category", "1\t0"], r"item_meta.csv must have the column r_complement"),
        ([*META, "4\t1"], r"item_meta.csv is malformed: .*line 5"),
    ],
)
def test_what_is_no_relation_is_named(tmp_path, meta, message):
    with pytest.raises(ValueError, match=message):
        grocery_relations(write(tmp_path, meta=meta))


def test_a_column_and_a_file_that_are_missing_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no train.csv of Amazon Grocery"):
        grocery(tmp_path)
    with pytest.raises(ValueError, match=r"train.csv must have the column time"):
        grocery(write(tmp_path, train=["user_id\titem_id", "1\t1"]))


def test_the_real_data_are_whole(tfrecs_data):
    summary = grocery(tfrecs_data).describe()
    assert (summary["users"], summary["items"], summary["events"]) == (14_681, 8713, 121_892)
    counts = grocery_relations(tfrecs_data)["relation"].value_counts().to_pylist()
    assert {c["values"]: c["counts"] for c in counts} == {
        "also bought": 248_444,
        "also viewed": 124_933,
    }
