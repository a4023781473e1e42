import pytest

from tfrecs.files import written_aside


def write_half(target, error):
    with written_aside(target) as aside:
        aside.write_text("half")
        raise error


def test_a_file_is_replaced_only_when_the_block_succeeds(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_half(target, KeyboardInterrupt())
    assert target.read_text() == "old"
    with written_aside(target) as aside:
        aside.write_text("new")
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    (target / "stale").write_text("")
    with written_aside(target) as aside:
        aside.mkdir()
        (aside / "fresh").write_text("")
    assert [p.name for p in target.iterdir()] == ["fresh"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_folder_stays_when_the_disk_is_full(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    (target / "kept").write_text("")
    with pytest.raises(OSError, match="No space left"):
        write_half(target, OSError(28, "No space left on device"))
    assert [p.name for p in target.iterdir()] == ["kept"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_the_parent_folder_is_made(tmp_path):
    with written_aside(tmp_path / "a" / "b.txt") as aside:
        aside.write_text("x")
    assert (tmp_path / "a" / "b.txt").read_text() == "x"


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    target = tmp_path / "run"
    with pytest.raises(FileNotFoundError, match=r"none\.csv") as told, written_aside(target):
        (tmp_path / "none.csv").read_text()
    assert "run" not in str(told.value).replace(str(tmp_path), "")
    with (
        pytest.raises(OSError, match=f"{tmp_path / 'other'} cannot be written: No space left"),
        written_aside(target),
    ):
        write_half(tmp_path / "other", OSError(28, "No space left on device"))


def test_an_error_of_a_file_within_is_that_of_the_folder(tmp_path):
    with (
        pytest.raises(OSError, match=f"{tmp_path / 'run'} cannot be written: No space left"),
        written_aside(tmp_path / "run") as aside,
    ):
        write_half(aside / "within", OSError(28, "No space left on device"))
