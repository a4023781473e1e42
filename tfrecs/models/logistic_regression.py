"""Logistic regression: one weight for each id and each number."""

from typing import Any

from keras import ops

from tfrecs.layers import EmbeddingBag
from tfrecs.layers.embedding_bag import Combiner
from tfrecs.models.base import Batch, Ranker, Tensor
from tfrecs.spec import FeatureSpec


class LogisticRegression(Ranker):
    """Logistic regression: one weight for each id and each number.

    `s = b + sum_i w_i`

    Scores are logits: train with `BinaryCrossentropy(from_logits=True)`.
    With `SparseFTRL` the weights of rare ids stay at zero.

    Args:
        spec: Features; those of roles query, candidate and context are read.
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
    >>> LogisticRegression(spec)({"user": ops.array([2, 3]), "item": ops.array([4, 5])}).shape
    TensorShape([2])

    Reference:
        McMahan et al. 2013, Ad click prediction: a view from the trenches.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        l2: float = 0.0,
        combiner: Combiner = "mean",
        max_rows: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        options: dict[str, Any] = {"combiner": combiner, "l2": l2, "max_rows": max_rows}
        options["dtype"] = self.dtype_policy
        self.bag = EmbeddingBag(spec, 1, stddev=0.0, seed=seed, name="bag", **options)
        self.bias = self.add_weight((), "zeros", name="bias")

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`."""
        return ops.sum(self.bag(batch, training=training), axis=(1, 2)) + self.bias
