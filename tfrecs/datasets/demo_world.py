"""The latent state of the demo worlds: who likes what, and what there is to like."""

from dataclasses import dataclass

import numpy as np

from tfrecs.datasets.demo_setting import PAGE, SITE, World
from tfrecs.datasets.demo_topics import AGES, COUNTRIES, DEVICES, LANGUAGES, TOPICS

START = 1_735_689_600  # 2025-01-01 00:00 UTC, in seconds since 1970
SECONDS_PER_DAY = 86_400
NUM_TOPICS = len(TOPICS)
INTERESTS = 4  # topics of a user; the last one is new and grows while the others fade
SECOND_TOPIC = 0.25  # how much an item is about its second topic
POPULAR_SHARE = 0.2  # impressions that show what is popular, whoever looks
NEW_SHARE = 0.25  # items published while the site is watched
FRESH_DAYS = 5.0  # half-life of the interest in what is new, in days
CLICK_BIAS, CLICK_INTEREST, CLICK_MOOD = -3.0, 6.0, 1.0  # logits, see `click_chance`
FOCUS = 0.7  # personal impressions that show the topic of the moment, not any interest
FOREIGN = 0.8  # logit that an item in a language of another country loses
SPOKEN = (3, 2, 5, 0, 4, 6, 0, 0)  # the language of each country, and all read the first one
FOREIGN_TO = np.where(
    (np.arange(len(LANGUAGES))[None, :] == np.array(SPOKEN)[:, None])
    | (np.arange(len(LANGUAGES))[None, :] == 0),
    0.0,
    FOREIGN,
).astype(np.float32)  # (countries, languages)
STYLE = VIBE = 3  # numbers of an item's latent: what its attributes tell, what its images tell
LATENT = STYLE + VIBE
SOUGHT_CLICK = 0.7  # logit that a result of a search gains
PLEASED = 0.6  # how much of what a user likes beyond the topic pleases
DWELL_NOISE = 0.7  # deviation of the log of seconds
PEAK_DAYS = 12.0  # median of the days from upload to an item's viral peak


@dataclass(frozen=True)
class Items:
    """What is true of the items, arrays `(C,)`: float32, but for the topics (int64).

    `published` is in days since `START`, negative for what was there before; `weight` is how much
    the site shows an item against others of its topic; `appeal` moves clicks (logit), `quality`
    what comes after them. In a shop, `latent` `(C, 6)` is an item's style and vibe, `language` the
    number of its language, `burst` the height of its viral peak, `peak` the days to it.
    """

    world: World
    topic: np.ndarray
    second: np.ndarray
    weight: np.ndarray
    appeal: np.ndarray
    quality: np.ndarray
    price: np.ndarray
    published: np.ndarray
    latent: np.ndarray
    language: np.ndarray
    burst: np.ndarray
    peak: np.ndarray


@dataclass(frozen=True)
class Users:
    """What is true of the users: arrays of U rows.

    `topics` int64 `(U, 4)` are a user's interests; their shares (float32 `(U, 4)`, each row sums
    to 1) move from `start` to `end`, linearly over the days. `activity` float64 `(U,)` is how much
    of the traffic is a user's; `country` and `device` are int64 `(U,)`; `thrift` float32 `(U,)` is
    how much a price keeps the user from buying (logit). In a shop, `taste` float32 `(U, 6)` is what
    of an item's latent the user likes, `age` the number of the user's band of age, `once` whether
    the user comes once; `season` float64 `(topics,)` is the day on which a topic is dearest to all.
    """

    world: World
    topics: np.ndarray
    start: np.ndarray
    end: np.ndarray
    activity: np.ndarray
    country: np.ndarray
    device: np.ndarray
    thrift: np.ndarray
    taste: np.ndarray
    age: np.ndarray
    once: np.ndarray
    season: np.ndarray

    def shares(self, rows: np.ndarray, days: np.ndarray) -> np.ndarray:
        """Returns the shares of the interests of users `rows` at `days` since `START`: `(B, 4)`."""
        moved = np.clip(days / self.world.days, 0.0, 1.0).astype(np.float32)[:, None]
        shares: np.ndarray = (1 - moved) * self.start[rows] + moved * self.end[rows]
        if self.world.season:
            year = 2 * np.pi / self.world.days * (days[:, None] - self.season[self.topics[rows]])
            shares *= 1.0 + self.world.season * np.cos(year).astype(np.float32)
            shares /= shares.sum(axis=1, keepdims=True)
        return shares


def draw_items(num_items: int, seed: int, world: World = SITE) -> Items:
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
        rng.uniform(0, world.days, num_items),
        -rng.exponential(120.0, num_items),
    )
    eldest = np.unique(topic, return_index=True)[1]
    days[eldest] = -np.abs(days[eldest])  # no topic is empty on the first day
    level = rng.normal(2.5, 0.5, NUM_TOPICS)[topic]  # log of a topic's usual price
    return Items(
        world=world,
        topic=topic,
        second=second,
        weight=np.exp(0.9 * charm + 0.4 * rng.normal(size=num_items)).astype(np.float32),
        appeal=(0.5 * charm + 0.5 * rng.normal(size=num_items)).astype(np.float32),
        quality=(0.5 * charm + 0.8 * rng.normal(size=num_items)).astype(np.float32),
        price=np.round(np.exp(level + 0.4 * rng.normal(size=num_items)), 2).astype(np.float32),
        published=days.astype(np.float32),
        **_latents(num_items, seed, world),
    )


def _latents(num_items: int, seed: int, world: World) -> dict[str, np.ndarray]:
    """Draws what the items of a shop have and those of a site do not, by chance of its own."""
    rng = np.random.default_rng([seed, 11, num_items])
    size = LATENT if world.shop else 0
    spoken = _falling(len(LANGUAGES), 1.2) if world.shop else np.eye(len(LANGUAGES))[0]
    return {
        "latent": rng.normal(size=(num_items, size)).astype(np.float32) / np.sqrt(STYLE),
        "language": rng.choice(len(LANGUAGES), num_items, p=spoken),
        "burst": (world.burst * rng.exponential(size=num_items)).astype(np.float32),
        "peak": (PEAK_DAYS * np.exp(0.5 * rng.normal(size=num_items))).astype(np.float32),
    }


def draw_users(num_users: int, seed: int, world: World = SITE) -> Users:
    """Draws the users; another number of users gives other ones."""
    rng = np.random.default_rng([seed, 2, num_users])
    country = rng.choice(len(COUNTRIES), num_users, p=_falling(len(COUNTRIES), 0.8))
    taste = rng.gamma(0.7, size=(len(COUNTRIES), NUM_TOPICS)) + 0.2  # of a country
    own = _tastes(num_users, seed, world)
    group = country
    if world.shop:  # a country's taste times that of an age
        ages = np.random.default_rng([seed, 12]).gamma(0.7, size=(len(AGES), NUM_TOPICS)) + 0.2
        taste = (taste[:, None, :] * ages[None, :, :]).reshape(-1, NUM_TOPICS)
        group = country * len(AGES) + own["age"]
    taste = np.cumsum(taste / taste.sum(axis=1, keepdims=True), axis=1)
    taste += np.arange(len(taste))[:, None]  # one increasing line, a unit a group
    chance = rng.random((num_users, INTERESTS)) + group[:, None]
    topics = np.searchsorted(taste.ravel(), chance, side="right") - group[:, None] * NUM_TOPICS
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
        world=world,
        topics=topics.astype(np.int64),
        start=start.astype(np.float32),
        end=end.astype(np.float32),
        activity=np.exp(0.6 * rng.normal(size=num_users)),
        country=country,
        device=rng.choice(len(DEVICES), num_users, p=[0.35, 0.5, 0.15]),
        thrift=rng.gamma(2.0, 0.3, num_users).astype(np.float32),
        **own,
    )


def _tastes(num_users: int, seed: int, world: World) -> dict[str, np.ndarray]:
    """Draws what the users of a shop have and those of a site do not, by chance of its own."""
    rng = np.random.default_rng([seed, 13, num_users])
    size = LATENT if world.shop else 0
    return {
        "taste": rng.normal(size=(num_users, size)).astype(np.float32),
        "age": rng.integers(0, len(AGES), num_users),
        "once": rng.random(num_users) < world.once,
        "season": np.random.default_rng([seed, 14]).uniform(0, world.days, NUM_TOPICS),
    }


def siblings(topics: np.ndarray, steps: np.ndarray | int = 1) -> np.ndarray:
    """Returns the topics that come `steps` later in the ring of three of their category."""
    later: np.ndarray = topics // 3 * 3 + (topics + steps) % 3
    return later


def day_weights(items: Items) -> np.ndarray:
    """Returns how much each item is shown on each day, float64 `(days, C)`.

    Nothing before the day after publication; at first three times as much as in the long run. In
    a shop an item also has a viral peak: `burst a / peak exp(1 - a / peak)` at an age of `a` days.
    """
    days = items.world.days
    age = np.arange(days)[:, None] - np.ceil(items.published)[None, :]  # (days, C), in days
    fresh = 1.0 + 2.0 * np.exp2(-np.maximum(age, 0.0) / FRESH_DAYS)
    if items.world.burst:
        risen = np.maximum(age, 0.0) / items.peak
        fresh += items.burst * risen * np.exp(1.0 - risen)
    return np.where(age >= 0, items.weight * fresh, 0.0)


def match(items: Items, topics: np.ndarray, shares: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Returns how well chosen items match the interests of users, in 0..1, float32 `(B,)`.

    `match = sum over interests of share x (0.75 if the item's topic + 0.25 if its second topic)`
    """
    first = (shares * (topics == items.topic[chosen][:, None])).sum(axis=1)
    second = (shares * (topics == items.second[chosen][:, None])).sum(axis=1)
    matched: np.ndarray = (1 - SECOND_TOPIC) * first + SECOND_TOPIC * second
    return matched


def liking(items: Items, users: Users, user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Returns what a shop's user likes of an item beyond its topic, float32 `(B,)`, a logit.

    `liking x taste . latent - foreign x (the item's language is not the country's)`
    """
    likes = np.einsum("bd,bd->b", users.taste[user], items.latent[item])
    likes *= users.world.liking
    foreign = FOREIGN_TO[users.country[user], items.language[item]]
    liked: np.ndarray = likes - foreign
    return liked


def click_chance(matched: np.ndarray, appeal: np.ndarray, mood: np.ndarray | float) -> np.ndarray:
    """Returns the probability of a click on an item that is looked at.

    `sigmoid(bias + interest x match + appeal + mood)`, where mood counts if the item's topic is
    what the session is about at that moment.
    """
    return sigmoid(CLICK_BIAS + CLICK_INTEREST * matched + appeal + CLICK_MOOD * mood)


def pleasure(matched: np.ndarray, quality: np.ndarray, liked: np.ndarray | float) -> np.ndarray:
    """Returns how pleased who clicks is, which moves all that follows the click.

    `4 match + 0.8 quality + 0.6 liked`
    """
    pleased: np.ndarray = 4.0 * matched + 0.8 * quality + PLEASED * liked
    return pleased


def log_dwell(
    pleased: np.ndarray, device: np.ndarray, noise: np.ndarray | float = 0.0
) -> np.ndarray:
    """Returns the log of the seconds that follow a click; a phone is put away sooner.

    `log 30 + 0.35 pleased + noise - 0.3 (on a phone)`, noise with a deviation of `DWELL_NOISE`
    """
    log_seconds = np.log(30.0) + 0.35 * pleased + noise
    later: np.ndarray = log_seconds - 0.3 * (device == 1)
    return later


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


def mean_examination(world: World = SITE) -> np.ndarray:
    """Returns `examination` over the positions of all impressions, float64 `(devices,)`.

    Positions follow each other in a session, which goes on with probability `1 - session_end`.
    """
    left = (1.0 - world.session_end) ** np.arange(PAGE)
    mean: np.ndarray = examination() @ (left / left.sum())
    return mean


def _falling(size: int, power: float) -> np.ndarray:
    weights = np.arange(1, size + 1) ** -power
    shares: np.ndarray = weights / weights.sum()
    return shares
