"""Training on what follows in sessions and in users' sequences, judged by ranking the next item."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import baselines, losses, models, optimizers
from tfrecs.datasets import Tables
from tfrecs.datasets.histories import (
    HISTORY,
    column_of,
    session_events,
    with_column,
    with_histories,
)
from tfrecs.datasets.sessions import session_lengths
from tfrecs.evaluation import Results, SessionScorer, Split
from tfrecs.evaluation.known import known_events
from tfrecs.evaluation.next_item import next_item_ranking
from tfrecs.features import from_sequences, from_sessions
from tfrecs.models import RecModel
from tfrecs.recipes.base import History, Recipe, Task, Trained, Training
from tfrecs.recipes.pairs import positives
from tfrecs.spec import NUM_RESERVED_IDS, FeatureSpec, Sequence

_SAMPLED = 2048  # negatives of a step, as GRU4Rec's authors take
_MASKED = 0.2  # share of a sequence that BERT4Rec is asked for


def judge(trained: Trained, ks: tuple[int, ...] = (10, 20, 100), seed: int = 0) -> Results:
    """Ranks the items of the training for every test event that follows another of its session.

    What a session so far holds are its earlier events, of all parts of the split; beside the model
    stand popularity, in all and in the session, rules, and V-SKNN.
    """
    tables, split = trained.tables, trained.split
    spec, query = tables.spec, tables.spec.query_id.name
    item = spec.candidate_id.name
    train = _sessions(split.train, spec)
    known = pc.is_in(tables.candidates[item], value_set=split.train[item].combine_chunks())
    candidates = tables.candidates.filter(known)
    recommenders: dict[str, Any] = {
        "popularity": baselines.Popularity(),
        "session popularity": baselines.SessionPopularity(),
        "association rules": baselines.AssociationRules(),
        "item-kNN of sessions": baselines.AssociationRules(cosine=True),
        "Markov chain": baselines.Markov(),
        "sequential rules": baselines.SequentialRules(),
        "V-SKNN": baselines.VSKNN(),
    }
    for baseline in recommenders.values():
        baseline.fit(train, candidates, spec)
    scorer = SessionScorer(trained.model, trained.transform, candidates)
    recommenders[trained.options.model] = scorer
    tested = split.test[query].combine_chunks()
    before = known_events(split, "train", split.test.column_names)
    before = before.filter(pc.is_in(before[query], value_set=tested))
    parts = [(before, False), (split.test, True)]
    marked = [with_column(t, "judged", pa.array([test] * t.num_rows)) for t, test in parts]
    events = _sessions(pa.concat_tables(marked, promote_options="default"), spec)
    return next_item_ranking(
        recommenders,
        events,
        np.asarray(events["judged"]),
        candidates,
        trained.transform.spec,
        data=tables.name,
        split=split.protocol,
        ks=tuple(k for k in ks if k <= candidates.num_rows) or (candidates.num_rows,),
        seed=seed,
    )


def _sessions(events: pa.Table, spec: FeatureSpec) -> pa.Table:
    """Returns events in order of sessions and time, the session as `session_id`."""
    found = session_events(events, spec)
    return with_column(found, "session_id", found[spec.query_id.name])


SESSION = Task("next item of a session", positives, judge, sessions=True, repeats=True)
SEQUENCE = Task("next item of a user", positives, judge, ordered=True, repeats=True)


def prepare(tables: Tables, split: Split) -> Tables:
    """Returns tables whose queries know their history."""
    return with_histories(
        tables, known_events(split, "train", split.train.column_names), split.test
    )


def items(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec of the item's id and of the history of items."""
    return spec.select(spec.candidate_id.name, HISTORY)


def items_and_contexts(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec of the item's id, of the history, and of contexts that stand beside it."""
    return spec.select(spec.candidate_id.name, *(f.name for f in _histories(spec)))


def _histories(spec: FeatureSpec) -> list[Sequence]:
    return [f for f in spec if isinstance(f, Sequence) and f.name.startswith(HISTORY)]


def prepared(training: Training) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the ids of the training events by column, sessions in order, and their lengths.

    The columns are `item` and, of each context that stands beside the history, its name.
    """
    given, spec = training.tables.spec, training.transform.spec
    events = session_events(training.events, given)
    item = spec.candidate_id.name
    columns = {"item": training.transform.encode(events, [item])[item]}
    offsets = pa.array(np.arange(events.num_rows + 1, dtype=np.int32))
    for feature in _histories(spec):
        if feature.name != HISTORY:
            values = events[column_of(feature, given)].combine_chunks()
            lists = pa.table({feature.name: pa.ListArray.from_arrays(offsets, values)})
            ids = training.transform.encode(lists, [feature.name])[feature.name]
            columns[feature.name] = ids[:, 0]
    return columns, session_lengths(events, given.query_id.name)


def fit_sessions(training: Training) -> tuple[RecModel, History]:
    """Trains on session-parallel batches, by cross-entropy with logQ and Adagrad with momentum."""
    columns, lengths = prepared(training)
    options, name = training.options, training.transform.spec.candidate_id.name
    model: Any = training.initial
    if model is None:
        lanes = min(options.batch_size, max(1, int(np.count_nonzero(lengths > 1))))
        width = options.embedding_dim
        units: Any = width if training.model is models.ContextualGRU4Rec else (width,)
        model = training.build(units=units, lanes=lanes, dropout=0.2, log_q=1.0)
        optimizer = optimizers.AdagradMomentum(options.learning_rate, momentum=0.2)
        loss = losses.SharedNegatives(losses.Softmax())
        model.compile(optimizer, loss, steps_per_execution=32, jit_compile=False)
    steps = from_sessions(
        columns,
        lengths,
        model.lanes,
        inputs={HISTORY: "item", **{n: n for n in columns if n != "item"}},
        targets={name: "item"},
        num_negatives=_SAMPLED,
        distinct=True,
        seed=options.seed,
    )
    return model, training.fit_data(model, steps, int(steps.cardinality()))


def fit_sequences(training: Training) -> tuple[RecModel, History]:
    """Trains on whole sequences, by softmax over sampled items and lazy Adam."""
    columns, lengths = prepared(training)
    options, name = training.options, training.transform.spec.candidate_id.name
    model: Any = training.initial
    if model is None:
        model = training.build()
        loss = losses.Sampled(losses.Softmax(), reduction="mean_with_sample_weight")
        optimizer = optimizers.LazyAdam(options.learning_rate)
        model.compile(optimizer, loss, steps_per_execution=8, jit_compile=False)
    masked = isinstance(model, models.BERT4Rec)
    longest = model.encoder.max_length - masked
    steps = from_sequences(
        columns["item"],
        lengths,
        options.batch_size,
        history=HISTORY,
        target=name,
        max_length=longest,
        stride=longest,
        num_negatives=512,
        masked=_MASKED if masked else 0.0,
        seed=options.seed,
    )
    return model, training.fit_data(model, steps, int(steps.cardinality()))


def fit_pairs(training: Training) -> tuple[RecModel, History]:
    """Trains on pairs of what was so far and what came next, by in-batch softmax and lazy Adam."""
    columns, lengths = prepared(training)
    options = training.options
    model: Any = training.initial
    if model is None:
        texts = texts_of(training)
        model = training.build(num_texts=len(texts[0]))
        model.describe(texts)
        loss = losses.InBatch(losses.Softmax())
        model.compile(optimizers.LazyAdam(options.learning_rate), loss, jit_compile=False)
    return model, fit_histories(training, model, columns, lengths, model.max_length)


def fit_histories(
    training: Training,
    model: RecModel,
    columns: dict[str, np.ndarray],
    lengths: np.ndarray,
    longest: int,
) -> History:
    """Fits a compiled model to pairs of the `longest` items so far and the one that came next.

    Args:
        training: What is trained.
        model: Reads `history`, its mask and the item's id.
        columns: As `prepared` gives them, and `lengths`.
        lengths: Of the sessions.
        longest: Items of a history.
    """
    name = training.transform.spec.candidate_id.name
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = np.flatnonzero(np.arange(len(starts)) > starts)
    first = np.maximum(starts[rows], rows - longest)
    places = first[:, None] + np.arange(longest)  # (N, T), padding at the end
    seen = places < rows[:, None]
    arrays = {
        HISTORY: np.where(seen, columns["item"][np.minimum(places, len(starts) - 1)], 0),
        f"{HISTORY}_mask": seen,
        name: columns["item"][rows],
    }
    fitted = replace(training.options, batch_size=min(training.options.batch_size, len(rows)))
    return replace(training, options=fitted).fit(model, arrays, name)


def texts_of(training: Training) -> list[list[str]]:
    """Returns what is written of each id, the reserved ones included: the id, title, category."""
    table, item = training.tables.candidates, training.transform.spec.candidate_id.name
    known = training.transform.vocabulary(item)
    rows = pc.index_in(pa.array(known), value_set=table[item].combine_chunks())
    names = [item, *(n for n in ("title", "category") if n in table.column_names)]
    told = [table[n] for n in names if not pa.types.is_nested(table[n].type)]
    columns = [pc.fill_null(c.cast(pa.string()).take(rows), "").to_pylist() for c in told]
    empty = [""] * len(columns)
    return [empty] * NUM_RESERVED_IDS + [list(row) for row in zip(*columns, strict=True)]


_SESSION = {"embedding_dim": 100, "epochs": 10, "batch_size": 32, "learning_rate": 0.1}
_SEQUENCE = {"embedding_dim": 64, "epochs": 40, "batch_size": 128, "learning_rate": 2e-3}
_PAIRS = {"embedding_dim": 64, "epochs": 10, "batch_size": 128, "learning_rate": 2e-3}
SESSION_RECIPES = (
    Recipe(models.GRU4Rec, SESSION, items, fit_sessions, _SESSION, prepare),
    Recipe(models.ContextualGRU4Rec, SESSION, items_and_contexts, fit_sessions, _SESSION, prepare),
    Recipe(models.CNN3D, SESSION, items, fit_pairs, _PAIRS, prepare),
    Recipe(models.SASRec, SEQUENCE, items, fit_sequences, _SEQUENCE, prepare),
    Recipe(models.BERT4Rec, SEQUENCE, items, fit_sequences, _SEQUENCE, prepare),
)
