"""Tables of any library as Arrow: pandas, polars, Arrow, DuckDB, dicts of arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tfrecs import checks

_OFFSETS = 2**31  # bytes that one array of strings can hold
TAKEN = (
    "a table: pandas, polars, pyarrow, a DuckDB relation (whatever has `__arrow_c_stream__`) or a "
    "dict of arrays"
)


def is_table(value: Any) -> bool:
    """Returns whether `as_table` takes a value.

    Example:

    >>> is_table({"user": ["ann"]}), is_table("events.csv")
    (True, False)
    """
    return hasattr(value, "__arrow_c_stream__") or isinstance(value, Mapping | pa.RecordBatch)


def as_table(argument: str, value: Any, also: str = "") -> pa.Table:
    """Returns a table as Arrow, through its C stream: no library of tables is imported.

    Args:
        argument: Name of the argument, for messages.
        value: A `pa.Table`, what has `__arrow_c_stream__` (a pandas or polars DataFrame, a DuckDB
            relation, a record batch reader), or a dict of arrays.
        also: What the argument may be besides, for messages.

    Raises:
        TypeError: Anything else, or a column of mixed types.

    Example:

    >>> as_table("events", {"user": ["ann"], "n": np.array([1])}).to_pylist()
    [{'user': 'ann', 'n': 1}]
    """
    if isinstance(value, pa.Table):
        return value
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    try:
        if isinstance(value, Mapping):
            return pa.table({str(name): _column(cells) for name, cells in value.items()})
        if hasattr(value, "__arrow_c_stream__"):
            return _without_views(pa.RecordBatchReader.from_stream(value).read_all())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError) as error:
        remedy = "Make each column of one type and one length."
        told = f"{type(value).__name__}, of which Arrow says: {error}"
        raise TypeError(checks.expected(argument, TAKEN + also, told, remedy)) from error
    remedy = "A LazyFrame wants .collect()." if hasattr(value, "collect") else ""
    raise TypeError(checks.expected(argument, TAKEN + also, type(value).__name__, remedy))


def _without_views(table: pa.Table) -> pa.Table:
    """Returns text as polars sends it, string views, as the strings that Arrow can sort."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            kind = pa.large_string() if table[place].nbytes >= _OFFSETS else pa.string()
            table = table.set_column(place, field.name, table[place].cast(kind))
    return table


def _column(cells: Any) -> Any:
    """Returns one column of a dict; arrays of two axes are lists."""
    if isinstance(cells, pa.Array | pa.ChunkedArray):
        return cells
    if hasattr(cells, "__arrow_c_stream__"):
        return pa.chunked_array(cells)
    array = np.asarray(cells) if not isinstance(cells, list | tuple) else None
    if array is not None and array.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])
    return pa.array(
        cells if array is None else array, from_pandas=array is None or array.dtype == object
    )
