"""Wide & Deep: a linear model with crosses and a deep network, trained together."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tfrecs.layers import MLP, EmbeddingBag
from tfrecs.layers.embedding_bag import Combiner
from tfrecs.models.base import Batch, Ranker, Tensor
from tfrecs.spec import FeatureSpec


class WideDeep(Ranker):
    """Wide & Deep: a linear model with crosses and a deep network, trained together.

    `s = sum_i w_i + MLP(v_1, ..., v_F)`

    Scores are logits: train with `BinaryCrossentropy(from_logits=True)`. The wide part
    reads every feature, the declared `Cross` features among them, the deep part all but these. Each
    has a table of its own, so that each can have an optimizer of its own in one `fit`:

    >>> import keras
    >>> from tfrecs.optimizers import LazyAdam, SparseFTRL
    >>> parts = {"wide/.*": SparseFTRL(0.1, l1_regularization_strength=1.0)}
    >>> parts = keras.optimizers.OptimizerMap(LazyAdam(), parts)
    >>> optimizer = keras.optimizers.MultiOptimizer(parts)

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
    >>> WideDeep(spec)({"user": ops.array([2, 3]), "item": ops.array([4, 5])}).shape
    TensorShape([2])

    Reference:
        Cheng et al. 2016, arXiv:1606.07792.
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
        self.wide = EmbeddingBag(spec, 1, stddev=0.0, seed=seed, name="wide", **options)
        self.deep = EmbeddingBag(
            spec, embedding_dim, crosses=False, seed=seed + 1, name="deep", **options
        )
        self.width = len(self.deep.names) * embedding_dim
        self.mlp = MLP(
            self.width, hidden, dropout=dropout, seed=seed, name="mlp", dtype=self.dtype_policy
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`."""
        wide = ops.sum(self.wide(batch, training=training), axis=(1, 2))
        v = self.deep(batch, training=training)  # (B, F, D)
        return wide + self.mlp(ops.reshape(v, (-1, self.width)), training=training)
