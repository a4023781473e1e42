"""The demo shop's image and text queries, and what they lead to."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfrecs.datasets import demo_wares as goods
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_tables import ids_of, vectors
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.datasets.demo_wares import Space, Wares
from tfrecs.datasets.demo_world import Items

QUERY_SCHEMA = pa.schema(
    {
        "query_id": pa.string(),
        "kind": pa.string(),
        "text": pa.string(),
        "vector": pa.list_(pa.float32()),
        "held_out": pa.bool_(),
    }
)
ENGAGEMENT_SCHEMA = pa.schema(
    {
        "query_id": pa.string(),
        "item_id": pa.string(),
        "timestamp": pa.int64(),
        "surface": pa.string(),
        "action": pa.string(),
    }
)
ASTRAY = 0.1  # share of engagements with any item, by its weight
FITS = 0.8  # logit of one deviation of style, and of vibe
_ENGAGED = ("click", "save", "cart", "purchase")
_RATES = np.array([100.0, 20.0, 5.0, 1.0])
_SURFACES = ("search", "related")
_HELD_OUT = 0.1  # share of the queries


@dataclass(frozen=True)
class Asked:
    """What is true of the queries, arrays of Q rows.

    `topic` int64 `(Q,)`; `style` `(Q, 3)` and `vibe` `(Q, 3)` are what a query wants, 0 for the
    vibe of a text, which no word tells; `table` holds what is seen, see `QUERY_SCHEMA`.
    """

    topic: np.ndarray
    style: np.ndarray
    vibe: np.ndarray
    table: pa.Table


def draw_asked(items: Items, wares: Wares, space: Space, seed: int) -> Asked:
    """Draws as many queries as items, each after some item: another image of it, or words.

    A text says the colour, the material and a thing of the topic, two to five words; its style is
    the mean of what the colour and the material stand for.
    """
    num_queries = len(items.topic)
    rng = np.random.default_rng([seed, 21, num_queries])
    target = rng.integers(0, num_queries, num_queries)
    image = rng.random(num_queries) < 0.5
    colour, material = wares.colour[target], wares.material[target]
    meant = (space.colours[colour] + space.materials[material]) / 2
    style = np.where(image[:, None], goods.style_of(items)[target], meant)
    vibe = np.where(image[:, None], goods.vibe_of(items)[target], 0.0)
    topics = goods.topics_of(items)[target]
    thing = rng.integers(0, len(TOPICS[0].things), num_queries)
    texts = [
        f"{goods.COLOURS[c]} {goods.MATERIALS[m]} {TOPICS[t].things[n]}"
        for c, m, t, n in zip(colour, material, items.topic[target], thing, strict=True)
    ]
    columns = {
        "query_id": ids_of("q", num_queries),
        "kind": np.where(image, "image", "text"),
        "text": pa.array(texts, pa.string(), mask=image),
        "vector": vectors(space.view(rng, topics, style, vibe)),
        "held_out": rng.random(num_queries) < _HELD_OUT,
    }
    return Asked(items.topic[target], style, vibe, pa.table(columns, QUERY_SCHEMA))


def relevance(asked: Asked, items: Items, rows: np.ndarray) -> np.ndarray:
    """Returns how probable it is that a query leads to each item: the oracle of retrieval.

    `P(i | q) = 0.9 softmax over the topic's items of (log weight + 0.8 style_q . style_i
    + 0.8 vibe_q . vibe_i) + 0.1 weight_i / sum of weights`

    Args:
        asked: The Q queries.
        items: The C items.
        rows: Which queries, int `(B,)`.

    Returns:
        float64 `(B, C)`; a row sums to 1.
    """
    fit = asked.style[rows] @ goods.style_of(items).T + asked.vibe[rows] @ goods.vibe_of(items).T
    with np.errstate(divide="ignore"):  # log of 0: not of the topic
        logits = FITS * fit + np.log(
            items.weight * (items.topic[None, :] == asked.topic[rows][:, None])
        )
    chance: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
    chance *= (1 - ASTRAY) / chance.sum(axis=1, keepdims=True)
    chance += ASTRAY * items.weight / items.weight.sum(dtype=np.float64)
    return chance


def engage(
    asked: Asked, items: Items, item_ids: pa.Array, num_engagements: int, seed: int
) -> Iterator[pa.RecordBatch]:
    """Yields the engagements of the queries, some queries at a time; few queries have most."""
    num_queries, num_items = len(asked.topic), len(items.topic)
    rng = np.random.default_rng([seed, 22, num_queries])
    share = rng.permutation(np.arange(1.0, num_queries + 1) ** -0.7)
    stops = np.rint(np.cumsum(share) * (num_engagements / share.sum())).astype(np.int64)
    counts = np.diff(stops, prepend=0)
    block = max(1, (1 << 20) // num_items)  # queries whose chances fit into 8 MiB
    for start in range(0, num_queries, block):
        rows = np.arange(start, min(start + block, num_queries))
        rng = np.random.default_rng([seed, 23, num_queries, num_engagements, start])
        line = np.cumsum(relevance(asked, items, rows), axis=1)
        line += np.arange(len(rows))[:, None] - line[:, -1:] + 1.0  # a unit a query
        query = np.repeat(np.arange(len(rows)), counts[rows])
        place = query + rng.random(len(query))
        item = np.searchsorted(line.ravel(), place, side="right") - query * num_items
        yield _batch(rng, items, asked, item_ids, rows[query], np.clip(item, 0, num_items - 1))


def _batch(
    rng: np.random.Generator,
    items: Items,
    asked: Asked,
    item_ids: pa.Array,
    query: np.ndarray,
    item: np.ndarray,
) -> pa.RecordBatch:
    action = rng.choice(len(_ENGAGED), len(query), p=_RATES / _RATES.sum())
    # any time after publication
    begin = np.maximum(np.ceil(items.published[item].astype(np.float64)), 0.0)
    days = begin + rng.random(len(item)) * np.maximum(items.world.days - begin, 0.0)
    surface = (rng.random(len(item)) < 0.2).astype(np.int64)
    columns = {
        "query_id": asked.table["query_id"].combine_chunks().take(pa.array(query)),
        "item_id": item_ids.take(pa.array(item)),
        "timestamp": world.START + (days * world.SECONDS_PER_DAY).astype(np.int64),
        "surface": pa.array(_SURFACES).take(pa.array(surface)),
        "action": pa.array(_ENGAGED).take(pa.array(action)),
    }
    return pa.RecordBatch.from_pydict(columns, ENGAGEMENT_SCHEMA)
