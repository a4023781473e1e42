import pytest

from tfrecs.datasets import citeulike


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "citeulike-a"
    inside.mkdir()
    (inside / "users.dat").write_text("2 0 2\n1 1\n")
    (inside / "item-tag.dat").write_text("1 1\n0\n2 0 1\n")
    (inside / "tags.dat").write_text("biology\ngraphs\n")
    return tmp_path


def test_libraries_and_tags_are_read(folder):
    tables = citeulike(folder)
    assert tables.events.to_pylist() == [
        {"user_id": 0, "item_id": 0},
        {"user_id": 0, "item_id": 2},
        {"user_id": 1, "item_id": 1},
    ]
    assert tables.candidates["tags"].to_pylist() == [["graphs"], [], ["biology", "graphs"]]


def test_a_line_of_another_length_is_named(folder):
    (folder / "citeulike-a" / "users.dat").write_text("2 0 2\n3 1\n")
    with pytest.raises(ValueError, match=r"users.dat, line 2 must be a count and so many numbers"):
        citeulike(folder)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no users.dat of CiteULike-a, nor does"):
        citeulike(tmp_path)


def test_the_real_data_are_whole(tfrecs_data):
    summary = citeulike(tfrecs_data).describe()
    assert (summary["users"], summary["items"], summary["events"]) == (5551, 16_980, 204_986)
