"""What happens in the demo worlds: sessions of impressions, clicks and what follows them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_setting import PAGE
from tfrecs.datasets.demo_shelf import (
    SEARCH,
    Shelf,
    build_shelf,
    draw_surfaces,
    draw_topics,
    show,
    show_related,
)
from tfrecs.datasets.demo_world import Items, Users

_CHUNK_EVENTS = 1 << 16  # events made at once, if no user alone has more
_LIKE, _DISLIKE = 1, 2  # positions in demo_topics.REACTIONS
VIEW, CLICK, SAVE, CART, PURCHASE, HIDE = range(6)  # positions in demo_topics.ACTIONS
# logits of a save and a cart after a click, before pleasure, on each surface
_SAVE = np.array([-4.1, -4.7, -3.5], np.float32)
_CART = np.array([-6.5, -5.5, -6.7], np.float32)
_KEEN = 1.2  # logit of a save and a cart that pleasure is worth
_BUY = np.array([0.0, 0.8, -0.2], np.float32)  # what a surface adds to the logit of a purchase
_HIDE = np.array([0.03, 0.008, 0.02], np.float32)  # chance of a hide without pleasure


@dataclass(frozen=True)
class Chunk:
    """All events of some users, user by user and in order of time: arrays of N rows.

    `user` and `item` are rows of the users and items, `time` is in seconds since `START`,
    `session` counts from 0 over the whole world. `focus` holds the topic that each session of the
    chunk begins with, `sought` whether it began with a search. `surface` and `action` are positions
    in `SURFACES` and `ACTIONS`, of no rows on a site.
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
    sought: np.ndarray
    surface: np.ndarray
    action: np.ndarray
    pleased: np.ndarray


def generate(items: Items, users: Users, num_events: int, seed: int) -> Iterator[Chunk]:
    """Yields all events, whole users at a time: the same chunks for the same arguments."""
    shelf = build_shelf(items)
    counts = _counts(users, num_events)
    stops = np.cumsum(counts)
    first_user = first_session = 0
    while first_user < len(counts):
        before = stops[first_user] - counts[first_user]
        last_user = int(np.searchsorted(stops, before + _CHUNK_EVENTS, side="right"))
        last_user = max(last_user, first_user + 1)
        rows = np.arange(first_user, last_user)
        sizes = (len(counts), len(shelf.order), first_user)
        chance = tuple(np.random.default_rng([seed, stream, *sizes]) for stream in (3, 8))
        chunk = _live(chance, items, users, shelf, np.repeat(rows, counts[rows]), first_session)
        yield chunk
        first_session += len(chunk.focus)
        first_user = last_user


def _counts(users: Users, num_events: int) -> np.ndarray:
    """Returns the number of events of each user, exactly `num_events` in all."""
    once = np.zeros_like(users.once)
    if num_events >= 2 * len(once) and not users.once.all():
        once = users.once
    stops = np.cumsum(np.where(once, 0.0, users.activity))
    # the differences of a rounded running sum
    stops = np.rint(stops * ((num_events - once.sum()) / stops[-1])).astype(np.int64)
    counts: np.ndarray = np.diff(stops, prepend=0) + once
    return counts


def _live(
    chance: tuple[np.random.Generator, ...],
    items: Items,
    users: Users,
    shelf: Shelf,
    user: np.ndarray,
    first_session: int,
) -> Chunk:
    rng, more = chance  # of every world; of shops
    setting, num_events = users.world, len(user)
    begins = np.ones(num_events, bool)  # a session
    begins[1:] = user[1:] != user[:-1]
    begins[1:] |= rng.random(max(num_events - 1, 0)) < setting.session_end
    first = np.flatnonzero(begins)  # (S,)
    session = np.cumsum(begins) - 1
    index = np.arange(num_events) - first[session]  # in its session
    starts = _session_starts(rng, user[first], users)  # (S,), seconds
    days = starts / world.SECONDS_PER_DAY
    shares = users.shares(user[first], days)  # (S, 4)
    focus = draw_topics(rng, users.topics[user[first]], shares)
    turns = (rng.random(num_events) < setting.turn) & ~begins
    sought, surface = draw_surfaces(more, setting, begins, turns, session, index)
    turned = _sum_within(turns.astype(np.float64), first, session) > 0
    moment = np.where(turned, world.siblings(focus[session]), focus[session])
    topics = users.topics[user]
    item = show(rng, shelf, days[session], topics, shares[session], moment, surface)
    if setting.related:
        show_related(more, shelf, items, days[session], surface, item)

    matched = world.match(items, topics, shares[session], item)
    liked = world.liking(items, users, user, item) if setting.shop else 0.0
    appeal = items.appeal[item]
    if setting.shop:
        appeal = appeal + liked + world.SOUGHT_CLICK * (surface == SEARCH)
    chances = world.click_chance(matched, appeal, items.topic[item] == moment)
    position = index % PAGE
    chances = chances * world.examination()[users.device[user], position]
    if setting.once:
        alone = users.once[user]
        alone[1:] &= user[1:] != user[:-1]
        alone[:-1] &= user[:-1] != user[1:]
        chances[alone] = 1.0
    clicked = _once(rng.random(num_events) < chances, user * len(shelf.order) + item)
    pleased = world.pleasure(matched, items.quality[item], liked)
    eager = _BUY[surface] if setting.shop else 0.0
    dwell, reaction, purchased = _follow(rng, items, users, user, item, pleased, clicked, eager)
    action = _act(more, surface, pleased, clicked, purchased)
    spent = 5.0 + rng.exponential(20.0, num_events) + dwell  # seconds until the next impression
    elapsed = _sum_within(spent, first, session) - spent
    time = _in_order((starts[session] + elapsed).astype(np.int64), user - user[:1].sum())
    return Chunk(
        user, item, time, session + first_session, position + 1,
        clicked, dwell, reaction, purchased, focus, sought, surface, action, pleased,
    )  # fmt: skip


def _session_starts(rng: np.random.Generator, user: np.ndarray, users: Users) -> np.ndarray:
    """Draws when sessions start, in seconds, rising within a user: an hour fits a device."""
    usual = np.array([11.0, 20.0, 21.0])[
        users.device[user]
    ]  # desktop, phone, tablet: hour of the day, UTC
    hour = (usual + rng.normal(0.0, 3.5, len(user))) % 24.0
    start = rng.integers(0, users.world.days, len(user)) * world.SECONDS_PER_DAY + hour * 3600.0
    sorted_starts: np.ndarray = start[np.lexsort((start, user))]  # users are in order already
    return sorted_starts


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
    eager: np.ndarray | float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws dwell in seconds, reaction and purchase; all are 0 without a click."""
    num_events = len(user)
    noise = world.DWELL_NOISE * rng.normal(size=num_events)
    log_dwell = world.log_dwell(pleased, users.device[user], noise)
    dwell = np.where(clicked, np.clip(np.exp(log_dwell), 1.0, 1800.0), 0.0).round(1)
    chance = rng.random((2, num_events))
    liked = clicked & (chance[0] < world.sigmoid(pleased - 3.0))
    disliked = clicked & ~liked & (chance[1] < world.sigmoid(-1.0 - 1.5 * pleased))
    reaction = np.where(liked, _LIKE, np.where(disliked, _DISLIKE, 0))
    costly = users.thrift[user] * (np.log(items.price[item]) - 2.5)
    bought = rng.random(num_events) < world.sigmoid(
        0.8 * pleased + users.world.purchase + eager - 2.0 * costly
    )
    return dwell, reaction, clicked & bought


def _act(
    rng: np.random.Generator,
    surface: np.ndarray,
    pleased: np.ndarray,
    clicked: np.ndarray,
    purchased: np.ndarray,
) -> np.ndarray:
    """Draws the strongest action on each impression of a shop: a purchase comes over a cart."""
    if not len(surface):
        return np.zeros(0, np.int8)
    # who is not pleased hides
    hidden = rng.random(len(surface), np.float32) < _HIDE[surface] * np.exp(-pleased)
    action: np.ndarray = (hidden & ~clicked) * np.int8(HIDE)
    rows = np.flatnonzero(clicked)
    keen = _KEEN * pleased[rows]
    chance = rng.random((2, len(rows)), np.float32)
    saved = chance[0] < world.sigmoid(keen + _SAVE[surface[rows]])
    carted = chance[1] < world.sigmoid(keen + _CART[surface[rows]])
    action[rows] = np.where(carted, CART, np.where(saved, SAVE, CLICK))
    action[purchased] = PURCHASE
    return action


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
