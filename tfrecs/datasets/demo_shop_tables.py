"""The tables of the demo shop: which there are, their columns by group of fields, and a face."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.datasets import demo_wares as goods
from tfrecs.datasets.demo_asked import ENGAGEMENT_SCHEMA, QUERY_SCHEMA
from tfrecs.datasets.demo_media import IMAGE_DIM
from tfrecs.datasets.demo_orders import BASKET_SCHEMA, PLAY_SCHEMA, SEARCH_SCHEMA
from tfrecs.datasets.demo_sounds import draw_waveform
from tfrecs.datasets.demo_tables import EVENT_SCHEMA, vectors
from tfrecs.datasets.demo_topics import ACTIONS, AGES, LANGUAGES, SURFACES
from tfrecs.datasets.demo_wares import Wares
from tfrecs.datasets.demo_world import Items
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Categorical, FeatureSpec, Numeric, Vector

FIELDS = ("attributes", "images", "video", "plays", "searches", "baskets", "queries", "audio")
CHEAP = FIELDS[:-1]  # all but waveforms
_OF_EVENTS = (
    Categorical("age_band", "query", vocabulary=AGES),
    Categorical("surface", "context", vocabulary=SURFACES),
    Categorical("action", "label", vocabulary=ACTIONS),
)
_FEATURES = {
    "attributes": (
        Categorical("brand", "candidate"),
        Categorical("colour", "candidate"),
        Categorical("material", "candidate"),
        Categorical("handmade", "candidate", dtype="int64", vocabulary=(0, 1)),
        Categorical("recycled", "candidate", dtype="int64", vocabulary=(0, 1)),
        Numeric("weight_grams", "candidate", normalize="standard"),
        Numeric("width_cm", "candidate", normalize="standard"),
    ),
    "images": (Vector("images", "candidate", dim=IMAGE_DIM, max_count=goods.MAX_IMAGES),),
    "video": (
        Numeric("duration_seconds", "candidate", normalize="standard"),
        Categorical("channel", "candidate"),
        Categorical("language", "candidate", vocabulary=LANGUAGES),
        Numeric("seconds_watched", "label"),
    ),
    "plays": (Categorical("artist", "candidate"),),
}
_TABLE_OF = {
    "searches": ("searches", SEARCH_SCHEMA),
    "plays": ("plays", PLAY_SCHEMA),
    "baskets": ("baskets", BASKET_SCHEMA),
    "product_queries": ("queries", QUERY_SCHEMA),
    "engagements": ("queries", ENGAGEMENT_SCHEMA),
}  # the group and the schema of each table beside the events


@dataclass(frozen=True)
class ShopTables(Tables):
    """The tables of a shop: `Tables`, and what no event can hold.

    Each further table belongs to a group of fields, and asking for one whose group was not asked
    for is an error that names it.

    Args:
        fields: The groups of fields that were asked for.
        further: The tables beside `events`, `queries` and `candidates`, by name.
        sounds: The seed, and of each item the topic and the artist: what waveforms are drawn from.
    """

    fields: tuple[str, ...] = ()
    further: dict[str, pa.Table] = field(default_factory=dict)
    sounds: tuple[int, np.ndarray, np.ndarray] = (0, np.zeros(0, int), np.zeros(0, int))

    @property
    def searches(self) -> pa.Table:
        """What users looked for: session_id, user_id, timestamp, text; a row a session with one.

        Its results are the events of that session whose surface is "search".
        """
        return self._further("searches")

    @property
    def plays(self) -> pa.Table:
        """How often a user played an item: user_id, item_id, plays (1 or more); a row a pair."""
        return self._further("plays")

    @property
    def baskets(self) -> pa.Table:
        """What was bought together: basket_id, user_id, place, item_id, timestamp; a row an item.

        The first item, at place 0, is what the basket is about, and a companion or two follow.
        All purchases of the events, and what was bought in the shop's houses after a save or a
        cart.
        """
        return self._further("baskets")

    @property
    def product_queries(self) -> pa.Table:
        """Queries for products: query_id, kind ("image", "text"), text, vector (32), held_out.

        The vectors lie in the space of the column `images`. A text is null for an image query.
        """
        return self._further("product_queries")

    @property
    def engagements(self) -> pa.Table:
        """What product queries led to: query_id, item_id, timestamp, surface, action."""
        return self._further("engagements")

    def _further(self, name: str) -> pa.Table:
        group, _ = _TABLE_OF[name]
        self._require(group, name)
        return self.further[name]

    def _require(self, group: str, what: str) -> None:
        if group not in self.fields:
            told = ", ".join(map(repr, (*self.fields, group))) + ("" if self.fields else ",")
            remedy = f"Call demo_shop(fields=({told}))."
            expectation = f"with {group!r} for `{what}`"
            raise ValueError(checks.expected("fields", expectation, self.fields, remedy))

    def waveforms(self, rows: Iterable[int]) -> Iterator[np.ndarray]:
        """Yields the waveform of each row of `candidates`, drawn when it is asked for.

        Args:
            rows: Rows of `candidates`.

        Returns:
            float32 `(samples,)` within -1 and 1 each, 3 to 6 seconds at 8,000 samples a second.

        Raises:
            ValueError: The fields "audio" were not asked for, or there is no such row.
        """
        self._require("audio", "waveforms")
        seed, topics, artists = self.sounds
        return (self._waveform(seed, int(row), topics, artists) for row in rows)

    def _waveform(self, seed: int, row: int, topics: np.ndarray, artists: np.ndarray) -> np.ndarray:
        if not 0 <= row < len(topics):
            expectation = f"rows of `candidates`, 0 to {len(topics) - 1}"
            raise ValueError(checks.expected("rows", expectation, row))
        return draw_waveform(seed, row, int(topics[row]), int(artists[row]))


def check_fields(fields: Iterable[str]) -> tuple[str, ...]:
    """Returns groups of fields as a tuple, an error for one that there is not."""
    if isinstance(fields, str):
        remedy = f"Write fields=({fields!r},)."
        raise TypeError(checks.expected("fields", "a tuple of names", fields, remedy))
    names = tuple(fields)
    for name in names:
        checks.one_of("fields", name, FIELDS)
    return names


def tables_of(fields: tuple[str, ...]) -> list[str]:
    """Returns the names of the tables beside the events that can be streamed, of these groups."""
    return [n for n, (g, _) in _TABLE_OF.items() if g in fields and n != "product_queries"]


def schema_of(table: str, fields: tuple[str, ...]) -> pa.Schema:
    """Returns the schema of a table that can be streamed; an error for one not asked for."""
    checks.one_of("table", table, ("events", *tables_of(FIELDS)))
    if table == "events":
        schema = EVENT_SCHEMA.append(pa.field("surface", pa.string()))
        schema = schema.append(pa.field("action", pa.string()))
        if "video" in fields:
            schema = schema.append(pa.field("seconds_watched", pa.float32()))
        return schema
    group, schema = _TABLE_OF[table]
    if group not in fields:
        remedy = f"Give fields=({group!r}, ...)."
        raise ValueError(
            checks.expected("fields", f"with {group!r} for the table {table!r}", fields, remedy)
        )
    return schema


def shop_spec(site: FeatureSpec, fields: tuple[str, ...]) -> FeatureSpec:
    """Returns the features of a site and those of the groups."""
    groups = (_FEATURES.get(name, ()) for name in FIELDS if name in fields)
    return FeatureSpec((*site, *_OF_EVENTS, *(feature for group in groups for feature in group)))


def ware_columns(
    items: Items, wares: Wares, views: np.ndarray, fields: tuple[str, ...]
) -> dict[str, pa.Array]:
    """Returns the columns of `candidates` that belong to the groups."""
    columns: dict[str, pa.Array] = {}
    if "attributes" in fields:
        columns |= {
            "brand": pa.array(goods.BRANDS).take(pa.array(wares.brand)),
            "colour": pa.array(goods.COLOURS).take(pa.array(wares.colour)),
            "material": pa.array(goods.MATERIALS).take(pa.array(wares.material)),
            "handmade": pa.array(wares.handmade.astype(np.int64)),
            "recycled": pa.array(wares.recycled.astype(np.int64)),
            "weight_grams": pa.array(wares.weight_grams),
            "width_cm": pa.array(wares.width_cm),
        }
    if "images" in fields:
        ends = np.concatenate([[0], np.cumsum(wares.num_images)]).astype(np.int32)
        columns["images"] = pa.ListArray.from_arrays(ends, vectors(views))
    if "video" in fields:
        channels = [f"channel_{number:04d}" for number in range(int(wares.channel.max()) + 1)]
        columns |= {
            "duration_seconds": pa.array(wares.duration),
            "channel": pa.array(channels).take(pa.array(wares.channel)),
            "language": pa.array(LANGUAGES).take(pa.array(items.language)),
        }
    if "plays" in fields:
        artists = [f"artist_{number:04d}" for number in range(int(wares.artist.max()) + 1)]
        columns["artist"] = pa.array(artists).take(pa.array(wares.artist))
    return columns
