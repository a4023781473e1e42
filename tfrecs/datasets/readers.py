"""Table files of four formats as Arrow, with errors that name the file and the line."""

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from tfrecs import checks
from tfrecs.datasets.columns import is_list, is_text

_INFLATED = 256 << 20  # bytes below which nothing is taken for a bomb
_RATIO = 100  # by which tables do not grow; rows all alike grow by 200, a bomb by 1,000

FORMATS = {
    ".csv": "comma-separated",
    ".tsv": "tab-separated",
    ".parquet": "Parquet",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".json": "JSON lines",
}


_CONVERT = "Convert the file: iconv -f latin1 -t utf-8 OLD > NEW."


def read_file(path: str | Path) -> pa.Table:
    """Reads a table from a file, its format told by the extension.

    CSV (also by tabs or semicolons) and TSV, whose first line names the columns, JSON lines and
    Parquet; the text formats also compressed, as `.csv.gz`. Empty cells are null in columns of
    numbers, as are NaN, NA and NULL.

    Args:
        path: The file.

    Returns:
        The table; its types are guessed for CSV, TSV and JSON.

    Raises:
        ValueError: Unknown extension, no rows, a malformed or truncated file, text that is not
            UTF-8. The message names the file and, where there is one, the line.
        OSError: The file cannot be opened.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "items.csv"
    >>> _ = path.write_text("item,price\\nlamp,20\\n")
    >>> read_file(path).to_pylist()
    [{'item': 'lamp', 'price': 20}]
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} must be a file. Received: a folder. Name a file in it.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = (
        suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    )
    if suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise ValueError(
            f"{path} must be a table with one of the extensions {known} (the text formats also "
            f"with .gz). Received: {path.name!r}. {checks.did_you_mean(suffix, FORMATS)}".rstrip()
        )
    if suffix == ".parquet":
        table = _read_parquet(path)
    elif suffix in (".csv", ".tsv"):
        data = read_bytes(path)
        table = read_delimited(path, data, "\t" if suffix == ".tsv" else _delimiter(data))
    else:
        table = _read_json(path, read_bytes(path))
    if table.num_rows == 0:
        raise ValueError(f"{path} has no rows.")
    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise ValueError(
            f"{path} must name each column once. Received: {', '.join(sorted(twice))} more than "
            "once. Rename or drop one of them."
        )
    _check_utf8(path, table)
    return table


def _delimiter(data: bytes) -> str:
    """Returns which of comma, tab and semicolon is most often in the first line."""
    line = data.split(b"\n", 1)[0]
    return max(",\t;", key=lambda delimiter: line.count(delimiter.encode()))


def find_file(data_dir: str | Path, folders: Sequence[str], name: str, owner: str) -> Path:
    """Returns where the file `name`, or `name.gz`, is: in `data_dir` or in one of its `folders`.

    Raises:
        FileNotFoundError: It is in none of them; `owner` is what the message calls the data.
    """
    places = [Path(data_dir), *(Path(data_dir) / folder for folder in folders)]
    for path in (place / (name + end) for place in places for end in ("", ".gz")):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{data_dir} holds no {name} of {owner}, nor does {folders[0]} in it.")


def read_bytes(path: Path) -> bytes:
    """Returns what a file holds, decompressed if its name ends with .gz.

    Raises:
        ValueError: The compressed file is truncated or damaged.
        OSError: The file cannot be opened.
    """
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return inflated(path, file, path.stat().st_size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is truncated or not gzip: {error}. Copy it again, or compress it again."
        ) from error


def inflated(path: Path, file: IO[bytes] | gzip.GzipFile, compressed: int) -> bytes:
    """Returns what a compressed file or member holds, unless it is a bomb.

    Args:
        path: Its name, for the message.
        file: What decompresses it.
        compressed: Its bytes as they lie.

    Raises:
        ValueError: It grows to more than 256 MB and more than a hundredfold: tables do not.
    """
    limit = max(_INFLATED, _RATIO * compressed)
    data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(
            f"{path} holds more than {limit >> 20} MB in {compressed >> 10} KB, as tables do not. "
            "If it is one, decompress it and name the decompressed file."
        )
    return data


def read_delimited(
    path: Path,
    data: bytes,
    delimiter: str,
    *,
    types: dict[str, pa.DataType] | None = None,
    quoted: bool = True,
) -> pa.Table:
    """Reads delimited text.

    Args:
        path: File that the text came from, for messages.
        data: The text, UTF-8.
        delimiter: One character.
        types: The columns and their types, for text without a line of column names; `None` takes
            names from the first line and guesses types.
        quoted: Whether a cell may be in double quotes. Defaults to `True`.

    Raises:
        ValueError: The text is empty or a line is malformed; the message names the line.
    """
    parse = pa.csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False)
    parse.newlines_in_values = quoted
    convert = pa.csv.ConvertOptions(column_types=types)
    names = list(types) if types else None

    def read(threads: bool) -> pa.Table:
        options = pa.csv.ReadOptions(use_threads=threads, column_names=names)
        return pa.csv.read_csv(io.BytesIO(data), options, parse, convert)

    _check_text(path, data)
    try:
        return read(threads=True)
    except pa.ArrowInvalid:
        try:
            return read(threads=False)  # a second time, since only one thread counts lines
        except pa.ArrowInvalid as error:
            told = str(error).replace("Row #", "line ").replace("CSV parse error: ", "")
            raise ValueError(f"{path} is malformed: {told}.") from error


def _check_text(path: Path, data: bytes) -> None:
    """Raises ValueError unless the file holds text, the first line of it UTF-8."""
    if not data.strip():
        raise ValueError(f"{path} is empty.")
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        told = "Received: UTF-16. Convert the file: iconv -f utf-16 -t utf-8 OLD > NEW."
        raise ValueError(f"{path} must be UTF-8. {told}")
    if data[:4] == b"PAR1":
        raise ValueError(f"{path} must be text. Received: Parquet. Rename the file to .parquet.")
    line = data.split(b"\n", 1)[0]
    try:
        line.decode()
    except UnicodeDecodeError:
        raise ValueError(
            f"{path} must be UTF-8. Received: {checks.received(line)} in line 1. {_CONVERT}"
        ) from None


def _read_json(path: Path, data: bytes) -> pa.Table:
    _check_text(path, data)
    options = pa.json.ReadOptions(block_size=max(1 << 20, len(data) // 16))
    try:
        return pa.json.read_json(io.BytesIO(data), options)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is malformed: {_json_fault(data) or error}.") from error


def _json_fault(data: bytes) -> str:
    """Returns which line is no JSON object, or which changes the type of a field."""
    kinds: dict[str, str] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except UnicodeDecodeError:
            return f"line {number} is not UTF-8"
        except json.JSONDecodeError as error:
            return f"line {number}, column {error.colno}: {error.msg}"
        if not isinstance(fields, dict):
            return (
                f"line {number} is not an object in braces. Write one object a line: "
                "jq -c '.[]' OLD > NEW"
            )
        for name, value in fields.items():
            kind = {"int": "number", "float": "number"}.get(
                type(value).__name__, type(value).__name__
            )
            if value is not None and kinds.setdefault(name, kind) != kind:
                return f"line {number}: field {name!r} is a {kind} after {kinds[name]} values"
    return ""


def _read_parquet(path: Path) -> pa.Table:
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"{path} is empty.")
    try:
        return pa.parquet.read_table(path)
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(
            f"{path} is truncated or not Parquet: {error}. Copy it again, or write it again."
        ) from error


def _check_utf8(path: Path, table: pa.Table) -> None:
    """Raises ValueError where text is not UTF-8; a CSV column of such text comes as bytes."""
    for name in table.column_names:
        column: Any = table[name]
        while is_list(column.type):
            column = pc.list_flatten(column)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if is_text(column.type):
            try:
                column.validate(full=True)
                continue
            except pa.ArrowInvalid:
                column = column.cast(pa.binary())
        elif not pa.types.is_binary(column.type) or path.suffix == ".parquet":
            continue  # bytes on purpose
        for row, value in enumerate(column):
            try:
                (value.as_py() or b"").decode()
            except UnicodeDecodeError:
                raise ValueError(
                    f"{path} must be UTF-8. Received: {value.as_py()!r} in column {name!r}, "
                    f"row {row} counted from 0. {_CONVERT}"
                ) from None
