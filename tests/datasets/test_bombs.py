"""Compressed files that grow a thousandfold are refused before they fill the memory."""

import gzip
import io
import zipfile

import pytest

from tfrecs import datasets
from tfrecs.datasets import readers, texts
from tfrecs.features import read_word_vectors


def bomb(megabytes):
    """Returns zeros, compressed."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as file:
        for _ in range(megabytes):
            file.write(b"0" * (1 << 20))
    return out.getvalue()


@pytest.fixture
def few(monkeypatch):
    """As if a megabyte were much."""
    monkeypatch.setattr(texts, "_INFLATED", 1 << 20)


def test_a_table_of_gzip_is_refused_where_it_grows_a_thousandfold(few, tmp_path):
    path = tmp_path / "events.csv.gz"
    path.write_bytes(bomb(8))
    with pytest.raises(ValueError, match=r"events\.csv\.gz holds more than 1 MB in \d+ KB"):
        readers.read_bytes(path)
    path.write_bytes(gzip.compress(b"user_id,item_id\n" + b"u1,i1\n" * (1 << 20)))
    with pytest.raises(ValueError, match="decompress it and name the decompressed file"):
        datasets.read_tables(path)
    path.write_bytes(gzip.compress(b"x" * (1 << 20)))
    assert len(readers.read_bytes(path)) == 1 << 20


def test_rows_that_are_alike_are_no_bomb(tmp_path):
    text = b"user_id,item_id,rating\n" + b"u1,i1,5\n" * 400_000  # grows by 300, to 3 MB
    (tmp_path / "events.csv.gz").write_bytes(gzip.compress(text))
    assert readers.read_bytes(tmp_path / "events.csv.gz") == text


def test_a_member_of_a_zip_file_is_refused_likewise(few, tmp_path):
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ml-1m/ratings.dat", b"0" * (8 << 20))
        for name in ("movies.dat", "users.dat"):
            archive.writestr(f"ml-1m/{name}", b"")
    with pytest.raises(ValueError, match=r"ml-1m\.zip holds more than 1 MB"):
        datasets.movielens("1m", tmp_path)


def test_a_line_without_an_end_is_no_word(tmp_path):
    (tmp_path / "vectors.txt.gz").write_bytes(bomb(3))
    with pytest.raises(ValueError, match="line 1 of more than 1 MB"):
        read_word_vectors(tmp_path / "vectors.txt.gz", ["word"])
