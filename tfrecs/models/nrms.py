"""NRMS: news and users by self-attention over words and over clicked news."""

from typing import Any

import keras
from keras import ops

from tfrecs import checks, scoring
from tfrecs.layers import column
from tfrecs.layers.attention import AdditiveAttention, SelfAttention
from tfrecs.layers.item_tokens import Features, ItemTokens, encode_lists
from tfrecs.layers.next_item import history_name
from tfrecs.models.base import Batch, Retriever, Tensor
from tfrecs.spec import UNKNOWN_ID, FeatureSpec


class NRMS(Retriever):
    """NRMS: news and users by self-attention over words and over clicked news.

    `n = pool(attend(words)); u = pool(attend(n_1 .. n_H)); s = u . n`

    Words are those of the candidate's texts, one after the other, with tags and categories as
    words, or where the spec has none of them the id. Clicked news are read from a catalogue by
    their ids: call `set_catalogue` first. Train it with labels `(B, 1 + K)` and `Softmax()` on
    `features.from_impressions`, which also has each distinct news of a batch encoded once.

    Args:
        spec: The candidate's features and the history that shares its ids.
        embedding_dim: Width of a word. Defaults to 300.
        num_heads: Heads of self-attention. Defaults to 20.
        head_dim: Width of a head. Defaults to 20.
        attention_dim: Hidden units of the pooling. Defaults to 200.
        dropout: Share dropped of words and of what attends to them. Defaults to 0.2.
        mask_padding: Whether padded words and news count for nothing; `False` is what the
            implementation of the authors' group does. Defaults to `True`.
        seed: Seed of initial weights and dropout. Defaults to 0.

    Call arguments:
        batch: Dict with the history `(B, H)` and its mask, and the candidates' ids `(B,)` or
            `(B, C)`, or their features.

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
    >>> NRMS(spec, 8)(batch).shape
    TensorShape([2, 3])

    Reference:
        Wu et al. 2019, Neural News Recommendation with Multi-Head Self-Attention, EMNLP,
        doi 10.18653/v1/D19-1671.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 300,
        *,
        num_heads: int = 20,
        head_dim: int = 20,
        attention_dim: int = 200,
        dropout: float = 0.2,
        mask_padding: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for argument, value in (("num_heads", num_heads), ("head_dim", head_dim)):
            checks.positive(argument, value)
        checks.positive("attention_dim", attention_dim)
        self.history_name = history_name(spec)
        self.mask_padding = mask_padding
        width, dtype = num_heads * head_dim, self.dtype_policy
        self.tokens = ItemTokens(spec, embedding_dim, seed=seed, dtype=dtype)
        self.attention, self.user_attention = (
            SelfAttention(dim, num_heads, head_dim, seed=seed + n, dtype=dtype)
            for dim, n in ((embedding_dim, 100), (width, 200))
        )
        # a mean over one token is the token: weights of such a pool would have no gradient
        self.pool = None
        if not self.tokens.ids_alone:
            self.pool = AdditiveAttention(width, attention_dim, seed=seed + 300, dtype=dtype)
        self.user_pool = AdditiveAttention(width, attention_dim, seed=seed + 400, dtype=dtype)
        self.dropouts = [
            keras.layers.Dropout(dropout, seed=seed + n, dtype=dtype) for n in (500, 600)
        ]

    def set_catalogue(self, arrays: dict[str, Any]) -> None:
        """Fills in the words of the news that histories name; see `ItemTokens`."""
        self.tokens.set_catalogue(arrays)

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B, B)` or `(B, C)`."""
        news = self._distinct(batch, training)
        if news is None:
            return self.score(self.query(batch, training), self.candidate(batch, training))
        candidates = ops.take(news, batch[f"{self.tokens.item_id.name}_place"], axis=0)
        return self.score(self._user(batch, news), candidates)

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `u` `(B, D)`; zeros for an empty history."""
        news = self._distinct(batch, training)
        if news is not None:
            return self._user(batch, news)
        features = self.tokens.rows(column(batch, self.history_name))
        clicked = encode_lists(features, lambda x: self._news(x, training))
        return self._pooled(batch, clicked)

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `n`, `(C, D)` or `(B, C, D)`."""
        return encode_lists(self.tokens.given(batch), lambda x: self._news(x, training))

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products `(B, C)`."""
        return scoring.dot(query, candidate)

    def _distinct(self, batch: Batch, training: bool) -> Tensor | None:
        if f"{self.history_name}_place" not in batch:
            return None
        return self.tokens.distinct(batch, lambda x: self._news(x, training))

    def _user(self, batch: Batch, news: Tensor) -> Tensor:
        """Returns `u` from the vectors of the batch's distinct news."""
        places = column(batch, f"{self.history_name}_place")
        return self._pooled(batch, ops.take(news, places, axis=0))

    def _news(self, features: Features, training: bool) -> Tensor:
        """Returns `n` `(N, D)`."""
        x, mask = self.tokens(features)  # (N, L, E)
        mask = mask if self.mask_padding else None
        x = self.attention(self.dropouts[0](x, training=training), mask)
        x = self.dropouts[1](x, training=training)
        if self.pool is not None:
            return self.pool(x, mask)
        return x[:, 0] if mask is None else ops.where(mask, x[:, 0], 0.0)  # (N, 1) on (N, D)

    def _pooled(self, batch: Batch, clicked: Tensor) -> Tensor:
        """Returns `u` `(B, D)` of clicked news `(B, H, D)`; those without a token are masked."""
        mask = None
        if self.mask_padding:
            mask = ops.logical_and(
                column(batch, f"{self.history_name}_mask"),
                column(batch, self.history_name) > UNKNOWN_ID,
            )
        return self.user_pool(self.user_attention(clicked, mask), mask)
