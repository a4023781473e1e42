"""PNN*: a deep network on the fields, their inner products and their outer product."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tfrecs.layers import MLP, EmbeddingBag, inner_products, outer_product
from tfrecs.layers.embedding_bag import Combiner
from tfrecs.models.base import Batch, Ranker, Tensor
from tfrecs.spec import FeatureSpec


class PNNStar(Ranker):
    """PNN*: a deep network on the fields, their inner products and their outer product.

    `s = MLP(v_1, ..., v_F, (v_i . v_j)_i<j, t t^T), t = sum_i v_i`

    Scores are logits: train with `BinaryCrossentropy(from_logits=True)`. Fields and products
    go into the first layer side by side: the paper's `l_z + l_p`, its weights not factorized.

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
    >>> PNNStar(spec)({"user": ops.array([2, 3]), "item": ops.array([4, 5])}).shape
    TensorShape([2])

    Reference:
        Qu et al. 2016, arXiv:1611.00144.
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
        self.bag = EmbeddingBag(
            spec, embedding_dim, seed=seed, name="bag", dtype=self.dtype_policy, **options
        )
        number = len(self.bag.names)
        self.width = number * embedding_dim
        products = number * (number - 1) // 2 + embedding_dim**2
        self.mlp = MLP(
            self.width + products,
            hidden,
            dropout=dropout,
            seed=seed,
            name="mlp",
            dtype=self.dtype_policy,
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`."""
        v = self.bag(batch, training=training)  # (B, F, D)
        flat = ops.reshape(v, (-1, self.width))
        return self.mlp(
            ops.concatenate([flat, inner_products(v), outer_product(v)], axis=1), training=training
        )
