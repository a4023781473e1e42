"""Tables: the events, queries and candidates of a data set, checked once, where it is read."""

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.arrow import as_table
from tfrecs.datasets import columns
from tfrecs.spec import Cross, Feature, FeatureSpec, Role, Timestamp

_TABLES: dict[Role, str] = {"query": "queries", "candidate": "candidates"}
_SECONDS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # units of a timestamp per second


@dataclass(frozen=True)
class Tables:
    """A data set: who met what, what is known of both, and which column means what.

    A missing value is null, or "" in text and -1 in integer ids. Ids, labels, weights and times
    are never missing, numbers are finite, and every id of `events` has its row in `queries` and
    `candidates`; rows there may have no events. Where `spec` has no id of a query (a candidate),
    as for Criteo's impressions, there is no such table: all that is known is in `events`.

    Args:
        name: What reports call the data set.
        events: One row an event, with the query id and the candidate id of `spec`, and its
            context, label, weight and time.
        queries: One row a query (a user), with a distinct query id; `None`, read as a table
            without columns, where the spec has no query id.
        candidates: One row a candidate (an item), with a distinct candidate id; `title`, where
            there is one, is what people read. `None` likewise.
        spec: The features. Those of role query are columns of `queries` (or of `events`), those
            of role candidate of `candidates` (or of `events`), the others of `events`.
        truth: What is known of a generated world and hidden from models; `None` for real data.
        positive: Which events are positive feedback, an Arrow expression such as
            `pc.field("rating") >= 4`; `None` for all of them.

    Raises:
        ValueError: A table is empty; a column is missing or of another type than its feature; an
            id is missing, repeated, or in `events` alone; a number is not finite; a table is given
            for which the spec has no id. The message names the table, the column and the row.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> tables = Tables(
    ...     name="two clicks",
    ...     events=pa.table({"user_id": ["a", "b"], "item_id": ["x", "x"]}),
    ...     queries=pa.table({"user_id": ["a", "b"]}),
    ...     candidates=pa.table({"item_id": ["x", "y"], "title": ["X", "Y"]}),
    ...     spec=spec,
    ... )
    >>> tables.positives.num_rows, tables.describe()["density"]
    (2, '50 %')
    """

    name: str
    events: pa.Table
    queries: pa.Table
    candidates: pa.Table
    spec: FeatureSpec
    truth: Any = None
    positive: Any = None

    def __post_init__(self) -> None:
        for argument in ("events", "queries", "candidates"):
            if getattr(self, argument) is not None:
                given = as_table(argument, getattr(self, argument))
                object.__setattr__(self, argument, given)
        _check_table("events", self.events)
        ids = {_TABLES[role]: feature.name for role, feature in self.spec.ids.items()}
        for table in _TABLES.values():
            if table not in ids:
                self._check_absent(table)
                continue
            _check_table(table, getattr(self, table))
            columns.check_present(table, getattr(self, table), ids[table])
            columns.check_present("events", self.events, ids[table])
        for feature in self.spec:
            self._check_feature(feature)
        for table, name in ids.items():
            known = getattr(self, table)
            columns.check_distinct(table, known[name], name)
            columns.check_known(self.events[name], known[name], name, table)
        if self.positive is not None and not isinstance(self.positive, pc.Expression):
            expectation = "an Arrow expression such as pc.field('rating') >= 4, or None"
            raise TypeError(checks.expected("positive", expectation, self.positive))

    def _check_absent(self, table: str) -> None:
        """Makes a table that the spec has no id for one without columns."""
        given = getattr(self, table)
        if given is not None and given.num_columns:
            role = next(role for role, name in _TABLES.items() if name == table)
            remedy = f"Add Categorical('{role}_id', {role!r}, is_id=True) to the spec."
            expectation = f"`None`, since the spec has no {role} id"
            raise ValueError(checks.expected(table, expectation, given.column_names, remedy))
        object.__setattr__(self, table, pa.table({}))

    def _check_feature(self, feature: Feature) -> None:
        """Checks the columns of one feature, in every table that has it."""
        if isinstance(feature, Cross):
            return
        own = _TABLES[feature.role] if feature.role in self.spec.ids else "events"
        places = [own] if own == "events" else [own, "events"]
        found = [p for p in places if feature.name in getattr(self, p).column_names]
        if not found:
            columns.check_present(own, getattr(self, own), feature.name)
        required = getattr(feature, "is_id", False) or feature.role in ("label", "weight", "time")
        for place in found:
            column = getattr(self, place)[feature.name]
            columns.check_type(place, column, feature)
            columns.check_values(place, column, feature, required=required)

    @property
    def positives(self) -> pa.Table:
        """The events that count as positive feedback, in their order."""
        return self.events if self.positive is None else self.events.filter(self.positive)

    def __repr__(self) -> str:
        """Names the tables, their sizes and columns; `describe` says more."""
        named = {"events": self.events, "queries": self.queries, "candidates": self.candidates}
        lines = [f"Tables: {self.name}"]
        for name, table in named.items():
            told = f"{table.num_rows:>11,} rows: {', '.join(table.column_names)}"
            lines.append(f"  {name:<10} " + (told if table.num_columns else f"{'none':>11}"))
        if self.positive is not None:
            lines.append(f"  positive   {self.positive}")
        return "\n".join(checks.shorten(line) for line in lines)

    def describe(self) -> dict[str, int | str]:
        """Summarises the data set in plain values, to be printed line by line.

        Returns:
            users, items, events, positives, density, events per user and item, time range, columns;
            without what needs an id that is not there.
        """
        ids = self.spec.ids
        known = {"query": ("user", self.queries), "candidate": ("item", self.candidates)}
        num_events, num_positives = self.events.num_rows, self.positives.num_rows
        summary: dict[str, int | str] = {
            f"{known[role][0]}s": known[role][1].num_rows for role in ids
        }
        summary["events"] = num_events
        if len(ids) == 2:
            cells = self.queries.num_rows * self.candidates.num_rows
            summary["density"] = f"{100 * num_events / cells:.3g} %"
        if self.positive is not None:
            share = 100 * num_positives / num_events
            summary["positives"] = f"{num_positives:,} ({share:.3g} %): {self.positive}"
        for role, feature in ids.items():
            name, table = known[role]
            summary[f"events per {name}"] = _spread(self.events[feature.name], table.num_rows)
        for time in self.spec.by_role("time"):
            if isinstance(time, Timestamp):
                summary["time"] = _time_range(self.events[time.name], time.unit)
        for table in ("events", *(_TABLES[role] for role in ids)):
            summary[f"{table} columns"] = ", ".join(getattr(self, table).column_names)
        return summary


def _check_table(argument: str, given: Any) -> None:
    table = as_table(argument, given)
    if table.num_rows == 0:
        raise ValueError(
            checks.expected(argument, "a table of one row or more", f"{table.num_rows} rows")
        )
    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise ValueError(
            checks.expected(argument, "a table of columns with different names", sorted(twice))
        )


def _spread(ids: pa.ChunkedArray, num_ids: int) -> str:
    """Describes how many rows each of `num_ids` ids has: quantiles of their counts."""
    counts = np.zeros(num_ids, np.int64)
    found = pc.value_counts(columns.plain(ids)).field("counts").to_numpy()
    counts[: len(found)] = found
    quarter, half, three, high = np.quantile(counts, (0.25, 0.5, 0.75, 0.99))
    return (
        f"median {half:,.0f} (quarters {quarter:,.0f} and {three:,.0f}), "
        f"99 % at most {high:,.0f}, from {counts.min():,} to {counts.max():,}"
    )


def _time_range(times: pa.ChunkedArray, unit: str) -> str:
    """Describes the first and the last time, as UTC dates."""
    if pa.types.is_timestamp(times.type):
        unit = times.type.unit
        times = times.cast(pa.int64())
    bounds = pc.min_max(times).as_py()
    epoch = datetime.datetime(1970, 1, 1)
    try:
        first, last = (
            epoch + datetime.timedelta(seconds=bounds[end] // _SECONDS[unit])
            for end in ("min", "max")
        )
    except OverflowError:
        return f"{bounds['min']:,} to {bounds['max']:,} {unit}"
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
