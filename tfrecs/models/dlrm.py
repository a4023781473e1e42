"""DLRM: dot products of embeddings and of a network on the numbers, then a network on top."""

from collections.abc import Sequence
from typing import Any

import keras_rs
from keras import ops

from tfrecs.layers import MLP, EmbeddingBag, column
from tfrecs.layers.embedding_bag import Combiner
from tfrecs.models.base import Batch, Ranker, Tensor
from tfrecs.spec import BINNED, FeatureSpec, Numeric


class DLRM(Ranker):
    """DLRM: dot products of embeddings and of a network on the numbers, then a network on top.

    `s = MLP_top(d, (v_i . v_j)_i<j), v_0 = d = MLP_bottom(numbers)`

    Scores are logits: train with `BinaryCrossentropy(from_logits=True)`.
    The dot products are `keras_rs.layers.DotInteraction`. Without numbers in the spec there is no
    bottom network, and the top one reads the products alone.

    Args:
        spec: Features; those of roles query, candidate and context are read.
        embedding_dim: Length of `v`. Defaults to 16.
        bottom: Units of the bottom network before its last layer of `embedding_dim`. Defaults to
            one of 64.
        hidden: Units of the top network's layers. Defaults to two of 400.
        dropout: Share of hidden units left out in training. Defaults to 0.
        l2: Weight of the squared rows of a batch; see `EmbeddingBag`. Defaults to 0.
        combiner: "mean", "sum" or "sqrtn" of lists of ids. Defaults to "mean".
        max_rows: Ids of a feature from which on two short tables replace a long one; `None` never.
        seed: Seed of the initial weights and the dropout. Defaults to 0.

    Call arguments:
        batch: Dict of the features' tensors.

    Returns:
        Scores `(B,)`.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((Categorical("user", size=9), Categorical("item", "candidate", size=9)))
    >>> DLRM(spec)({"user": ops.array([2, 3]), "item": ops.array([4, 5])}).shape
    TensorShape([2])

    Reference:
        Naumov et al. 2019, arXiv:1906.00091.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 16,
        *,
        bottom: Sequence[int] = (64,),
        hidden: Sequence[int] = (400, 400),
        dropout: float = 0.0,
        l2: float = 0.0,
        combiner: Combiner = "mean",
        max_rows: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        read = spec.by_role("query", "candidate", "context")
        self.numbers = [
            f.name for f in read if isinstance(f, Numeric) and f.normalize not in BINNED
        ]
        ids = spec.select(*(name for name in spec.names if name not in self.numbers))
        options: dict[str, Any] = {"combiner": combiner, "l2": l2, "max_rows": max_rows}
        self.bag = EmbeddingBag(
            ids, embedding_dim, seed=seed, name="bag", dtype=self.dtype_policy, **options
        )
        fields, size = len(self.bag.names), 0
        if self.numbers:
            fields, size = fields + 1, embedding_dim
            units = [*bottom, embedding_dim]
            self.bottom = MLP(
                len(self.numbers),
                units,
                head=False,
                seed=seed,
                name="bottom",
                dtype=self.dtype_policy,
            )
        self.dot = keras_rs.layers.DotInteraction(dtype=self.dtype_policy)
        width = size + fields * (fields - 1) // 2
        self.top = MLP(
            width, hidden, dropout=dropout, seed=seed + 100, name="top", dtype=self.dtype_policy
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`."""
        v = ops.unstack(self.bag(batch, training=training), axis=1)  # F times (B, D)
        if not self.numbers:
            return self.top(self.dot(v), training=training)
        numbers = ops.stack([column(batch, name) for name in self.numbers], axis=1)
        d = self.bottom(ops.cast(numbers, self.compute_dtype))
        return self.top(ops.concatenate([d, self.dot([d, *v])], axis=1), training=training)
