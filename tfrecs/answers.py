"""Recommendations of a run: for users by id, for visitors by history, for many at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfrecs import checks
from tfrecs.baselines import interaction_matrix
from tfrecs.datasets import cells, columns
from tfrecs.datasets.readers import read_file
from tfrecs.evaluation import ModelRecommender
from tfrecs.evaluation.known import known_pairs
from tfrecs.files import written_aside
from tfrecs.run import Run
from tfrecs.spec import Sequence

HISTORY = "history"
_BLOCK = 10_000  # users at a time


@dataclass(frozen=True)
class Asked:
    """Who is to be answered.

    Args:
        names: What each is called in the answer: the user's id as it came, or "visitor 1".
        queries: One row each, with the features of the query, and contexts given.
        histories: Items that each brings along, `None` where nobody does.
        unknown: Whether each is a user whom the run does not know.
    """

    names: list[Any]
    queries: pa.Table
    histories: pa.ChunkedArray | None
    unknown: np.ndarray


def asked(
    run: Run, users: list[str], histories: list[str], file: Path | None, context: list[str]
) -> Asked:
    """Returns who is asked for on the command line.

    Raises:
        ValueError: Nobody, both kinds at once, an id of another type, a history for a model that
            reads none, or a context that the model does not read, or reads and was not given.
    """
    if sum(map(bool, (users, histories, file))) != 1:
        given = {"--user": users, "--history": histories, "--users": file}
        told = [name for name, value in given.items() if value]
        raise ValueError(
            "`recommend` must be given one of --user ID, --history ID,ID and --users FILE. "
            f"Received: {', '.join(told) or 'none of them'}."
        )
    spec = run.tables.spec
    if len(spec.ids) < 2:
        raise ValueError(
            f"{run.options.model} was trained on {run.tables.name}, impressions without a user and "
            "an item id: there are no items to rank. Export it, and ask for the clicks of "
            "impressions: tfrecs export."
        )
    name = spec.query_id.name
    if file is not None:
        table = read_file(file)
        if name in table.column_names:
            ids = typed_ids(table[name], spec.query_id.dtype, f"Column {name!r} of {file}")
            return _with_contexts(run, _known(run, ids), context, table)
        if HISTORY not in table.column_names:
            expectation = f"a file with a column {name!r} or {HISTORY!r}"
            raise ValueError(checks.expected("users", expectation, table.column_names))
        lists = table[HISTORY]
        if columns.is_text(lists.type):
            lists = pc.split_pattern(lists, ",")
        return _with_contexts(run, _visitors(run, lists), context, table)
    if histories:
        taken = pa.array([[i.strip() for i in h.split(",") if i.strip()] for h in histories])
        return _with_contexts(run, _visitors(run, pa.chunked_array([taken])), context, None)
    ids = typed_ids(pa.chunked_array([users]), spec.query_id.dtype, "--user")
    return _with_contexts(run, _known(run, ids), context, None)


def typed_ids(ids: pa.ChunkedArray, dtype: str, where: str) -> pa.ChunkedArray:
    """Returns ids of the type that the run knows: text as it is, or int64.

    Raises:
        ValueError: Text that is no whole number, where ids are numbers.
    """
    if dtype == "string":
        return ids.cast(pa.string())
    if not columns.is_text(ids.type):
        return ids.cast(pa.int64())
    found = cells.numbers(where, ids.cast(pa.string()), ".")
    if found is None or not pa.types.is_integer(found.type):
        raise ValueError(
            f"{where} must hold whole numbers, as the ids of the run are. Received: "
            f"{ids[0].as_py()!r}. Write 7, not 007 or 7.0."
        )
    return found


def _known(run: Run, ids: pa.ChunkedArray) -> Asked:
    """Returns users by id; of unknown ones all else is null."""
    queries, name = run.tables.queries, run.tables.spec.query_id.name
    places = pc.index_in(ids.cast(queries[name].type), value_set=queries[name].combine_chunks())
    rows = queries.take(places.combine_chunks())
    rows = rows.set_column(rows.column_names.index(name), name, ids.cast(queries[name].type))
    unknown = places.is_null().to_numpy()
    return Asked(ids.to_pylist(), rows, None, unknown)


def _visitors(run: Run, lists: pa.ChunkedArray) -> Asked:
    """Returns visitors by the items that they took, oldest first."""
    spec, item = run.transform.spec, run.tables.spec.candidate_id
    if HISTORY not in spec:
        raise ValueError(
            f"{run.options.model} knows users by their ids, not by a history. Ask for a user "
            "(--user), or train a model that reads histories: tfrecs train --model sasrec, gru4rec."
        )
    values = pa.chunked_array([pc.list_flatten(lists).combine_chunks()])
    flat = typed_ids(values, item.dtype, "--history")
    known = pc.is_in(flat, value_set=run.tables.candidates[item.name].combine_chunks())
    if len(flat) and not pc.all(known).as_py():
        row = pc.index(known, False).as_py()
        near = checks.did_you_mean(flat[row].as_py(), run.tables.candidates[item.name].to_pylist())
        expectation = f"of items of the run, by {item.name!r}"
        raise ValueError(checks.expected("history", expectation, flat[row].as_py(), near))
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = pa.array(np.r_[0, np.cumsum(lengths)].astype(np.int32))
    made = pa.chunked_array([pa.ListArray.from_arrays(offsets, flat.combine_chunks())])
    queries = {}
    for field in run.tables.queries.schema:
        nothing = isinstance(spec[field.name], Sequence) if field.name in spec else False
        kind = field.type
        queries[field.name] = pa.nulls(len(made), kind) if not nothing else _empty(len(made), kind)
    queries[HISTORY] = made.cast(run.tables.queries[HISTORY].type)
    names = [f"visitor {number}" for number in range(1, len(made) + 1)]
    return Asked(names, pa.table(queries), made, np.zeros(len(made), bool))


def _empty(rows: int, kind: pa.DataType) -> pa.Array:
    return pa.array([[]] * rows, kind)


def _with_contexts(run: Run, found: Asked, context: list[str], table: pa.Table | None) -> Asked:
    """Adds what is known of the moment, where the model reads that.

    Raises:
        ValueError: The model reads a context that was not given.
    """
    spec = run.transform.spec
    given = {}
    for text in context:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(checks.expected("context", "NAME=VALUE", text))
        given[name] = value
    wanted = [feature.name for feature in spec.by_role("context")]
    for name in given:
        if not wanted:
            expectation = f"left out: {run.options.model} reads nothing of the event"
            raise ValueError(checks.expected("context", expectation, context[0]))
        checks.one_of(f"context of {run.options.model}", name, wanted)
    queries = found.queries
    for name in wanted:
        kind = run.split.train[name].type
        if table is not None and name in table.column_names and name not in given:
            column = table[name]
        elif name in given:
            column = pa.array([given[name]] * queries.num_rows)
        else:
            told = ", ".join(f"--context {n}=VALUE" for n in wanted)
            raise ValueError(
                f"{run.options.model} reads {', '.join(wanted)} of an event: a catalogue can be "
                f"ranked only with these given. Add {told}, or columns of --users FILE."
            )
        try:
            queries = queries.append_column(name, column.cast(kind))
        except pa.ArrowInvalid as error:
            raise ValueError(f"Context {name!r} must hold {kind}: {error}.") from error
    return Asked(found.names, queries, found.histories, found.unknown)


def known_items(run: Run, users: pa.ChunkedArray) -> Any:
    """Returns bool `(B, C)`: what each of `users` took, or turned down, in training or after it."""
    distinct = pc.unique(users)
    known = known_pairs(run.split, run.tables, distinct, "all")
    return known[columns.positions(users, distinct)]


def recommend(
    console: Console,
    run: Run,
    asked: Asked,
    k: int,
    include_seen: bool = False,
    output: Path | None = None,
) -> None:
    """Prints the best `k` items for each who asks, or writes them to a Parquet file."""
    if output is not None and output.suffix != ".parquet":
        raise ValueError(checks.expected("output", "a file that ends with .parquet", str(output)))
    recommender = ModelRecommender(run.model, run.transform, run.tables.candidates)
    parts = []
    for start in range(0, len(asked.names), _BLOCK):
        queries = asked.queries.slice(start, _BLOCK)
        seen = None if include_seen else _seen(run, asked, start)
        parts.append(recommender.recommend(queries, k, seen))
    scores, positions = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    if output is not None:
        write(run, asked, scores, positions, output)
        console.print(f"{len(asked.names):,} answered in [bold]{escape(str(output))}[/]")
        return
    for name, unknown, row, best in zip(asked.names, asked.unknown, scores, positions, strict=True):
        note = "  (unknown user: what most users like)" if unknown else ""
        console.print(f"[bold]{escape(str(name))}[/]{note}", highlight=False)
        console.print(titles(run, best[best >= 0], row[best >= 0]))


def _seen(run: Run, asked: Asked, start: int) -> Any:
    """Returns what is not to be recommended: what users know, what visitors bring."""
    queries = asked.queries.slice(start, _BLOCK)
    if asked.histories is None:
        return known_items(run, queries[run.tables.spec.query_id.name])
    spec, item = run.tables.spec, run.tables.spec.candidate_id.name
    lists = asked.histories.slice(start, _BLOCK)
    rows = np.arange(len(lists))
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    name = spec.query_id.name
    text = [str(row) for row in rows] if spec.query_id.dtype == "string" else rows
    owners = pa.array(text)
    events = {name: owners.take(pa.array(np.repeat(rows, lengths))), item: pc.list_flatten(lists)}
    return interaction_matrix(pa.table(events), owners, run.tables.candidates[item], spec)


def write(run: Run, asked: Asked, scores: np.ndarray, positions: np.ndarray, output: Path) -> None:
    """Writes a row for each user and rank: the ids as they came in, rank from 1, score."""
    spec, kept = run.tables.spec, positions.ravel() >= 0
    count, k = positions.shape
    owners = pa.array(asked.names).take(pa.array(np.repeat(np.arange(count), k)[kept]))
    items = run.tables.candidates[spec.candidate_id.name]
    table = pa.table(
        {
            spec.query_id.name: owners,
            "rank": pa.array(np.tile(np.arange(1, k + 1, dtype=np.int32), count)[kept]),
            spec.candidate_id.name: items.take(pa.array(positions.ravel()[kept])),
            "score": pa.array(scores.ravel()[kept]),
        }
    )
    with written_aside(output) as aside:
        pq.write_table(table, aside)


def titles(run: Run, positions: np.ndarray, scores: np.ndarray | None = None) -> Table:
    """Returns a table of items by position, with scores if given, and titles where there are."""
    candidates, name = run.tables.candidates, run.tables.spec.candidate_id.name
    table = Table(box=None, show_header=False)
    shown = candidates.take(positions)
    texts = shown["title"].to_pylist() if "title" in shown.column_names else [""] * len(positions)
    told = [" " * 6] * len(positions) if scores is None else [f"{score:6.3f}" for score in scores]
    for score, item, text in zip(told, shown[name].to_pylist(), texts, strict=True):
        table.add_row(f"  {score}", escape(str(item)), escape(str(text or "")))
    return table
