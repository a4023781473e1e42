"""Table files of four formats as Arrow, with errors that name the file and the line."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from tfrecs import checks
from tfrecs.datasets.json_lines import read_json
from tfrecs.datasets.layouts import RECBOLE, baskets, recbole
from tfrecs.datasets.texts import Progress, check_utf8, read_text
from tfrecs.datasets.texts import inflated as inflated
from tfrecs.datasets.texts import read_bytes as read_bytes
from tfrecs.datasets.texts import read_delimited as read_delimited

FORMATS = {
    ".csv": "comma-separated",
    ".tsv": "tab-separated",
    ".parquet": "Parquet",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".json": "JSON lines",
    ".inter": "RecBole's events",
    ".user": "RecBole's users",
    ".item": "RecBole's items",
    ".txt": "a user and items a line",
}


def read_file(path: str | Path, progress: Progress | None = None) -> pa.Table:
    """Reads a table from a file, its format told by the extension.

    CSV (also by tabs, semicolons or |) and TSV, whose first line names the columns, JSON lines and
    Parquet; RecBole's `.inter`, `.user` and `.item`; `.txt` of a user and items a line, separated
    by blanks. The text formats also compressed, as `.csv.gz`.

    Args:
        path: The file.
        progress: Called with the bytes read and the bytes of the file, again and again.

    Returns:
        The table. Delimited cells are text, exactly as written: what a column means is decided
        before its type (`cells.typed` reads numbers). JSON and Parquet say their types themselves.

    Raises:
        ValueError: Unknown extension, no rows, a malformed or truncated file, text that is not
            UTF-8. The message names the file and, where there is one, the line.
        OSError: The file cannot be opened.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "items.csv"
    >>> _ = path.write_text("item,price\\n007,20\\n")
    >>> read_file(path).to_pylist()
    [{'item': '007', 'price': '20'}]
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} must be a file. Received: a folder. Name a file in it.")
    suffix = _suffix(path)
    if suffix == ".parquet":
        table = _read_parquet(path, progress)
    elif suffix in (".csv", ".tsv"):
        table = read_text(path, "\t" if suffix == ".tsv" else None, progress)
    elif suffix in RECBOLE:
        table = recbole(read_text(path, "\t", progress, quoted=False))
    elif suffix == ".txt":
        table = baskets(path, read_bytes(path))
    else:
        table = read_json(path, read_bytes(path))
    if table.num_rows == 0:
        raise ValueError(f"{path} has no rows.")
    twice = {name for name in table.column_names if name and table.column_names.count(name) > 1}
    if twice:
        raise ValueError(
            f"{path} must name each column once. Received: {', '.join(sorted(twice))} more than "
            "once. Rename or drop one of them."
        )
    if suffix not in (".csv", ".tsv", *RECBOLE):  # delimited text is checked as it is parsed
        check_utf8(path, table)
    return table


def _suffix(path: Path) -> str:
    """Returns the extension that tells the format, without .gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"] and len(suffixes) > 1
    suffix = suffixes[-2] if packed else "".join(suffixes[-1:])
    if suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise ValueError(
            f"{path} must be a table with one of the extensions {known} (the text formats also "
            f"with .gz). Received: {path.name!r}. {checks.did_you_mean(suffix, FORMATS)}".rstrip()
        )
    return suffix


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


def _read_parquet(path: Path, progress: Progress | None = None) -> pa.Table:
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"{path} is empty.")
    try:
        with pa.parquet.ParquetFile(path) as file:
            groups = range(file.num_row_groups)
            if progress is None or len(groups) < 2:
                return file.read()
            parts = []
            for group in groups:
                parts.append(file.read_row_group(group))
                progress(group + 1, len(groups))
            return pa.concat_tables(parts)
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(
            f"{path} is truncated or not Parquet: {error}. Copy it again, or write it again."
        ) from error
