"""Bloom embeddings: ids as a few of m bits, at the input and at the output."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.layers.embedding import IdEmbedding, id_embedding
from tfrecs.spec import NUM_RESERVED_IDS, Categorical

Tensor = Any  # a tensor of whichever backend Keras runs on


class BloomEmbedding(keras.layers.Layer):
    """A table of `num_bits` rows; an id has `num_hashes` of them, and its row is their mean.

    `e_i = 1/k * sum_{j=1..k} E[h_j(i)]`

    As the output of a softmax over bits, `score(i) = 1/k * sum_j log p[h_j(i)]` recovers the score
    of an id; up to a constant of the query that is `q . e_i`, so that dot products with these rows
    rank as the recovery does. The bits of an id differ, and no two ids of a small catalogue need
    share all of them. Reserved ids are zeros.

    Args:
        size: Number of ids, d, the reserved ones included.
        num_bits: m, the rows; `m / d` is the compression.
        dim: Length of a row.
        num_hashes: k, bits of an id. Defaults to 4.
        stddev: Standard deviation of the initial rows. Defaults to `dim ** -0.5`.
        seed: Seed of bits and of initial rows. Defaults to 0.

    Example:

    >>> layer = BloomEmbedding(1000, 100, 8)
    >>> layer(ops.array([[7, 8]])).shape, layer.count_params()
    (TensorShape([1, 2, 8]), 800)

    Reference:
        Serra, Karatzoglou 2017, arXiv:1706.03993.
    """

    def __init__(
        self,
        size: int,
        num_bits: int,
        dim: int,
        *,
        num_hashes: int = 4,
        stddev: float | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.positive("num_hashes", num_hashes)
        if num_bits < num_hashes:
            expectation = f"num_hashes = {num_hashes} or more"
            raise ValueError(checks.expected("num_bits", expectation, num_bits))
        self.bits = bits_of_ids(size, num_bits, num_hashes, seed)  # (d, k)
        stddev = dim**-0.5 if stddev is None else stddev
        rows = num_bits + NUM_RESERVED_IDS
        wide = stddev * num_hashes**0.5  # a mean of k rows is shorter
        self.rows = IdEmbedding(rows, dim, stddev=wide, seed=seed, dtype=self.dtype_policy)
        self.built = True

    def call(self, ids: Tensor) -> Tensor:
        """Returns rows, shape `ids.shape + (dim,)`."""
        bits = ops.take(ops.convert_to_tensor(self.bits), ops.cast(ids, "int32"), axis=0)
        return ops.mean(self.rows(bits), axis=-2)

    def count_params(self) -> int:
        """Returns the numbers that are learned."""
        rows, dim = self.rows.embeddings.shape
        return int((rows - NUM_RESERVED_IDS) * dim)


def item_table(
    item: Categorical, dim: int, num_bits: int | None = None, *, seed: int = 0, **kwargs: Any
) -> IdEmbedding | BloomEmbedding:
    """Returns the table of an item's ids: a row each, or with `num_bits` a `BloomEmbedding`.

    Rows start normal with standard deviation `dim ** -0.5`.

    Args:
        item: The candidate's id, its size known.
        dim: Length of a row.
        num_bits: Rows that the ids share; `None` for a row each.
        seed: Seed of the initial rows. Defaults to 0.
    """
    if num_bits is None:
        return id_embedding(item, dim, stddev=dim**-0.5, seed=seed, **kwargs)
    size = item.size or 0
    checks.positive(f"size of {item.name!r}", size)
    return BloomEmbedding(size, num_bits, dim, seed=seed, **kwargs)


def bits_of_ids(size: int, num_bits: int, num_hashes: int, seed: int) -> np.ndarray:
    """Returns the bits of each id, int32 `(size, num_hashes)`, all different within a row.

    Double hashing, `h_j = (a + j b) mod m` with `b` prime to m; bits count from 2, and the
    reserved ids have the reserved rows.

    Example:

    >>> bits = bits_of_ids(100, 20, 4, seed=0)
    >>> bits.shape, int(bits[2:].min()) >= 2, int(bits.max()) < 22
    ((100, 4), True, True)
    """
    rng = np.random.default_rng(seed)
    steps = np.flatnonzero(np.gcd(np.arange(num_bits), num_bits) == 1) if num_bits > 1 else [1]
    first = rng.integers(0, num_bits, (size, 1))
    step = rng.choice(steps, (size, 1))
    bits = (first + step * np.arange(num_hashes)) % num_bits + NUM_RESERVED_IDS
    bits[:NUM_RESERVED_IDS] = np.arange(NUM_RESERVED_IDS)[:, None]
    return bits.astype(np.int32)
