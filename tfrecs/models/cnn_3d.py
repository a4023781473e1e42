"""3D-CNN: the next item by convolutions over the events, features and characters of a session."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks, scoring
from tfrecs.layers import column
from tfrecs.layers.next_item import history_name, next_item_scores
from tfrecs.layers.recurrent import BiasedEmbedding, with_one
from tfrecs.layers.transformer import lengths
from tfrecs.models.base import Batch, Retriever, Tensor
from tfrecs.spec import FeatureSpec

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789 -_.,;:!?'\"/\\|@#$%^&*~+=<>()[]{}"


class CNN3D(Retriever):
    """3D-CNN: the next item by convolutions over the events, features and characters of a session.

    `x[t, f, c] = one-hot of character c of text f of event t`, zeros where there is none
    `h = relu(W flatten(pool(relu(conv(pool(relu(conv(x)))))))); s_j = h . w_j + b_j`

    Items are what their texts say: identifier, name, category, each up to `num_characters`
    characters. Until `describe` gives them, the one text of an item is its number. The last
    `max_length` events are read, the last one at the same place whatever the length. With a
    target that is the item put in the cart it predicts that, as published; with the next item,
    the next click. Train it on pairs of a history and its target, `(B, B)`, with `InBatch`.

    Args:
        spec: The candidate's id and the sequence that shares its ids are used.
        embedding_dim: Width of `h` and of an item's row. Defaults to 64.
        filters: Filters of each convolution, 3 x 3 x 3, after which characters are pooled by two.
            Defaults to (32, 64).
        num_texts: Texts of an item. Defaults to 1.
        num_characters: Characters read of each. Defaults to 16.
        max_length: Events read. Defaults to 8.
        dropout: Share of `h` that is dropped in training. Defaults to 0.
        seed: Seed of initial weights and dropout. Defaults to 0.

    Call arguments:
        batch: Dict with the history `(B, L)` and its mask, and the candidate's ids `(B,)` or
            `(B, C)`.

    Returns:
        Scores: `(B, B)` for pairs, `(B, C)` for lists.

    Example:

    >>> from tfrecs.spec import Categorical, Sequence as Items
    >>> spec = FeatureSpec((
    ...     Categorical("item_id", "candidate", is_id=True, size=20),
    ...     Items("history", "query", shared_with="item_id", size=20),
    ... ))
    >>> history = ops.array([[5, 6, 7], [8, 0, 0]])
    >>> CNN3D(spec).query({"history": history, "history_mask": history > 0}).shape
    TensorShape([2, 65])

    Reference:
        Tuan, Phuong 2017, 3D convolutional networks for session-based recommendation with content
        features, RecSys.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 64,
        *,
        filters: Sequence[int] = (32, 64),
        num_texts: int = 1,
        num_characters: int = 16,
        max_length: int = 8,
        dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        wanted = {"num_texts": num_texts, "num_characters": num_characters}
        for argument, value in {**wanted, "max_length": max_length}.items():
            checks.positive(argument, value)
        self.candidate_name, self.history_name = spec.candidate_id.name, history_name(spec)
        self.max_length, dtype = max_length, self.dtype_policy
        size = spec.candidate_id.size or 0
        checks.positive(f"size of {self.candidate_name!r}", size)
        self.items = BiasedEmbedding(size, embedding_dim, seed=seed, name="items", dtype=dtype)
        self.characters = self.add_weight(
            shape=(size, num_texts, num_characters),
            initializer="zeros",
            trainable=False,
            dtype="int32",
            name="characters",
        )
        self.describe([[str(number)] * num_texts for number in range(size)])
        layers, channels, width = keras.layers, len(ALPHABET), num_characters
        self.convolutions = []
        for number, count in enumerate(filters):
            start = keras.initializers.HeNormal(seed=seed + 10 + number)
            layer = layers.Conv3D(
                count,
                3,
                padding="same",
                kernel_initializer=start,
                name=f"conv_{number}",
                dtype=dtype,
            )
            layer.build((None, max_length, num_texts, width, channels))
            self.convolutions.append(layer)
            channels, width = count, -(-width // 2)
        start = keras.initializers.GlorotUniform(seed=seed + 1)
        self.dense = layers.Dense(embedding_dim, "relu", kernel_initializer=start, dtype=dtype)
        self.dense.build((None, max_length * num_texts * width * channels))
        self.dropout = layers.Dropout(dropout, seed=seed + 2, dtype=dtype)

    def describe(self, texts: Sequence[Sequence[str]]) -> None:
        """Sets the texts of all items; they are kept with the weights.

        Args:
            texts: `num_texts` texts for each id, the reserved ones included, in order of ids.

        Raises:
            ValueError: If their number is another one.
        """
        size, num_texts, length = self.characters.shape
        if len(texts) != size or any(len(own) != num_texts for own in texts):
            expectation = f"{num_texts} texts for each of {size} ids"
            raise ValueError(checks.expected("texts", expectation, f"{len(texts)} ids"))
        codes = [[character_codes(text, length) for text in own] for own in texts]
        self.characters.assign(np.array(codes, np.int32))

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B, B)` or, for lists of candidates, `(B, C)`."""
        query, name = self.query(batch, training), self.candidate_name
        return next_item_scores(query, self.candidate, self.score, batch, name, 0.0)

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `[h, 1]` `(B, D + 1)`."""
        ids, mask = self._latest(batch)
        codes = ops.take(self.characters.value, ids, axis=0)  # (B, T, F, L)
        codes = ops.where(mask[:, :, None, None], codes, 0)
        x = ops.one_hot(codes - 1, len(ALPHABET), dtype=self.compute_dtype)  # zeros where code is 0
        for convolution in self.convolutions:
            x = _pooled(ops.relu(convolution(x)))
        h = self.dense(ops.reshape(x, (-1, int(np.prod(x.shape[1:])))))
        return with_one(self.dropout(h, training=training))

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `[w, b]`, `(C, D + 1)` or `(B, C, D + 1)`."""
        return self.items(column(batch, self.candidate_name))

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products `(B, C)`."""
        return scoring.dot(query, candidate)

    def _latest(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the last `max_length` ids `(B, T)`, the last one at the end, and their mask."""
        ids = ops.cast(column(batch, self.history_name), "int32")
        mask = ops.cast(column(batch, f"{self.history_name}_mask"), "bool")
        places = lengths(mask)[:, None] + ops.arange(-self.max_length, 0)[None, :]  # (B, T)
        there = ops.maximum(places, 0)
        seen = ops.logical_and(places >= 0, ops.take_along_axis(mask, there, axis=1))
        return ops.take_along_axis(ids, there, axis=1), seen


def character_codes(text: str, length: int) -> list[int]:
    """Returns the places of a text's characters in the alphabet, from 1; 0 for others and the rest.

    Example:

    >>> character_codes("Ca!~Ö", 6)
    [3, 1, 44, 58, 0, 0]
    """
    codes = [ALPHABET.find(character) + 1 for character in text.lower()[:length]]
    return codes + [0] * (length - len(codes))


def _pooled(x: Tensor) -> Tensor:
    """Returns the larger of each two characters `(B, T, F, L, C)`, none of them below zero."""
    x = ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, x.shape[3] % 2), (0, 0)))
    return ops.maximum(x[:, :, :, ::2], x[:, :, :, 1::2])
