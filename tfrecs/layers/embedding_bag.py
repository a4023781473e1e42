"""One table for all features of one width: one gather reads the features of one id each."""

import math
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.layers.batch import column
from tfrecs.spec import BINNED, NUM_RESERVED_IDS, Feature, FeatureSpec, Numeric, Vector, batch_keys

Tensor = Any  # a tensor of whichever backend Keras runs on
Combiner = Literal["mean", "sum", "sqrtn"]


@keras.saving.register_keras_serializable("tfrecs")
class FieldRows(keras.initializers.Initializer):
    """Normal random rows, but zeros for the reserved ids (padding, unknown) of every field.

    They are drawn in place, so that a large table is in memory once.

    Args:
        starts: Place of the padding row of each field.
        stddev: Standard deviation of the other rows. Defaults to 0.01.
        seed: Seed of the random numbers. Defaults to 0.

    Example:

    >>> FieldRows([0, 3], stddev=1.0)((6, 2)).any(axis=1).tolist()
    [False, False, True, False, False, True]
    """

    def __init__(self, starts: list[int], stddev: float = 0.01, seed: int = 0) -> None:
        self.starts = starts
        self.stddev = stddev
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        rows = np.random.default_rng(self.seed).standard_normal(shape, np.float32)
        rows *= self.stddev
        for reserved in range(NUM_RESERVED_IDS):
            rows[np.array(self.starts) + reserved] = 0
        return rows

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {"starts": self.starts, "stddev": self.stddev, "seed": self.seed}


class EmbeddingBag(keras.layers.Layer):
    """One table for all features of one width: one gather reads the features of one id each.

    Each feature becomes a field, a vector of length `dim`:

    - an id its row; a list of ids the mean, the sum, or the sum over `sqrt(n)` of its rows;
    - a number `x v`, with one vector `v` a feature; a Vector `x V`, several a row their mean.

    The features' ids follow each other in the table, a shared vocabulary once. With `max_rows`, a
    feature of more ids has two short tables instead of a long one (quotient and remainder), and
    its field is a product: `r[id mod max_rows] (1 + q[id div max_rows])`. No two ids share both
    rows, and `max_rows + size / max_rows` rows serve for `size`.

    Args:
        spec: Features, sized; those of roles query, candidate and context are taken.
        dim: Length of a field.
        stddev: Standard deviation of the initial rows and vectors. Defaults to 0.01.
        combiner: "mean", "sum" or "sqrtn" of lists. Defaults to "mean".
        crosses: Whether to take Cross features too. Defaults to `True`.
        l2: Weight of the squared fields of ids, summed over a row of the batch and averaged over
            rows; added while training alone, it touches no other row. Defaults to 0.
        max_rows: Rows of a feature from which on it is cut in two tables; `None` for no limit.
        seed: Seed of the initial rows. Defaults to 0.

    Raises:
        ValueError: If a feature has no size yet or cannot be embedded, or there is none.
        MemoryError: If the table does not fit into the memory there is.

    Call arguments:
        batch: Dict of the features' tensors, `(B,)` each, lists and their masks `(B, L)`.

    Returns:
        Fields `(B, F, dim)`, in the order of `names`.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> bag = EmbeddingBag(FeatureSpec((Categorical("country", size=5), Numeric("age"))), 4)
    >>> bag({"country": ops.array([2, 3]), "age": ops.array([0.5, 1.0])}).shape
    TensorShape([2, 2, 4])

    Reference:
        Shi et al. 2019 (quotient and remainder), arXiv:1909.02107.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        dim: int,
        *,
        stddev: float = 0.01,
        combiner: Combiner = "mean",
        crosses: bool = True,
        l2: float = 0.0,
        max_rows: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.positive("embedding_dim", dim)
        checks.one_of("combiner", combiner, ("mean", "sum", "sqrtn"))
        if l2 < 0:
            raise ValueError(checks.expected("l2", "0 or more", l2))
        if max_rows is not None:
            checks.positive("max_rows", max_rows)
        features = [
            feature
            for feature in spec.by_role("query", "candidate", "context")
            if crosses or feature.kind != "cross"
        ]
        if not features:
            expectation = "with a feature of role query, candidate or context"
            raise ValueError(checks.expected("spec", expectation, spec.names))
        self.dim = dim
        self.combiner = combiner
        self.l2 = l2
        self.max_rows = max_rows or math.inf
        self.rows = 0  # of the table
        self.starts: dict[str, int] = {}  # by the name of the feature that owns the vocabulary
        self.cut: set[str] = set()
        self.single: list[str] = []
        self.several: list[str] = []
        self.numbers: list[str] = []
        self.vectors: list[str] = []
        for feature in features:
            self._place(feature)
        self._offsets = np.array([self.starts[name] for name in self.single], np.int32)
        self._add_weights(spec, stddev, seed)
        self.built = True

    @property
    def names(self) -> list[str]:
        """Names of the fields: ids first, then lists and cut features, numbers, vectors."""
        return [*self.single, *self.several, *self.numbers, *self.vectors]

    def _place(self, feature: Feature) -> None:
        """Notes which kind of field a feature is and where its rows are."""
        name = feature.name
        if isinstance(feature, Vector):
            self.vectors.append(name)
        elif isinstance(feature, Numeric) and feature.normalize not in BINNED:
            self.numbers.append(name)
        elif (
            feature.kind == "attributes"
            or not hasattr(feature, "size")
            or getattr(feature, "dtype", None) == "float32"
        ):
            remedy = f"Leave {name!r} out: spec.select(...)."
            wanted = "of ids, numbers and vectors"
            raise ValueError(checks.expected("spec", wanted, feature, remedy))
        elif feature.size is None:
            remedy = "Use the spec of an adapted FeatureTransform, transform.spec, or set size=..."
            raise ValueError(
                checks.expected(f"size of {name!r}", "the number of its ids", None, remedy)
            )
        else:
            owner = getattr(feature, "shared_with", None) or name
            if owner not in self.starts:
                self.starts[owner] = self.rows
                self.rows += self._num_rows(feature.size)
            self.starts[name] = self.starts[owner]
            if feature.size > self.max_rows:
                self.cut.add(name)
            alone = len(batch_keys(feature)) == 1 and name not in self.cut
            (self.single if alone else self.several).append(name)

    def _num_rows(self, size: int) -> int:
        """Returns the rows that `size` ids take: their own, or remainders and quotients."""
        if size <= self.max_rows:
            return size
        return int(NUM_RESERVED_IDS + self.max_rows + self._quotients(size))

    def _quotients(self, size: int) -> int:
        """Returns the number of quotients of a cut feature; the first is the reserved ids'."""
        return 1 - (NUM_RESERVED_IDS - size) // int(self.max_rows)

    def _add_weights(self, spec: FeatureSpec, stddev: float, seed: int) -> None:
        if self.rows:
            check_memory(self.rows, self.dim)
            starts = sorted(set(self.starts.values()))
            self.embeddings = self.add_weight(
                shape=(self.rows, self.dim),
                initializer=FieldRows(starts, stddev, seed),
                autocast=False,  # a cast would be of the whole table
                name="embeddings",
            )
        normal = keras.initializers.RandomNormal(stddev=stddev, seed=seed)
        if self.numbers:
            self.number_vectors = self.add_weight(
                (len(self.numbers), self.dim), normal, name="number_vectors"
            )
        self.projections = [
            self.add_weight((spec[name].dim, self.dim), normal, name=f"{name}_projection")  # type: ignore[union-attr]
            for name in self.vectors
        ]

    def call(self, batch: dict[str, Tensor], training: bool = False) -> Tensor:
        """Returns fields `(B, F, dim)`."""
        fields = []
        if self.rows:
            fields = self._fields_of_ids(batch)
            if training and self.l2:
                squares = [ops.sum(ops.square(field), axis=(1, 2)) for field in fields]
                self.add_loss(self.l2 * ops.mean(sum(squares)))
        if self.numbers:
            values = ops.stack([column(batch, name) for name in self.numbers], axis=1)
            values = ops.cast(ops.expand_dims(values, -1), self.compute_dtype)  # (B, N, 1)
            fields.append(values * ops.cast(self.number_vectors, self.compute_dtype))
        for name, projection in zip(self.vectors, self.projections, strict=True):
            vector = ops.cast(column(batch, name), self.compute_dtype)
            if f"{name}_mask" in batch:  # (B, I, E), padded with zeros
                count = ops.sum(ops.cast(batch[f"{name}_mask"], vector.dtype), 1, keepdims=True)
                vector = ops.sum(vector, axis=1) / ops.maximum(count, 1)
            field = ops.matmul(vector, ops.cast(projection, self.compute_dtype))
            fields.append(ops.expand_dims(field, 1))
        if len(fields) == 1 and not self.several:
            return fields[0]
        together = ops.concatenate(fields, axis=1)
        # beside lists of any length TensorFlow loses the number of fields
        return ops.reshape(together, (-1, len(self.names), self.dim))

    def _fields_of_ids(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """Returns the fields of single ids `(B, S, D)`, then one `(B, 1, D)` for each other."""
        places = []
        if self.single:
            ids = ops.stack([_ids(batch, name) for name in self.single], axis=1)
            places.append(ids + self._offsets)
        places += [self._places(batch, name) for name in self.several]
        fields = []
        for name, own in zip([""] * bool(self.single) + self.several, places, strict=True):
            # `.value` is what TensorFlow can gather from without a read of the whole table
            rows = ops.cast(ops.take(self.embeddings.value, own, axis=0), self.compute_dtype)
            fields.append(self._combined(batch, name, rows) if name else rows)
        return fields

    def _places(self, batch: dict[str, Tensor], name: str) -> Tensor:
        """Returns the rows of a list, of a cut feature or of both: `(B, L)` or `(B, 2 L)`."""
        ids = _ids(batch, name)
        ids = ids if len(ids.shape) == 2 else ops.expand_dims(ids, 1)
        start = self.starts[name]
        if name not in self.cut:
            return ids + start
        known, parts = ids - NUM_RESERVED_IDS, int(self.max_rows)
        remainder = ops.where(known < 0, ids, known % parts + NUM_RESERVED_IDS)
        quotient = ops.where(known < 0, 0, known // parts + 1)
        first = start + NUM_RESERVED_IDS + parts
        return ops.concatenate([remainder + start, quotient + first], axis=1)

    def _combined(self, batch: dict[str, Tensor], name: str, rows: Tensor) -> Tensor:
        """Returns the field `(B, 1, D)` of the rows that `_places` named."""
        if name in self.cut:
            remainder, quotient = ops.split(rows, 2, axis=1)
            rows = remainder * (1 + quotient)
        if f"{name}_mask" not in batch:
            return rows
        mask = ops.cast(ops.expand_dims(batch[f"{name}_mask"], -1), rows.dtype)  # (B, L, 1)
        total = ops.sum(rows * mask, axis=1, keepdims=True)
        if self.combiner == "sum":
            return total
        count = ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1)
        return total / (count if self.combiner == "mean" else ops.sqrt(count))


def _ids(batch: dict[str, Tensor], name: str) -> Tensor:
    ids = column(batch, name)
    # floats come from Keras's symbolic tracing alone
    return ids if keras.backend.is_int_dtype(ids.dtype) else ops.cast(ids, "int32")


def check_memory(rows: int, dim: int) -> None:
    """Raises MemoryError if a float32 table does not fit into the memory that is free."""
    needed, free = 4 * rows * dim, free_memory()
    if needed > free:
        raise MemoryError(
            f"a table of {rows:,} rows x {dim} takes {needed:,} bytes, and an optimizer as much "
            f"again once (SparseAdagrad) or twice (LazyAdam, SparseFTRL). Free are {free:,.0f} "
            "bytes. Take a smaller embedding_dim, a min_count or hash_bins for the largest "
            "features, or max_rows, which cuts their tables in two short ones."
        )


def free_memory() -> float:
    """Returns the bytes of memory that are free, infinity where the system does not say."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return math.inf
    values = dict(line.split(":") for line in meminfo.read_text().splitlines())
    return 1024 * int(values["MemAvailable"].split()[0])
