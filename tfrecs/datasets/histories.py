"""Histories: what each query met so far, in order of time, as features of the query."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets.sessions import Sessions, gap_buckets, session_lengths, session_order
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Categorical, Feature, FeatureSpec, Sequence, Timestamp

HISTORY = "history"
GAP = "gap"
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def session_events(events: pa.Table, spec: FeatureSpec) -> pa.Table:
    """Returns events one query (session, user) after the other, each in order of time.

    Queries stand in order of their first events. Without a time in the spec rows are in order of
    time; else a column `gap` is added: how long before the query's last event was, see
    `gap_buckets`.

    Args:
        events: Table of events with the query id of `spec`, and its time.
        spec: Names the columns.

    Example:

    >>> spec = FeatureSpec((Categorical("user", is_id=True), Timestamp("at", "time")))
    >>> events = pa.table({"user": ["b", "a", "b"], "at": [9, 5, 7], "item": ["x", "y", "z"]})
    >>> found = session_events(events, spec)
    >>> found["item"].to_pylist(), found["gap"].to_pylist()
    (['y', 'z', 'x'], ['first', 'first', '1'])
    """
    name, seconds = spec.query_id.name, _seconds(events, spec)
    codes = np.asarray(events[name].combine_chunks().dictionary_encode().indices)
    order = session_order(codes, np.arange(len(codes)) if seconds is None else seconds)
    found = events.take(pa.array(order)).combine_chunks()
    if seconds is not None:
        gaps = gap_buckets(session_lengths(found, name), seconds[order])
        found = with_column(found, GAP, gaps)
    return found


def with_histories(tables: Tables, train: pa.Table, test: pa.Table) -> Tables:
    """Returns tables whose queries have a `history`: the items of their training events.

    The history is in order of time, and a column `history_<name>` stands beside it for every
    Categorical context of events, and for `gap` where events carry times, so that places match. A
    query without training events is known by its test events but the last. A column of the queries
    that already has such a name is replaced.

    Args:
        tables: The data set.
        train: Its training events.
        test: Its test events.

    Example:

    >>> spec = FeatureSpec((
    ...     Categorical("user", is_id=True), Categorical("item", "candidate", is_id=True)))
    >>> events = pa.table({"user": ["a", "b", "a"], "item": ["x", "y", "y"]})
    >>> tables = Tables("three", events, pa.table({"user": ["b", "a"]}),
    ...                 pa.table({"item": ["x", "y"]}), spec)
    >>> with_histories(tables, events, events).queries.to_pylist()
    [{'user': 'b', 'history': ['y']}, {'user': 'a', 'history': ['x', 'y']}]
    """
    spec, name = tables.spec, tables.spec.query_id.name
    features = history_features(spec)
    known = pc.is_in(test[name], value_set=train[name].combine_chunks())
    new = session_events(test.filter(pc.invert(known)), spec)
    last = np.cumsum(session_lengths(new, name)) - 1
    new = new.filter(pa.array(~np.isin(np.arange(new.num_rows), last)))
    events = pa.concat_tables([session_events(train, spec), new], promote_options="default")
    starts = np.r_[0, np.cumsum(session_lengths(events, name))]
    owners = events[name].take(pa.array(starts[:-1])).combine_chunks()
    places = pc.index_in(tables.queries[name], value_set=owners).combine_chunks()
    places = pc.fill_null(places, len(owners))  # the place of an empty list
    queries, offsets = tables.queries, pa.array(np.r_[starts, starts[-1]].astype(np.int32))
    for feature in features:
        values = events[column_of(feature, spec)].combine_chunks()
        lists = pa.ListArray.from_arrays(offsets, values).take(places)
        queries = with_column(queries, feature.name, lists)
    names = {feature.name for feature in features}
    kept = tuple(feature for feature in spec if feature.name not in names)
    return replace(tables, queries=queries, spec=FeatureSpec((*kept, *features)))


def lists_by_query(events: pa.Table, queries: pa.Table, spec: FeatureSpec) -> pa.Array:
    """Returns the candidates of each query's events as lists, in the order of the events.

    Args:
        events: Table of events; those of unknown queries are left out.
        queries: One row a query, by which the lists stand.
        spec: Names the columns of ids.

    Example:

    >>> spec = FeatureSpec((
    ...     Categorical("user", is_id=True), Categorical("item", "candidate", is_id=True)))
    >>> events = pa.table({"user": ["b", "a", "b"], "item": ["x", "y", "z"]})
    >>> lists_by_query(events, pa.table({"user": ["a", "b", "c"]}), spec).to_pylist()
    [['y'], ['x', 'z'], []]
    """
    name = spec.query_id.name
    found = pc.index_in(events[name], value_set=queries[name].combine_chunks())
    rows = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    order = np.argsort(rows, kind="stable")
    order = order[rows[order] >= 0]
    ends = np.cumsum(np.bincount(rows[order], minlength=queries.num_rows))
    values = events[spec.candidate_id.name].combine_chunks().take(pa.array(order))
    return pa.ListArray.from_arrays(pa.array(np.r_[0, ends].astype(np.int32)), values)


def session_tables(sessions: Sessions) -> Tables:
    """Returns sessions as tables: training and test events together, the query a session.

    Contexts that stand beside the history there are contexts of events here.

    Example:

    >>> from tfrecs.datasets.sessions import make_sessions
    >>> events = pa.table({"session_id": [1, 1], "item_id": ["a", "b"], "time": [5, 9]})
    >>> session_tables(make_sessions("two clicks", events, events.slice(0))).events.num_rows
    4
    """
    events = pa.concat_tables([sessions.train, sessions.test], promote_options="default")
    contexts = [column_of(f, sessions.spec) for f in sessions.spec if isinstance(f, Sequence)]
    names = [name for name in contexts if name not in (sessions.spec.candidate_id.name, GAP)]
    spec = FeatureSpec(
        (
            Categorical("session_id", "query", "int64", is_id=True),
            sessions.spec.candidate_id,
            *(Categorical(name, "context") for name in names),
            Timestamp("time", unit="ms"),
        )
    )
    ids = {name: pc.unique(events[name]) for name in ("session_id", "item_id")}
    queries, candidates = (pa.table({name: values}) for name, values in ids.items())
    return Tables(sessions.name, events, queries, candidates, spec)


def history_features(spec: FeatureSpec) -> tuple[Sequence, ...]:
    """Returns the features that `with_histories` adds: `history`, and `history_<context>`."""
    item = spec.candidate_id
    shared = Sequence(HISTORY, "query", item.dtype, shared_with=item.name)
    contexts = [
        Sequence(f"{HISTORY}_{feature.name}", "query", feature.dtype)
        for feature in spec.by_role("context")
        if isinstance(feature, Categorical) and feature.name != GAP
    ]
    if spec.by_role("time"):
        contexts.append(Sequence(f"{HISTORY}_{GAP}", "query"))
    return shared, *contexts


def column_of(feature: Feature, spec: FeatureSpec) -> str:
    """Returns the column of events whose values a history holds."""
    if feature.name == HISTORY:
        return spec.candidate_id.name
    return feature.name.removeprefix(f"{HISTORY}_")


def _seconds(events: pa.Table, spec: FeatureSpec) -> np.ndarray | None:
    for feature in spec.by_role("time"):
        column = events[feature.name]
        unit = feature.unit if isinstance(feature, Timestamp) else "s"
        if pa.types.is_timestamp(column.type):
            unit, column = column.type.unit, column.cast(pa.int64())
        seconds: np.ndarray = np.asarray(column, np.float64) / _PER_SECOND[unit]
        return seconds
    return None


def with_column(table: pa.Table, name: str, column: Any) -> pa.Table:
    """Returns the table with a column, in the place of one of that name where there is one."""
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)
