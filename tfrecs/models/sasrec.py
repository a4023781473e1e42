"""SASRec: the next item by self-attention over the items so far."""

from typing import Any

from keras import ops

from tfrecs import scoring
from tfrecs.layers import column
from tfrecs.layers.bloom import item_table
from tfrecs.layers.next_item import history_name, next_item_scores, sampled_scores
from tfrecs.layers.transformer import SequenceEncoder, at_last
from tfrecs.models.base import Batch, Retriever, Tensor
from tfrecs.spec import FeatureSpec


class SASRec(Retriever):
    """SASRec: the next item by self-attention over the items so far.

    `h = Transformer(sqrt(D) e(i_1) .. sqrt(D) e(i_t)), each seeing those before; s_j = h_t . e_j`

    Trained on sequences (`features.from_sequences`), every position predicts its next item: scores
    `(B L, 1 + N)` of it and of N sampled items that the batch shares; with `Sampled(Softmax())`,
    or `Sampled(GBCE(...))` as gSASRec. As published, a sequence's own items are no negatives of it
    (`exclude_seen=True`). Or on pairs of a history and its next item, `(B, B)`, with `InBatch`.

    Args:
        spec: The candidate's id and the sequence that shares its ids are used.
        embedding_dim: Width. Defaults to 64.
        num_layers: Transformer blocks. Defaults to 2.
        num_heads: Heads of each. Defaults to 2.
        dropout: Share dropped in training. Defaults to 0.2.
        max_length: Number of positions. Defaults to 50.
        num_bits: Rows of a `BloomEmbedding` that takes the place of the item table; `None` for
            a row each.
        seed: Seed of initial weights and dropout. Defaults to 0.

    Call arguments:
        batch: Dict with the history `(B, L)` and its mask, and the candidate's ids `(B,)` or
            `(B, C)`; from `from_sequences` `(B L,)` and `negatives`, perhaps `negatives_seen`.

    Returns:
        Scores: `(B, B)` for pairs, `(B, C)` for lists, `(B L, 1 + N)` for sequences.

    Example:

    >>> from tfrecs.spec import Categorical, Sequence
    >>> spec = FeatureSpec((
    ...     Categorical("item_id", "candidate", is_id=True, size=20),
    ...     Sequence("history", "query", shared_with="item_id", size=20),
    ... ))
    >>> history = ops.array([[5, 6, 7], [8, 0, 0]])
    >>> SASRec(spec).query({"history": history, "history_mask": history > 0}).shape
    TensorShape([2, 64])

    Reference:
        Kang, McAuley 2018, arXiv:1808.09781; Petrov, Macdonald 2023 (gSASRec), arXiv:2308.07192.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 64,
        *,
        num_layers: int = 2,
        num_heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 50,
        num_bits: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.candidate_name, self.history_name = spec.candidate_id.name, history_name(spec)
        dim, dtype = embedding_dim, self.dtype_policy
        self.items = item_table(
            spec.candidate_id, dim, num_bits, seed=seed, name="items", dtype=dtype
        )
        self.encoder = SequenceEncoder(
            dim,
            num_layers=num_layers,
            num_heads=num_heads,
            max_length=max_length,
            dropout=dropout,
            seed=seed + 1,
            dtype=dtype,
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B, B)`, `(B, C)` or, of sequences, `(B L, 1 + N)`."""
        if "negatives" in batch:
            every = self._encode(batch, training)[0]
            every = ops.reshape(every, (-1, every.shape[-1]))  # (B L, D)
            return sampled_scores(every, self.items, batch, self.candidate_name)
        query, name = self.query(batch, training), self.candidate_name
        return next_item_scores(query, self.candidate, self.score, batch, name, 0.0)

    def score_pairs(self, batch: Batch) -> Tensor:
        """Returns scores `(B,)` or `(B, C)`; of sequences `(B L,)`, of each position's item."""
        return self(batch)[:, 0] if "negatives" in batch else super().score_pairs(batch)

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `h_t` `(B, D)`; zeros for an empty history."""
        return at_last(*self._encode(batch, training))

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `e`, `(C, D)` or `(B, C, D)`."""
        return self.items(column(batch, self.candidate_name))

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products `(B, C)`."""
        return scoring.dot(query, candidate)

    def _encode(self, batch: Batch, training: bool) -> tuple[Tensor, Tensor]:
        rows = self.items(column(batch, self.history_name))
        x = rows * rows.shape[-1] ** 0.5  # as large as what the blocks add to it
        mask = column(batch, f"{self.history_name}_mask")
        return self.encoder(x, mask, training=training), mask
