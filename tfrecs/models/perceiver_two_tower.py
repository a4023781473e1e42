"""Perceiver two-tower: users and items as sets of tokens, one Perceiver IO for both."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks, scoring
from tfrecs.layers import column, id_embedding
from tfrecs.layers.fourier import fourier_features
from tfrecs.layers.item_tokens import Features, ItemTokens, encode_lists
from tfrecs.layers.perceiver import PerceiverDecoder, PerceiverEncoder
from tfrecs.models.base import Batch, Retriever, Tensor
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Sequence, Text

DISTANCES = ("euclidean", "squared_euclidean", "cosine", "dot")
ENCODINGS = ("type", "word", "history")
TYPE_DIM, WORD_BANDS, HISTORY_BANDS, MAX_FREQUENCY = 8, 4, 4, 16.0


class PerceiverTwoTower(Retriever):
    """Perceiver two-tower: users and items as sets of tokens, one Perceiver IO for both.

    `v = Decode(latents attending to [token | word place | history place | feature type])`

    An item has a token for each word, tag and category of the candidate's features (its id where
    the spec has no other); a user has all tokens of the items in its histories, read from a
    catalogue (`set_catalogue`), and those of its own features. Time and memory are linear in the
    number of tokens. Train it with labels `(B, 1 + K)` and `Triplet()`, `Sigmoid()` or `Softmax()`
    on `features.from_impressions`.

    Args:
        spec: The candidate's features, and the query's: Sequences that share the candidate's ids,
            Categorical, MultiCategorical, Text. The query's id is not read.
        embedding_dim: Width of a token's vector. Defaults to 64.
        latents: Their number and width. Defaults to (64, 64).
        layers: Self-attention layers of a block, and how often it is applied. Defaults to (2, 2).
        num_heads: Heads of self-attention. Defaults to 8.
        output_dim: Length of the vectors of users and items. Defaults to 64.
        distance: "euclidean", "squared_euclidean" (scores are negated distances), "cosine" (of
            vectors of length 1) or "dot". An index of "squared_l2" finds the first two, one of
            "dot" the others. Defaults to "cosine".
        encodings: Which of "type", "word" and "history" are appended to tokens; `None` for all.
        classes: Name of a Categorical feature of the candidate: the candidates are its values, with
            a vector each of their own, and scores are logits. Needs "dot". Defaults to `None`.
        seed: Seed of initial weights. Defaults to 0.

    Call arguments:
        batch: Dict with the query's features and the candidates' ids `(B,)` or `(B, C)`, or their
            features.

    Returns:
        Scores: `(B, B)` for one candidate a row, `(B, C)` for lists.

    Example:

    >>> from tfrecs.spec import Categorical, Sequence
    >>> spec = FeatureSpec((
    ...     Categorical("news_id", "candidate", is_id=True, size=9),
    ...     Sequence("history", "query", shared_with="news_id", size=9),
    ... ))
    >>> batch = {"history": ops.array([[5, 6], [7, 0]]), "news_id": ops.array([[2, 3, 4]] * 2)}
    >>> batch["history_mask"] = batch["history"] > 0
    >>> PerceiverTwoTower(spec, 8, latents=(4, 8))(batch).shape
    TensorShape([2, 3])

    Reference:
        Jaegle et al. 2021, Perceiver IO, arXiv:2107.14795; the platform of Stockmark (ICDM 2022
        workshops), from whose code the shapes are: 500 latents of 32, layers (2, 2), output 500.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 64,
        *,
        latents: tuple[int, int] = (64, 64),
        layers: tuple[int, int] = (2, 2),
        num_heads: int = 8,
        output_dim: int = 64,
        distance: str = "cosine",
        encodings: tuple[str, ...] | None = None,
        classes: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.one_of("distance", distance, DISTANCES)
        for encoding in encodings or ():
            checks.one_of("encodings", encoding, ENCODINGS)
        if classes is not None and distance != "dot":
            raise ValueError(checks.expected("distance", "'dot' where there are classes", distance))
        self.distance, self.class_name = distance, classes
        self.encodings = ENCODINGS if encodings is None else tuple(encodings)
        # as strong as the encodings beside it
        self.tokens = ItemTokens(
            spec, embedding_dim, stddev=1.0, seed=seed, dtype=self.dtype_policy
        )
        self._add_query(spec, seed)
        width = embedding_dim + TYPE_DIM * ("type" in self.encodings)
        width += (2 * WORD_BANDS + 1) * ("word" in self.encodings)
        width += (2 * HISTORY_BANDS + 1) * ("history" in self.encodings)
        dtype = self.dtype_policy
        self.encoder = PerceiverEncoder(
            width,
            *latents,
            num_layers=layers[0],
            num_blocks=layers[1],
            num_heads=num_heads,
            seed=seed + 1000,
            dtype=dtype,
        )
        self.decoder = PerceiverDecoder(latents[1], 1, output_dim, seed=seed + 2000, dtype=dtype)
        if classes is not None:
            feature: Any = spec[classes]
            self.class_vectors = id_embedding(
                feature, output_dim + 1, stddev=output_dim**-0.5, seed=seed, name="classes"
            )

    def _add_query(self, spec: FeatureSpec, seed: int) -> None:
        """Notes the query's features, and adds tables of tokens and of types."""
        item, self.histories, self.own = spec.candidate_id.name, {}, []
        for feature in spec.by_role("query"):
            if isinstance(feature, Sequence) and feature.shared_with == item:
                self.histories[feature.name] = feature.max_length or 50
            elif isinstance(feature, Categorical) and feature.is_id:
                continue
            elif isinstance(feature, Categorical | MultiCategorical | Text):
                self.tokens.add_feature(spec, feature, 1.0, seed)
                self.own.append(feature.name)
        if not self.histories and not self.own:
            expectation = f"with a feature of role query, such as a Sequence that shares {item!r}"
            raise ValueError(checks.expected("spec", expectation, spec.names))
        if "type" in self.encodings:
            shape = (len(self.tokens.widths), TYPE_DIM)
            normal = keras.initializers.RandomNormal(stddev=1.0, seed=seed + 1)
            self.types = self.add_weight(shape, normal, name="types")
            if len(self.histories) > 1:
                shape = (len(self.histories), TYPE_DIM)
                self.history_types = self.add_weight(shape, normal, name="history_types")

    def set_catalogue(self, arrays: dict[str, Any]) -> None:
        """Fills in the tokens of the items that histories name; see `ItemTokens`."""
        self.tokens.set_catalogue(arrays)

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B, B)` or `(B, C)`."""
        items, place = None, f"{self.tokens.item_id.name}_place"
        if self.class_name is None and place in batch:
            items = self.tokens.distinct(batch, self._read_items)
        if items is None:
            return self.score(self.query(batch, training), self.candidate(batch, training))
        users = self._read_users(batch)
        vectors = self._vectors(ops.concatenate([users, items], axis=0))
        size = ops.shape(users)[0]
        return self.score(vectors[:size], ops.take(vectors[size:], batch[place], axis=0))

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns the users' vectors `(B, D)`."""
        vector = self._vectors(self._read_users(batch))
        if self.class_name is None:
            return vector
        return ops.concatenate([vector, ops.ones_like(vector[:, :1])], axis=-1)  # for the bias

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns the items' (or classes') vectors `(C, D)` or `(B, C, D)`."""
        if self.class_name is not None:
            return self.class_vectors(column(batch, self.class_name))
        return encode_lists(self.tokens.given(batch), lambda x: self._vectors(self._read_items(x)))

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns scores `(B, C)`, higher is nearer."""
        if "euclidean" not in self.distance:
            return scoring.dot(query, candidate)
        wide = (ops.cast(x, "float32") for x in (query, candidate))  # squares need the precision
        score = scoring.negative_squared_l2(*wide)
        if self.distance == "euclidean":
            score = -ops.sqrt(1e-6 - score)  # the root of 0 has no gradient
        return ops.cast(score, query.dtype)

    def _read_users(self, batch: Batch) -> Tensor:
        """Returns the latents of users, `(B, N, L)`."""
        parts = []
        for number, (name, longest) in enumerate(self.histories.items()):
            parts.append(self._history(batch, name, number, longest))
        for name in self.own:
            ids = batch[name]
            ids = ops.expand_dims(ids, -1) if len(ids.shape) == 1 else ids
            parts.append(self._feature(name, ids))
        return self._read(parts)

    def _read_items(self, features: Features) -> Tensor:
        """Returns the latents of items, `(M, N, L)`, of features `(M, T)`."""
        return self._read([self._feature(name, features[name]) for name in self.tokens.names])

    def _read(self, parts: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Returns latents of groups of tokens `(M, T, C)` with masks `(M, T)`."""
        return self.encoder.read(*(ops.concatenate(x, axis=1) for x in zip(*parts, strict=True)))

    def _vectors(self, latents: Tensor) -> Tensor:
        """Returns vectors `(M, D)` of latents `(M, N, L)`."""
        vector = self.decoder(self.encoder.process(latents))[:, 0]
        return ops.normalize(vector, axis=-1) if self.distance == "cosine" else vector

    def _history(self, batch: Batch, name: str, number: int, longest: int) -> tuple[Tensor, Tensor]:
        """Returns the tokens `(B, H L, C)` of all items of a history, and their mask."""
        ids = column(batch, name)
        clicked = column(batch, f"{name}_mask")
        features, kind, encoded = self.tokens.rows(ids), None, None
        if "type" in self.encodings and len(self.histories) > 1:
            kind = self.history_types[number]
        if "history" in self.encodings:
            places = ops.arange(1, ops.shape(ids)[1] + 1)
            last = ops.max(ops.where(clicked, places, 0), axis=1, keepdims=True)
            ago = ops.cast(last - places, "float32")  # 0 for the last item
            p = ops.clip(1 - 2 * ago / max(longest - 1, 1), -1.0, 1.0)
            encoded = fourier_features(p, HISTORY_BANDS, MAX_FREQUENCY)  # (B, H, 9)
        parts = [self._feature(name, features[name], kind, encoded) for name in self.tokens.names]
        x, mask = (ops.concatenate(side, axis=2) for side in zip(*parts, strict=True))
        mask = ops.logical_and(mask, ops.expand_dims(clicked, -1))  # (B, H, L)
        size = (-1, ops.shape(x)[1] * ops.shape(x)[2])
        return ops.reshape(x, (*size, x.shape[-1])), ops.reshape(mask, size)

    def _feature(
        self, name: str, ids: Tensor, history: Tensor = None, ago: Tensor = None
    ) -> tuple[Tensor, Tensor]:
        """Returns tokens `(..., L, C)` with their encodings.

        Args:
            name: The feature.
            ids: `(..., L)`.
            history: Type of the history that they are of, added to the feature's.
            ago: Its encoded places `(B, H, 9)`; zeros without.
        """
        x, mask = self.tokens.tokens(name, ids)
        parts, like = [x], ops.zeros_like(x[..., :1])
        if "type" in self.encodings:
            kind = self.types[list(self.tokens.widths).index(name)]
            kind = kind if history is None else kind + history
            parts.append(ops.cast(kind, x.dtype) + like)
        if "word" in self.encodings:
            size = 2 * WORD_BANDS + 1
            if name in self.tokens.single:
                parts.append(ops.repeat(like, size, axis=-1))
            else:
                places = ops.cast(ops.arange(ops.shape(ids)[-1]), "float32")
                p = 2 * places / max(self.tokens.widths[name] - 1, 1) - 1
                encoded = fourier_features(ops.minimum(p, 1.0), WORD_BANDS, MAX_FREQUENCY)
                parts.append(ops.cast(encoded, x.dtype) + like)
        if "history" in self.encodings:
            size = 2 * HISTORY_BANDS + 1
            zeros = ops.repeat(like, size, axis=-1)
            parts.append(zeros if ago is None else ops.cast(ago[..., None, :], x.dtype) + like)
        return ops.concatenate(parts, axis=-1), mask
