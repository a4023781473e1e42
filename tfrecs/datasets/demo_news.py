"""The demo world as news: what each session showed, as impressions that `write_mind` can write."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.columns import plain
from tfrecs.datasets.demo_events import generate
from tfrecs.datasets.demo_setting import SITE
from tfrecs.datasets.demo_text import write_articles
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.datasets.demo_world import Items, Users
from tfrecs.datasets.impressions import Impressions, flat, lists_of


@dataclass(frozen=True)
class NewsTruth:
    """The latent state of the world, from which clicks were drawn.

    Args:
        items: The news, in the order of their ids.
        users: The users, in the order of their ids.
        focus: The topic that each session begins with; impression `i` is session `i - 1`.
    """

    items: Items
    users: Users
    focus: np.ndarray

    def click_chance(self, log: pa.Table) -> np.ndarray:
        """Returns how probable a click on each candidate is: the score of an oracle.

        It knows the user's interests at the time, the session's topic and the news' appeal, and
        neither the position nor chance.

        Args:
            log: Impressions of this world.

        Returns:
            float32 `(M,)`, of all candidates one after the other.
        """
        candidates = log["candidates"].combine_chunks()
        lengths = candidates.value_lengths().to_numpy(zero_copy_only=False)
        row = np.repeat(np.arange(len(lengths)), lengths)
        item, user = _numbers(flat(log["candidates"])), _numbers(log["user_id"])[row]
        days = (log["time"].to_numpy() - world.START)[row] / world.SECONDS_PER_DAY
        shares = self.users.shares(user, days)
        matched = world.match(self.items, self.users.topics[user], shares, item)
        focus, topic = self.focus[log["impression_id"].to_numpy() - 1][row], self.items.topic[item]
        mood = (1 - SITE.turned) * (topic == focus)
        mood = mood + SITE.turned * (topic == world.siblings(focus))
        with_mood, without = (
            world.click_chance(matched, self.items.appeal[item], value) for value in (1.0, 0.0)
        )
        chance: np.ndarray = (mood * with_mood + (1 - mood) * without).astype(np.float32)
        return chance


def demo_impressions(
    num_users: int = 2_000, num_news: int = 1_000, num_impressions: int = 10_000, seed: int = 0
) -> Impressions:
    """Generates news and impressions: nothing in it is real.

    An impression is what a session of the demo world showed (`demo`), its distinct news in an order
    that says nothing; the history is what the user clicked before. The subcategory is the topic.
    `truth` is a `NewsTruth`, for the oracle.

    Args:
        num_users: Number of users. Defaults to 2,000.
        num_news: Number of news, 24 or more. Defaults to 1,000.
        num_impressions: About how many impressions. Defaults to 10,000.
        seed: Another seed gives another world. Defaults to 0.

    Example:

    >>> data = demo_impressions(50, 30, 100)
    >>> data.news["subcategory"].to_pylist()[:2], data.log.num_rows
    (['hiking', 'machine learning'], 109)
    """
    for argument, value in (("num_users", num_users), ("num_impressions", num_impressions)):
        checks.positive(argument, value)
    if num_news < world.NUM_TOPICS:
        expectation = f"{world.NUM_TOPICS} or more, one a topic"
        raise ValueError(checks.expected("num_news", expectation, num_news))
    items, users = world.draw_items(num_news, seed), world.draw_users(num_users, seed)
    # a session has 1 / session_end events, the last of each user fewer
    events = round(max(num_impressions - num_users / 2, num_impressions / 2) / SITE.session_end)
    chunks = list(generate(items, users, events, seed))
    fields = ("user", "item", "time", "session", "clicked")
    user, item, time, session, clicked = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in fields
    )
    first = np.flatnonzero(np.r_[True, np.diff(session) != 0])  # of each session, an event
    history, past = _histories(user, item, clicked, first)
    shown, labels, lengths = _lists(item, session, clicked, num_news, seed)
    ids = pa.array([f"N{row + 1}" for row in range(num_news)])
    names = pa.array([f"U{row + 1}" for row in range(num_users)])
    log = pa.table(
        {
            "impression_id": np.arange(1, len(first) + 1),
            "user_id": names.take(pa.array(user[first])),
            "time": time[first] + world.START,
            "history": lists_of(ids.take(pa.array(history)), past),
            "candidates": lists_of(ids.take(pa.array(shown)), lengths),
            "clicked": lists_of(pa.array(labels), lengths),
        }
    )
    truth = NewsTruth(items, users, np.concatenate([chunk.focus for chunk in chunks]))
    name = f"demo news (generated, seed {seed})"
    return Impressions.of(name, _news(ids, items, seed), log, truth)


def _news(ids: pa.Array, items: Items, seed: int) -> pa.Table:
    rng = np.random.default_rng([seed, 5, len(ids)])
    titles, bodies = write_articles(rng, items.topic, items.second)
    return pa.table(
        {
            "news_id": ids,
            "category": np.array([topic.category for topic in TOPICS])[items.topic],
            "subcategory": np.array([topic.name for topic in TOPICS])[items.topic],
            "title": titles,
            "body": bodies,
        }
    )


def _histories(
    user: np.ndarray, item: np.ndarray, clicked: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what the user of each session clicked before it: items, and how many a session."""
    before = np.cumsum(clicked) - clicked  # clicks before each event, of all users
    new_user = np.flatnonzero(np.r_[True, np.diff(user) != 0])
    start = before[new_user][np.searchsorted(new_user, first, "right") - 1]
    lengths = before[first] - start
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return item[clicked][np.repeat(start, lengths) + within], lengths


def _lists(
    item: np.ndarray, session: np.ndarray, clicked: np.ndarray, num_news: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the distinct items of each session in a random order, labels, and their numbers."""
    pairs, place = np.unique(session * num_news + item, return_inverse=True)
    labels = np.zeros(len(pairs), np.int8)
    np.maximum.at(labels, place, clicked.astype(np.int8))
    owner = pairs // num_news
    order = np.lexsort((np.random.default_rng([seed, 7]).random(len(pairs)), owner))
    return (pairs % num_news)[order], labels[order], np.bincount(owner)


def _numbers(ids: pa.ChunkedArray) -> np.ndarray:
    """Returns the rows of ids such as N1, U1."""
    numbers: np.ndarray = np.char.lstrip(np.asarray(plain(ids)).astype(str), "NU").astype(np.int64)
    return numbers - 1
