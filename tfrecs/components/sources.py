"""Files of rows, cut into pieces that are read one by one: CSV, TSV, Parquet, JSON lines, TFDS."""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from tfrecs import checks

_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".parquet": "parquet",
    ".jsonl": "json",
    ".json": "json",
}
_TFDS = "tfds://"
_SPAN = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)\}")


@dataclass(frozen=True)
class Piece:
    """A part of the rows that is read at one go.

    Args:
        path: The file; for TFDS the name of the data set.
        format: "csv", "tsv", "parquet", "json" or "tfds".
        groups: Row groups of a Parquet file; `None` for the whole file.
        columns: Types by name of a CSV or TSV file without a line of names; empty with one.
    """

    path: str
    format: str
    groups: tuple[int, ...] | None = None
    columns: dict[str, str] = field(default_factory=dict)

    def read(self, batch_size: int) -> Iterator[pa.Table]:
        """Yields tables of at most `batch_size` rows; only a few are in memory at a time."""
        if self.format == "tfds":
            yield from _tfds(self.path, batch_size)
        elif self.format == "parquet":
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size, self.groups):
                    yield pa.Table.from_batches([batch])
        else:
            scanner = _dataset(self).scanner(batch_size=batch_size, fragment_readahead=1)
            for batch in scanner.to_batches():
                if batch.num_rows:
                    yield _without_empty(pa.Table.from_batches([batch]))


def _dataset(piece: Piece) -> Any:
    if piece.format == "json":
        return pads.dataset(piece.path, format="json")
    delimiter = "\t" if piece.format == "tsv" else ","
    types = {name: _type(name, kind) for name, kind in piece.columns.items()}
    options = pads.CsvFileFormat(
        pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(column_types=types or None),
        read_options=pa.csv.ReadOptions(column_names=list(types) or None),
    )
    return pads.dataset(piece.path, format=options)


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


def find_files(source: str) -> list[Path]:
    """Returns the files of a source: a file, a folder, or a pattern with `*`.

    Raises:
        FileNotFoundError: There are none.
        ValueError: One is of a format that is not read.
    """
    path = Path(source)
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    else:
        anchor = Path(path.anchor) if path.is_absolute() else Path()
        files = sorted(p for p in anchor.glob(str(path.relative_to(anchor))) if p.is_file())
    if not files:
        expectation = "a file, a folder with files or a pattern of files"
        raise FileNotFoundError(checks.expected("source", expectation, source))
    for file in files:
        checks.one_of(f"extension of {file.name}", _suffix(file), _FORMATS)
    return files


def _suffix(file: Path) -> str:
    """Returns the extension, that of a compressed file before .gz."""
    return (file.with_suffix("") if file.suffix == ".gz" else file).suffix


def pieces(source: str, rows: int, columns: dict[str, str] | None = None) -> list[Piece]:
    """Cuts a source into pieces of about `rows` rows; a file that is not Parquet stays whole."""
    if source.startswith(_TFDS):
        return [Piece(source.removeprefix(_TFDS), "tfds")]
    found = []
    for file in find_files(source):
        kind = _FORMATS[_suffix(file)]
        if kind != "parquet":
            found.append(Piece(str(file), kind, columns=columns or {}))
            continue
        about = pq.read_metadata(file)
        groups: list[int] = []
        held = 0
        for group in range(about.num_row_groups):
            groups.append(group)
            held += about.row_group(group).num_rows
            if held >= rows or group == about.num_row_groups - 1:
                found.append(Piece(str(file), kind, tuple(groups)))
                groups, held = [], 0
    return found


def resolve_span(source: str, span: int | None) -> tuple[str, int | None, int | None]:
    """Fills in the span of a source of daily data, as TFX's patterns name it.

    `{SPAN}` is a number, `{YYYY}`, `{MM}` and `{DD}` together a date (the span is then the number
    of days since 1970), `{VERSION}` a number of which the greatest is taken.

    Args:
        source: As `example_gen`.
        span: The span; `None` for the greatest there is.

    Returns:
        The source, its span and its version; `None` where it has none.

    Raises:
        FileNotFoundError: The span is not there.

    Example:

    >>> resolve_span("events.csv", None)
    ('events.csv', None, None)
    """
    if not _SPAN.search(source):
        return source, None, None
    end = source.find("/", source.rindex("}"))
    head, tail = (source, "") if end < 0 else (source[:end], source[end:])
    widths = {"YYYY": r"\d{4}", "MM": r"\d{2}", "DD": r"\d{2}", "SPAN": r"\d+", "VERSION": r"\d+"}
    parts = _SPAN.split(head)
    pattern = "".join(
        f"(?P<{part}>{widths[part]})" if place % 2 else re.escape(part).replace(r"\*", "[^/]*")
        for place, part in enumerate(parts)
    )
    wild = _SPAN.sub("*", head)
    anchor = Path(Path(wild).anchor) if Path(wild).is_absolute() else Path()
    found = []
    for path in anchor.glob(str(Path(wild).relative_to(anchor))):
        match = re.fullmatch(pattern, str(path))
        if match:
            named = {name: int(value) for name, value in match.groupdict().items()}
            number = _days(named) if "YYYY" in named else named.get("SPAN", 0)
            found.append((number, named.get("VERSION"), str(path)))
    wanted = [f for f in found if span is None or f[0] == span]
    if not wanted:
        there = sorted({number for number, _, _ in found})
        expectation = f"one of the spans of {source}: {there}"
        raise FileNotFoundError(checks.expected("span", expectation, span))
    number, version, chosen = max(wanted, key=lambda found: (found[0], found[1] or 0))
    return chosen + tail, number, version


def _days(named: dict[str, int]) -> int:
    date = datetime.date(named["YYYY"], named.get("MM", 1), named.get("DD", 1))
    return (date - datetime.date(1970, 1, 1)).days


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
