"""The demo world: a generated content site whose truth is known."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_events import generate
from tfrecs.datasets.demo_media import IMAGE_DIM, SPECTROGRAM_SHAPE
from tfrecs.datasets.demo_tables import (
    EVENT_SCHEMA,
    batch_of,
    check_integer,
    ids_of,
    item_table,
    rebatch,
    sizes,
    user_table,
)
from tfrecs.datasets.demo_topics import REACTIONS
from tfrecs.datasets.demo_truth import Truth
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
    num_users, num_items = sizes(num_users, num_items, num_events, seed)
    items, users = world.draw_items(num_items, seed), world.draw_users(num_users, seed)
    user_ids, item_ids = ids_of("u", num_users), ids_of("i", num_items)
    batches, focus, last = [], [], np.full(num_users, float(users.world.days))
    for chunk in generate(items, users, num_events, seed):
        batches.append(batch_of(chunk, user_ids, item_ids))
        focus.append(chunk.focus)
        last[chunk.user] = chunk.time / world.SECONDS_PER_DAY  # of a user's events the last stays
    events = pa.Table.from_batches(batches, EVENT_SCHEMA)
    # a user has one event a second at most: the order is complete
    events = events.sort_by([("timestamp", "ascending"), ("user_id", "ascending")])
    queries, skills = user_table(seed, users, user_ids)
    return Tables(
        name=f"demo world (generated, seed {seed})",
        events=events,
        queries=queries,
        candidates=item_table(seed, items, item_ids),
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
    num_users, num_items = sizes(num_users, num_items, num_events, seed)
    check_integer("batch_size", batch_size, 1)
    items, users = world.draw_items(num_items, seed), world.draw_users(num_users, seed)
    user_ids, item_ids = ids_of("u", num_users), ids_of("i", num_items)
    made = (
        batch_of(chunk, user_ids, item_ids) for chunk in generate(items, users, num_events, seed)
    )
    return pa.RecordBatchReader.from_batches(EVENT_SCHEMA, rebatch(made, batch_size))
