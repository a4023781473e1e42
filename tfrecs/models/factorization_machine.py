"""Factorization machine: a weight for each feature, an inner product for each pair."""

from typing import Any

from keras import ops

from tfrecs.layers import EmbeddingBag, pairwise_sum
from tfrecs.layers.embedding_bag import Combiner
from tfrecs.models.base import Batch, Ranker, Tensor
from tfrecs.spec import FeatureSpec


class FactorizationMachine(Ranker):
    """Factorization machine: a weight for each feature, an inner product for each pair.

    `s = b + sum_i w_i + sum_i<j v_i . v_j`

    Scores are logits: train with `BinaryCrossentropy(from_logits=True)`.
    The row of an id holds `w` and `v`; a number x enters as `x w` and `x v`.

    Args:
        spec: Features; those of roles query, candidate and context are read.
        embedding_dim: Length of `v`. Defaults to 16.
        l2: Weight of the squared rows of a batch; see `EmbeddingBag`. Defaults to 0.
        combiner: "mean", "sum" or "sqrtn" of lists of ids. Defaults to "mean".
        max_rows: Ids of a feature from which on two short tables replace a long one; `None` never.
        seed: Seed of the initial weights. Defaults to 0.

    Call arguments:
        batch: Dict of the features' tensors.

    Returns:
        Scores `(B,)`.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((Categorical("user", size=9), Categorical("item", "candidate", size=9)))
    >>> FactorizationMachine(spec)({"user": ops.array([2, 3]), "item": ops.array([4, 5])}).shape
    TensorShape([2])

    Reference:
        Rendle 2010, Factorization machines, ICDM.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 16,
        *,
        l2: float = 0.0,
        combiner: Combiner = "mean",
        max_rows: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        options: dict[str, Any] = {"combiner": combiner, "l2": l2, "max_rows": max_rows}
        self.bag = EmbeddingBag(
            spec, embedding_dim + 1, seed=seed, name="bag", dtype=self.dtype_policy, **options
        )
        self.bias = self.add_weight((), "zeros", name="bias")

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`."""
        w, v = ops.split(self.bag(batch, training=training), [1], axis=-1)  # (B, F, 1), (B, F, D)
        return ops.sum(w, axis=(1, 2)) + pairwise_sum(v) + self.bias
