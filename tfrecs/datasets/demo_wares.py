"""What the items of the demo shop are made of: attributes, images, makers, kits."""

from dataclasses import dataclass

import numpy as np

from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_media import IMAGE_DIM
from tfrecs.datasets.demo_topics import CATEGORIES
from tfrecs.datasets.demo_world import Items

COLOURS = ("black", "white", "red", "blue", "green", "yellow", "grey", "brown")
MATERIALS = ("wood", "steel", "cotton", "glass", "leather", "plastic")
BRANDS = tuple(
    first + last
    for first in ("Nor", "Bel", "Kas", "Til", "Ova", "Mir", "Fen", "Lum")
    for last in ("da", "vik", "ro", "sen", "ly")
)
MAX_IMAGES = 3
_KIT_SIZE = 4  # items of a topic in a kit, about
_ITEMS_PER_CHANNEL, _ITEMS_PER_ARTIST = 20, 15  # on average
_STYLE_SHOWN, _VIBE_SHOWN, _VIEW_NOISE = 0.35, 0.6, 0.5  # in an image; a topic has length 1
_FALLING = 0.8  # power by which makers of one topic have ever fewer items


@dataclass(frozen=True)
class Wares:
    """What is true of the shop's items beyond `Items`, arrays `(C,)`.

    `brand`, `colour`, `material`, `channel` and `artist` are numbers of theirs, int64; `handmade`
    and `recycled` are bool; `weight_grams` and `width_cm` float32; `duration` int64 in seconds;
    `num_images` 1 to 3. `kit` int64 says what is bought together: items of one kit whose topics are
    two of one category. No other column depends on it.
    """

    brand: np.ndarray
    colour: np.ndarray
    material: np.ndarray
    handmade: np.ndarray
    recycled: np.ndarray
    weight_grams: np.ndarray
    width_cm: np.ndarray
    duration: np.ndarray
    num_images: np.ndarray
    channel: np.ndarray
    artist: np.ndarray
    kit: np.ndarray


@dataclass(frozen=True)
class Space:
    """The space of images and of queries: a fixed random projection of what is true.

    `topics` `(K, 32)`, `style` `(3, 32)` and `vibe` `(3, 32)` are directions of about length 1;
    `colours` `(8, 3)` and `materials` `(6, 3)` are the styles that they stand for.
    """

    topics: np.ndarray
    style: np.ndarray
    vibe: np.ndarray
    colours: np.ndarray
    materials: np.ndarray

    def view(
        self, rng: np.random.Generator, topics: np.ndarray, style: np.ndarray, vibe: np.ndarray
    ) -> np.ndarray:
        """Draws a noisy unit vector of each row.

        Args:
            rng: The source of chance.
            topics: How much of each topic, `(B, K)`.
            style: Style with a deviation of 1, `(B, 3)`.
            vibe: Vibe with a deviation of 1, `(B, 3)`.

        Returns:
            float32 `(B, 32)`.
        """
        seen = topics @ self.topics + _STYLE_SHOWN * style @ self.style
        seen = seen + _VIBE_SHOWN * vibe @ self.vibe
        seen = seen + _VIEW_NOISE * rng.normal(size=seen.shape) / np.sqrt(IMAGE_DIM)
        unit: np.ndarray = seen / np.linalg.norm(seen, axis=1, keepdims=True)
        return unit.astype(np.float32)


def draw_space(seed: int) -> Space:
    """Draws the space of a world, whatever its size."""
    rng = np.random.default_rng([seed, 15])
    topics, style, vibe = (
        rng.normal(size=(size, IMAGE_DIM)) / np.sqrt(IMAGE_DIM)
        for size in (world.NUM_TOPICS, world.STYLE, world.VIBE)
    )
    colours, materials = (rng.normal(size=(len(n), world.STYLE)) for n in (COLOURS, MATERIALS))
    return Space(topics, style, vibe, colours, materials)


def style_of(items: Items) -> np.ndarray:
    """Returns the style of the items with a deviation of 1, `(C, 3)`: what attributes tell."""
    style: np.ndarray = items.latent[:, : world.STYLE] * np.sqrt(world.STYLE)
    return style


def vibe_of(items: Items) -> np.ndarray:
    """Returns the vibe of the items with a deviation of 1, `(C, 3)`: what only images tell."""
    vibe: np.ndarray = items.latent[:, world.STYLE :] * np.sqrt(world.VIBE)
    return vibe


def topics_of(items: Items) -> np.ndarray:
    """Returns how much of each topic is in the items, `(C, K)`: 0.75 and 0.25."""
    share = np.zeros((len(items.topic), world.NUM_TOPICS))
    rows = np.arange(len(share))
    share[rows, items.topic] += 1 - world.SECOND_TOPIC
    share[rows, items.second] += world.SECOND_TOPIC
    return share


def draw_wares(items: Items, space: Space, seed: int) -> Wares:
    """Draws the wares: every attribute depends on topic and style, through noise."""
    num_items = len(items.topic)
    rng = np.random.default_rng([seed, 16, num_items])
    style, topic = style_of(items), items.topic
    of_brand = rng.normal(size=(len(BRANDS), world.STYLE))
    brand_score = 1.6 * style @ of_brand.T + rng.gumbel(size=(num_items, len(BRANDS)))
    home = np.arange(len(BRANDS))[None, :] % len(CATEGORIES) == topic[:, None] // 3
    elsewhere = rng.random(num_items) < 0.1
    brand = np.where(home | elsewhere[:, None], brand_score, -np.inf).argmax(axis=1)
    leaning = rng.normal(size=(4, world.NUM_TOPICS))[:, topic]  # of the topics, (4, C)
    return Wares(
        brand=brand,
        colour=_choose(rng, style @ space.colours.T, topic),
        material=_choose(rng, style @ space.materials.T, topic),
        handmade=rng.random(num_items) < world.sigmoid(3.0 * style[:, 0] + leaning[0]),
        recycled=rng.random(num_items) < world.sigmoid(3.0 * style[:, 1] + leaning[1]),
        weight_grams=_measure(rng, 6.0 + leaning[2] + 0.7 * style[:, 2]),
        width_cm=_measure(rng, 3.0 + 0.6 * leaning[3] + 0.6 * style[:, 0]),
        duration=_durations(rng, topic),
        num_images=rng.integers(1, MAX_IMAGES + 1, num_items),
        channel=_makers(rng, topic, _ITEMS_PER_CHANNEL, topics_each=3),
        artist=_makers(rng, topic, _ITEMS_PER_ARTIST, topics_each=1),
        kit=_kits(rng, topic),
    )


def draw_views(items: Items, wares: Wares, space: Space, seed: int) -> np.ndarray:
    """Draws the images of the items one after the other, float32 `(sum of num_images, 32)`."""
    rows = np.repeat(np.arange(len(items.topic)), wares.num_images)
    rng = np.random.default_rng([seed, 17, len(items.topic)])
    return space.view(rng, topics_of(items)[rows], style_of(items)[rows], vibe_of(items)[rows])


def _choose(rng: np.random.Generator, fits: np.ndarray, topic: np.ndarray) -> np.ndarray:
    """Draws one of N values for each item: what fits its style, its topic, and chance."""
    usual = rng.normal(0.0, 0.7, (world.NUM_TOPICS, fits.shape[1]))[topic]
    chosen: np.ndarray = (fits + usual + rng.gumbel(size=fits.shape)).argmax(axis=1)
    return chosen


def _measure(rng: np.random.Generator, log_size: np.ndarray) -> np.ndarray:
    sizes = np.exp(log_size + 0.3 * rng.normal(size=len(log_size)))
    measured: np.ndarray = np.maximum(np.round(sizes, 1), 0.1).astype(np.float32)
    return measured


def _durations(rng: np.random.Generator, topic: np.ndarray) -> np.ndarray:
    """Draws durations in whole seconds: minutes, as usual for the topic; 10 to 3,600."""
    usual = rng.normal(np.log(150.0), 0.4, world.NUM_TOPICS)[topic]
    seconds = np.exp(usual + 0.6 * rng.normal(size=len(topic)))
    whole: np.ndarray = np.clip(np.rint(seconds), 10, 3_600).astype(np.int64)
    return whole


def _makers(
    rng: np.random.Generator, topic: np.ndarray, items_each: int, topics_each: int
) -> np.ndarray:
    """Draws a maker of each item, among those of its topic; the first of them have the most."""
    num_makers = max(world.NUM_TOPICS, len(topic) // items_each)
    own = np.arange(num_makers)[:, None] % world.NUM_TOPICS  # every topic has a maker
    others = rng.integers(0, world.NUM_TOPICS, (num_makers, topics_each - 1))
    makes = np.concatenate([own, others], axis=1)
    maker = np.zeros(len(topic), np.int64)
    for number in range(world.NUM_TOPICS):
        rows, able = np.flatnonzero(topic == number), np.flatnonzero((makes == number).any(axis=1))
        share = np.arange(1, len(able) + 1) ** -_FALLING
        maker[rows] = rng.choice(able, len(rows), p=share / share.sum())
    return maker


def _kits(rng: np.random.Generator, topic: np.ndarray) -> np.ndarray:
    """Draws the kit of each item; every topic has items of every kit."""
    num_kits = max(1, int(np.bincount(topic).min()) // _KIT_SIZE)
    kit = np.zeros(len(topic), np.int64)
    for number in range(world.NUM_TOPICS):
        rows = rng.permutation(np.flatnonzero(topic == number))
        kit[rows] = np.arange(len(rows)) % num_kits
    return kit
