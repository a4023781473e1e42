"""The latent state of the demo world: who likes what, and what there is to like."""

from dataclasses import dataclass

import numpy as np

from tfrecs.datasets.demo_topics import COUNTRIES, DEVICES, TOPICS

START = 1_735_689_600  # 2025-01-01 00:00 UTC, in seconds since 1970
DAYS = 60  # how long the site is watched
SECONDS_PER_DAY = 86_400
NUM_TOPICS = len(TOPICS)
INTERESTS = 4  # topics of a user; the last one is new and grows while the others fade
PAGE = 5  # impressions on a page, at positions 1 to 5
SECOND_TOPIC = 0.25  # how much an item is about its second topic
POPULAR_SHARE = 0.2  # impressions that show what is popular, whoever looks
NEW_SHARE = 0.25  # items published while the site is watched
FRESH_DAYS = 5.0  # half-life of the interest in what is new, in days
CLICK_BIAS, CLICK_INTEREST, CLICK_MOOD = -3.0, 6.0, 1.0  # logits, see `click_chance`
SESSION_END = 0.1  # chance that an impression is the last of its session
TURN = 0.05  # chance that a session turns to the next topic of the category at an impression
FOCUS = 0.7  # personal impressions that show the topic of the moment, not any interest
# of all impressions, those after the turn: with e = SESSION_END and t = TURN,
# 1 - sum over i of e (1 - e)^i (1 - t)^i
TURNED = 1.0 - SESSION_END / (1.0 - (1.0 - SESSION_END) * (1.0 - TURN))


@dataclass(frozen=True)
class Items:
    """What is true of the items, arrays `(C,)`: float32, but for the topics (int64).

    `published` is in days since `START`, negative for what was there before; `weight` is how much
    the site shows an item against others of its topic; `appeal` moves clicks (logit), `quality`
    what comes after them.
    """

    topic: np.ndarray
    second: np.ndarray
    weight: np.ndarray
    appeal: np.ndarray
    quality: np.ndarray
    price: np.ndarray
    published: np.ndarray


@dataclass(frozen=True)
class Users:
    """What is true of the users: arrays of U rows.

    `topics` int64 `(U, 4)` are a user's interests; their shares (float32 `(U, 4)`, each row sums
    to 1) move from `start` to `end`, linearly over the days. `activity` float64 `(U,)` is how much
    of the traffic is a user's; `country` and `device` are int64 `(U,)`; `thrift` float32 `(U,)` is
    how much a price keeps the user from buying (logit).
    """

    topics: np.ndarray
    start: np.ndarray
    end: np.ndarray
    activity: np.ndarray
    country: np.ndarray
    device: np.ndarray
    thrift: np.ndarray

    def shares(self, rows: np.ndarray, days: np.ndarray) -> np.ndarray:
        """Returns the shares of the interests of users `rows` at `days` since `START`: `(B, 4)`."""
        moved = np.clip(days / DAYS, 0.0, 1.0).astype(np.float32)[:, None]
        shares: np.ndarray = (1 - moved) * self.start[rows] + moved * self.end[rows]
        return shares


def draw_items(num_items: int, seed: int) -> Items:
    """Draws the items; another number of items gives other ones."""
    rng = np.random.default_rng([seed, 1, num_items])
    # every topic gets an item before any topic gets two
    topic = rng.permutation(np.arange(num_items) % NUM_TOPICS)
    second = siblings(topic, rng.integers(1, 3, num_items))
    anywhere = rng.random(num_items) < 1 / 3
    second[anywhere] = (topic + rng.integers(1, NUM_TOPICS, num_items))[anywhere] % NUM_TOPICS
    charm = rng.normal(size=num_items)
    days = np.where(
        rng.random(num_items) < NEW_SHARE,
        rng.uniform(0, DAYS, num_items),
        -rng.exponential(120.0, num_items),
    )
    eldest = np.unique(topic, return_index=True)[1]
    days[eldest] = -np.abs(days[eldest])  # no topic is empty on the first day
    level = rng.normal(2.5, 0.5, NUM_TOPICS)[topic]  # log of a topic's usual price
    return Items(
        topic=topic,
        second=second,
        weight=np.exp(0.9 * charm + 0.4 * rng.normal(size=num_items)).astype(np.float32),
        appeal=(0.5 * charm + 0.5 * rng.normal(size=num_items)).astype(np.float32),
        quality=(0.5 * charm + 0.8 * rng.normal(size=num_items)).astype(np.float32),
        price=np.round(np.exp(level + 0.4 * rng.normal(size=num_items)), 2).astype(np.float32),
        published=days.astype(np.float32),
    )


def draw_users(num_users: int, seed: int) -> Users:
    """Draws the users; another number of users gives other ones."""
    rng = np.random.default_rng([seed, 2, num_users])
    country = rng.choice(len(COUNTRIES), num_users, p=_falling(len(COUNTRIES), 0.8))
    taste = rng.gamma(0.7, size=(len(COUNTRIES), NUM_TOPICS)) + 0.2  # of a country
    taste = np.cumsum(taste / taste.sum(axis=1, keepdims=True), axis=1)
    taste += np.arange(len(COUNTRIES))[:, None]  # one increasing line, a unit a country
    chance = rng.random((num_users, INTERESTS)) + country[:, None]
    topics = np.searchsorted(taste.ravel(), chance, side="right") - country[:, None] * NUM_TOPICS
    topics = np.clip(topics, 0, NUM_TOPICS - 1)  # a unit may fall short by rounding
    near = rng.random(topics.shape) < 0.35  # interests are often of one category
    near[:, 0] = False
    topics = np.where(near, siblings(topics[:, :1], rng.integers(1, 3, topics.shape)), topics)
    raw = rng.gamma(2.0, size=(num_users, INTERESTS)) * np.array([1.0, 0.6, 0.4, 0.0])
    start = raw / raw.sum(axis=1, keepdims=True)
    grown = rng.beta(1.2, 2.5, num_users)[:, None]  # the share of the new interest at the end
    end = (1 - grown) * start
    end[:, -1:] = grown
    return Users(
        topics=topics.astype(np.int64),
        start=start.astype(np.float32),
        end=end.astype(np.float32),
        activity=np.exp(0.6 * rng.normal(size=num_users)),
        country=country,
        device=rng.choice(len(DEVICES), num_users, p=[0.35, 0.5, 0.15]),
        thrift=rng.gamma(2.0, 0.3, num_users).astype(np.float32),
    )


def siblings(topics: np.ndarray, steps: np.ndarray | int = 1) -> np.ndarray:
    """Returns the topics that come `steps` later in the ring of three of their category."""
    later: np.ndarray = topics // 3 * 3 + (topics + steps) % 3
    return later


def day_weights(items: Items) -> np.ndarray:
    """Returns how much each item is shown on each day, float64 `(DAYS, C)`.

    Nothing before the day after publication; at first three times as much as in the long run.
    """
    age = np.arange(DAYS)[:, None] - np.ceil(items.published)[None, :]  # (DAYS, C), in days
    fresh = 1.0 + 2.0 * np.exp2(-np.maximum(age, 0.0) / FRESH_DAYS)
    return np.where(age >= 0, items.weight * fresh, 0.0)


def match(items: Items, topics: np.ndarray, shares: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Returns how well chosen items match the interests of users, in 0..1, float32 `(B,)`.

    `match = sum over interests of share x (0.75 if the item's topic + 0.25 if its second topic)`
    """
    first = (shares * (topics == items.topic[chosen][:, None])).sum(axis=1)
    second = (shares * (topics == items.second[chosen][:, None])).sum(axis=1)
    matched: np.ndarray = (1 - SECOND_TOPIC) * first + SECOND_TOPIC * second
    return matched


def click_chance(matched: np.ndarray, appeal: np.ndarray, mood: np.ndarray | float) -> np.ndarray:
    """Returns the probability of a click on an item that is looked at.

    `sigmoid(bias + interest x match + appeal + mood)`, where mood counts if the item's topic is
    what the session is about at that moment.
    """
    return sigmoid(CLICK_BIAS + CLICK_INTEREST * matched + appeal + CLICK_MOOD * mood)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns `1 / (1 + exp(-logits))`."""
    chances: np.ndarray = 1.0 / (1.0 + np.exp(-logits))
    return chances


def examination() -> np.ndarray:
    """Returns the chance that a position is looked at, float64 `(devices, PAGE)`.

    `position ** -steepness`: a phone shows less at once than a desktop.
    """
    steepness = np.array([0.3, 0.6, 0.45])
    seen: np.ndarray = np.arange(1, PAGE + 1)[None, :] ** -steepness[:, None]
    return seen


def mean_examination() -> np.ndarray:
    """Returns `examination` over the positions of all impressions, float64 `(devices,)`.

    Positions follow each other in a session, which goes on with probability `1 - SESSION_END`.
    """
    left = (1.0 - SESSION_END) ** np.arange(PAGE)
    mean: np.ndarray = examination() @ (left / left.sum())
    return mean


def _falling(size: int, power: float) -> np.ndarray:
    weights = np.arange(1, size + 1) ** -power
    shares: np.ndarray = weights / weights.sum()
    return shares
