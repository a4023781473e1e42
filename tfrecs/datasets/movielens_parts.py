"""The owner's file formats of MovieLens 100K and 1M, one function a file."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tfrecs.datasets.readers import read_delimited

NUM_RATINGS = {"100k": 100_000, "1m": 1_000_209}
GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance"),
    *("Sci-Fi", "Thriller", "War", "Western"),
)
OCCUPATIONS_1M = (  # by code, as the README of the data set lists them
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student"),
    *("customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker"),
    *("K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist"),
    *("self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer"),
)
_RATINGS = {
    "user_id": pa.int64(),
    "item_id": pa.int64(),
    "rating": pa.float32(),
    "timestamp": pa.int64(),
}


def ratings_100k(path: Path, data: bytes) -> pa.Table:
    """Parses `u.data` and the fold files `u1.base`, ...: user, item, rating, time, by tabs."""
    return read_delimited(path, data, "\t", types=_RATINGS, quoted=False)


def ratings_1m(path: Path, data: bytes) -> pa.Table:
    """Parses `ratings.dat`: user::item::rating::time."""
    return _double_colons(path, data, _RATINGS)


def ratings_parquet(path: Path, data: bytes) -> pa.Table:
    """Reads `ratings.parquet`: user_id, movie_id, rating, without times."""
    try:
        table = pa.parquet.read_table(io.BytesIO(data), columns=["user_id", "movie_id", "rating"])
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is truncated or not Parquet: {error}") from error
    schema = pa.schema(list(_RATINGS.items())[:3])
    return table.rename_columns(schema.names).cast(schema)


def items_100k(path: Path, data: bytes) -> pa.Table:
    """Parses `u.item`: id|title|release|video release|URL|19 genre flags, in Latin-1."""
    names = ("released", "video", "url")
    types = {"item_id": pa.int64(), "title": pa.string()} | dict.fromkeys(names, pa.string())
    types |= dict.fromkeys(GENRES_100K, pa.int8())
    rows = read_delimited(path, _from_latin1(data), "|", types=types, quoted=False)
    flags = np.stack([rows[genre].to_numpy() for genre in GENRES_100K], axis=1)  # (C, 19)
    places = flags.nonzero()
    offsets = np.concatenate([[0], np.cumsum((flags != 0).sum(axis=1))])
    names_of = pa.array(GENRES_100K).take(pa.array(places[1]))
    genres = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names_of)
    return _items(rows, genres)


def items_1m(path: Path, data: bytes) -> pa.Table:
    """Parses `movies.dat`: id::title (year)::genres by |, in Latin-1."""
    types = {"item_id": pa.int64(), "title": pa.string(), "genres": pa.string()}
    rows = _double_colons(path, _from_latin1(data), types)
    return _items(rows, pc.split_pattern(rows["genres"], "|"))


def _items(rows: pa.Table, genres: pa.Array) -> pa.Table:
    """Returns item_id, title, genres and year, which is in the title as "(1995)"."""
    years = pc.extract_regex(rows["title"], r"\((?P<year>\d{4})\)")
    year = pc.struct_field(years, "year").cast(pa.int64())
    return pa.table(
        {"item_id": rows["item_id"], "title": rows["title"], "genres": genres, "year": year}
    )


def users_100k(path: Path, data: bytes) -> pa.Table:
    """Parses `u.user`: id|age|gender|occupation|zip code."""
    types = {
        "user_id": pa.int64(),
        "age": pa.int64(),
        "gender": pa.string(),
        "occupation": pa.string(),
        "zip_code": pa.string(),
    }
    return read_delimited(path, data, "|", types=types, quoted=False)


def users_1m(path: Path, data: bytes) -> pa.Table:
    """Parses `users.dat`: id::gender::age::occupation code::zip code."""
    types = {
        "user_id": pa.int64(),
        "gender": pa.string(),
        "age": pa.int64(),
        "occupation": pa.int64(),
        "zip_code": pa.string(),
    }
    rows = _double_colons(path, data, types)
    codes = rows["occupation"]
    wrong = pc.fill_null(pc.greater_equal(codes, len(OCCUPATIONS_1M)), True).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{path}, line {row + 1}: the occupation must be a code from 0 to "
            f"{len(OCCUPATIONS_1M) - 1}. Received: {codes[row].as_py()}."
        )
    names = pa.array(OCCUPATIONS_1M).take(codes.combine_chunks())
    return rows.set_column(rows.column_names.index("occupation"), "occupation", names)


def _double_colons(path: Path, data: bytes, types: dict[str, pa.DataType]) -> pa.Table:
    """Parses lines of fields between double colons."""
    return read_delimited(path, data.replace(b"::", b"\x1f"), "\x1f", types=types, quoted=False)


def _from_latin1(data: bytes) -> bytes:
    return data.decode("latin-1").encode()
