import pytest

from tfrecs.datasets import KNOWN, read_known


@pytest.mark.parametrize("name", ["demo", "demo-shop"])
def test_the_demo_worlds_have_a_name(name):
    assert read_known(name).truth is not None


def test_an_unknown_name_tells_the_nearest():
    with pytest.raises(ValueError, match=r"`dataset` must be one of .*'movielens-1m'\?"):
        read_known("movielens1m")


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if known.local])
def test_what_cannot_be_downloaded_needs_a_folder(name):
    with pytest.raises(ValueError, match=f"--data-dir DIR, the folder of {name}'s files"):
        read_known(name)
