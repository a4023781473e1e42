"""The demo shop: a year of a generated content shop whose truth is known."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo import SPEC
from tfrecs.datasets.demo_setting import SHOP, World
from tfrecs.datasets.demo_shop_maker import Maker
from tfrecs.datasets.demo_shop_tables import (
    CHEAP,
    ShopTables,
    check_fields,
    schema_of,
    shop_spec,
    tables_of,
    ware_columns,
)
from tfrecs.datasets.demo_tables import check_integer, item_table, rebatch, sizes, user_table
from tfrecs.datasets.demo_topics import AGES
from tfrecs.datasets.demo_wares import draw_views

_EVENTS_PER_USER = 100


def demo_shop(
    num_users: int | None = None,
    num_items: int | None = None,
    num_events: int = 100_000,
    seed: int = 0,
    *,
    fields: Iterable[str] = CHEAP,
    setting: World = SHOP,
) -> ShopTables:
    """Generates a year of a content shop, with the truth apart: nothing in it is real.

    It is the site of `demo` for 365 days, by the same generator: its tables have the site's columns
    with their meanings, and more. Topics have their season. Items also have a style, which their
    attributes tell through noise, and a vibe, which only their images tell; both drive clicks, by
    the taste of each user. They go viral some days after upload. Users have a band of age with its
    topics; one in twenty comes once, by one click. An impression has a surface ("home", "search",
    "related") and ends in an action ("view", "click", "save", "cart", "purchase", "hide"): the
    strongest one. Sessions are about one topic of the moment; a quarter of them begin with a search
    and a page of its results.

    The groups of fields, which change nothing else:

    - "attributes": brand, colour, material, handmade, recycled (0 or 1), weight_grams, width_cm.
    - "images": images, 1 to 3 vectors of 32 numbers each.
    - "video": duration_seconds, channel (a maker of several topics), language, and of events
      seconds_watched, the least of duration_seconds and dwell_seconds.
    - "plays": artist, and the table `plays`.
    - "searches", "baskets": these tables.
    - "queries": the tables `product_queries` and `engagements`.
    - "audio": `waveforms`, drawn when asked for.

    Args:
        num_users: Number of users; `None` for one per 100 events. Defaults to `None`.
        num_items: As `demo`.
        num_events: As `demo`.
        seed: As `demo`.
        fields: Groups of fields. Defaults to all but "audio".
        setting: Days, shares and strengths. Defaults to `demo_setting.SHOP`.

    Returns:
        `ShopTables`, with a `Truth` whose `click_probability`, `expected_seconds`,
        `complement_probability`, `substitute_probability` and `relevance` are the oracles.

    Raises:
        TypeError: `fields` is one string.
        ValueError: A size is too small, or there are no such fields.

    Example:

    >>> tables = demo_shop(num_users=50, num_items=50, num_events=1_000)
    >>> tables.events.select(["surface", "action", "seconds_watched"]).slice(3, 1).to_pylist()
    [{'surface': 'home', 'action': 'view', 'seconds_watched': 0.0}]
    >>> tables.product_queries.num_rows, tables.truth.relevance(tables.product_queries).shape
    (50, (50, 50))
    """
    return _tables(_maker(num_users, num_items, num_events, seed, fields, setting))


def demo_shop_stream(
    num_users: int | None = None,
    num_items: int | None = None,
    num_events: int = 100_000,
    seed: int = 0,
    batch_size: int = 65_536,
    *,
    table: str = "events",
    fields: Iterable[str] = CHEAP,
    setting: World = SHOP,
) -> pa.RecordBatchReader:
    """Streams a table of `demo_shop` in bounded memory, which grows with users and items alone.

    Events come user by user and in order of time; so do searches, plays and baskets, each after
    its event. Engagements come query by query. The rows do not depend on `batch_size`.

    Args:
        num_users: As `demo_shop`.
        num_items: As `demo_shop`.
        num_events: As `demo_shop`.
        seed: As `demo_shop`.
        batch_size: Rows of a batch; the last one may be shorter. Defaults to 65,536.
        table: "events", "searches", "plays", "baskets" or "engagements". Defaults to "events".
        fields: As `demo_shop`.
        setting: As `demo_shop`.

    Returns:
        A reader of record batches, with the columns of that table of `demo_shop`.

    Raises:
        ValueError: A size is too small, or the table's fields were not asked for.

    Example:

    >>> [batch.num_rows for batch in demo_shop_stream(num_events=1_000, batch_size=400)]
    [400, 400, 200]
    >>> demo_shop_stream(num_events=1_000, table="plays").schema.names
    ['user_id', 'item_id', 'plays']
    """
    maker = _maker(num_users, num_items, num_events, seed, fields, setting)
    check_integer("batch_size", batch_size, 1)
    schema = schema_of(table, maker.fields)
    return pa.RecordBatchReader.from_batches(schema, rebatch(maker.stream(table), batch_size))


def _maker(
    num_users: int | None,
    num_items: int | None,
    num_events: int,
    seed: int,
    fields: Iterable[str],
    setting: World,
) -> Maker:
    if not setting.shop:
        raise ValueError(checks.expected("setting", "a World with shop=True", setting))
    users, items = sizes(num_users, num_items, num_events, seed, _EVENTS_PER_USER)
    return Maker(users, items, num_events, seed, check_fields(fields), setting)


def _tables(maker: Maker) -> ShopTables:
    names = ("events", *(name for name in tables_of(maker.fields) if name != "engagements"))
    batches: dict[str, list[pa.RecordBatch]] = {name: [] for name in names}
    focus, last = [], np.full(maker.num_users, float(maker.setting.days))
    for chunk, *firsts in maker.chunks():
        for name in names:
            batches[name].append(maker.batch(name, chunk, *firsts))
        focus.append(chunk.focus)
        last[chunk.user] = chunk.time / world.SECONDS_PER_DAY  # of a user's events the last stays
    if "queries" in maker.fields:
        batches["engagements"] = list(maker.stream("engagements"))
    further = {name: _table(name, maker, made) for name, made in batches.items()}
    if "queries" in maker.fields:
        further["product_queries"] = maker.asked.table
    queries, skills = user_table(maker.seed, maker.users, maker.user_ids)
    return ShopTables(
        name=f"demo shop (generated, seed {maker.seed})",
        events=further.pop("events"),
        queries=queries.append_column("age_band", pa.array(np.array(AGES)[maker.users.age])),
        candidates=_candidates(maker),
        spec=shop_spec(SPEC, maker.fields),
        truth=maker.truth(skills, np.concatenate(focus), last),
        positive=pc.field("clicked") == 1,
        fields=maker.fields,
        further=further,
        sounds=(maker.seed, maker.items.topic, maker.wares.artist),
    )


def _table(name: str, maker: Maker, batches: list[pa.RecordBatch]) -> pa.Table:
    """Returns a table in order of time, and what has no time in order of users."""
    table = pa.Table.from_batches(batches, schema_of(name, maker.fields))
    if "timestamp" not in table.column_names:
        return table
    ties = ("timestamp", "basket_id", "place", "query_id", "user_id", "item_id")
    keys = [
        key for key in ties if key in table.column_names and (name, key) != ("events", "item_id")
    ]
    return table.sort_by([(key, "ascending") for key in keys])


def _candidates(maker: Maker) -> pa.Table:
    table = item_table(maker.seed, maker.items, maker.item_ids)
    images = "images" in maker.fields
    parts = (maker.items, maker.wares)
    views = draw_views(*parts, maker.space, maker.seed) if images else np.zeros((0, 0))
    for name, column in ware_columns(*parts, views, maker.fields).items():
        table = table.append_column(name, column)
    return table
