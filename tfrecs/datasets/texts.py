"""Text of tables: opened, unpacked, delimited; errors name the file and the line."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tfrecs import checks
from tfrecs.datasets.columns import is_list, is_text

Progress = Callable[[int, int], None]
_BLOCK = 4 << 20  # bytes read at a time
DELIMITER = b"delimiter"  # in the metadata of a table: what stood between its cells
_INFLATED = 256 << 20  # bytes below which nothing is taken for a bomb
_RATIO = 100  # by which tables do not grow; rows all alike grow by 200, a bomb by 1,000
CONVERT = "Convert the file: iconv -f latin1 -t utf-8 OLD > NEW."


def read_text(
    path: Path, delimiter: str | None, progress: Progress | None = None, *, quoted: bool = True
) -> pa.Table:
    """Reads delimited text with a line of names; every cell stays the text it is.

    Args:
        path: The file.
        delimiter: One character; `None` takes the one most often in the first line.
        progress: As in `read_file`.
        quoted: Whether a cell may be in double quotes. Defaults to `True`.
    """
    with _opened(path, None) as file:
        head = file.read(1 << 16)
    check_text(path, head)
    if delimiter is None:
        delimiter = _delimiter(head)
    text = io.StringIO(head.decode(errors="replace").lstrip("\ufeff"), newline="")
    quoting: Any = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    names = next(csv.reader(text, delimiter=delimiter, quoting=quoting))
    parse = pa.csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False)
    parse.newlines_in_values = quoted
    convert = pa.csv.ConvertOptions()
    convert.column_types = {name: pa.string() for name in names}

    def read(threads: bool) -> pa.Table:
        convert.check_utf8 = threads  # a second reading names the row
        with _opened(path, progress) as file:
            options = pa.csv.ReadOptions(use_threads=threads, block_size=_BLOCK)
            table = pa.csv.read_csv(pa.PythonFile(file, "r"), options, parse, convert)
        if not threads:
            check_utf8(path, table)
        return table

    return _parsed(path, read).replace_schema_metadata({DELIMITER: delimiter})


class _Counted(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self.raw: Any = open(path, "rb")  # noqa: SIM115
        packed = path.suffix.lower() == ".gz"
        self.file = gzip.open(self.raw) if packed else self.raw  # noqa: SIM115
        self.path, self.packed, self.count = path, packed, 0
        self.size, self.progress = path.stat().st_size, progress

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.file.read(size)
        self.count += len(data)
        if self.packed:
            _check_growth(self.path, self.count, self.size)
        if self.progress is not None:
            self.progress(self.raw.tell(), self.size)
        return data

    def close(self) -> None:
        self.raw.close()
        super().close()


@contextmanager
def _opened(path: Path, progress: Progress | None) -> Iterator[_Counted]:
    """Opens a file, decompressed if its name ends with .gz."""
    with _Counted(path, progress) as file:
        try:
            yield file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(_damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} is truncated or not gzip: {error}. Copy it again, or compress it again."


def _delimiter(head: bytes) -> str:
    """Returns which of comma, tab, semicolon and | is most often in the first line."""
    line = head.split(b"\n", 1)[0]
    return max(",\t;|", key=lambda delimiter: line.count(delimiter.encode()))


def read_bytes(path: Path) -> bytes:
    """Returns what a file holds, decompressed if its name ends with .gz.

    Raises:
        ValueError: The compressed file is truncated or damaged, or grows as tables do not.
        OSError: The file cannot be opened.
    """
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return inflated(path, file, path.stat().st_size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(_damaged(path, error)) from error


def inflated(path: Path, file: IO[bytes] | gzip.GzipFile, compressed: int) -> bytes:
    """Returns what a compressed file or member holds, unless it is a bomb.

    Args:
        path: Its name, for the message.
        file: What decompresses it.
        compressed: Its bytes as they lie.

    Raises:
        ValueError: It grows to more than 256 MB and more than a hundredfold: tables do not.
    """
    data = file.read(_limit(compressed) + 1)
    _check_growth(path, len(data), compressed)
    return data


def _limit(compressed: int) -> int:
    return max(_INFLATED, _RATIO * compressed)


def _check_growth(path: Path, size: int, compressed: int) -> None:
    limit = _limit(compressed)
    if size > limit:
        raise ValueError(
            f"{path} holds more than {limit >> 20} MB in {compressed >> 10} KB, as tables do not. "
            "If it is one, decompress it and name the decompressed file."
        )


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

    check_text(path, data)
    return _parsed(path, read)


def _parsed(path: Path, read: Callable[[bool], pa.Table]) -> pa.Table:
    """Reads with threads; a malformed line a second time without, since only so it is named."""
    try:
        return read(True)
    except pa.ArrowInvalid:
        try:
            return read(False)
        except pa.ArrowInvalid as error:
            told = str(error).replace("Row #", "line ").replace("CSV parse error: ", "")
            raise ValueError(f"{path} is malformed: {told}.") from error


def check_text(path: Path, data: bytes) -> None:
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
            f"{path} must be UTF-8. Received: {checks.received(line)} in line 1. {CONVERT}"
        ) from None


def check_utf8(path: Path, table: pa.Table) -> None:
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
                    f"row {row} counted from 0. {CONVERT}"
                ) from None
