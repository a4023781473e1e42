"""DCN-v2: crosses of the fields of any order, then a deep network."""

from collections.abc import Sequence
from typing import Any

import keras
import keras_rs
from keras import ops

from tfrecs.layers import MLP, EmbeddingBag
from tfrecs.models.base import Batch, Ranker, Tensor
from tfrecs.spec import FeatureSpec


class DCNv2(Ranker):
    """DCN-v2: crosses of the fields of any order, then a deep network.

    `x_l+1 = x_0 * (W_l x_l + b_l) + x_l, x_0 = [v_1, ..., v_F]; s = MLP(x_L)`

    Scores are logits: train with `BinaryCrossentropy(from_logits=True)`.
    The crosses are `keras_rs.layers.FeatureCross`; the deep network is stacked on them.

    Args:
        spec: Features; those of roles query, candidate and context are read.
        embedding_dim: Length of `v`. Defaults to 16.
        num_crosses: Number of cross layers. Defaults to 3.
        projection_dim: Rank of the cross weights `W`; `None` for full ones.
        hidden: Units of the deep network's layers. Defaults to three of 400.
        dropout: Share of hidden units left out in training. Defaults to 0.
        l2: Weight of the squared rows of a batch; see `EmbeddingBag`. Defaults to 0.
        max_rows: Ids of a feature from which on two short tables replace a long one; `None` never.
        seed: Seed of the initial weights and the dropout. Defaults to 0.

    Call arguments:
        batch: Dict of the features' tensors.

    Returns:
        Scores `(B,)`.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((Categorical("user", size=9), Categorical("item", "candidate", size=9)))
    >>> DCNv2(spec)({"user": ops.array([2, 3]), "item": ops.array([4, 5])}).shape
    TensorShape([2])

    Reference:
        Wang et al. 2021, arXiv:2008.13535.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 16,
        *,
        num_crosses: int = 3,
        projection_dim: int | None = None,
        hidden: Sequence[int] = (400, 400, 400),
        dropout: float = 0.0,
        l2: float = 0.0,
        max_rows: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        options: dict[str, Any] = {"l2": l2, "max_rows": max_rows, "dtype": self.dtype_policy}
        self.bag = EmbeddingBag(spec, embedding_dim, seed=seed, name="bag", **options)
        self.width = len(self.bag.names) * embedding_dim
        self.crosses = []
        for number in range(num_crosses):
            cross = keras_rs.layers.FeatureCross(
                projection_dim=projection_dim,
                kernel_initializer=keras.initializers.GlorotUniform(seed + 100 + number),
                name=f"cross_{number}",
                dtype=self.dtype_policy,
            )
            cross.build((None, self.width))
            # keras-rs leaves its dense layers to the first call
            if projection_dim is not None:
                cross.down_proj_dense.build((None, self.width))
            cross.dense.build((None, projection_dim or self.width))
            self.crosses.append(cross)
        self.mlp = MLP(
            self.width, hidden, dropout=dropout, seed=seed, name="mlp", dtype=self.dtype_policy
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`."""
        x0 = ops.reshape(self.bag(batch, training=training), (-1, self.width))
        x = x0
        for cross in self.crosses:
            x = cross(x0, x)
        return self.mlp(x, training=training)
