"""Training of the iki ranker on likes, dislikes and views, judged by the error of the feedback."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.baselines import truncated_svd
from tfrecs.baselines.factors import rating_matrix
from tfrecs.datasets import Tables
from tfrecs.datasets.histories import lists_by_query
from tfrecs.evaluation import ModelPredictor, Results, Split, rating_errors
from tfrecs.evaluation.truth import candidate_positions, query_positions
from tfrecs.features import ContentVectors, joined_texts
from tfrecs.models import IkiRanker
from tfrecs.models.iki import DISLIKED, LIKED, TAGS, VIEWED
from tfrecs.recipes.base import History, Recipe, Task, Trained, Training
from tfrecs.spec import (
    Categorical,
    Feature,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Vector,
)

FEEDBACK, SAMPLED, CONTENT = "feedback", "sampled", "content"
USER_TAGS = "user_tags"
VIEW_WEIGHT = 0.1  # of a view in the rating matrix
_HISTORY = {LIKED: 1, DISLIKED: -1, VIEWED: 0}
_LENGTH = 50  # of a history
_DRAWN, _UNMET = 5, -0.5  # items never viewed beside a like, where views are real; their target
_FAVOURITES = 5  # tags of a user who has chosen none
_REACTIONS = ("like", "dislike")


def feedback(tables: Tables) -> pa.Table:
    """Returns events with a column `feedback`: 1 liked, -1 disliked, 0 viewed without a rating.

    It is a label "feedback" of those numbers, or a label with the values "like" and "dislike" (a
    positive event with another value is a view; one that is not positive was not viewed). Where
    there is neither, each positive event is a like, and beside each stands a view that was not:
    an item drawn at random of those that the user has not met, marked in the column `sampled`.

    Raises:
        ValueError: If there are no positive events.
    """
    spec, events = tables.spec, tables.events
    if FEEDBACK in events.column_names:
        return events
    for label in spec.by_role("label"):
        if isinstance(label, Categorical) and _has_reactions(events[label.name]):
            liked, disliked = (pc.equal(events[label.name], value) for value in _REACTIONS)
            values = pc.subtract(liked.cast(pa.float32()), disliked.cast(pa.float32()))
            marked = events.append_column(FEEDBACK, values)
            return marked if tables.positive is None else marked.filter(tables.positive)
    likes = tables.positives
    if likes.num_rows == 0:
        raise ValueError(
            f"None of the {events.num_rows:,} events is positive: {tables.positive}. "
            "Name another column of labels (--label-column)."
        )
    both = []
    for table, value in ((likes, 1), (_not_met(likes, likes, tables), 0)):
        marks = {FEEDBACK: np.float32(value), SAMPLED: np.int8(1 - value)}
        for column, mark in marks.items():
            table = table.append_column(column, pa.array(np.full(table.num_rows, mark)))
        both.append(table)
    return pa.concat_tables(both)


def _has_reactions(column: pa.ChunkedArray) -> bool:
    return set(_REACTIONS) <= set(column.unique().to_pylist())


def _not_met(likes: pa.Table, events: pa.Table, tables: Tables, seed: int = 0) -> pa.Table:
    """Returns the likes with other items in them, drawn of those that their users did not meet."""
    name, ids = tables.spec.candidate_id.name, tables.candidates[tables.spec.candidate_id.name]
    rng = np.random.default_rng(seed)
    users, places = query_positions(likes, tables), candidate_positions(events, tables)
    met = np.unique(query_positions(events, tables).astype(np.int64) * len(ids) + places)
    keys = users.astype(np.int64) * len(ids)
    drawn = rng.integers(len(ids), size=len(users))
    for _ in range(8):  # what was met is drawn again; the few left over are left out
        again = np.isin(keys + drawn, met)
        drawn[again] = rng.integers(len(ids), size=int(again.sum()))
    views = likes.set_column(likes.column_names.index(name), name, ids.take(pa.array(drawn)))
    return views.filter(pa.array(~np.isin(keys + drawn, met)))


def with_unmet(events: pa.Table, tables: Tables) -> pa.Table:
    """Returns training events, where their views are real with items never viewed after them.

    Whoever opened an item chose it: even a view without a rating, 0, says more for an item than
    none. So beside each like stand five items that the user has not met, with -0.5. Scores order
    items by that; as estimates of the feedback of opened items they are too low.
    """
    if SAMPLED in events.column_names:
        return events
    likes = events.filter(pc.field(FEEDBACK) == 1)
    lower = pa.array(np.full(likes.num_rows, _UNMET), events.schema.field(FEEDBACK).type)
    unmet = likes.set_column(likes.column_names.index(FEEDBACK), FEEDBACK, lower)
    drawn = [_not_met(unmet, events, tables, seed) for seed in range(_DRAWN)]
    return pa.concat_tables([events, *drawn])


def observed(events: pa.Table) -> pa.Table:
    """Returns the events that happened: without views that were sampled."""
    return events.filter(pc.field(SAMPLED) == 0) if SAMPLED in events.column_names else events


def prepare(tables: Tables, split: Split) -> Tables:
    """Adds what the ranker reads to users and items, from the training events alone.

    Users get the lists "liked", "disliked" and "viewed", and where they choose no tags "user_tags":
    the most frequent tags of what they liked. Items get "content", unless there is such a column:
    `ContentVectors` of their texts and tags.

    Raises:
        ValueError: If the items have no "tags".
    """
    spec = tables.spec
    if TAGS not in spec or not isinstance(spec[TAGS], MultiCategorical):
        remedy = "iki feeds are by tag: add MultiCategorical('tags', 'candidate')."
        raise ValueError(checks.expected("spec", "one with the tags of items", spec.names, remedy))
    train = observed(split.train)
    if spec.by_role("time"):
        train = train.sort_by(spec.by_role("time")[0].name)
    queries = tables.queries
    added: list[Feature] = []
    for name, value in _HISTORY.items():
        chosen = train.filter(pc.field(FEEDBACK) == value)
        queries = queries.append_column(name, lists_by_query(chosen, queries, spec))
        item = spec.candidate_id
        shared = Sequence(name, "query", item.dtype, _LENGTH, shared_with=item.name)
        added.append(shared)
    chosen_tags = [f for f in spec.by_role("query") if getattr(f, "shared_with", None) == TAGS]
    if not chosen_tags:
        queries = queries.append_column(USER_TAGS, _favourites(queries[LIKED], tables))
        added.append(MultiCategorical(USER_TAGS, "query", shared_with=TAGS))
    candidates = tables.candidates
    if CONTENT not in candidates.column_names:
        rows = content_of(tables).encode(_texts(tables))
        column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        candidates = candidates.append_column(CONTENT, column)
        added.append(Vector(CONTENT, "candidate", dim=rows.shape[1]))
    if FEEDBACK not in spec:
        added.append(Numeric(FEEDBACK, "label"))
    kept = [f for f in spec if f.role != "label" or f.name == FEEDBACK]
    return replace(
        tables,
        events=split.train,
        queries=queries,
        candidates=candidates,
        spec=FeatureSpec((*kept, *added)),
        positive=None,
    )


def content_of(tables: Tables) -> ContentVectors:
    """Returns the content vectors learned from the texts and tags of the items."""
    return ContentVectors.adapt(_texts(tables), dim=64)


def _texts(tables: Tables) -> pa.ChunkedArray:
    texts = [f.name for f in tables.spec.by_role("candidate") if isinstance(f, Text)]
    return joined_texts(tables.candidates, [*texts, TAGS])


def _favourites(liked: pa.ChunkedArray, tables: Tables) -> pa.Array:
    """Returns the most frequent tags of the items in each list."""
    ids = tables.candidates[tables.spec.candidate_id.name].to_pylist()
    tags = dict(zip(ids, tables.candidates[TAGS].to_pylist(), strict=True))
    rows = []
    for items in liked.to_pylist():
        counts: dict[str, int] = {}
        for item in items:
            for tag in tags.get(item) or ():
                counts[tag] = counts.get(tag, 0) + 1
        rows.append(sorted(counts, key=lambda tag: (-counts[tag], tag))[:_FAVOURITES])
    return pa.array(rows, pa.list_(pa.string()))


def features(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec of the sets and histories of users, of items' ids and tags, and the label.

    Raises:
        ValueError: If the tables are not prepared.
    """
    if LIKED not in spec:
        remedy = "Call recipe.prepare(tables, split) first."
        raise ValueError(checks.expected("spec", f"one with {LIKED!r}", spec.names, remedy))
    sets: list[Feature] = [f for f in spec.by_role("query") if isinstance(f, MultiCategorical)]
    names = [spec.query_id.name, *(f.name for f in sets), *_HISTORY]
    return spec.select(*names, spec.candidate_id.name, TAGS, FEEDBACK)


def arrays_of(transform: Any, events: pa.Table, tables: Tables) -> dict[str, np.ndarray]:
    """Returns the batch of all events: users are encoded once, and gathered."""
    spec = transform.spec
    names = [f.name for f in spec.by_role("query") if f.name != spec.query_id.name]
    rows = query_positions(events, tables)
    users = transform.encode(tables.queries, names)
    arrays = {name: values[rows] for name, values in users.items()}
    item = spec.candidate_id.name
    arrays[item] = transform.encode(events.select([item]), [item])[item]
    return {**arrays, FEEDBACK: events[FEEDBACK].to_numpy().astype(np.float32)}


def catalogue(transform: Any, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids of the items `(C,)` and of their tags `(C, L)`, 0 past the end."""
    item = transform.spec.candidate_id.name
    found = transform.encode(tables.candidates.select([item, TAGS]), [item, TAGS])
    return found[item], found[TAGS]


def set_items(model: IkiRanker, transform: Any, events: pa.Table, tables: Tables) -> None:
    """Fills the model's tables with the content of the items and the SVD of the ratings."""
    spec, candidates = tables.spec, tables.candidates
    item = spec.candidate_id.name
    ids, _ = catalogue(transform, tables)
    known = [candidates[item].combine_chunks(), tables.queries[spec.query_id.name].combine_chunks()]
    ratings = rating_matrix(observed(events), known[1], known[0], spec, VIEW_WEIGHT)
    factors = truncated_svd(ratings, model.item_svd.shape[1])
    content = np.zeros(model.content.shape, np.float32)
    content[ids] = np.stack(candidates[CONTENT].to_numpy(zero_copy_only=False))
    rows = np.zeros(model.item_svd.shape, np.float32)
    rows[ids] = factors.candidate
    model.set_items(content, rows, factors.inverse, VIEW_WEIGHT)


def fit(training: Training) -> tuple[IkiRanker, History]:
    """Trains the global ranker by squared error; see `with_unmet`."""
    model, tables = training.initial, training.tables
    if model is None:
        feature = tables.spec[CONTENT]
        dim = feature.dim if isinstance(feature, Vector) else 0
        model = training.build(content_dim=dim)
        set_items(model, training.transform, training.events, tables)
        model.compile(keras.optimizers.Adam(training.options.learning_rate), "mean_squared_error")
    events = with_unmet(training.events, tables)
    arrays = arrays_of(training.transform, events, tables)
    return model, training.fit(model, arrays, FEEDBACK)


def judge(trained: Trained, ks: tuple[int, ...] = (), seed: int = 0) -> Results:
    """Measures RMSE and MAE of the feedback, beside the mean's own."""
    del ks  # of no use to errors
    predictor = ModelPredictor(trained.model, trained.transform, trained.tables)
    predictors = {trained.options.model: predictor}
    return rating_errors(predictors, trained.split, trained.tables, seed=seed)


FEED = Task("feedback", feedback, judge, ordered=True)
IKI = Recipe(
    IkiRanker,
    FEED,
    features,
    fit,
    {"embedding_dim": 32, "epochs": 8, "learning_rate": 1e-3},
    prepare=prepare,
)
