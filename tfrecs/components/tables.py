"""Examples and their Schema as the Tables and the Split that recipes train on."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.components import examples as io
from tfrecs.components.artifacts import Examples, Schema
from tfrecs.components.schema_gen import read_schema
from tfrecs.datasets import Tables
from tfrecs.evaluation import Split
from tfrecs.spec import FeatureSpec, Role


def read_tables(
    examples: Examples,
    schema: Schema,
    queries: Examples | None = None,
    candidates: Examples | None = None,
    positive: dict[str, Any] | None = None,
) -> tuple[Tables, pa.Table, pa.Table]:
    """Returns the tables, the training events and the events to be judged on.

    Args:
        examples: Events with splits "train" and "eval".
        schema: Features and roles.
        queries: One row a user; `None` makes them of the events' ids, where there are ids.
        candidates: One row an item; `None` likewise.
        positive: `{"column": "rating", "at_least": 4}`: which events are positive; `None` for all.
    """
    spec = FeatureSpec.from_schema(read_schema(schema))
    train, test = (io.read_table(examples, split) for split in ("train", "eval"))
    events = pa.concat_tables([train, test])
    given: dict[Role, Examples | None] = {"query": queries, "candidate": candidates}
    sides: dict[Role, pa.Table] = {}
    for role, feature in spec.ids.items():
        ids = pc.unique(events[feature.name].combine_chunks()).drop_null()
        own = given[role]
        if own is None:
            sides[role] = pa.table({feature.name: ids})
            continue
        side = io.read_table(own, io.splits(own)[0])
        # an item that came after the table was written is known by its id alone
        new = ids.filter(pc.invert(pc.is_in(ids, value_set=side[feature.name].combine_chunks())))
        rows = pa.table({feature.name: new})
        sides[role] = pa.concat_tables([side, rows], promote_options="default")
    columns = {*events.column_names, *(n for side in sides.values() for n in side.column_names)}
    spec = spec.select(*(name for name in spec.names if name in columns))
    tables = Tables(
        name=str(examples.properties.get("source", "examples")).rsplit("/", 1)[-1],
        events=events,
        queries=sides.get("query"),
        candidates=sides.get("candidate"),
        spec=spec,
        positive=_expression(positive),
    )
    return tables, train, test


def events_of(task: Any, tables: Tables, events: pa.Table) -> pa.Table:
    """Returns those of some events that a task learns from."""
    chosen: pa.Table = task.events(replace(tables, events=events))
    return chosen


def split_of(task: Any, tables: Tables, train: pa.Table, test: pa.Table, about: str) -> Split:
    """Returns the split that a task trains on and is judged by."""
    parts = [events_of(task, tables, events) for events in (train, test)]
    return Split(train=parts[0], test=parts[1], protocol=about)


def _expression(positive: dict[str, Any] | None) -> Any:
    if positive is None:
        return None
    if set(positive) != {"column", "at_least"}:
        expectation = "of the form {'column': 'rating', 'at_least': 4}"
        raise ValueError(checks.expected("positive", expectation, positive))
    return pc.field(positive["column"]) >= positive["at_least"]
