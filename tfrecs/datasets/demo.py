"""The demo world: a generated content site whose truth is known."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_events import Chunk, generate
from tfrecs.datasets.demo_media import (
    IMAGE_DIM,
    SPECTROGRAM_SHAPE,
    draw_images,
    draw_spectrograms,
)
from tfrecs.datasets.demo_text import write_articles, write_cvs
from tfrecs.datasets.demo_topics import COUNTRIES, DEVICES, REACTIONS, TOPICS
from tfrecs.datasets.demo_truth import Truth
from tfrecs.datasets.demo_world import Items, Users
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Numeric, Text, Timestamp, Vector

SPEC = FeatureSpec(
    (
        Categorical("user_id", "query", is_id=True),
        Categorical("country", "query"),
        Categorical("device", "query"),
        MultiCategorical("user_tags", "query", shared_with="tags"),
        Text("cv", "query"),
        Categorical("item_id", "candidate", is_id=True),
        Text("title", "candidate", max_length=16),
        Text("body", "candidate"),
        Categorical("category", "candidate"),
        MultiCategorical("tags", "candidate"),
        Timestamp("published", "candidate"),
        Numeric("price", "candidate", normalize="standard"),
        Vector("image", "candidate", dim=IMAGE_DIM),
        Vector("spectrogram", "candidate", dim=SPECTROGRAM_SHAPE[0] * SPECTROGRAM_SHAPE[1]),
        Categorical("position", "context", dtype="int64", vocabulary=(1, 2, 3, 4, 5)),
        Categorical("session_id", "group", dtype="int64"),
        Timestamp("timestamp", "time"),
        Numeric("clicked", "label"),
        Numeric("dwell_seconds", "label"),
        Categorical("reaction", "label", vocabulary=REACTIONS),
        Numeric("purchased", "label"),
    )
)

_EVENT_SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "timestamp": pa.int64(),
        "session_id": pa.int64(),
        "position": pa.int64(),
        "clicked": pa.int64(),
        "dwell_seconds": pa.float32(),
        "reaction": pa.string(),
        "purchased": pa.int64(),
    }
)


def demo(
    num_users: int | None = None,
    num_items: int | None = None,
    num_events: int = 100_000,
    seed: int = 0,
) -> Tables:
    """Generates a small content site, with the truth apart: nothing in it is real.

    Items of 24 topics in 8 categories have a title and a body in the topic's words, tags, a date,
    a price, an image vector and a spectrogram that tell the topic through noise. Users have four
    interests that drift over 60 days, a country that has its tastes, a device, tags, and a CV with
    skills. A session is about one topic and may turn to the next of its category. The site shows
    what fits the user, and at times what is popular; the user looks less at later positions, clicks
    on what interests (an item once at most), and then dwells, likes or dislikes, buys.

    `positives` are the clicks. `queries` and `candidates` depend on their numbers and the seed, not
    on `num_events`. A spectrogram is `(32, 16)` = time frames x frequency bands, stored row by row.
    A tenth of the users have no CV (null), a tenth no tags.

    Args:
        num_users: Number of users; `None` for one per 50 events. Defaults to `None`.
        num_items: Number of items, 24 or more; `None` for `1000 sqrt(num_events / 100000)`.
        num_events: Number of events, that is of impressions. Defaults to 100,000.
        seed: Another seed gives another world. Defaults to 0.

    Returns:
        `Tables` with one event per impression, in order of time: user_id, item_id, timestamp
        (seconds), session_id, position (1 to 5), clicked (0 or 1), dwell_seconds (0.0 without a
        click), reaction ("like", "dislike", "none") and purchased (0 or 1); and with `truth`, a
        `Truth`, whose `click_probability` gives the oracle's ranking.

    Example:

    >>> tables = demo(num_users=100, num_items=50, num_events=1_000)
    >>> tables.candidates["title"][0].as_py()
    'What game consoles can teach us about loss functions'
    >>> tables.truth.click_probability(tables.queries.slice(0, 2)).shape
    (2, 50)
    """
    num_users, num_items = _sizes(num_users, num_items, num_events, seed)
    items, users = world.draw_items(num_items, seed), world.draw_users(num_users, seed)
    user_ids, item_ids = _ids("u", num_users), _ids("i", num_items)
    batches, focus, last = [], [], np.full(num_users, float(world.DAYS))
    for chunk in generate(items, users, num_events, seed):
        batches.append(_batch(chunk, user_ids, item_ids))
        focus.append(chunk.focus)
        last[chunk.user] = chunk.time / world.SECONDS_PER_DAY  # of a user's events the last stays
    events = pa.Table.from_batches(batches, _EVENT_SCHEMA)
    # a user has one event a second at most: the order is complete
    events = events.sort_by([("timestamp", "ascending"), ("user_id", "ascending")])
    queries, skills = _queries(seed, users, user_ids)
    return Tables(
        name=f"demo world (generated, seed {seed})",
        events=events,
        queries=queries,
        candidates=_candidates(seed, items, item_ids),
        spec=SPEC,
        truth=Truth(items, users, user_ids, skills, np.concatenate(focus), last),
        positive=pc.field("clicked") == 1,
    )


def demo_stream(
    num_users: int | None = None,
    num_items: int | None = None,
    num_events: int = 100_000,
    seed: int = 0,
    batch_size: int = 65_536,
) -> pa.RecordBatchReader:
    """Streams the events of `demo`, user by user and in order of time, in bounded memory.

    Memory grows with users and items, not with events: for 1e8 events of 2e6 users and 31,623
    items it takes 0.6 GB. The events do not depend on `batch_size`.

    Args:
        num_users: As `demo`.
        num_items: As `demo`.
        num_events: As `demo`; 1e3 to 1e8 are sensible.
        seed: As `demo`.
        batch_size: Rows of a batch; the last one may be shorter. Defaults to 65,536.

    Returns:
        A reader of record batches, with the columns of `demo(...).events`.

    Example:

    >>> [batch.num_rows for batch in demo_stream(num_events=1_000, batch_size=400)]
    [400, 400, 200]
    """
    num_users, num_items = _sizes(num_users, num_items, num_events, seed)
    _check_integer("batch_size", batch_size, 1)
    items, users = world.draw_items(num_items, seed), world.draw_users(num_users, seed)
    user_ids, item_ids = _ids("u", num_users), _ids("i", num_items)
    made = (_batch(chunk, user_ids, item_ids) for chunk in generate(items, users, num_events, seed))
    return pa.RecordBatchReader.from_batches(_EVENT_SCHEMA, _rebatch(made, batch_size))


def _sizes(
    num_users: int | None, num_items: int | None, num_events: int, seed: int
) -> tuple[int, int]:
    _check_integer("num_events", num_events, 1)
    _check_integer("seed", seed, 0)
    if num_users is None:
        num_users = max(1, num_events // 50)
    if num_items is None:
        num_items = max(world.NUM_TOPICS, round(1000 * (num_events / 100_000) ** 0.5))
    _check_integer("num_users", num_users, 1)
    _check_integer("num_items", num_items, world.NUM_TOPICS)  # one a topic
    return num_users, num_items


def _check_integer(argument: str, value: int, least: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(checks.expected(argument, f"an integer of {least} or more", value))


def _ids(prefix: str, size: int) -> pa.Array:
    return pa.array([f"{prefix}_{row:06d}" for row in range(size)], pa.string())


def _batch(chunk: Chunk, user_ids: pa.Array, item_ids: pa.Array) -> pa.RecordBatch:
    columns = {
        "user_id": user_ids.take(pa.array(chunk.user)),
        "item_id": item_ids.take(pa.array(chunk.item)),
        "timestamp": chunk.time + world.START,
        "session_id": chunk.session,
        "position": chunk.position,
        "clicked": chunk.clicked.astype(np.int64),
        "dwell_seconds": chunk.dwell.astype(np.float32),
        "reaction": pa.array(REACTIONS).take(pa.array(chunk.reaction)),
        "purchased": chunk.purchased.astype(np.int64),
    }
    return pa.RecordBatch.from_pydict(columns, _EVENT_SCHEMA)


def _rebatch(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """Cuts batches of any length into batches of `size` rows."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows < size:
            continue
        table = pa.Table.from_batches(held).combine_chunks()
        whole = rows // size * size
        yield from table.slice(0, whole).to_batches(max_chunksize=size)
        held = table.slice(whole).to_batches()
        rows -= whole
    if rows:
        yield from pa.Table.from_batches(held).combine_chunks().to_batches()


def _queries(seed: int, users: Users, ids: pa.Array) -> tuple[pa.Table, list[list[str]]]:
    rng = np.random.default_rng([seed, 4, len(ids)])
    cvs, skills = write_cvs(rng, users.topics)
    num_users = len(ids)
    names = np.array([topic.name for topic in TOPICS], object)
    declared = rng.random((num_users, 2)) < (0.9, 0.5)  # the first topic or two, not by all
    declared[:, 1] &= declared[:, 0]
    tags = [
        list(dict.fromkeys(names[topics[:2]][said]))
        for topics, said in zip(users.topics, declared, strict=True)
    ]
    without = rng.random(num_users) < 0.1
    columns: dict[str, Any] = {
        "user_id": ids,
        "country": np.array(COUNTRIES)[users.country],
        "device": np.array(DEVICES)[users.device],
        "user_tags": pa.array(tags, pa.list_(pa.string())),
        "cv": pa.array(cvs, pa.string(), mask=without),
    }
    return pa.table(columns), [[] if w else s for s, w in zip(skills, without, strict=True)]


def _candidates(seed: int, items: Items, ids: pa.Array) -> pa.Table:
    rng = np.random.default_rng([seed, 5, len(ids)])
    titles, bodies = write_articles(rng, items.topic, items.second)
    names = [topic.name for topic in TOPICS]
    tags = [
        [names[first], names[second], TOPICS[first].things[thing]]
        for first, second, thing in zip(
            items.topic.tolist(),
            items.second.tolist(),
            rng.integers(0, 10, len(ids)).tolist(),
            strict=True,
        )
    ]
    seconds = np.floor(items.published * np.float64(world.SECONDS_PER_DAY)).astype(np.int64)
    columns: dict[str, Any] = {
        "item_id": ids,
        "title": titles,
        "body": bodies,
        "category": np.array([topic.category for topic in TOPICS])[items.topic],
        "tags": pa.array(tags, pa.list_(pa.string())),
        "published": world.START + seconds,
        "price": items.price,
        "image": _vectors(draw_images(rng, items)),
        "spectrogram": _vectors(draw_spectrograms(rng, items)),
    }
    return pa.table(columns)


def _vectors(rows: np.ndarray) -> pa.Array:
    """Returns `(C, ...)` as C lists of numbers."""
    size = rows[0].size
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * size
    return pa.ListArray.from_arrays(offsets, rows.ravel())
