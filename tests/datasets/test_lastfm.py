import gzip

import pytest

from tfrecs.datasets import hetrec_lastfm

FILES = {
    "user_artists.dat": "userID\tartistID\tweight\n2\t51\t13883\n2\t52\t7\n3\t51\t1\n",
    "artists.dat": "id\tname\turl\tpictureURL\n"
    '51\tDuran "2\tu\tp\n52\tMorcheeba\tu\tp\n9\tNo\tu\tp\n',
    "user_taggedartists.dat": "userID\tartistID\ttagID\tday\tmonth\tyear\n"
    "2\t51\t1\t1\t4\t2009\n2\t51\t2\t1\t4\t2009\n3\t51\t2\t1\t4\t2009\n2\t52\t1\t1\t4\t2009\n",
    "tags.dat": "tagID\ttagValue\n1\tm\xe9tal\n2\tpop\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        data = text.encode("latin-1")
        if name == "artists.dat":
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (tmp_path / name).write_bytes(data)
    return tmp_path


def test_plays_artists_and_their_frequent_tags_are_read(folder):
    tables = hetrec_lastfm(folder)
    assert tables.events.to_pylist() == [
        {"user_id": 2, "item_id": 51, "plays": 13883.0},
        {"user_id": 2, "item_id": 52, "plays": 7.0},
        {"user_id": 3, "item_id": 51, "plays": 1.0},
    ]
    assert tables.candidates.to_pylist() == [
        {"item_id": 51, "title": 'Duran "2', "tags": ["pop", "métal"]},
        {"item_id": 52, "title": "Morcheeba", "tags": ["métal"]},
        {"item_id": 9, "title": "No", "tags": None},
    ]
    assert tables.queries["user_id"].to_pylist() == [2, 3]


def test_a_missing_file_is_named(folder):
    (folder / "tags.dat").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no tags.dat of HetRec 2011 Last.fm"):
        hetrec_lastfm(folder)


def test_the_real_data_are_whole(tfrecs_data):
    summary = hetrec_lastfm(tfrecs_data).describe()
    assert (summary["users"], summary["items"], summary["events"]) == (1892, 17_632, 92_834)
