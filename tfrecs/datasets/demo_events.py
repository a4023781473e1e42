"""What happens in the demo world: sessions of impressions, clicks and what follows them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_world import Items, Users

_CHUNK_EVENTS = 1 << 16  # events made at once, if no user alone has more
_LIKE, _DISLIKE = 1, 2  # positions in demo_topics.REACTIONS


@dataclass(frozen=True)
class Chunk:
    """All events of some users, user by user and in order of time: arrays of N rows.

    `user` and `item` are rows of the users and items, `time` is in seconds since `START`,
    `session` counts from 0 over the whole world. `focus` holds the topic that each session of the
    chunk begins with.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    session: np.ndarray
    position: np.ndarray
    clicked: np.ndarray
    dwell: np.ndarray
    reaction: np.ndarray
    purchased: np.ndarray
    focus: np.ndarray


@dataclass(frozen=True)
class Shelf:
    """The items as the site shows them: by topic, with a running sum of their weights.

    `order` `(C,)` lists the items by topic; `line` `(DAYS x C,)` is the running sum over days and
    items in that order; `edges` `(DAYS, topics + 1)` says where on the line a topic begins.
    """

    order: np.ndarray
    line: np.ndarray
    edges: np.ndarray


def build_shelf(items: Items) -> Shelf:
    """Puts the items on a line, so that a draw is one search."""
    order = np.argsort(items.topic, kind="stable")
    line = np.cumsum(world.day_weights(items)[:, order])
    ends = np.cumsum(np.bincount(items.topic, minlength=world.NUM_TOPICS))
    firsts = np.concatenate([[0], ends])[None, :] + np.arange(world.DAYS)[:, None] * len(order)
    edges = np.concatenate([[0.0], line])[firsts]
    return Shelf(order, line, edges)


def generate(items: Items, users: Users, num_events: int, seed: int) -> Iterator[Chunk]:
    """Yields all events, whole users at a time: the same chunks for the same arguments."""
    shelf = build_shelf(items)
    # exactly num_events in all: the differences of a rounded running sum
    stops = np.cumsum(users.activity)
    stops = np.rint(stops * (num_events / stops[-1])).astype(np.int64)
    counts = np.diff(stops, prepend=0)
    first_user = first_session = 0
    while first_user < len(counts):
        before = stops[first_user] - counts[first_user]
        last_user = int(np.searchsorted(stops, before + _CHUNK_EVENTS, side="right"))
        last_user = max(last_user, first_user + 1)
        rows = np.arange(first_user, last_user)
        rng = np.random.default_rng([seed, 3, len(counts), len(shelf.order), first_user])
        chunk = _live(rng, items, users, shelf, np.repeat(rows, counts[rows]), first_session)
        yield chunk
        first_session += len(chunk.focus)
        first_user = last_user


def _live(
    rng: np.random.Generator,
    items: Items,
    users: Users,
    shelf: Shelf,
    user: np.ndarray,
    first_session: int,
) -> Chunk:
    num_events = len(user)
    begins = np.ones(num_events, bool)  # a session
    begins[1:] = (user[1:] != user[:-1]) | (rng.random(max(num_events - 1, 0)) < world.SESSION_END)
    first = np.flatnonzero(begins)  # (S,)
    session = np.cumsum(begins) - 1
    index = np.arange(num_events) - first[session]  # in its session
    starts = _session_starts(rng, user[first], users.device[user[first]])  # (S,), seconds
    days = starts / world.SECONDS_PER_DAY
    shares = users.shares(user[first], days)  # (S, 4)
    focus = _draw_topics(rng, users.topics[user[first]], shares)
    turns = (rng.random(num_events) < world.TURN) & ~begins
    turned = _sum_within(turns.astype(np.float64), first, session) > 0
    moment = np.where(turned, world.siblings(focus[session]), focus[session])
    item = _show(rng, shelf, days[session], users.topics[user], shares[session], moment)

    matched = world.match(items, users.topics[user], shares[session], item)
    chance = world.click_chance(matched, items.appeal[item], items.topic[item] == moment)
    position = index % world.PAGE
    chance = chance * world.examination()[users.device[user], position]
    clicked = _once(rng.random(num_events) < chance, user * len(shelf.order) + item)
    pleased = 4.0 * matched + 0.8 * items.quality[item]
    dwell, reaction, purchased = _follow(rng, items, users, user, item, pleased, clicked)
    spent = 5.0 + rng.exponential(20.0, num_events) + dwell  # seconds until the next impression
    elapsed = _sum_within(spent, first, session) - spent
    time = _in_order((starts[session] + elapsed).astype(np.int64), user - user[:1].sum())
    return Chunk(
        user, item, time, session + first_session, position + 1,
        clicked, dwell, reaction, purchased, focus,
    )  # fmt: skip


def _session_starts(rng: np.random.Generator, user: np.ndarray, device: np.ndarray) -> np.ndarray:
    """Draws when sessions start, in seconds, rising within a user: an hour fits a device."""
    usual = np.array([11.0, 20.0, 21.0])[device]  # desktop, phone, tablet: hour of the day, UTC
    hour = (usual + rng.normal(0.0, 3.5, len(user))) % 24.0
    start = rng.integers(0, world.DAYS, len(user)) * world.SECONDS_PER_DAY + hour * 3600.0
    sorted_starts: np.ndarray = start[np.lexsort((start, user))]  # users are in order already
    return sorted_starts


def _draw_topics(rng: np.random.Generator, topics: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Draws one of its topics for each row, by the shares."""
    chance = rng.random(len(topics))[:, None]
    which = (np.cumsum(shares[:, :-1], axis=1) < chance).sum(axis=1)
    drawn: np.ndarray = topics[np.arange(len(topics)), which]
    return drawn


def _show(
    rng: np.random.Generator,
    shelf: Shelf,
    days: np.ndarray,
    topics: np.ndarray,
    shares: np.ndarray,
    moment: np.ndarray,
) -> np.ndarray:
    """Draws the item of each impression: popular, of the moment, or of any interest."""
    num_events = len(days)
    day = days.astype(np.int64)
    topic = _draw_topics(rng, topics, shares)
    topic = np.where(rng.random(num_events) < world.FOCUS, moment, topic)
    low, high = shelf.edges[day, topic], shelf.edges[day, topic + 1]
    popular = rng.random(num_events) < world.POPULAR_SHARE
    low = np.where(popular, shelf.edges[day, 0], low)
    high = np.where(popular, shelf.edges[day, -1], high)
    place = low + rng.random(num_events) * (high - low)
    place = np.minimum(place, np.nextafter(high, low))  # rounding must not reach the next topic
    found = np.searchsorted(shelf.line, place, side="right") % len(shelf.order)
    shown: np.ndarray = shelf.order[found]
    return shown


def _once(clicked: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """Keeps the first click of each pair of user and item: what is read is not opened again."""
    rows = np.flatnonzero(clicked)
    first = np.zeros_like(clicked)
    first[rows[np.unique(pair[rows], return_index=True)[1]]] = True
    return first


def _follow(
    rng: np.random.Generator,
    items: Items,
    users: Users,
    user: np.ndarray,
    item: np.ndarray,
    pleased: np.ndarray,
    clicked: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws dwell in seconds, reaction and purchase; all are 0 without a click."""
    num_events = len(user)
    log_dwell = np.log(30.0) + 0.35 * pleased + 0.7 * rng.normal(size=num_events)
    log_dwell -= 0.3 * (users.device[user] == 1)  # a phone is put away sooner
    dwell = np.where(clicked, np.clip(np.exp(log_dwell), 1.0, 1800.0), 0.0).round(1)
    chance = rng.random((2, num_events))
    liked = clicked & (chance[0] < world.sigmoid(pleased - 3.0))
    disliked = clicked & ~liked & (chance[1] < world.sigmoid(-1.0 - 1.5 * pleased))
    reaction = np.where(liked, _LIKE, np.where(disliked, _DISLIKE, 0))
    costly = users.thrift[user] * (np.log(items.price[item]) - 2.5)
    bought = rng.random(num_events) < world.sigmoid(0.8 * pleased - 4.0 - 2.0 * costly)
    return dwell, reaction, clicked & bought


def _sum_within(steps: np.ndarray, first: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Returns the running sum of `steps` since the start of each session, its own included."""
    total = np.cumsum(steps)
    sums: np.ndarray = total - (total[first] - steps[first])[session]
    return sums


def _in_order(time: np.ndarray, user: np.ndarray) -> np.ndarray:
    """Moves times that do not rise within a user to the next free second."""
    index = np.arange(len(time))
    # users lie so far apart on this line that the running maximum never crosses one
    far = user * (1 << 40) + time - index
    moved: np.ndarray = np.maximum.accumulate(far) + index - user * (1 << 40)
    return moved
