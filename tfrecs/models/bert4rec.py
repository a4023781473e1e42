"""BERT4Rec: hidden items of a sequence by self-attention over both sides."""

from typing import Any

from keras import ops

from tfrecs import scoring
from tfrecs.layers import column
from tfrecs.layers.bloom import item_table
from tfrecs.layers.next_item import history_name, next_item_scores, sampled_scores
from tfrecs.layers.transformer import SequenceEncoder, at_last, lengths
from tfrecs.models.base import Batch, Retriever, Tensor
from tfrecs.spec import FeatureSpec


class BERT4Rec(Retriever):
    """BERT4Rec: hidden items of a sequence by self-attention over both sides.

    `h = Transformer(e(i_1) .. m .. e(i_t)); s_j = h_m . e_j`, at each mask m

    A query is the history with a mask after it. Trained on `features.from_sequences(...,
    masked=0.2)`: scores `(B L, 1 + N)` of the item that was there and of N sampled ones that the
    batch shares, with `Sampled(Softmax())`; or on pairs of a history and its next item, `(B, B)`,
    with `InBatch`.

    Args:
        spec: The candidate's id and the sequence that shares its ids are used.
        embedding_dim: Width. Defaults to 64.
        num_layers: Transformer blocks. Defaults to 2.
        num_heads: Heads of each. Defaults to 2.
        dropout: Share dropped in training. Defaults to 0.2.
        max_length: Number of positions, the mask's included. Defaults to 51.
        num_bits: As in `SASRec`.
        seed: Seed of initial weights and dropout. Defaults to 0.

    Call arguments:
        batch: Dict with the history `(B, L)` and its mask, and the candidate's ids `(B,)` or
            `(B, C)`; from `from_sequences` `(B L,)`, `masked` and `negatives`.

    Returns:
        Scores: `(B, B)` for pairs, `(B, C)` for lists, `(B L, 1 + N)` for sequences.

    Example:

    >>> from tfrecs.spec import Categorical, Sequence
    >>> spec = FeatureSpec((
    ...     Categorical("item_id", "candidate", is_id=True, size=20),
    ...     Sequence("history", "query", shared_with="item_id", size=20),
    ... ))
    >>> history = ops.array([[5, 6, 7], [8, 0, 0]])
    >>> BERT4Rec(spec).query({"history": history, "history_mask": history > 0}).shape
    TensorShape([2, 64])

    Reference:
        Sun et al. 2019, arXiv:1904.06690.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 64,
        *,
        num_layers: int = 2,
        num_heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 51,
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
        self.mask_row = self.add_weight(shape=(dim,), initializer="zeros", name="mask")
        self.encoder = SequenceEncoder(
            dim,
            num_layers=num_layers,
            num_heads=num_heads,
            max_length=max_length,
            causal=False,
            dropout=dropout,
            seed=seed + 1,
            dtype=dtype,
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B, B)`, `(B, C)` or, of sequences, `(B L, 1 + N)`."""
        if "masked" in batch:
            mask = column(batch, f"{self.history_name}_mask")
            x = self._embed(column(batch, self.history_name), batch["masked"])
            every = self.encoder(x, mask, training=training)  # (B, L, D)
            every = ops.reshape(every, (-1, every.shape[-1]))
            return sampled_scores(every, self.items, batch, self.candidate_name)
        query, name = self.query(batch, training), self.candidate_name
        return next_item_scores(query, self.candidate, self.score, batch, name, 0.0)

    def score_pairs(self, batch: Batch) -> Tensor:
        """Returns scores `(B,)` or `(B, C)`; of sequences `(B L,)`, of each position's item."""
        return self(batch)[:, 0] if "masked" in batch else super().score_pairs(batch)

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `h` at a mask that follows the last item, `(B, D)`."""
        ids, mask = column(batch, self.history_name), column(batch, f"{self.history_name}_mask")
        ids, mask = (ops.pad(x, [(0, 0), (0, 1)]) for x in (ids, mask))
        size = lengths(mask)
        last = ops.equal(ops.arange(ops.shape(mask)[1]), ops.expand_dims(size, 1))
        mask = ops.logical_or(mask, last)
        return at_last(self.encoder(self._embed(ids, last), mask, training=training), mask)

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `e`, `(C, D)` or `(B, C, D)`."""
        return self.items(column(batch, self.candidate_name))

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products `(B, C)`."""
        return scoring.dot(query, candidate)

    def _embed(self, ids: Tensor, masked: Tensor) -> Tensor:
        x = self.items(ids)
        return ops.where(ops.expand_dims(masked, -1), ops.cast(self.mask_row, x.dtype), x)
