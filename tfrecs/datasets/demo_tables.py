"""The tables of the demo worlds: what is drawn becomes Arrow."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_events import Chunk
from tfrecs.datasets.demo_media import draw_images, draw_spectrograms
from tfrecs.datasets.demo_text import write_articles, write_cvs
from tfrecs.datasets.demo_topics import COUNTRIES, DEVICES, REACTIONS, TOPICS
from tfrecs.datasets.demo_world import Items, Users

EVENT_SCHEMA = pa.schema(
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


def sizes(
    num_users: int | None,
    num_items: int | None,
    num_events: int,
    seed: int,
    events_per_user: int = 50,
) -> tuple[int, int]:
    check_integer("num_events", num_events, 1)
    check_integer("seed", seed, 0)
    if num_users is None:
        num_users = max(1, num_events // events_per_user)
    if num_items is None:
        num_items = max(world.NUM_TOPICS, round(1000 * (num_events / 100_000) ** 0.5))
    check_integer("num_users", num_users, 1)
    check_integer("num_items", num_items, world.NUM_TOPICS)  # one a topic
    return num_users, num_items


def check_integer(argument: str, value: int, least: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(checks.expected(argument, f"an integer of {least} or more", value))


def ids_of(prefix: str, size: int) -> pa.Array:
    return pa.array([f"{prefix}_{row:06d}" for row in range(size)], pa.string())


def batch_of(chunk: Chunk, user_ids: pa.Array, item_ids: pa.Array) -> pa.RecordBatch:
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
    return pa.RecordBatch.from_pydict(columns, EVENT_SCHEMA)


def rebatch(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
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


def user_table(seed: int, users: Users, ids: pa.Array) -> tuple[pa.Table, list[list[str]]]:
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


def item_table(seed: int, items: Items, ids: pa.Array) -> pa.Table:
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
        "image": vectors(draw_images(rng, items)),
        "spectrogram": vectors(draw_spectrograms(rng, items)),
    }
    return pa.table(columns)


def vectors(rows: np.ndarray) -> pa.Array:
    """Returns `(C, ...)` as C lists of numbers."""
    size = rows[0].size
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * size
    return pa.ListArray.from_arrays(offsets, rows.ravel())
