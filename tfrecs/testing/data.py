"""Data of known structure: a checkerboard, Markov chains, random rows of any spec."""

from typing import Any

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.spec import (
    Attributes,
    Categorical,
    Cross,
    Feature,
    FeatureSpec,
    Numeric,
    Sequence,
    Text,
    Timestamp,
    Vector,
)

NUM_VALUES = 6  # distinct values of a made-up feature that is not an id
LONGEST = 5  # values of a made-up list


def checkerboard(size: int = 16) -> np.ndarray:
    """Returns a board of tastes with the diagonal cut out, to be found again.

    Even users like even items, odd users like odd items: `board[u, i] = 1` where `u + i` is even,
    0 where it is odd, and -1 on the diagonal, which is liked but kept apart. A model that has
    learned anything recommends item u to user u, once what the user liked before is left out.

    Args:
        size: Number of users and of items; an even number. Defaults to 16.

    Returns:
        int64 `(size, size)`.

    Example:

    >>> checkerboard(4)
    array([[-1,  0,  1,  0],
           [ 0, -1,  0,  1],
           [ 1,  0, -1,  0],
           [ 0,  1,  0, -1]])
    """
    if size < 4 or size % 2:
        raise ValueError(checks.expected("size", "an even number, 4 or more", size))
    users, items = np.indices((size, size))
    board = 1 - (users + items) % 2
    np.fill_diagonal(board, -1)
    return board


def markov_sequences(
    num_sequences: int, length: int, num_items: int, predictability: float, seed: int = 0
) -> np.ndarray:
    """Returns sequences whose next item is known with a given probability.

    Item i is followed by its successor, by one fixed cycle through all items, with the
    probability `predictability`, and by an item drawn uniformly otherwise. So the best possible
    hit rate at 1 is `predictability + (1 - predictability) / num_items`.

    Args:
        num_sequences: Number of sequences.
        length: Items of a sequence.
        num_items: Number of items.
        predictability: From 0 (noise) to 1 (a cycle).
        seed: Seed of the sequences; the cycle depends on `num_items` alone.

    Returns:
        int64 `(num_sequences, length)`, items from 0 to `num_items - 1`.

    Example:

    >>> rows = markov_sequences(2, 4, num_items=3, predictability=1.0)
    >>> bool((rows[:, 0] == rows[:, 3]).all())  # a cycle of 3
    True

    Reference:
        - The idea is Spotlight's (M. Kula, 2017): data of known predictability as a test.
    """
    if not 0 <= predictability <= 1:
        raise ValueError(checks.expected("predictability", "from 0 to 1", predictability))
    cycle = np.random.default_rng(num_items).permutation(num_items)
    successor = np.empty(num_items, np.int64)
    successor[cycle] = np.roll(cycle, -1)
    random = np.random.default_rng(seed)
    rows = random.integers(num_items, size=(num_sequences, length))
    for step in range(1, length):
        follows = random.random(num_sequences) < predictability
        rows[:, step] = np.where(follows, successor[rows[:, step - 1]], rows[:, step])
    return rows


def random_table(spec: FeatureSpec, num_rows: int, seed: int = 0) -> pa.Table:
    """Returns made-up rows of any spec: each row with an id of its own, the rest at random.

    Labels are 0 and 1.

    Args:
        spec: The features.
        num_rows: Number of rows.
        seed: Seed of the values.

    Returns:
        One column for each feature but crosses, which are computed.

    Example:

    >>> spec = FeatureSpec((Categorical("user_id", is_id=True), Numeric("age")))
    >>> random_table(spec, 3)["user_id"].to_pylist()
    ['user_id_0', 'user_id_1', 'user_id_2']
    """
    random = np.random.default_rng(seed)
    sizes: dict[str, np.ndarray] = {}
    columns = {
        feature.name: _column(feature, spec, num_rows, random, sizes)
        for feature in spec
        if not isinstance(feature, Cross)
    }
    return pa.table(columns)


def id_values(feature: Any, number: int) -> list[Any]:
    """Returns `number` distinct values of a feature with ids."""
    if feature.vocabulary is not None:
        return list(feature.vocabulary)
    if feature.dtype == "int64":
        return [1000 + i for i in range(number)]
    return [f"{feature.name}_{i}" for i in range(number)]


def _column(
    feature: Feature,
    spec: FeatureSpec,
    rows: int,
    random: np.random.Generator,
    sizes: dict[str, np.ndarray],
) -> pa.Array:
    if isinstance(feature, Numeric):
        label = feature.role == "label"
        numbers = random.integers(0, 2, rows) if label else random.normal(size=rows)
        return pa.array(numbers.astype(np.float32))
    if isinstance(feature, Timestamp):
        return pa.array(1_700_000_000 + np.sort(random.integers(0, 86_400, rows)))
    if isinstance(feature, Vector) and feature.max_count is not None:
        counts = random.integers(0, feature.max_count + 1, rows)
        several = [random.normal(size=(n, feature.dim)).tolist() for n in counts]
        return pa.array(several, pa.list_(pa.list_(pa.float32())))
    if isinstance(feature, Attributes):
        keys = feature.keys or ("brand", "colour", "size")
        words = feature.vocabulary or tuple(f"word{i}" for i in range(NUM_VALUES))
        pairs = [[(key, str(random.choice(words))) for key in keys] for _ in range(rows)]
        return pa.array(pairs, pa.map_(pa.string(), pa.string()))
    if isinstance(feature, Vector):
        vectors = random.normal(size=(rows, feature.dim)).astype(np.float32)
        return pa.array(vectors.tolist(), pa.list_(pa.float32()))
    if isinstance(feature, Text):
        words = feature.vocabulary or tuple(f"word{i}" for i in range(2 * NUM_VALUES))
        return pa.array([" ".join(random.choice(words, 4)) for _ in range(rows)])
    if isinstance(feature, Categorical) and feature.is_id:
        return pa.array(id_values(feature, rows))
    if isinstance(feature, Sequence) and feature.dtype == "float32":
        lengths = _lengths(spec.leader(feature.name).name, rows, random, sizes)
        return pa.array([random.random(n).tolist() for n in lengths])
    owner: Any = feature
    while owner.shared_with is not None:
        owner = spec[owner.shared_with]
    is_id = isinstance(owner, Categorical) and owner.is_id
    values = np.array(id_values(owner, rows if is_id else NUM_VALUES))
    if isinstance(feature, Categorical):
        return pa.array(random.choice(values, rows))
    lengths = _lengths(spec.leader(feature.name).name, rows, random, sizes)
    return pa.array([random.choice(values, n).tolist() for n in lengths])


def _lengths(
    leader: str, rows: int, random: np.random.Generator, sizes: dict[str, np.ndarray]
) -> np.ndarray:
    """Returns how long lists are: as long as those that they are aligned with."""
    if leader not in sizes:
        sizes[leader] = random.integers(1, LONGEST + 1, rows)
    return sizes[leader]
