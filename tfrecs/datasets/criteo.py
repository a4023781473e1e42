"""Criteo's ad impressions: 13 counts, 26 categories, a click; files of any size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from tfrecs import checks
from tfrecs.datasets.readers import read_bytes, read_delimited
from tfrecs.datasets.tables import Tables
from tfrecs.files import written_aside
from tfrecs.spec import Categorical, Feature, FeatureSpec, Numeric

LABEL = "label"
COUNTS = tuple(f"I{i}" for i in range(1, 14))
CATEGORIES = tuple(f"C{i}" for i in range(1, 27))
_TYPES = (
    {LABEL: pa.int8()}
    | dict.fromkeys(COUNTS, pa.float32())
    | dict.fromkeys(CATEGORIES, pa.string())
)
_BLOCK = 1 << 26  # bytes read at a time, some 250,000 lines


def criteo_spec(
    min_count: int = 1,
    hash_bins: int | None = None,
    counts: Literal["log_squared", "quantile", "standard", "none"] = "log_squared",
) -> FeatureSpec:
    """Returns the usual features of Criteo's format, all of role context.

    Args:
        min_count: Categories seen fewer times become the unknown one. Defaults to 1; 10 is usual
            for the full data.
        hash_bins: Hash categories into that many ids instead of learning a vocabulary; `None` not.
        counts: What becomes of the 13 counts; see `Numeric`. Defaults to "log_squared".

    Example:

    >>> spec = criteo_spec(min_count=10)
    >>> spec["C1"].min_count, spec["I1"].normalize, len(spec)
    (10, 'log_squared', 40)
    """
    numbers: list[Feature] = [
        Numeric(name, "context", normalize=counts, num_bins=200) for name in COUNTS
    ]
    categories = [
        Categorical(name, "context", min_count=min_count, hash_bins=hash_bins)
        for name in CATEGORIES
    ]
    return FeatureSpec((Numeric(LABEL, "label"), *numbers, *categories))


def criteo(data_dir: str | Path, min_count: int = 10) -> Tables:
    """Reads the files of Criteo's format in a folder, into memory: for samples of it.

    All of it is one file of 11 GB; for that, `criteo_to_parquet` and the pipeline `criteo_deepfm`.

    Args:
        data_dir: Folder of `.txt` or `.tsv` files with labels, also compressed as `.gz`.
        min_count: Categories seen fewer times become the unknown one. Defaults to 10.

    Returns:
        Tables of impressions, without users and items.

    Raises:
        ValueError: No such file, or as `read_criteo`.
    """
    files = files_in(data_dir, (".txt", ".tsv"))
    events = pa.concat_tables([read_criteo(file) for file in files])
    return Tables("criteo", events, None, None, criteo_spec(min_count))


def files_in(data_dir: str | Path, endings: tuple[str, ...]) -> list[Path]:
    """Returns the files of a folder that end so, or so and `.gz`, by name.

    Raises:
        ValueError: If there is none.
    """
    folder = Path(data_dir)
    found = folder.iterdir() if folder.is_dir() else []
    files = sorted(file for file in found if file.name.removesuffix(".gz").endswith(endings))
    if not files:
        names = " or ".join(f"*{ending}" for ending in endings)
        raise ValueError(checks.expected("data_dir", f"a folder of files {names}", str(folder)))
    return files


def read_criteo(path: str | Path) -> pa.Table:
    """Reads a file of Criteo's format into memory: tab-separated, without a line of names.

    Args:
        path: The file, also compressed as `.gz`.

    Returns:
        Columns label (int8), I1 to I13 (float32) and C1 to C26 (text); null where a cell is empty.

    Raises:
        ValueError: Not 40 columns, a label that is not 0 or 1, a count that is no number, or text
            that is not UTF-8; the message names the line.
    """
    path = Path(path)
    table = read_delimited(path, read_bytes(path), "\t", types=_TYPES, quoted=False)
    return _checked(path, table, first_line=1)


def stream_criteo(path: str | Path) -> Iterator[pa.Table]:
    """Yields a file of Criteo's format, not compressed, in tables of some 250,000 rows.

    Args:
        path: The file, of any size.

    Raises:
        ValueError: As `read_criteo`.
    """
    path, line = Path(path), 1
    read = pa.csv.ReadOptions(column_names=list(_TYPES), block_size=_BLOCK, use_threads=False)
    parse = pa.csv.ParseOptions(delimiter="\t", quote_char=False)
    convert = pa.csv.ConvertOptions(column_types=_TYPES, strings_can_be_null=True)
    try:
        for batch in pa.csv.open_csv(path, read, parse, convert):
            table = pa.Table.from_batches([batch])
            yield _checked(path, table, first_line=line)
            line += len(table)
    except pa.ArrowInvalid as error:
        told = str(error).replace("Row #", "line ").replace("CSV parse error: ", "")
        raise ValueError(f"{path} is malformed, from line {line} on: {told}.") from error


def criteo_to_parquet(path: str | Path, output: str | Path) -> Path:
    """Rewrites a file of Criteo's format as Parquet, which `features.from_parquet` streams.

    Args:
        path: The file, of any size.
        output: The file to write, aside and renamed.

    Returns:
        `output`.

    Raises:
        ValueError: As `read_criteo`.
    """
    output = Path(output)
    with written_aside(output) as aside:
        tables = stream_criteo(path)
        first = next(tables)
        with pa.parquet.ParquetWriter(aside, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
    return output


def _checked(path: Path, table: pa.Table, first_line: int) -> pa.Table:
    """Makes empty text null and checks the labels."""
    check_clicks(path, table[LABEL], first_line)
    for name in CATEGORIES:
        place = table.column_names.index(name)
        column = table[name]
        empty = pa.compute.equal(column, "")
        table = table.set_column(place, name, pa.compute.if_else(empty, None, column))
    return table


def check_clicks(path: Path, labels: pa.ChunkedArray, first_line: int) -> None:
    """Raises ValueError unless every label is 0 or 1, naming the line of the first other one."""
    values = labels.cast(pa.float32()).to_numpy()
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        told = checks.received(labels[row].as_py())
        raise ValueError(
            f"{path} must have labels 0 and 1. Received: {told} in line {row + first_line}."
        )
