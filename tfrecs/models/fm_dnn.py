"""FM & DNN: a factorization machine and a deep network with embeddings of their own."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tfrecs.layers import MLP, EmbeddingBag, pairwise_sum
from tfrecs.layers.embedding_bag import Combiner
from tfrecs.models.base import Batch, Ranker, Tensor
from tfrecs.spec import FeatureSpec


class FMDNN(Ranker):
    """FM & DNN: a factorization machine and a deep network with embeddings of their own.

    `s = sum_i w_i + sum_i<j v_i . v_j + MLP(u_1, ..., u_F)`

    Scores are logits: train with `BinaryCrossentropy(from_logits=True)`.
    Wide & Deep with a factorization machine for the wide part: DeepFM, but `u` is not `v`.

    Args:
        spec: Features; those of roles query, candidate and context are read.
        embedding_dim: Length of `v`. Defaults to 16.
        hidden: Units of the deep network's layers. Defaults to three of 400.
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
    >>> FMDNN(spec)({"user": ops.array([2, 3]), "item": ops.array([4, 5])}).shape
    TensorShape([2])

    Reference:
        Guo et al. 2017, section 3 (the peer "FM & DNN"), arXiv:1703.04247.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 16,
        *,
        hidden: Sequence[int] = (400, 400, 400),
        dropout: float = 0.0,
        l2: float = 0.0,
        combiner: Combiner = "mean",
        max_rows: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        options: dict[str, Any] = {"combiner": combiner, "l2": l2, "max_rows": max_rows}
        options["dtype"] = self.dtype_policy
        self.machine = EmbeddingBag(spec, embedding_dim + 1, seed=seed, name="machine", **options)
        self.deep = EmbeddingBag(spec, embedding_dim, seed=seed + 1, name="deep", **options)
        self.width = len(self.deep.names) * embedding_dim
        self.mlp = MLP(
            self.width, hidden, dropout=dropout, seed=seed, name="mlp", dtype=self.dtype_policy
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`."""
        w, v = ops.split(self.machine(batch, training=training), [1], axis=-1)
        u = self.deep(batch, training=training)  # (B, F, D)
        deep = self.mlp(ops.reshape(u, (-1, self.width)), training=training)
        return ops.sum(w, axis=(1, 2)) + pairwise_sum(v) + deep
