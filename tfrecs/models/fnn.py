"""FNN: a deep network on the weights and vectors of a trained factorization machine."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tfrecs import checks
from tfrecs.layers import MLP, EmbeddingBag
from tfrecs.layers.embedding_bag import Combiner
from tfrecs.models.base import Batch, Ranker, Tensor
from tfrecs.models.factorization_machine import FactorizationMachine
from tfrecs.spec import FeatureSpec


class FNN(Ranker):
    """FNN: a deep network on the weights and vectors of a trained factorization machine.

    `s = MLP(b, w_1, v_1, ..., w_F, v_F)`

    Scores are logits: train with `BinaryCrossentropy(from_logits=True)`.
    The paper's two steps: train a `FactorizationMachine` of the same spec and width, hand it to
    `start_from`, and train on.

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
    >>> FNN(spec)({"user": ops.array([2, 3]), "item": ops.array([4, 5])}).shape
    TensorShape([2])

    Reference:
        Zhang, Du, Wang 2016, arXiv:1601.02376.
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
            spec, embedding_dim + 1, seed=seed, name="bag", dtype=self.dtype_policy, **options
        )
        width = len(self.bag.names) * (embedding_dim + 1)
        self.width = width + 1  # the bias is an input too
        self.bias = self.add_weight((), "zeros", name="bias")
        self.mlp = MLP(
            self.width, hidden, dropout=dropout, seed=seed, name="mlp", dtype=self.dtype_policy
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`."""
        fields = self.bag(batch, training=training)  # (B, F, 1 + D)
        flat = ops.reshape(fields, (-1, self.width - 1))
        bias = ops.ones_like(flat[:, :1]) * ops.cast(self.bias, flat.dtype)
        return self.mlp(ops.concatenate([bias, flat], axis=1), training=training)

    def start_from(self, machine: FactorizationMachine) -> None:
        """Takes bias, weights and vectors of a trained factorization machine.

        Args:
            machine: Of the same spec, width and `max_rows`.

        Raises:
            ValueError: If its tables have other shapes.
        """
        own, given = ([tuple(w.shape) for w in m.bag.weights] for m in (self, machine))
        if own != given:
            remedy = "Build both with the same spec, embedding_dim and max_rows."
            raise ValueError(checks.expected("machine", f"of tables {own}", given, remedy))
        self.bag.set_weights(machine.bag.get_weights())
        self.bias.assign(machine.bias)
