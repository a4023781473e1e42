"""The two sides of an event, users and items: their table and their features."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets import columns, guess
from tfrecs.datasets.readers import read_file
from tfrecs.spec import Categorical, Feature, Role


@dataclass(frozen=True)
class Side:
    """The users or the items of one's own tables.

    Args:
        part: "user" or "item".
        name: Column of their id, here and in the events.
        table: One row each.
        features: Of the columns of `table`, the id first.
    """

    part: str
    name: str
    table: pa.Table
    features: tuple[Feature, ...]

    @property
    def role(self) -> Role:
        """The role of their features."""
        return "query" if self.part == "user" else "candidate"


def read_side(
    part: str,
    name: str,
    events: pa.Table,
    source: str | Path,
    path: str | Path | None,
    notes: list[str],
) -> Side:
    """Reads the users or the items from their file, or makes them from the events.

    Args:
        part: "user" or "item".
        name: Column of their id in the events.
        events: The events.
        source: File of the events, for messages.
        path: Their file; `None` for none.
        notes: Gets a sentence for what was decided.

    Raises:
        ValueError: The file has no id column, or none of the ids of the events.
    """
    ids = id_column(events, name, source)
    if path is None:
        table = pa.table({name: _known(ids)})
    else:
        table = _read_table(part, name, Path(path), notes)
        own = id_column(table, name, path)
        if columns.is_text(own.type) != columns.is_text(ids.type):
            own, ids = own.cast(pa.string()), ids.cast(pa.string())
        table = table.set_column(table.column_names.index(name), name, own)
        table = _completed(part, table, name, ids, Path(path), notes)
    dtype: Literal["string", "int64"] = "string" if columns.is_text(table[name].type) else "int64"
    side = Side(part, name, table, ())
    features: list[Feature] = [Categorical(name, side.role, dtype, is_id=True)]
    if part == "item":
        table = _with_title(table, name, notes)
    for column in table.column_names:
        if column != name:
            table, feature = with_feature(table, column, side.role, notes)
            features += [feature] if feature is not None else []
    return Side(part, name, table, tuple(features))


def id_column(table: pa.Table, name: str, where: str | Path) -> pa.ChunkedArray:
    """Returns an id column as string or int64.

    Raises:
        ValueError: Its values are neither text nor whole numbers.
    """
    ids = table[name]
    if pa.types.is_floating(ids.type) or pa.types.is_uint64(ids.type):
        try:  # whole numbers with gaps, as pandas writes them
            ids = ids.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"Column {name!r} of {where} must hold ids, text or integers of 64 bits: {error}. "
                "Write them as text, or name another column."
            ) from error
    if not (columns.is_text(ids.type) or pa.types.is_integer(ids.type)):
        raise ValueError(
            f"Column {name!r} of {where} must hold ids, text or integers. Received: {ids.type}. "
            "Write them as text, or name another column."
        )
    return columns.plain(ids)


def _known(ids: pa.ChunkedArray) -> pa.Array:
    """Returns the distinct ids, none missing."""
    found = pc.unique(ids.drop_null())
    return found.filter(pc.not_equal(found, "" if columns.is_text(ids.type) else -1))


def _read_table(part: str, name: str, path: Path, notes: list[str]) -> pa.Table:
    """Reads the file, its id column named as in the events."""
    table = read_file(path)
    if name in table.column_names:
        return table
    plain = next((column for column in table.column_names if column.lower() == "id"), None)
    found = guess.find_column(part, table) or plain
    if found is None:
        raise ValueError(
            f"{path} must have the {part} id in a column {name!r}, as the events have. "
            f"Received: {table.column_names}. Rename its column."
        )
    notes.append(f"{found!r} of {path.name} is {name!r} of the events.")
    return table.rename_columns({found: name})


def _completed(
    part: str, table: pa.Table, name: str, ids: pa.ChunkedArray, path: Path, notes: list[str]
) -> pa.Table:
    """Adds rows of nulls for the ids that only events have."""
    used = _known(ids)
    unknown = used.filter(pa.array(columns.positions(used, table[name]) < 0))
    if len(unknown) == 0:
        return table
    if len(unknown) == len(used):
        raise ValueError(
            f"No {part} of the events is in {path}. Received: {name} {used[0].as_py()!r} there, "
            f"{table[name][0].as_py()!r} here. Name the column of the events that holds these ids: "
            f"{part}='...' (--{part}-column on the command line)."
        )
    notes.append(
        f"{len(unknown):,} of {len(used):,} {part}s of the events are not in {path.name}: they "
        "are kept, with missing features."
    )
    return pa.concat_tables([table, pa.table({name: unknown})], promote_options="default")


def _with_title(table: pa.Table, name: str, notes: list[str]) -> pa.Table:
    """Calls the column that people know an item by `title`."""
    found = guess.find_title(table.drop_columns(name))
    if found is None or "title" in table.column_names:
        return table
    notes.append(f"{found!r} of the items is taken for their title.")
    return table.rename_columns({found: "title"})


def with_feature(
    table: pa.Table, name: str, role: Role, notes: list[str]
) -> tuple[pa.Table, Feature | None]:
    """Returns the table with a column as its feature wants it, and that feature.

    A column of which no feature can be made is left out.
    """
    place, column = table.column_names.index(name), table[name]
    if guess.holds_lists(column):
        notes.append(f"{name!r} is read as lists separated by |.")
        column = pc.split_pattern(column, "|")
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    elif pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    feature = guess.guess_feature(name, column, role)
    if feature is None:
        notes.append(f"{name!r} is left out: no feature is made of {column.type}.")
        return table.remove_column(place), None
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return table.set_column(place, name, column), feature


def renamed_apart(query: Side, candidate: Side, notes: list[str]) -> tuple[Side, Side]:
    """Renames features that both sides have, so that a batch can hold both."""
    both = set(query.table.column_names) & set(candidate.table.column_names)
    query = _renamed(query, both - {query.name}, notes)
    return query, _renamed(candidate, both & {query.name}, notes)


def _renamed(side: Side, names: set[str], notes: list[str]) -> Side:
    new = {name: f"{side.part}_{name}" for name in names}
    for old, name in new.items():
        notes.append(f"{old!r} of the {side.part}s is called {name!r}: the others have it too.")
    features = tuple(
        replace(feature, name=new.get(feature.name, feature.name)) for feature in side.features
    )
    return replace(side, table=side.table.rename_columns(new), features=features)
