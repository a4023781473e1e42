import numpy as np
import pytest

from tfrecs.datasets import scientific
from tfrecs.evaluation.splits import leave_last_out

HEAD = "user_id:token\titem_id_list:token_seq\titem_id:token"


def write(folder, **changes):
    """Two users: 3 1 2 0 1 and 0 2 1 3; the second has the shortest sequence that there can be."""
    files = {
        "Scientific.train.inter": [HEAD, "0\t3 1\t2", "0\t3\t1", "1\t0\t2"],
        "Scientific.valid.inter": [HEAD, "0\t3 1 2\t0", "1\t0 2\t1"],
        "Scientific.test.inter": [HEAD, "0\t3 1 2 0\t1", "1\t0 2 1\t3"],
        "Scientific.item2index": [f"B{item}\t{item}" for item in range(4)],
        "Scientific.text": [
            "item_id:token\ttext:token_seq",
            *(f"B{i}\tA 1.5 in. tape. Tools & Tape. Brand {i}. " for i in (3, 2, 1)),
            "B0\tGlue. Tools. . ",
        ],
    }
    for name, lines in files.items():
        key = name.split(".")[1]
        (folder / name).write_text("\n".join(changes.get(key, lines)) + "\n")
    np.save(folder / "text_vectors.npy", np.eye(4, 2, dtype=np.float16))
    return folder


def test_sequences_are_put_together_from_the_three_files(tmp_path):
    tables = scientific(write(tmp_path))
    assert tables.events["user_id"].to_pylist() == [0] * 5 + [1] * 4
    assert tables.events["item_id"].to_pylist() == [3, 1, 2, 0, 1, 0, 2, 1, 3]
    assert tables.events["place"].to_pylist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    test = leave_last_out(tables.events, tables.spec).test
    assert sorted(test["item_id"].to_pylist()) == [1, 3]


def test_texts_are_titles_categories_and_brands(tmp_path):
    items = scientific(write(tmp_path)).candidates
    assert items["title"].to_pylist() == ["Glue", *["A 1.5 in. tape"] * 3]
    assert items["categories"].to_pylist() == ["Tools", *["Tools & Tape"] * 3]
    assert items["brand"].to_pylist() == [None, "Brand 1", "Brand 2", "Brand 3"]
    first = [("title", "Glue"), ("categories", "Tools"), ("brand", None)]
    assert items["attributes"][0].as_py() == first
    assert items["vector"].to_pylist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
    assert "vector" not in scientific(tmp_path, vectors=False).candidates.column_names


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"train": [HEAD, "0\t3 x\t2"]}, r"Scientific.train.inter, line 2 must be a user, a his"),
        ({"train": [HEAD, "0\t3"]}, r"Scientific.train.inter, line 2 must be a user"),
        ({"train": [HEAD, "0\t\t3"]}, r"Scientific.train.inter, line 2 has no history"),
        ({"train": [HEAD, "0\t3\t1"]}, r"The events of user 0 do not fit"),
        ({"test": [HEAD, "0\t3 1 2 0\t1"]}, r"The events of user 1 do not fit"),
        ({"item2index": ["B0\t0", "B1\t2"]}, r"line 2 must be an ASIN and the number 1"),
        ({"item2index": ["B0\t0", "B1\t1", "B2\t2"]}, "must name every item. Received: item 3"),
        ({"text": ["x", "B0\tGlue. Tools"]}, r"Scientific.text, line 2 must be an ASIN, a tab"),
        ({"text": ["x", "B0\tGlue. Tools. Me."]}, r"lacks the text of B1 \(3 such items\)"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        scientific(write(tmp_path, **changes))


def test_vectors_of_another_shape_and_missing_ones_are_named(tmp_path):
    write(tmp_path)
    np.save(tmp_path / "text_vectors.npy", np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"text_vectors.npy must hold .*\(4, E\). Received: \(3"):
        scientific(tmp_path)
    (tmp_path / "text_vectors.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"text_vectors.npy is damaged"):
        scientific(tmp_path)
    (tmp_path / "text_vectors.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no text_vectors.npy of Amazon Scientific"):
        scientific(tmp_path)


def test_the_real_data_are_whole(tfrecs_data):
    tables = scientific(tfrecs_data)
    summary = tables.describe()
    assert (summary["users"], summary["items"], summary["events"]) == (8442, 4385, 59_427)
    vectors = np.array(tables.candidates["vector"].to_pylist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)
    assert tables.candidates["brand"].null_count == 12
