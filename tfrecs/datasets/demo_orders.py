"""What goes with the demo shop's events: the words of searches, plays, and baskets."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_events import CART, PURCHASE, SAVE, Chunk
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.datasets.demo_wares import Wares
from tfrecs.datasets.demo_world import Items

SEARCH_SCHEMA = pa.schema(
    {
        "session_id": pa.int64(),
        "user_id": pa.string(),
        "timestamp": pa.int64(),
        "text": pa.string(),
    }
)
PLAY_SCHEMA = pa.schema({"user_id": pa.string(), "item_id": pa.string(), "plays": pa.int64()})
BASKET_SCHEMA = pa.schema(
    {
        "basket_id": pa.int64(),
        "user_id": pa.string(),
        "place": pa.int64(),
        "item_id": pa.string(),
        "timestamp": pa.int64(),
    }
)
COMPLEMENT = 0.8  # share of a basket's companions that complete its first item
MORE = 0.5  # chance of a second companion
_BOUGHT_LATER = {SAVE: 0.7, CART: 0.9, PURCHASE: 1.0}  # chances that an action ends in a basket
_DAYS_LATER = 2.0  # on average, unless bought at once
_PHRASES = tuple(
    (topic.name, *topic.things, *(f"{thing} {topic.name}" for thing in topic.things))
    for topic in TOPICS
)


@dataclass(frozen=True)
class Kits:
    """Items by topic and kit, with a running sum of their weights.

    `order` `(C,)` lists the items, `line` `(C + 1,)` is the sum before each, and `edges`
    `(topics, kits + 1)` says where on it a kit begins.
    """

    order: np.ndarray
    line: np.ndarray
    edges: np.ndarray


def build_kits(items: Items, wares: Wares) -> Kits:
    """Puts the items on a line by topic and kit."""
    num_kits = int(wares.kit.max()) + 1
    cell = items.topic * num_kits + wares.kit
    order = np.argsort(cell, kind="stable")
    line = np.concatenate([[0.0], np.cumsum(items.weight[order].astype(np.float64))])
    ends = np.cumsum(np.bincount(cell, minlength=world.NUM_TOPICS * num_kits))
    firsts = np.arange(world.NUM_TOPICS)[:, None] * num_kits + np.arange(num_kits + 1)[None, :]
    return Kits(order, line, line[np.concatenate([[0], ends])[firsts]])


def searches_of(
    rng: np.random.Generator, chunk: Chunk, first_session: int, user_ids: pa.Array
) -> pa.RecordBatch:
    """Writes the search that a session begins with: words of its topic, a second before it."""
    first = np.flatnonzero(np.diff(chunk.session, prepend=first_session - 1))[chunk.sought]
    phrases = pa.array([phrase for topic in _PHRASES for phrase in topic])
    which = rng.integers(0, len(_PHRASES[0]), len(first))
    columns = {
        "session_id": chunk.session[first],
        "user_id": user_ids.take(pa.array(chunk.user[first])),
        "timestamp": chunk.time[first] + world.START - 1,
        "text": phrases.take(pa.array(chunk.focus[chunk.sought] * len(_PHRASES[0]) + which)),
    }
    return pa.RecordBatch.from_pydict(columns, SEARCH_SCHEMA)


def plays_of(
    rng: np.random.Generator, chunk: Chunk, user_ids: pa.Array, item_ids: pa.Array
) -> pa.RecordBatch:
    """Counts how often each item that was clicked is played: the more, the more it pleased.

    `1 + Poisson(exp(0.5 pleased - 1) x Gamma(1))`: many once, few often.
    """
    rows = np.flatnonzero(chunk.clicked)  # a user clicks an item once
    usual = np.exp(0.5 * chunk.pleased[rows] - 1.0) * rng.gamma(1.0, size=len(rows))
    columns = {
        "user_id": user_ids.take(pa.array(chunk.user[rows])),
        "item_id": item_ids.take(pa.array(chunk.item[rows])),
        "plays": 1 + rng.poisson(usual),
    }
    return pa.RecordBatch.from_pydict(columns, PLAY_SCHEMA)


def baskets_of(
    rng: np.random.Generator,
    parts: tuple[Items, Wares, Kits],
    chunk: Chunk,
    first_event: int,
    user_ids: pa.Array,
    item_ids: pa.Array,
) -> pa.RecordBatch:
    """Draws the baskets: all purchases, much of what was put in the cart or saved, and companions.

    A basket's first item is what the event was about. A companion or two follow: mostly of the same
    kit, one of the next topic of the category and one of the topic after it, else any item, by
    weight. What is not yet published is not bought, and an item stands in a basket once. A basket
    has its event's number.
    """
    items, wares, kits = parts
    chance = np.zeros(6)
    chance[list(_BOUGHT_LATER)] = list(_BOUGHT_LATER.values())
    rows = np.flatnonzero(rng.random(len(chunk.action)) < chance[chunk.action])
    later = rng.exponential(_DAYS_LATER * world.SECONDS_PER_DAY, len(rows)).astype(np.int64)
    later[chunk.action[rows] == PURCHASE] = 0
    anchor, time = chunk.item[rows], chunk.time[rows] + later
    second = np.flatnonzero(rng.random(len(rows)) < MORE)
    basket = np.concatenate([np.arange(len(rows)), second])
    step = np.repeat([1, 2], [len(rows), len(second)])
    topic = world.siblings(items.topic[anchor][basket], step)
    kit = wares.kit[anchor][basket]
    low, high = kits.edges[topic, kit], kits.edges[topic, kit + 1]
    anything = rng.random(len(basket)) >= COMPLEMENT
    low, high = np.where(anything, 0.0, low), np.where(anything, kits.line[-1], high)
    place = np.minimum(low + rng.random(len(low)) * (high - low), np.nextafter(high, low))
    item = kits.order[np.searchsorted(kits.line, place, side="right") - 1]
    there = items.published[item] * world.SECONDS_PER_DAY < time[basket]
    item, basket = np.r_[anchor, item[there]], np.r_[np.arange(len(rows)), basket[there]]
    once = np.unique(basket * len(items.topic) + item, return_index=True)[1]
    once = once[np.lexsort((once, basket[once]))]  # by basket, as they came
    basket, item = basket[once], item[once]
    place = np.arange(len(basket)) - np.searchsorted(basket, basket)
    columns = {
        "basket_id": first_event + rows[basket],
        "user_id": user_ids.take(pa.array(chunk.user[rows][basket])),
        "place": place,
        "item_id": item_ids.take(pa.array(item)),
        "timestamp": time[basket] + world.START,
    }
    return pa.RecordBatch.from_pydict(columns, BASKET_SCHEMA)
