"""The two sides of an event, users and items: their table and their features."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets import columns, guess, joins
from tfrecs.datasets.choice import Choice
from tfrecs.datasets.sources import Source
from tfrecs.spec import Feature, MultiCategorical, Role, Sequence

_EXACT = 2**53  # whole numbers that a float tells apart


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
    events: Source,
    source: Source | None,
    own: str | None,
    allow_missing: bool,
    choice: Choice,
    notes: list[str],
) -> Side:
    """Takes the users or the items from their table, or makes them from the events.

    Args:
        part: "user" or "item".
        name: Column of their id in the events.
        events: The events.
        source: Their table; `None` for none.
        own: Column of their id there; `None` chooses by how many ids of the events it holds.
        allow_missing: Whether fewer than half of the ids may be there.
        choice: Which columns become features.
        notes: Gets a sentence for what was decided.

    Raises:
        ValueError: No column holds the ids of the events, or another one than the name says.
    """
    ids = id_column(events.table, name, events.where, notes)
    if source is None:
        table = pa.table({name: _known(ids)})
    else:
        found = joins.find_id(part, name, _known(ids), source, own, allow_missing, notes)
        source, ids = _same_kind(part, name, source, found, events, ids, notes)
        table = source.table
        if found != name:
            if name in table.column_names:
                table = table.rename_columns({name: f"{part}_{name}"})
                notes.append(f"{name!r} of {source.where} is called '{part}_{name}' here.")
            table = table.rename_columns({found: name})
        source = replace(source, table=table)
        table = _completed(part, source, name, ids, choice, notes)
    dtype: Literal["string", "int64"] = "string" if columns.is_text(table[name].type) else "int64"
    side = Side(part, name, table, ())
    features: list[Feature] = [choice.id(name, side.role, dtype)]
    if part == "item":
        table = _with_title(table, name, notes)
    for column in table.column_names:
        if column != name:
            table, feature = with_feature(table, column, side.role, choice, notes)
            features += [feature] if feature is not None else []
    return Side(part, name, table, tuple(features))


def _same_kind(
    part: str,
    name: str,
    source: Source,
    found: str,
    events: Source,
    ids: pa.ChunkedArray,
    notes: list[str],
) -> tuple[Source, pa.ChunkedArray]:
    """Returns the side and the ids of the events, both of text where one is."""
    theirs = id_column(source.table, found, source.where, notes)
    if columns.is_text(theirs.type) != columns.is_text(ids.type):
        whole, text = (source, events) if columns.is_text(ids.type) else (events, source)
        notes.append(
            f"The {part} ids are whole numbers in {whole.where} and text in {text.where}: the "
            "numbers are written as text, 7 as '7'."
        )
        theirs, ids = theirs.cast(pa.string()), ids.cast(pa.string())
    return source.with_column(found, theirs), ids


def id_column(
    table: pa.Table, name: str, where: str | Path, notes: list[str] | None = None
) -> pa.ChunkedArray:
    """Returns an id column as string or int64.

    Raises:
        ValueError: Its values are neither text nor whole numbers.
    """
    ids = table[name]
    told = f"Column {name!r} of {where} must hold ids, text or integers"
    remedy = "Write them as text, or name another column."
    if pa.types.is_floating(ids.type) or pa.types.is_uint64(ids.type):
        try:  # whole numbers with gaps, as pandas writes them
            whole = ids.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise ValueError(f"{told} of 64 bits: {error}. {remedy}") from error
        if pa.types.is_floating(ids.type):
            row = pc.index(pc.greater_equal(pc.abs(whole), _EXACT), True).as_py()
            if row >= 0:
                raise ValueError(
                    f"{told}. Received: {ids[row].as_py()!r} in row {row}, a number with a "
                    f"fraction's digits, which merges ids from 2**53 on. {remedy}"
                )
            if notes is not None:
                notes.append(f"Ids in {name!r} of {where}: whole numbers with gaps, 7.0 is 7.")
        ids = whole
    if not (columns.is_text(ids.type) or pa.types.is_integer(ids.type)):
        raise ValueError(f"{told}. Received: {ids.type}. {remedy}")
    return columns.plain(ids)


def _known(ids: pa.ChunkedArray) -> pa.Array:
    """Returns the distinct ids, none missing."""
    found = pc.unique(ids.drop_null())
    return found.filter(pc.not_equal(found, "" if columns.is_text(ids.type) else -1))


def _completed(
    part: str,
    source: Source,
    name: str,
    ids: pa.ChunkedArray,
    choice: Choice,
    notes: list[str],
) -> pa.Table:
    """Types the features, and adds rows of nulls for the ids that only events have."""
    table = source.table
    for column in table.column_names:
        if column != name:
            place = table.column_names.index(column)
            table = table.set_column(place, column, source.typed(column, choice, notes))
    used = _known(ids)
    unknown = used.filter(pa.array(columns.positions(used, table[name]) < 0))
    if len(unknown) == 0:
        return table
    notes.append(
        f"{len(unknown):,} of {len(used):,} {part}s of the events are not in "
        f"{Path(source.where).name}: they are kept, with missing features."
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
    table: pa.Table, name: str, role: Role, choice: Choice, notes: list[str]
) -> tuple[pa.Table, Feature | None]:
    """Returns the table with a column as its feature wants it, and that feature.

    A column of which no feature can be made, or is wanted, is left out.
    """
    place, column = table.column_names.index(name), table[name]
    wanted, why = choice.of(name)
    if why:
        choice.left[name] = why
        return table.remove_column(place), None
    listed = wanted is None or isinstance(wanted, MultiCategorical | Sequence)
    if guess.holds_lists(column) and listed:
        notes.append(f"{name!r} is read as lists separated by |.")
        column = pc.split_pattern(column, "|")
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    elif pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    feature = wanted or guess.guess_feature(name, column, role)
    if feature is None:
        choice.left[name] = f"no feature is made of {column.type}"
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
