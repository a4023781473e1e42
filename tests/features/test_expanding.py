import pyarrow as pa
import pytest

from tfrecs.features import FeatureTransform
from tfrecs.features.expanding import expand_vocabulary
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Numeric, Sequence


def adapted(*features, **columns):
    return FeatureTransform(FeatureSpec(features)).adapt(pa.table(columns))


def test_known_values_keep_their_ids_twice_in_a_row():
    transform = adapted(Categorical("item"), item=["b", "a", "a", None])
    first = expand_vocabulary(transform, pa.table({"item": ["c", "d", "d", "a"]}))
    second = expand_vocabulary(first, pa.table({"item": ["e", "b"]}))
    assert transform.vocabulary("item").tolist() == ["a", "b"]
    assert first.vocabulary("item").tolist() == ["a", "b", "d", "c"]
    assert second.vocabulary("item").tolist() == ["a", "b", "d", "c", "e"]
    # missing 1, unknown 0, a 2 + 1, b 1 + 1, d 2, c 1, e 1
    assert second.counts("item").tolist() == [1, 0, 3, 2, 2, 1, 1]
    assert second.spec["item"].size == 7
    batch = second({"item": ["a", "e", "z", ""]})
    assert batch["item"].numpy().tolist() == [2, 6, 1, 0]


def test_shared_vocabularies_grow_with_their_owner():
    features = (
        Categorical("item", dtype="int64"),
        Sequence("seen", "query", "int64", shared_with="item"),
    )
    transform = adapted(*features, item=[7, 8], seen=[[7], [8]])
    grown = expand_vocabulary(transform, pa.table({"item": [9], "seen": [[9, 7]]}))
    assert grown.spec["seen"].size == grown.spec["item"].size == 5
    assert grown({"item": [9], "seen": [[9, 7]]})["seen"].numpy().tolist() == [[4, 2]]


def test_numbers_hashes_and_closed_lists_stay():
    features = (
        Numeric("price", normalize="standard"),
        Categorical("hashed", hash_bins=4),
        Categorical("closed", vocabulary=("x",)),
        MultiCategorical("tags"),
    )
    columns = {"price": [1.0, 3.0], "hashed": ["p", "q"], "closed": ["x", "y"], "tags": [["t"], []]}
    transform = adapted(*features, **columns)
    new = {"price": [99.0], "hashed": ["r"], "closed": ["z"], "tags": [["u", "t"]]}
    grown = expand_vocabulary(transform, pa.table(new))
    assert grown.learned.moments == transform.learned.moments
    assert grown.spec["hashed"].size == 6
    assert grown.vocabulary("closed").tolist() == ["x"]
    assert grown.counts("closed").tolist() == [0, 2, 1]
    assert grown.vocabulary("tags").tolist() == ["t", "u"]


def test_limits_hold():
    transform = adapted(Categorical("item", min_count=2, max_size=2), item=["a", "a", "b"])
    new = pa.table({"item": ["c", "c", "d", "d", "d", "e"]})
    grown = expand_vocabulary(transform, new)
    assert grown.vocabulary("item").tolist() == ["a", "d"]  # c finds no room, e is too rare
    # unknown: b once, then c twice and e once
    assert grown.counts("item").tolist() == [0, 4, 2, 3]


def test_a_grown_transform_is_saved_and_read(tmp_path):
    transform = adapted(Categorical("item"), item=["a"])
    grown = expand_vocabulary(transform, pa.table({"item": ["b"]}))
    grown.save(tmp_path / "saved")
    again = expand_vocabulary(FeatureTransform.load(tmp_path / "saved"), pa.table({"item": ["c"]}))
    assert again.vocabulary("item").tolist() == ["a", "b", "c"]


def test_what_is_no_transform_is_refused():
    with pytest.raises(TypeError, match="`transform` must be a FeatureTransform"):
        expand_vocabulary(None, pa.table({"item": ["a"]}))


@pytest.mark.parametrize("saved", [False, True], ids=["in memory", "through files"])
def test_what_is_rare_keeps_its_count_until_it_enters(tmp_path, saved):
    transform = adapted(Categorical("item", min_count=3), item=["x", "x", "x", "old"])
    day = pa.table({"item": ["new", "x", "old", "other"]})
    known = []
    for number in range(3):
        if saved:
            transform.save(tmp_path / str(number))
            transform = FeatureTransform.load(tmp_path / str(number))
        transform = expand_vocabulary(transform, day)
        known.append(transform.vocabulary("item").tolist())
    # old has 1 + 2 on the second day, new and other 3 on the third; ties are by value
    assert known == [["x"], ["x", "old"], ["x", "old", "new", "other"]]
    # x 3 + 3, old 1 + 3, new 3, other 3: no event is lost, and none is left unknown
    assert transform.counts("item").tolist() == [0, 0, 6, 4, 3, 3]


def test_a_known_value_may_be_rare_in_the_new_rows():
    transform = adapted(Categorical("item", min_count=2), item=["x", "x"])
    grown = expand_vocabulary(transform, pa.table({"item": ["x", "y"]}))
    assert grown.counts("item").tolist() == [0, 1, 3]


def test_a_damaged_file_of_rare_values_is_named(tmp_path):
    transform = adapted(Categorical("item", min_count=2), item=["x", "x", "y"])
    transform.save(tmp_path / "saved")
    (tmp_path / "saved" / "item.rare.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"a whole folder.*item\.rare\.parquet"):
        FeatureTransform.load(tmp_path / "saved")
