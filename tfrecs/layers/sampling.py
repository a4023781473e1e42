"""Candidates drawn by their popularity, and popularity estimated in a fixed space."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.spec import NUM_RESERVED_IDS

Tensor = Any  # a tensor of whichever backend Keras runs on
_DEPTH = 4  # hash functions of a sketch
_MULTIPLIERS = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F)  # odd, their bits well mixed


class PopularitySampler(keras.layers.Layer):
    """Draws known ids with a probability `q_i = count_i^power / sum_j count_j^power`.

    By Walker's alias method: two random numbers a draw, whatever the number of ids. Before
    `set_counts` all known ids are as likely. The tables are weights, saved with the model.

    Args:
        size: Number of ids, the reserved ones included; at least 3.

    Example:

    >>> sampler = PopularitySampler(5)
    >>> sampler.set_counts([0, 0, 6, 2, 0], power=1.0)
    >>> ids = ops.convert_to_numpy(sampler.sample((1000,), seed=0))
    >>> sorted(set(ids.tolist())), bool(abs((ids == 2).mean() - 0.75) < 0.05)
    ([2, 3], True)

    Reference:
        Walker 1977, An efficient method for generating discrete random variables with general
        distributions.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if size <= NUM_RESERVED_IDS:
            raise ValueError(checks.expected("size", f"{NUM_RESERVED_IDS + 1} or more", size))
        self.size = size
        kw: dict[str, Any] = {"shape": (size,), "initializer": "zeros", "trainable": False}
        self.share = self.add_weight(name="share", autocast=False, **kw)
        self.alias = self.add_weight(name="alias", dtype="int32", **kw)
        self.log_q = self.add_weight(name="log_q", autocast=False, **kw)
        self.set_counts(np.arange(size) >= NUM_RESERVED_IDS)
        self.built = True

    def set_counts(self, counts: Any, power: float = 1.0) -> None:
        """Sets the popularity of every id; reserved ids are never drawn.

        Args:
            counts: Numbers of events `(size,)`, 0 or more.
            power: 0 for uniform over the ids with a count, 0.75 as in word2vec. Defaults to 1.0.

        Raises:
            ValueError: If `counts` are not so many, or no known id has one.
        """
        counts = np.asarray(counts, np.float64)
        if counts.shape != (self.size,) or (counts < 0).any() or not np.isfinite(counts).all():
            raise ValueError(checks.expected("counts", f"{self.size} counts, 0 or more", counts))
        weights = np.where(counts > 0, counts, 1.0) ** power * (counts > 0)
        weights[:NUM_RESERVED_IDS] = 0
        if not weights.any():
            raise ValueError(checks.expected("counts", "above 0 for a known id", counts))
        share, alias = alias_tables(weights / weights.sum())
        self.share.assign(share)
        self.alias.assign(alias)
        never = np.where(weights > 0, weights, 1.0)
        log_q = np.where(weights > 0, np.log(never / weights.sum()), -np.log(weights.sum()))
        self.log_q.assign(log_q.astype(np.float32))

    def grow_from(self, old: "PopularitySampler") -> None:
        """Takes over a smaller sampler's popularity; new ids are as likely as its rarest one.

        Args:
            old: A sampler of fewer ids, which are the first ones here.
        """
        share, alias = (ops.convert_to_numpy(x.value) for x in (old.share, old.alias))
        q = np.asarray(share, np.float64)  # of an id: what its place keeps, and others give it
        np.add.at(q, alias, 1.0 - np.asarray(share, np.float64))
        q[:NUM_RESERVED_IDS] = 0
        # reserved ids stand for a count of 1, so that their log_q tells the sum of the weights
        weights = q / q.sum() * np.exp(-float(ops.convert_to_numpy(old.log_q.value)[0]))
        fresh = np.full(self.size - old.size, weights[weights > 0].min())
        self.set_counts(np.concatenate([weights, fresh]))

    def sample(self, shape: tuple[Any, ...], seed: Any) -> Tensor:
        """Returns int32 ids of `shape`; `seed` an int, or a `keras.random.SeedGenerator`."""
        drawn = keras.random.uniform(shape, 0, self.size, dtype="float32", seed=seed)
        place = ops.minimum(ops.cast(ops.floor(drawn), "int32"), self.size - 1)
        rest = drawn - ops.cast(place, "float32")  # uniform, and independent of the place
        return ops.where(rest < ops.take(self.share, place), place, ops.take(self.alias, place))


def alias_tables(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each place the share that it keeps, and who gets the rest of it.

    Args:
        q: Probabilities, of sum 1.

    Returns:
        float32 and int32, as many. A place drawn uniformly is kept with its share, else it is
        exchanged for its alias: then the place comes with its probability.

    Example:

    >>> alias_tables(np.array([0.25, 0.75]))
    (array([0.5, 1. ], dtype=float32), array([1, 0], dtype=int32))
    """
    share, alias = q * len(q), np.arange(len(q), dtype=np.int32)
    small, large = list(np.flatnonzero(share < 1)), list(np.flatnonzero(share >= 1))
    while small and large:
        poor, rich = small.pop(), large[-1]
        alias[poor] = rich
        share[rich] -= 1 - share[poor]
        if share[rich] < 1:
            small.append(large.pop())
    # what rounding leaves over is full; places of probability 0 always find a giver first
    full = np.array(large + [place for place in small if q[place] > 0], int)
    share[full] = 1
    alias[alias == np.arange(len(q))] = np.flatnonzero(q > 0)[0]
    return share.astype(np.float32), alias


class CountMinSketch(keras.layers.Layer):
    """Estimates how often ids came, in a space that does not grow with their number.

    `count(i) = min_d table[d, hash_d(i)]`: never too low, too high by collisions only. In training
    a call first counts its ids, so that the estimate of one that is there is never 0. The table
    is a weight: it is saved, compiled and, with replicas, averaged, which keeps the shares.

    Args:
        width: Columns of the table, a power of 2; several times the number of frequent ids.
            Defaults to 65536, which takes 1 MiB.

    Example:

    >>> sketch = CountMinSketch(1024)
    >>> log_q = sketch(ops.array([7, 7, 7, 9]), training=True)
    >>> print(ops.exp(log_q).numpy())
    [0.75 0.75 0.75 0.25]

    Reference:
        Cormode, Muthukrishnan 2005, An improved data stream summary; for logQ as in Yi et al.
        2019, Sampling-bias-corrected neural modeling for large corpus item recommendations.
    """

    def __init__(self, width: int = 65_536, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width < 2 or width & (width - 1):
            raise ValueError(checks.expected("width", "a power of 2, 2 or more", width))
        self.width = width
        self.table = self.add_weight(
            shape=(_DEPTH, width),
            initializer="zeros",
            trainable=False,
            autocast=False,
            aggregation="mean",
            name="table",
        )
        self.built = True

    def call(self, ids: Tensor, training: bool = False) -> Tensor:
        """Returns the log of the share of each id `(B,)` among those counted, float32."""
        places = self._places(ids)  # (D, B)
        if training:
            ones = ops.ones_like(places, dtype="float32")
            flat = ops.reshape(places, (-1,))
            more = ops.segment_sum(ops.reshape(ones, (-1,)), flat, _DEPTH * self.width)
            self.table.assign(self.table + ops.reshape(more, (_DEPTH, self.width)))
        counted = ops.take(ops.reshape(self.table, (-1,)), places)
        total = ops.maximum(ops.sum(self.table[0]), 1.0)
        return ops.log(ops.maximum(ops.min(counted, axis=0), 1.0) / total)

    def _places(self, ids: Tensor) -> Tensor:
        """Returns a place in the flat table for each hash function and id, int32 `(D, B)`."""
        ids = ops.cast(ops.reshape(ids, (-1,)), "uint32")
        shift = 32 - (self.width.bit_length() - 1)
        hashes = [
            ops.cast(ops.right_shift(ids * ops.cast(by, "uint32"), shift), "int32")
            for by in _MULTIPLIERS
        ]
        return ops.stack([place + row * self.width for row, place in enumerate(hashes)])
