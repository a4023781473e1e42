"""Arrow columns whose rows are lists of lists: several vectors, pairs of a key and a value."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks

PAIR = 2  # texts: the key and the value of an attribute
_TEXT = pa.large_string()


def is_list(kind: pa.DataType) -> bool:
    """Returns whether an Arrow type is of lists."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def apart(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, np.ndarray]:
    """Takes the lists of a column apart: a null list is an empty one.

    Returns:
        values: The values of all lists.
        lengths: int64 `(B,)`, how many each list has.
    """
    values = [chunk.flatten() for chunk in column.chunks]
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    if pa.types.is_fixed_size_list(column.type):
        lengths = np.where(pc.is_valid(column).to_numpy(), lengths, 0)
    return pa.chunked_array(values, type=column.type.value_type), lengths


def vectors(
    name: str, dim: int, column: pa.ChunkedArray, first_row: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Reads lists of vectors.

    Args:
        name: Name of the column.
        dim: Length of a vector.
        column: Lists of lists of numbers; a null or empty one inside is a missing vector.
        first_row: Row of the source that the column begins with, for error messages.

    Returns:
        vectors: float32 `(N, dim)`, NaN where missing.
        lengths: int64 `(B,)`, how many vectors each row has.

    Raises:
        TypeError: If the column holds something else.
        ValueError: If a vector is of another length.
    """
    kind = column.type
    if pa.types.is_null(kind) or (is_list(kind) and pa.types.is_null(kind.value_type)):
        lengths = np.zeros(len(column), np.int64) if pa.types.is_null(kind) else apart(column)[1]
        return np.full((int(lengths.sum()), dim), np.nan, np.float32), lengths
    number = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal, pa.types.is_null)
    inner = kind.value_type if is_list(kind) else kind
    if not (is_list(kind) and is_list(inner) and any(is_(inner.value_type) for is_ in number)):
        expectation = f"lists of vectors of {dim} numbers"
        raise TypeError(checks.expected(f"column {name}", expectation, str(kind)))
    column, lengths = apart(column)
    flat, sizes = apart(column)
    wrong = np.flatnonzero((sizes != dim) & (sizes != 0))
    if len(wrong):
        expectation = f"vectors of {dim} numbers, or null"
        row = first_row + row_of(int(wrong[0]), lengths)
        received = f"{sizes[wrong[0]]} numbers"
        raise ValueError(checks.expected(f"row {row} of column {name}", expectation, received))
    found = np.full((len(sizes), dim), np.nan, np.float32)
    with np.errstate(over="ignore"):  # a double out of float32's range is infinite
        numbers = flat.cast(pa.float32(), safe=False).to_numpy()
    found[sizes > 0] = numbers.reshape(-1, dim)
    return found, lengths


def pairs(
    name: str, column: pa.ChunkedArray, first_row: int = 0
) -> tuple[pa.ChunkedArray, pa.ChunkedArray, np.ndarray]:
    """Reads pairs of a key and a value.

    Args:
        name: Name of the column.
        column: Maps, lists of structs `{key, value}` or of lists of two texts, or structs whose
            fields are the keys.
        first_row: Row of the source that the column begins with, for error messages.

    Returns:
        keys: large_string `(N,)`, null where missing.
        values: large_string `(N,)`, null where missing.
        lengths: int64 `(B,)`, how many pairs each row has.

    Raises:
        TypeError: If the column holds something else.
        ValueError: If a list has a number of texts other than two.
    """
    kind = column.type
    if pa.types.is_map(kind):
        field = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        column = column.cast(pa.list_(field))
    if pa.types.is_null(kind) or (is_list(kind) and pa.types.is_null(kind.value_type)):
        nothing = pa.chunked_array([pa.array([], _TEXT)])
        return nothing, nothing, np.zeros(len(column), np.int64)
    if pa.types.is_struct(kind):
        return _of_fields(name, column)
    inner = column.type.value_type if is_list(column.type) else kind
    if pa.types.is_struct(inner) and {f.name for f in inner} == {"key", "value"}:
        column, lengths = apart(column)
        keys, values = (pc.struct_field(column, [field]) for field in ("key", "value"))
        return _texts(name, keys), _texts(name, values), lengths
    if not (is_list(kind) and is_list(inner)):
        expectation = "maps, lists of structs {key, value}, lists of pairs of texts, or structs"
        raise TypeError(checks.expected(f"column {name}", expectation, str(kind)))
    column, lengths = apart(column)
    flat, sizes = apart(column)
    wrong = np.flatnonzero((sizes != PAIR) & (sizes != 0))
    if len(wrong):
        row = first_row + row_of(int(wrong[0]), lengths)
        received = f"{sizes[wrong[0]]} texts"
        where = f"row {row} of column {name}"
        raise ValueError(checks.expected(where, "pairs of a key and a value, or null", received))
    texts = _texts(name, flat)
    first = np.where(sizes > 0, np.cumsum(sizes) - sizes, 0)
    keys, values = (texts.take(pa.array(first + i, mask=sizes == 0)) for i in range(PAIR))
    return keys, values, lengths


def _of_fields(
    name: str, column: pa.ChunkedArray
) -> tuple[pa.ChunkedArray, pa.ChunkedArray, np.ndarray]:
    """Reads structs: the names of the fields are the keys, in their order."""
    names, rows = [field.name for field in column.type], len(column)
    texts = [_texts(name, pc.struct_field(column, [field])) for field in range(len(names))]
    joined = pa.chunked_array([chunk for text in texts for chunk in text.chunks], _TEXT)
    places = np.arange(len(names)) * rows + np.arange(rows)[:, None]
    keys = pa.array(names, _TEXT).take(pa.array(np.tile(np.arange(len(names)), rows)))
    lengths = np.full(rows, len(names), np.int64)
    return pa.chunked_array([keys]), joined.take(pa.array(places.ravel())), lengths


def _texts(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns texts, numbers and booleans as texts; bytes are taken as UTF-8."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    types = pa.types
    if types.is_binary(kind) or types.is_large_binary(kind):
        chunks = [chunk.view(_TEXT) for chunk in column.cast(pa.large_binary()).chunks]
        return pa.chunked_array(chunks, _TEXT)  # checked where they are learned
    number = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    text = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if not any(is_(kind) for is_ in (*number, *text)):
        expectation = "keys and values of text, numbers or booleans"
        raise TypeError(checks.expected(f"column {name}", expectation, str(kind)))
    return column.cast(_TEXT)


def row_of(place: int, lengths: np.ndarray) -> int:
    """Returns the row that the value at `place` of a flattened column belongs to."""
    return int(np.searchsorted(np.cumsum(lengths), place, side="right"))


def rows_of(column: pa.ChunkedArray, name: str, width: int, dtype: str, missing: Any) -> list[Any]:
    """Returns a column as nested Python lists, `missing` in the place of nulls."""
    values, lengths = flat(name, width, dtype, column)
    listed = [missing if value is None else value for value in values.to_pylist()]
    inner = [listed[start : start + width] for start in range(0, len(listed), width)]
    ends = np.cumsum(lengths)
    return [inner[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def flat(
    name: str, width: int, dtype: str, column: pa.ChunkedArray
) -> tuple[pa.ChunkedArray, np.ndarray]:
    """Reads either kind of list of lists as one flat list, `width` values one behind the other.

    Returns:
        values: float32 `(N * width,)` with NaN, or large_string `(N * width,)` with nulls.
        lengths: int64 `(B,)`, how many inner lists each row has.
    """
    if dtype == "float32":
        numbers, lengths = vectors(name, width, column)
        return pa.chunked_array([numbers.ravel()]), lengths
    keys, values, lengths = pairs(name, column)
    places = np.arange(len(keys))[:, None] + np.array([0, len(keys)])
    joined = pa.chunked_array([*keys.chunks, *values.chunks], _TEXT)
    return joined.take(pa.array(places.ravel())), lengths
