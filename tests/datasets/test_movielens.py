import gzip
import os
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrecs.datasets import movielens, movielens_folds, ncf_leave_one_out

FLAGS_OF_COMEDY = "|".join("1" if i == 5 else "0" for i in range(19))
FILES = {
    "100k": {
        "u.data": "1\t10\t5\t100\n2\t10\t3\t200\n1\t20\t4\t300\n",
        "u.item": f"10|Café (1995)|01-Jan-1995||url|{FLAGS_OF_COMEDY}\n"
        f"20|unknown||||{'1|' + '|'.join('0' * 18)}\n",
        "u.user": "1|24|M|technician|85711\n2|53|F|other|94043\n",
    },
    "1m": {
        "ratings.dat": "1::10::5::100\n2::10::3::200\n1::20::4::300\n",
        "movies.dat": "10::Café (1995)::Comedy|Drama\n20::Sequel, The (1996) (V)::War\n",
        "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
    },
}


def write(folder, version, how="plain", **changed):
    """Writes the owner's files; `changed` replaces the contents of one, its dots as underscores."""
    folder.mkdir(exist_ok=True)
    files = {
        name: changed.get(name.replace(".", "_"), text).encode("latin-1")
        for name, text in FILES[version].items()
    }
    if how == "zip":
        with zipfile.ZipFile(folder / f"ml-{version}.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(f"ml-{version}/{name}", data)
        return folder
    place = folder / f"ml-{version}" if how == "inside" else folder
    place.mkdir(exist_ok=True)
    for name, data in files.items():
        path = place / (f"{name}.gz" if how == "gz" else name)
        path.write_bytes(gzip.compress(data) if how == "gz" else data)
    return folder


@pytest.mark.parametrize("how", ["plain", "gz", "inside", "zip"])
@pytest.mark.parametrize("version", ["100k", "1m"])
def test_the_owners_files_are_read(tmp_path, version, how):
    tables = movielens(version, write(tmp_path, version, how))
    assert tables.name == f"movielens-{version}"
    assert tables.events.to_pylist() == [
        {"user_id": 1, "item_id": 10, "rating": 5.0, "timestamp": 100},
        {"user_id": 2, "item_id": 10, "rating": 3.0, "timestamp": 200},
        {"user_id": 1, "item_id": 20, "rating": 4.0, "timestamp": 300},
    ]
    assert tables.positives["timestamp"].to_pylist() == [100, 300]  # rated 4 or more
    first = tables.candidates.to_pylist()[0]
    genres = ["Comedy"] if version == "100k" else ["Comedy", "Drama"]
    assert first == {"item_id": 10, "title": "Café (1995)", "genres": genres, "year": 1995}


def test_what_is_not_known_of_a_film_is_missing(tmp_path):
    film = movielens("100k", write(tmp_path, "100k")).candidates.to_pylist()[1]
    assert film == {"item_id": 20, "title": "unknown", "genres": ["unknown"], "year": None}


def test_the_year_is_found_before_other_brackets(tmp_path):
    film = movielens("1m", write(tmp_path, "1m")).candidates.to_pylist()[1]
    assert (film["title"], film["year"]) == ("Sequel, The (1996) (V)", 1996)


def test_users_of_both_versions_have_the_same_columns(tmp_path):
    small = movielens("100k", write(tmp_path, "100k")).queries.to_pylist()[0]
    large = movielens("1m", write(tmp_path, "1m")).queries.to_pylist()[0]
    expected = {"user_id": 1, "age": 24, "gender": "M", "zip_code": "85711"}
    assert small == expected | {"occupation": "technician"}
    assert large["occupation"] == "K-12 student"  # code 10
    assert set(large) == set(small)


def test_ratings_without_times_have_no_time_in_the_spec(tmp_path):
    write(tmp_path, "1m")
    (tmp_path / "ratings.dat").unlink()
    ratings = pa.table({"user_id": [1, 2], "movie_id": [10, 10], "rating": [5, 1]})
    pq.write_table(ratings, tmp_path / "ratings.parquet")
    tables = movielens("1m", tmp_path)
    assert tables.spec.by_role("time") == ()
    assert tables.events.column_names == ["user_id", "item_id", "rating"]


def test_too_few_ratings_are_told(tmp_path, caplog):
    movielens("1m", write(tmp_path, "1m"))
    assert "are 3, where MovieLens 1m has 1,000,209: is the file whole?" in caplog.text


@pytest.mark.parametrize(
    "version, changed, message",
    [
        ("1m", {"ratings_dat": "1::10::5::100\n2::10::3\n"}, "ratings.dat is malformed: line 2"),
        ("1m", {"ratings_dat": "1::ten::5::100\n"}, "ratings.dat is malformed.*'ten'"),
        ("1m", {"ratings_dat": ""}, "ratings.dat is empty"),
        ("1m", {"users_dat": "1::F::1::21::4\n2::F::1::3::4\n"}, "users.dat, line 1: the occupa"),
        ("1m", {"movies_dat": "10::A (1995)::War\n"}, "'?20'? in row 2 of `events`|20 in row 2"),
        ("100k", {"u_item": "10|A (1995)|x\n"}, "u.item is malformed: line 1: Expected 24 col"),
        (
            "100k",
            {"u_user": "1|24|M|x|8\n1|53|F|y|9\n"},
            "`user_id` of `queries` .* 1 in rows 0, 1",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, version, changed, message):
    with pytest.raises(ValueError, match=message):
        movielens(version, write(tmp_path, version, **changed))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no u\.data of MovieLens 100k.*Get ml-100k\.zip"):
        movielens("100k", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no ratings\.dat or ratings\.parquet"):
        movielens("1m", tmp_path)


def test_truncated_archives_are_named(tmp_path):
    archive = write(tmp_path, "1m", "zip") / "ml-1m.zip"
    archive.write_bytes(archive.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"ml-1m\.zip is truncated or not zip"):
        movielens("1m", tmp_path)
    packed = write(tmp_path, "100k", "gz") / "u.data.gz"
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(ValueError, match=r"u\.data\.gz is truncated or not gzip"):
        movielens("100k", tmp_path)


def test_truncated_parquet_ratings_are_named(tmp_path):
    write(tmp_path, "1m")
    (tmp_path / "ratings.dat").rename(tmp_path / "ratings.parquet")
    with pytest.raises(ValueError, match=r"ratings\.parquet is truncated or not Parquet"):
        movielens("1m", tmp_path)


def test_an_unknown_version_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`version` must be one of '100k', '1m'.*Received: '1M'"):
        movielens("1M", tmp_path)


def test_the_owners_folds_are_read(tmp_path):
    write(tmp_path, "100k")
    for fold in range(1, 6):
        (tmp_path / f"u{fold}.base").write_text(f"1\t10\t5\t{fold}\n2\t10\t3\t7\n")
        (tmp_path / f"u{fold}.test").write_text(f"1\t20\t4\t{fold}\n")
    folds = movielens_folds(tmp_path)
    assert [(train.num_rows, test.num_rows) for train, test in folds] == [(2, 1)] * 5
    assert [test["timestamp"][0].as_py() for _, test in folds] == [1, 2, 3, 4, 5]


def test_folds_in_a_column_are_read(tmp_path):
    write(tmp_path, "100k")
    (tmp_path / "folds.csv").write_text("user_id,item_id,fold\n1,10,1\n2,10,3\n1,20,3\n")
    folds = movielens_folds(tmp_path)
    assert [test["timestamp"].to_pylist() for _, test in folds] == [[100], [], [200, 300], [], []]
    assert folds[0][0]["timestamp"].to_pylist() == [200, 300]
    (tmp_path / "folds.csv").write_text("user_id,item_id,fold\n2,10,1\n1,10,3\n1,20,3\n")
    with pytest.raises(ValueError, match=r"folds\.csv must have the rows of u\.data"):
        movielens_folds(tmp_path)


def test_leave_one_out_holds_one_rating_of_each_user(tmp_path):
    write(tmp_path, "1m")
    held = pa.table(
        {
            "user_id": [1, 2],
            "movie_id": [20, 10],
            "rating": [4, 3],
            "timestamp": [300, 200],
            "negatives": [[30, 40], [20, 30]],
        }
    )
    pq.write_table(held, tmp_path / "ncf_leave_one_out.parquet")
    train, test = ncf_leave_one_out(tmp_path)
    assert train.select(["user_id", "item_id"]).to_pylist() == [{"user_id": 1, "item_id": 10}]
    assert test["negatives"].to_pylist() == [[30, 40], [20, 30]]
    held = held.set_column(1, "movie_id", pa.array([99, 10]))
    pq.write_table(held, tmp_path / "ncf_leave_one_out.parquet")
    with pytest.raises(ValueError, match=r"must hold out ratings of .*, each of them once"):
        ncf_leave_one_out(tmp_path)


def test_tfds_downloads_the_owners_zip(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets", reason="extra `datasets` is not installed")
    wanted = []

    def download(self, url):
        wanted.append((url, self._force_checksums_validation, url in self._url_infos))
        return write(tmp_path, "1m", "inside")

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", download)
    assert movielens("1m").events.num_rows == 3
    assert wanted == [("https://files.grouplens.org/datasets/movielens/ml-1m.zip", True, True)]

    def offline(self, url):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", offline)
    with pytest.raises(OSError, match=r"ml-1m\.zip cannot be downloaded: no network.*`data_dir`"):
        movielens("1m")


def test_without_tfds_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"pip install tfrecs\[datasets\].*`data_dir`"):
        movielens("1m")


@pytest.fixture
def data():
    folder = os.environ.get("TFRECS_DATA")
    if not folder:
        pytest.skip("set TFRECS_DATA to a folder of real data")
    return Path(folder)


def test_the_real_100k_is_whole(data):
    tables = movielens("100k", data)
    summary = tables.describe()
    assert (summary["users"], summary["items"], summary["events"]) == (943, 1682, 100_000)
    assert [test.num_rows for _, test in movielens_folds(data)] == [20_000] * 5


def test_the_real_1m_is_whole(data):
    summary = movielens("1m", data).describe()
    assert (summary["users"], summary["items"], summary["events"]) == (6040, 3883, 1_000_209)
    train, test = ncf_leave_one_out(data)
    assert (train.num_rows, test.num_rows) == (1_000_209 - 6040, 6040)
    assert len(test["negatives"][0]) == 99
