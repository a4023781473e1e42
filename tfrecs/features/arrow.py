"""Arrow columns as raw TensorFlow tensors: missing values in place, text by its distinct values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tfrecs import checks
from tfrecs.features import nested
from tfrecs.features.raw import inner_width, raw_dtype
from tfrecs.spec import Cross, Feature, FeatureSpec, Timestamp

_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # per second


@dataclass(frozen=True)
class Layout:
    """What becomes of a column: the raw tensor's dtype and shape.

    Args:
        name: Name of the column.
        dtype: "string", "int64" or "float32".
        lists: Whether a row is a list of any length, which gives a RaggedTensor.
        width: Length of the lists where it is fixed, which gives `(B, width)`; `None` otherwise.
            With `lists` too a row is a list, of any length, of such lists.
        unit: Unit of the integers that times become; `None` for other columns.
    """

    name: str
    dtype: str
    lists: bool = False
    width: int | None = None
    unit: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether the values are text."""
        return self.dtype == "string"

    def part_dtypes(self) -> list[Any]:
        """Returns the dtypes of what `parts` gives for this column."""
        dtypes = [tf.int32 if self.is_text else tf.as_dtype(self.dtype)]
        return dtypes + [tf.int64] * self.lists + [tf.string] * self.is_text


def layouts(schema: pa.Schema, spec: FeatureSpec | None = None) -> list[Layout]:
    """Returns the layout of each column of a schema.

    Args:
        schema: The columns.
        spec: Numbers become float32 where the spec says Numeric, times integers of its unit.
            Columns that it does not have, and all columns without it, go by their Arrow type:
            integers int64, floats, decimals and booleans float32, text and bytes string,
            timestamps int64 of their own unit, dates int64 seconds.

    Raises:
        TypeError: A column is of a type that has no tensor, or of another than its feature says.
    """
    found = []
    for field in schema:
        feature = spec[field.name] if spec is not None and field.name in spec else None
        found.append(_layout(field, None if isinstance(feature, Cross) else feature))
    return found


def _layout(field: pa.Field, feature: Feature | None) -> Layout:
    if feature is not None and inner_width(feature) is not None:
        return Layout(field.name, raw_dtype(feature).name, True, inner_width(feature))
    kind, lists, width = field.type, False, None
    if pa.types.is_fixed_size_list(kind):
        kind, width = kind.value_type, kind.list_size
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind, lists = kind.value_type, True
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    dtype = _dtype(kind)
    if dtype is None:
        raise TypeError(
            f"Column `{field.name}` must hold text, numbers, times or lists of them. Received: "
            f"{field.type}. Leave it out, cast it: table.set_column(...), or give a spec that says "
            "what it is."
        )
    unit = _unit(kind)
    if feature is not None:
        wanted = raw_dtype(feature).name
        fits = wanted == dtype or (wanted == "float32" and dtype == "int64" and unit is None)
        if not (fits or pa.types.is_null(kind)):
            raise TypeError(
                f"Column `{field.name}` must hold {wanted} values, as its feature "
                f"{type(feature).__name__} says. Received: {field.type}. "
                "Cast the column, or give the feature another kind or dtype."
            )
        dtype = wanted
        unit = feature.unit if isinstance(feature, Timestamp) and unit is not None else unit
    return Layout(field.name, dtype, lists, width, unit)


def _dtype(kind: pa.DataType) -> str | None:
    is_ = pa.types
    text = (is_.is_string, is_.is_large_string, is_.is_string_view)
    if any(test(kind) for test in (*text, is_.is_binary, is_.is_large_binary, is_.is_null)):
        return "string"
    if any(test(kind) for test in (is_.is_integer, is_.is_timestamp, is_.is_date)):
        return "int64"
    if any(test(kind) for test in (is_.is_floating, is_.is_boolean, is_.is_decimal)):
        return "float32"
    return None


def _unit(kind: pa.DataType) -> str | None:
    if pa.types.is_timestamp(kind):
        return str(kind.unit)
    return "s" if pa.types.is_date(kind) else None


def parts(table: pa.Table, columns: list[Layout]) -> list[np.ndarray]:
    """Takes columns apart into flat arrays; `tensors` puts them together in the graph.

    Args:
        table: The rows.
        columns: Their layouts.

    Returns:
        For each column its values (text: int32 places among the distinct values), then int64 row
        splits for lists, then the distinct values as bytes for text.

    Raises:
        ValueError: A number does not fit its dtype.
    """
    arrays: list[np.ndarray] = []
    for layout in columns:
        column = table[layout.name]
        splits = None
        if layout.lists:
            if layout.width is not None:
                column, lengths = nested.flat(layout.name, layout.width, layout.dtype, column)
            else:
                column, lengths = nested.apart(column)
            splits = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        elif layout.width is not None:
            column = _fixed(column, layout.width)
        try:
            values, distinct = _text(column) if layout.is_text else (_numbers(column, layout), None)
        except pa.ArrowInvalid as error:
            raise ValueError(f"Column `{layout.name}` is not {layout.dtype}: {error}.") from error
        arrays.append(values if layout.width is None else values.reshape(-1, layout.width))
        arrays += [part for part in (splits, distinct) if part is not None]
    return arrays


def _fixed(column: pa.ChunkedArray, width: int) -> pa.ChunkedArray:
    """Returns the values of lists of fixed length; those of a null list are null."""
    values, _ = nested.apart(column)
    if column.null_count:
        known = np.repeat(column.is_valid().to_numpy(), width)
        places = np.where(known, np.cumsum(known) - 1, 0)
        values = values.take(pa.array(places, mask=~known))
    return values


def _text(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places of text among its distinct values, null being "", and those as bytes."""
    if not pa.types.is_dictionary(column.type):
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        column = (
            pa.chunked_array([pa.nulls(len(column), pa.string())])
            if pa.types.is_null(column.type)
            else column
        )
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    distinct = column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())
    indices = [chunk.indices for chunk in column.chunks]
    places = pc.fill_null(pa.chunked_array(indices, pa.int32()).cast(pa.int32()), len(distinct))
    binary = pa.large_binary() if distinct.type == pa.large_string() else pa.binary()
    values = np.append(distinct.cast(binary).to_numpy(zero_copy_only=False), [b""])
    return places.to_numpy(), values


def _numbers(column: pa.ChunkedArray, layout: Layout) -> np.ndarray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if layout.dtype == "float32":
        column = column.cast(pa.uint8()) if pa.types.is_boolean(kind) else column
        return np.asarray(column.cast(pa.float32(), safe=False).to_numpy(), np.float32)
    if layout.unit is not None:
        return _times(column, layout.unit)
    return np.asarray(pc.fill_null(column.cast(pa.int64()), -1).to_numpy())


def _times(column: pa.ChunkedArray, unit: str) -> np.ndarray:
    """Returns times as integers of `unit`, rounded down, -1 for null."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    have, want = _TICKS[column.type.unit], _TICKS[unit]
    ticks = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
    ticks = ticks * (want // have) if want >= have else ticks // (have // want)
    return np.where(column.is_valid().to_numpy(), ticks, -1)


def tensors(
    columns: list[Layout], arrays: list[Any], rows: tf.Tensor | None = None
) -> dict[str, Any]:
    """Puts the arrays of `parts` together: the raw batch.

    Args:
        columns: The layouts.
        arrays: What `parts` returned, as tensors.
        rows: int64 `(B,)`, the rows wanted; `None` for all.

    Returns:
        Tensors `(B,)`, `(B, width)`, or RaggedTensors `(B, None)`, by column.
    """
    batch: dict[str, Any] = {}
    left = list(arrays)
    for layout in columns:
        column = left.pop(0)
        if layout.lists:
            column = tf.RaggedTensor.from_row_splits(column, left.pop(0), validate=False)
        if rows is not None:
            column = tf.gather(column, rows)
        if layout.is_text:
            distinct = left.pop(0)
            if layout.lists:
                column = column.with_values(tf.gather(distinct, column.values))
            else:
                column = tf.gather(distinct, column)
        batch[layout.name] = column
    return batch


def check_columns(schema: pa.Schema, names: list[str], where: str) -> None:
    """Raises ValueError unless the schema has all columns `names`; `where` names its table."""
    for name in names:
        if name not in schema.names:
            near = checks.did_you_mean(name, schema.names)
            raise ValueError(
                checks.expected("columns", f"columns of {where}: {schema.names}", name, near)
            )
