"""What the site shows: items on a shelf by topic and day, drawn for each impression."""

from dataclasses import dataclass

import numpy as np

from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_setting import PAGE, World
from tfrecs.datasets.demo_world import Items

HOME, SEARCH, RELATED = range(3)  # positions in demo_topics.SURFACES


@dataclass(frozen=True)
class Shelf:
    """The items as the site shows them: by topic, with a running sum of their weights.

    `order` `(C,)` lists the items by topic; `line` `(days x C,)` is the running sum over days and
    items in that order; `edges` `(days, topics + 1)` says where on the line a topic begins.
    """

    order: np.ndarray
    line: np.ndarray
    edges: np.ndarray


def build_shelf(items: Items) -> Shelf:
    """Puts the items on a line, so that a draw is one search."""
    order = np.argsort(items.topic, kind="stable")
    line = np.cumsum(world.day_weights(items)[:, order])
    ends = np.cumsum(np.bincount(items.topic, minlength=world.NUM_TOPICS))
    firsts = np.concatenate([[0], ends])[None, :] + np.arange(items.world.days)[:, None] * len(
        order
    )
    edges = np.concatenate([[0.0], line])[firsts]
    return Shelf(order, line, edges)


def draw_topics(rng: np.random.Generator, topics: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Draws one of its topics for each row, by the shares."""
    chance = rng.random(len(topics))[:, None]
    which = (np.cumsum(shares[:, :-1], axis=1) < chance).sum(axis=1)
    drawn: np.ndarray = topics[np.arange(len(topics)), which]
    return drawn


def show(
    rng: np.random.Generator,
    shelf: Shelf,
    days: np.ndarray,
    topics: np.ndarray,
    shares: np.ndarray,
    moment: np.ndarray,
    surface: np.ndarray,
) -> np.ndarray:
    """Draws the item of each impression: popular, of the moment, or of any interest.

    A search shows the topic of the moment alone.
    """
    num_events = len(days)
    day = days.astype(np.int64)
    topic = draw_topics(rng, topics, shares)
    focused = rng.random(num_events) < world.FOCUS
    if len(surface):
        focused |= surface == SEARCH
    topic = np.where(focused, moment, topic)
    low, high = shelf.edges[day, topic], shelf.edges[day, topic + 1]
    popular = rng.random(num_events) < world.POPULAR_SHARE
    if len(surface):
        popular &= surface != SEARCH
    low = np.where(popular, shelf.edges[day, 0], low)
    high = np.where(popular, shelf.edges[day, -1], high)
    return _between(rng, shelf, low, high)


def _between(
    rng: np.random.Generator, shelf: Shelf, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Draws items between two places of the shelf's line."""
    place = low + rng.random(len(low)) * (high - low)
    place = np.minimum(place, np.nextafter(high, low))  # rounding must not reach the next topic
    order = np.argsort(place)  # places in order are found in a half to a quarter of the time
    found = np.empty(len(place), np.int64)
    found[order] = np.searchsorted(shelf.line, place[order], side="right")
    shown: np.ndarray = shelf.order[found % len(shelf.order)]
    return shown


def draw_surfaces(
    rng: np.random.Generator,
    setting: World,
    begins: np.ndarray,
    turns: np.ndarray,
    session: np.ndarray,
    index: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws which sessions begin with a search, and the surface of each impression of a shop.

    The first page of a search is its results, which do not turn: `turns` loses them. A related item
    is never the first of a session nor the first of a turn, so that it has what it stands beside.
    """
    num_sessions = int(session[-1]) + 1 if len(session) else 0
    if not setting.shop:
        return np.zeros(0, bool), np.zeros(0, np.int8)
    sought = rng.random(num_sessions, np.float32) < setting.sought
    search = sought[session] & (index < PAGE)
    turns &= ~search
    related = rng.random(len(session), np.float32) < setting.related
    related &= ~(begins | turns | search)
    return sought, (search * np.int8(SEARCH) + related * np.int8(RELATED)).astype(np.int8)


def show_related(
    rng: np.random.Generator,
    shelf: Shelf,
    items: Items,
    days: np.ndarray,
    surface: np.ndarray,
    item: np.ndarray,
) -> None:
    """Draws related items anew, in place: of the topic of what was shown before them."""
    related = surface == RELATED
    source = np.maximum.accumulate(np.where(related, 0, np.arange(len(item))))
    rows = np.flatnonzero(related)
    day, topic = days[rows].astype(np.int64), items.topic[item[source[rows]]]
    low, high = shelf.edges[day, topic], shelf.edges[day, topic + 1]
    item[rows] = _between(rng, shelf, low, high)
