"""Items as sets of tokens: words, categories, tags, or their ids; and a catalogue of them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.layers.batch import column
from tfrecs.layers.embedding import IdEmbedding, id_embedding
from tfrecs.spec import (
    NUM_RESERVED_IDS,
    PADDING_ID,
    UNKNOWN_ID,
    Categorical,
    Feature,
    FeatureSpec,
    MultiCategorical,
    Text,
)

Tensor = Any  # a tensor of whichever backend Keras runs on
Features = dict[str, Tensor]


class ItemTokens(keras.layers.Layer):
    """The tokens of items, embedded: one for each word of a text, each tag, each category.

    An item has tokens of all features of role candidate but its id; where there is no other, its
    id is its one token. Features with one vocabulary, and texts given equal vocabularies, share a
    table. Padding is no token, and neither is an unknown id.

    The catalogue holds the tokens of known items by their id, as weights that are not trained, so
    that a history is a list of ids. `set_catalogue` fills it; items that are given with their
    features need no row there.

    Args:
        spec: The candidate's features, of known sizes: its id, Text, Categorical, and
            MultiCategorical with a `max_length`.
        dim: Width of a token.
        stddev: Standard deviation of initial vectors. Defaults to 0.1.
        seed: Seed of initial vectors. Defaults to 0.

    Example:

    >>> spec = FeatureSpec((Categorical("news_id", "candidate", is_id=True, size=4),
    ...                     Text("title", max_length=3, size=9)))
    >>> tokens = ItemTokens(spec, 8)
    >>> tokens.set_catalogue({"news_id": [2, 3], "title": [[5, 6], [7, 0]]})
    >>> vectors, mask = tokens(tokens.rows(ops.array([3, 0])))
    >>> vectors.shape, mask.numpy().tolist()
    (TensorShape([2, 3, 8]), [[True, False, False], [False, False, False]])
    """

    def __init__(
        self, spec: FeatureSpec, dim: int, *, stddev: float = 0.1, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.item_id = dim, spec.candidate_id
        others = [f for f in spec.by_role("candidate") if f != self.item_id]
        self.ids_alone = not others
        self.widths: dict[str, int] = {}
        self.single: set[str] = set()  # names of the features of one token
        self.tables: list[IdEmbedding] = []
        self._table_of: dict[str, int] = {}
        self._known: dict[Any, int] = {}
        for feature in others or [self.item_id]:
            self.add_feature(spec, feature, stddev, seed)
        self.names = list(self.widths)  # of the items' features; more may be added
        self.catalogue = [
            self.add_weight(
                (self.item_id.size, self.widths[name]),
                "zeros",
                dtype="int32",
                trainable=False,
                autocast=False,
                name=f"{name}_of_items",
            )
            for name in ([] if self.ids_alone else self.names)
        ]
        self.built = True

    def add_feature(self, spec: FeatureSpec, feature: Feature, stddev: float, seed: int) -> None:
        """Adds a feature and, unless one of its vocabulary is there, its table."""
        name = feature.name
        if not isinstance(feature, Text | Categorical | MultiCategorical):
            remedy = f"Leave {name!r} out: spec.select(...)."
            raise ValueError(checks.expected("spec", "of texts and ids", feature, remedy))
        width = 1 if isinstance(feature, Categorical) else feature.max_length
        if width is None and feature.role == "candidate":
            remedy = "Set it, so that the catalogue has a width."
            raise ValueError(checks.expected(f"max_length of {name!r}", "a number", None, remedy))
        self.widths[name] = width or 0
        self.single |= {name} if isinstance(feature, Categorical) else set()
        key = feature.vocabulary or spec.owner(name).name
        if key not in self._known:
            self._known[key] = len(self.tables)
            table = id_embedding(
                feature,  # type: ignore[arg-type]
                self.dim,
                stddev=stddev,
                seed=seed + len(self.tables),
                name=f"{name}_tokens",
                dtype=self.dtype_policy,
            )
            self.tables.append(table)
        self._table_of[name] = self._known[key]

    def table(self, name: str) -> IdEmbedding:
        """Returns the table of a feature's tokens."""
        checks.one_of("name", name, self._table_of)
        return self.tables[self._table_of[name]]

    def set_catalogue(self, arrays: dict[str, Any]) -> None:
        """Fills the catalogue.

        Args:
            arrays: Of N items the ids `(N,)` and each feature `(N,)` or `(N, L)`, as
                `transform.encode(candidates)` gives them. Ids alone need no catalogue.
        """
        ids = np.asarray(column(arrays, self.item_id.name))
        for weight, name in zip(self.catalogue, self.names, strict=not self.ids_alone):
            given = np.asarray(column(arrays, name))
            given = given.reshape(len(ids), -1)[:, : self.widths[name]]
            rows = np.zeros(weight.shape, np.int32)
            rows[ids, : given.shape[1]] = given
            rows[:NUM_RESERVED_IDS] = 0  # padding and unknown have no tokens
            weight.assign(rows)

    def rows(self, ids: Tensor, width: int | None = None) -> Features:
        """Returns the features of items of the catalogue: int `(...)` to `(..., L)` by name.

        Args:
            ids: Ids of items, of any shape.
            width: Tokens after the first so many of a feature are left out; `None` for none.
        """
        ids = _integers(ids)
        if self.ids_alone:
            return {self.item_id.name: ops.expand_dims(ids, -1)}
        return {
            name: ops.take(weight.value, ids, axis=0)[..., :width]
            for weight, name in zip(self.catalogue, self.names, strict=True)
        }

    def given(self, batch: Features) -> Features:
        """Returns the features `(..., L)` of a batch's candidates, or the catalogue's by id."""
        if self.ids_alone or any(name not in batch for name in self.names):
            return self.rows(column(batch, self.item_id.name))
        return {
            name: ops.expand_dims(batch[name], -1) if name in self.single else batch[name]
            for name in self.names
        }

    def call(self, features: Features) -> tuple[Tensor, Tensor]:
        """Returns vectors `(..., M, dim)` and mask `(..., M)` of features `(..., L)`."""
        parts = [self.tokens(name, features[name]) for name in self.names]
        vectors, masks = zip(*parts, strict=True)
        return ops.concatenate(vectors, axis=-2), ops.concatenate(masks, axis=-1)

    def tokens(self, name: str, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Returns vectors `(..., L, dim)` and mask `(..., L)` of one feature."""
        ids = _integers(ids)
        return self.table(name)(ids), ids > (UNKNOWN_ID if self.ids_alone else PADDING_ID)

    def distinct(self, batch: Features, encode: Callable[[Features], Tensor]) -> Tensor | None:
        """Returns the vectors `(U, D)` of a batch's distinct items, each encoded once.

        Args:
            batch: With ids `(U_w,)` by keys `<id>_distinct_<w>`, of items that have no more than
                `w` tokens of a feature, as `features.from_impressions` makes them; without such
                keys the result is `None`.
            encode: Given features `(N, L)`, returns vectors `(N, D)`.
        """
        start = f"{self.item_id.name}_distinct_"
        widths = sorted(int(key.removeprefix(start)) for key in batch if key.startswith(start))
        if not widths:
            return None
        parts = [encode(self.rows(batch[f"{start}{width}"], width)) for width in widths]
        return ops.concatenate(parts, axis=0)


def encode_lists(features: Features, encode: Callable[[Features], Tensor]) -> Tensor:
    """Returns vectors `(N, D)` of features `(N, L)`, or `(B, C, D)` of `(B, C, L)`."""
    first = next(iter(features.values()))
    if len(first.shape) == 2:
        return encode(features)
    flat = {name: ops.reshape(x, (-1, ops.shape(x)[-1])) for name, x in features.items()}
    vectors = encode(flat)
    return ops.reshape(vectors, (-1, ops.shape(first)[1], vectors.shape[-1]))


def _integers(ids: Tensor) -> Tensor:
    # floats come from Keras's symbolic tracing alone
    return ids if keras.backend.is_int_dtype(ids.dtype) else ops.cast(ids, "int32")
