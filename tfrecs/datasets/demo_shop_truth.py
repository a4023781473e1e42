"""What a demo shop knows beyond a site, and no model may see."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr

from tfrecs import checks
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_asked import Asked
from tfrecs.datasets.demo_orders import COMPLEMENT, MORE, Kits
from tfrecs.datasets.demo_wares import Space, Wares
from tfrecs.datasets.demo_world import Items

_SHORTEST, _LONGEST = 1.0, 1800.0  # seconds of a stay, as the generator clips them


@dataclass(frozen=True)
class Shop:
    """The shop's part of a `Truth`.

    Args:
        wares: Attributes, makers, kits and durations of the items, in the order of `candidates`.
        space: The directions of images and queries.
        kits: The items by topic and kit.
        asked: What the product queries want, in the order of `product_queries`.
        item_ids: Ids of the items, string `(C,)`.
        fields: The groups of fields that were asked for.
    """

    wares: Wares
    space: Space
    kits: Kits
    asked: Asked
    item_ids: pa.Array
    fields: tuple[str, ...]

    def positions(self, argument: str, ids: pa.Array, known: pa.Array) -> np.ndarray:
        """Returns the rows of ids, an error for those not of this world."""
        if isinstance(ids, pa.ChunkedArray):
            ids = ids.combine_chunks()
        found = pc.index_in(pa.array(ids), value_set=known)
        if found.null_count:
            row = int(np.argmax(found.is_null().to_numpy(zero_copy_only=False)))
            expectation = f"ids of this world ({known[0]} to {known[-1]})"
            raise ValueError(checks.expected(argument, expectation, pa.array(ids)[row].as_py()))
        rows: np.ndarray = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return rows


def require(shop: Shop | None, field: str, task: str) -> Shop:
    """Returns the shop, an error where a task's group of fields was not asked for."""
    if shop is None or field not in shop.fields:
        fields = shop.fields if shop else ()
        told = ", ".join(map(repr, (*fields, field)))
        told += "" if fields else ","
        raise ValueError(
            checks.expected(
                "fields",
                f"with {field!r} for `{task}`",
                fields,
                f"Call demo_shop(fields=({told})).",
            )
        )
    return shop


def seconds_after_click(log_mean: np.ndarray, duration: np.ndarray) -> np.ndarray:
    """Returns the expected seconds watched after a click, `E[min(duration, stay)]`.

    The stay is a log-normal X, clipped to 1..1800; with `m = log_mean`, `s = DWELL_NOISE`

    `E[min(X, a)] = exp(m + s^2 / 2) N((log a - m - s^2) / s) + a N((m - log a) / s)`

    and so `1 + E[min(X, min(duration, 1800))] - E[min(X, 1)]`.

    Args:
        log_mean: `m`, float `(B, C)`.
        duration: Seconds of each item, `(C,)`.

    Returns:
        Seconds, float `(B, C)`.
    """

    def least(bound: np.ndarray | float) -> np.ndarray:
        noise, log_bound = world.DWELL_NOISE, np.log(bound)
        below = ndtr((log_bound - log_mean - noise**2) / noise)
        seconds: np.ndarray = np.exp(log_mean + noise**2 / 2) * below
        return seconds + bound * ndtr((log_mean - log_bound) / noise)

    watched: np.ndarray = _SHORTEST + least(np.minimum(duration, _LONGEST)) - least(_SHORTEST)
    return watched


def companion_chance(
    items: Items, shop: Shop, anchor: np.ndarray, companion: np.ndarray
) -> np.ndarray:
    """Returns how probable it is that the companion of a basket's first item is another one.

    `P(j | i) = 0.8 s w_j / (weight of j's kit in its topic) + 0.2 w_j / (weight of all)`, where s
    is 2/3 for an item of i's kit and the next topic, 1/3 for one of the topic after it, else 0: as
    one companion in three is a second one. As if both were published.
    """
    kits, kit, topic = shop.kits, shop.wares.kit[companion], items.topic[companion]
    step = (topic - items.topic[anchor]) % 3
    same = (topic // 3 == items.topic[anchor] // 3) & (kit == shop.wares.kit[anchor])
    share = same * np.array([0.0, 1.0, MORE])[step] / (1.0 + MORE)
    own = items.weight[companion].astype(np.float64)
    of_kit = kits.edges[topic, kit + 1] - kits.edges[topic, kit]
    chance: np.ndarray = COMPLEMENT * share * own / of_kit
    chance += (1 - COMPLEMENT) * own / kits.line[-1]
    return chance
