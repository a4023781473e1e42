"""One table of the user's: a file or a table of another library, with how its cells are read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.arrow import as_table, is_table
from tfrecs.datasets import cells, guess
from tfrecs.datasets.cells import AmbiguousError, Decimal
from tfrecs.datasets.choice import Choice
from tfrecs.datasets.columns import is_text
from tfrecs.datasets.moments import Order, as_unit, times
from tfrecs.datasets.readers import read_file
from tfrecs.datasets.texts import DELIMITER, Progress
from tfrecs.spec import Categorical, Feature, Numeric, Text, Timestamp

_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$"


@dataclass(frozen=True)
class Source:
    """A table of the user's.

    Args:
        table: The rows.
        where: Its file, or which argument it was, for messages.
        name: What reports call it.
        text: Whether all cells are text whose types are still to be read.
        decimal: The decimal sign; `None` decides by each column.
        date_order: Whether day or month stands first; `None` decides by each column.
    """

    table: pa.Table
    where: str
    name: str
    text: bool = False
    decimal: Decimal | None = None
    date_order: Order | None = None

    def typed(self, name: str, choice: Choice, notes: list[str]) -> pa.ChunkedArray:
        """Returns a column of a feature as what it looks like: numbers, times, truth or text.

        What the user's spec says of it comes before what it looks like.
        """
        column, wanted = self.table[name], choice.of(name)[0]
        if wanted is not None:
            return self._as_wanted(wanted, column)
        if not self.text or not is_text(column.type) or guess.is_id_name(name):
            return column
        if all(pc.all(cells.is_missing(part)).as_py() for part in (column[:99], column)):
            return pa.chunked_array([pa.nulls(len(column))])
        found = cells.numbers(name, column, self.sign(name, notes))
        if found is not None:
            return found
        known = cells.without_missing(column)
        if pc.all(pc.match_substring_regex(known, "^(?i:true|false)$")).as_py():
            return pc.equal(pc.utf8_lower(known), "true")
        if pc.all(pc.match_substring_regex(known, _ISO)).as_py():
            for zone in ("UTC", None):
                try:
                    return known.cast(pa.timestamp("s", zone))
                except pa.ArrowInvalid:
                    continue
        return column

    def _as_wanted(self, feature: Feature, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Returns a column as a feature of the user's spec wants it."""
        if isinstance(feature, Timestamp):
            return as_unit(*times(feature.name, column, self.date_order), feature.unit)
        if not is_text(column.type):
            texts = isinstance(feature, Text) or getattr(feature, "dtype", "") == "string"
            plain = pa.types.is_integer(column.type) and texts
            return column.cast(pa.string()) if plain else column
        wants_number = isinstance(feature, Numeric) or (
            isinstance(feature, Categorical) and feature.dtype == "int64"
        )
        if not wants_number:
            return column
        found = cells.numbers(feature.name, column, self.sign(feature.name, []), zeros=True)
        return column if found is None else found

    def sign(self, name: str, notes: list[str]) -> Decimal | None:
        """Returns the decimal sign of a column; points alone are read as other columns say.

        Raises:
            AmbiguousError: 1.234 may be a thousand, and no other column tells.
        """
        if self.decimal is not None or not self.text or not cells.in_doubt(self.table[name]):
            return self.decimal
        others = [n for n in self.table.column_names if n != name and is_text(self.table[n].type)]
        by = next((n for n in others if cells.decimal_sign(self.table[n]) == ","), None)
        first = cells.first_with_point(self.table[name])
        if by is not None:
            notes.append(
                f"{name!r}: {first} is {first.replace('.', '')}, since {by!r} has decimal commas "
                "(--decimal . reads points)."
            )
            return ","
        if _delimiter(self.table) != ";":
            return None
        raise AmbiguousError(
            f"Column {name!r} of {self.where} must say what its points are: {first!r} may be "
            f"{first.replace('.', '')} or {first}, and no cell tells. Say so: decimal=',' or '.' "
            "(--decimal on the command line)."
        )

    def with_column(self, name: str, column: Any) -> "Source":
        """Returns the source with a column replaced."""
        place = self.table.column_names.index(name)
        return replace(self, table=self.table.set_column(place, name, column))


def open_source(
    argument: str,
    value: Any,
    notes: list[str],
    *,
    decimal: Decimal | None = None,
    date_order: Order | None = None,
    progress: Progress | None = None,
) -> Source:
    """Reads a file or takes a table; row numbers are left out.

    Raises:
        TypeError: `value` is neither a path nor a table.
        ValueError: As `read_file`; or no column is left.
    """
    if isinstance(value, str | Path):
        table, where = read_file(value, progress), str(value)
        name = Path(value).name.split(".")[0]
    elif is_table(value):
        table, where, name = as_table(argument, value), f"the table `{argument}`", argument
        if table.num_rows == 0:
            raise ValueError(f"{where} has no rows.")
    else:
        table, where, name = as_table(argument, value, ", or the path of a file"), "", ""
    text = _delimiter(table) is not None
    for column, why in guess.row_numbers(table).items():
        places = [i for i, n in enumerate(table.column_names) if n == column]
        for place in reversed(places):
            table = table.remove_column(place)
        short = Path(where).name if isinstance(value, str | Path) else where
        notes.append(f"{why} of {short} is left out.")
    if table.num_columns == 0:
        raise ValueError(f"{where} has no column left.")
    return Source(table, where, name, text, decimal, date_order)


def check_named(drop: Sequence[str], sources: Sequence[Any], option: str) -> None:
    """Raises ValueError where a column named by an option is in no table."""
    names = [name for source in sources if source is not None for name in source.table.column_names]
    for name in drop:
        if name not in names:
            near = checks.did_you_mean(name, names)
            raise ValueError(
                checks.expected(option, f"columns among {', '.join(names)}", name, near)
            )


def _delimiter(table: pa.Table) -> str | None:
    """Returns what stood between the cells of a text file, `None` for other tables."""
    found = (table.schema.metadata or {}).get(DELIMITER)
    return found.decode() if found is not None else None
