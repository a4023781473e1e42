"""Rows from outside, cut into pieces that are read one by one.

CSV, TSV, Parquet and JSON lines on this machine or in a bucket; SQLite, DuckDB; TFDS.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from tfrecs import checks
from tfrecs.components import spans, sql, storage

_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".parquet": "parquet",
    ".jsonl": "json",
    ".json": "json",
}
_TFDS = "tfds://"


@dataclass(frozen=True)
class Piece:
    """A part of the rows that is read at one go.

    Args:
        path: The file or its URI; the database; for TFDS the name of the data set.
        format: "csv", "tsv", "parquet", "json", "sql" or "tfds".
        groups: Row groups of a Parquet file; `None` for the whole file.
        columns: Types by name: of all columns of a CSV or TSV file without a line of names, of
            any columns of a query; empty where they are inferred.
        keys: Columns that the names of folders hold, as in `day=3/part-0.parquet`.
        query: The query of a database.
        size: Bytes, about; 0 where they are not known.
    """

    path: str
    format: str
    groups: tuple[int, ...] | None = None
    columns: dict[str, str] = field(default_factory=dict)
    keys: dict[str, int | str | None] = field(default_factory=dict)
    query: str = ""
    size: int = 0

    def read(self, batch_size: int) -> Iterator[pa.Table]:
        """Yields tables of at most `batch_size` rows; only a few are in memory at a time.

        Raises:
            ValueError: It holds no rows of its format; the message names it.
        """
        if self.format == "tfds":
            yield from _tfds(self.path, batch_size)
            return
        with storage.named(self.path):
            for table in self._tables(batch_size):
                for name, value in self.keys.items():
                    if name not in table.column_names:
                        column = pa.repeat(pa.scalar(value), table.num_rows)
                        table = table.append_column(name, column)
                yield table

    def _tables(self, batch_size: int) -> Iterator[pa.Table]:
        if self.format == "sql":
            types = {name: _type(name, kind) for name, kind in self.columns.items()}
            yield from sql.tables(self.path, self.query, types, batch_size)
        elif self.format == "parquet":
            system, path = storage.opened(self.path)
            with pq.ParquetFile(path, filesystem=system) as file:
                for batch in file.iter_batches(batch_size, self.groups):
                    yield pa.Table.from_batches([batch])
        else:
            scanner = _dataset(self).scanner(batch_size=batch_size, fragment_readahead=1)
            for batch in scanner.to_batches():
                if batch.num_rows:
                    yield _without_empty(pa.Table.from_batches([batch]))


def _dataset(piece: Piece) -> Any:
    system, path = storage.opened(piece.path)
    if piece.format == "json":
        return pads.dataset(path, format="json", filesystem=system)
    delimiter = "\t" if piece.format == "tsv" else ","
    types = {name: _type(name, kind) for name, kind in piece.columns.items()}
    options = pads.CsvFileFormat(
        pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(column_types=types or None),
        read_options=pa.csv.ReadOptions(column_names=list(types) or None),
    )
    return pads.dataset(path, format=options, filesystem=system)


def _type(name: str, kind: str) -> pa.DataType:
    try:
        return pa.type_for_alias(kind)
    except ValueError as error:
        expectation = "a type such as 'string', 'int64' or 'float32'"
        raise ValueError(checks.expected(f"columns[{name!r}]", expectation, kind)) from error


def _without_empty(table: pa.Table) -> pa.Table:
    """Returns a table whose empty cells are null, as in TFX; a CSV file has no other null."""
    for place, name in enumerate(table.column_names):
        if pa.types.is_string(table.schema.field(name).type):
            empty = pc.equal(pc.binary_length(table[name]), 0)
            table = table.set_column(place, name, pc.if_else(empty, None, table[name]))
    return table


def find_files(source: str) -> list[str]:
    """Returns the files of a source: a file, a folder at any depth, or a pattern with `*`.

    Of a folder, what begins with "." or "_" is left out, such as Spark's `_SUCCESS`.

    Raises:
        FileNotFoundError: There are none.
        ValueError: One is of a format that is not read, or the URI cannot be opened.
    """
    source = _plain(source)
    if "*" in source:
        found = [place for place in storage.find(source) if storage.kind(place) == "file"]
    elif storage.kind(source) == "file":
        found = [source]
    else:
        found = [
            storage.join(source, name)
            for name in storage.within(source)
            if not any(part.startswith((".", "_")) for part in name.split("/"))
        ]
    if not found:
        expectation = "a file, a folder with files or a pattern of files"
        raise FileNotFoundError(checks.expected("source", expectation, source))
    for file in found:
        checks.one_of(f"extension of {_name(file)}", _suffix(file), _FORMATS)
    return found


def _plain(source: str) -> str:
    """Returns a place as `storage.find` writes it."""
    storage.check("source", source)
    return source if storage.is_remote(source) else str(storage.local(source))


def _name(file: str) -> str:
    return (file.partition("?")[0] if storage.is_remote(file) else file).rpartition("/")[2]


def _suffix(file: str) -> str:
    """Returns the extension, that of a compressed file before .gz."""
    return Path(_name(file).removesuffix(".gz")).suffix


def inputs(source: str, span: int | None = None) -> list[str]:
    """Returns the files whose contents a source stands for, so that the cache knows of changes.

    Of a data set of TFDS that is prepared those are its descriptions, with the shards' lengths.
    """
    if source.startswith(_TFDS):
        return _prepared(source.removeprefix(_TFDS))
    if sql.is_database(source):
        return sql.inputs(source)
    return find_files(spans.resolve_span(source, span)[0])


def pieces(
    source: str, rows: int, columns: dict[str, str] | None = None, query: str | None = None
) -> list[Piece]:
    """Cuts a source into pieces of about `rows` rows; a file that is not Parquet stays whole."""
    columns = columns or {}
    if source.startswith(_TFDS):
        return [Piece(source.removeprefix(_TFDS), "tfds")]
    if (query is not None) != sql.is_database(source):
        expectation = "given with a database, sqlite:///FILE or duckdb:///FILE, and only then"
        raise ValueError(checks.expected("query", expectation, query))
    if query is not None:
        return [Piece(source, "sql", columns=columns, query=query)]
    found = []
    files_of = find_files(source)
    for file, keys in zip(files_of, _keys(source, files_of), strict=True):
        kind, size = _FORMATS[_suffix(file)], storage.size(file)
        if kind != "parquet":
            found.append(Piece(file, kind, columns=columns, keys=keys, size=size))
            continue
        found += [Piece(file, kind, g, keys=keys, size=size) for g in _groups(file, rows)]
    return found


def _groups(file: str, rows: int) -> list[tuple[int, ...]]:
    """Returns the row groups of a Parquet file, cut into parts of about `rows` rows."""
    system, path = storage.opened(file)
    with storage.named(file):
        about = pq.read_metadata(path, filesystem=system)
    found: list[tuple[int, ...]] = []
    groups: list[int] = []
    held = 0
    for group in range(about.num_row_groups):
        groups.append(group)
        held += about.row_group(group).num_rows
        if held >= rows or group == about.num_row_groups - 1:
            found.append(tuple(groups))
            groups, held = [], 0
    return found


def _keys(source: str, found: list[str]) -> list[dict[str, int | str | None]]:
    """Returns what the folders in a source are named, for each file: `day=3/` gives `{"day": 3}`.

    Raises:
        ValueError: Some files lie in such folders and others do not.
    """
    whole = _plain(source)
    base = whole[: whole.index("*")].rpartition("/")[0] if "*" in whole else whole
    base = base.partition("?")[0] if storage.is_remote(whole) else base
    read = [
        {
            name: None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
            for name, equals, value in (p.partition("=") for p in file[len(base) :].split("/")[:-1])
            if equals
        }
        for file in found
    ]
    names = list(read[0])
    for file, keys in zip(found, read, strict=True):
        if list(keys) != names:
            expectation = f"in folders of the columns {names}, as {found[0]} is"
            raise ValueError(checks.expected("source", expectation, file))
    numbers = {
        name
        for name in names
        if all(re.fullmatch(r"-?\d{1,18}", keys[name] or "0") for keys in read)
    }
    return [
        {name: int(v) if name in numbers and v is not None else v for name, v in keys.items()}
        for keys in read
    ]


def _prepared(name: str) -> list[str]:
    try:
        import tensorflow_datasets as tfds
    except ImportError:  # told where it is read
        return []
    folder = Path(tfds.builder(name).data_path)
    known = (folder / file for file in ("dataset_info.json", "features.json"))
    return [str(file) for file in known if file.is_file()]


def _tfds(name: str, batch_size: int) -> Iterator[pa.Table]:
    """Reads a data set that TensorFlow Datasets has prepared, or can."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "tfds:// needs tensorflow-datasets: pip install tfrecs[datasets]"
        ) from error
    data = tfds.load(name, split="all", shuffle_files=False).batch(batch_size)
    for batch in tfds.as_numpy(data):
        yield pa.table({column: _column(values) for column, values in batch.items()})


def _column(values: Any) -> pa.Array:
    if values.dtype == object:
        return pa.array(values.tolist(), pa.binary()).cast(pa.string())
    return pa.array(values if values.ndim == 1 else list(values))
