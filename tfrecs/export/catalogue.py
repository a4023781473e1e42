"""What a SavedModel knows of the candidates: their ids, and columns to show beside a score."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tfrecs import checks
from tfrecs.features.vocabulary import Vocabulary, write_values
from tfrecs.spec import NUM_RESERVED_IDS

SCORE = "score"
JOINT = "|"  # between the strings of a list
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")  # what a signature takes as a name unchanged


class Catalogue(tf.Module):
    """Ids and display columns by position in the index, and positions by id.

    Args:
        candidates: One row a candidate, in the order of the index.
        id_name: Name of the id column.
        display: Names of further columns to show.
        folder: Where to write the ids, one a line; it must stay until the SavedModel is written.
    """

    def __init__(
        self, candidates: pa.Table, id_name: str, display: Iterable[str], folder: Path
    ) -> None:
        super().__init__(name="catalogue")
        for name in display:
            if not NAME.fullmatch(name) or name in (id_name, SCORE):
                expectation = f"columns whose names are letters, digits and _, not {SCORE!r}"
                raise ValueError(checks.expected("display", expectation, name))
        columns = {name: display_values(candidates, name) for name in (id_name, *display)}
        self.columns = {
            name: tf.Variable(values, trainable=False, name=name)
            for name, values in columns.items()
        }
        ids = candidates[id_name].combine_chunks()
        integers = pa.types.is_integer(ids.type)
        ids = ids.cast(pa.int64() if integers else pa.large_string())
        path = folder / "candidates.txt"
        self.places = Vocabulary(path, "int64" if integers else "string", write_values(ids, path))

    def positions(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns int32 positions of ids; unknown and missing ids give less than 0."""
        return tf.maximum(self.places(ids) - NUM_RESERVED_IDS, -1)

    def rows(self, positions: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the columns at positions; -1 gives the missing value."""
        return {
            name: tf.gather(column, tf.where(positions < 0, tf.shape(column)[0] - 1, positions))
            for name, column in self.columns.items()
        }


def display_values(table: pa.Table, name: str) -> np.ndarray:
    """Returns a column as string, int64, float32 or bool, with the missing value at the end.

    A list of strings is one string, "a|b".
    """
    if name not in table.column_names:
        remedy = checks.did_you_mean(name, table.column_names)
        raise ValueError(
            checks.expected("display", f"columns of {table.column_names}", name, remedy)
        )
    column, kind = table[name], table[name].type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if is_strings(kind):
        column = pc.binary_join(column.cast(pa.list_(pa.string())), JOINT)
        kind = column.type
    missing: Any = ""
    if pa.types.is_boolean(kind):
        missing = False
    elif pa.types.is_integer(kind):
        column, missing = column.cast(pa.int64()), -1
    elif pa.types.is_floating(kind):
        column, missing = column.cast(pa.float32()), float("nan")
    elif not can_display(kind):
        expectation = "columns of strings, lists of strings, numbers or booleans"
        raise ValueError(checks.expected("display", expectation, f"{name}: {kind}"))
    values = pc.fill_null(column, pa.scalar(missing, column.type)).to_numpy()
    return np.append(values, np.array([missing], values.dtype))


def can_display(kind: pa.DataType) -> bool:
    """Returns whether columns of a type can be shown: strings, lists of them, numbers, booleans."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string)
    return is_strings(kind) or pa.types.is_large_string(kind) or any(test(kind) for test in tests)


def is_strings(kind: pa.DataType) -> bool:
    """Returns whether a type is a list of strings."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    value = kind.value_type
    if pa.types.is_dictionary(value):
        value = value.value_type
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))
