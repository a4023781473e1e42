"""Matrix factorization: explicit ratings as two biases and a dot product."""

from typing import Any

from keras import ops

from tfrecs import checks, scoring
from tfrecs.layers import id_embedding, ids_of_rows
from tfrecs.models.base import Batch, Retriever, Tensor, column
from tfrecs.spec import FeatureSpec


class MatrixFactorization(Retriever):
    """Matrix factorization: explicit ratings as two biases and a dot product.

    `r_ui = mu + b_u + b_i + p_u . q_i`

    Train it with `loss="mse"`: with the L2 term, the objective is Koren's sum over the ratings
    `(r - r_ui)^2 + l2 (|p_u|^2 + |q_i|^2 + b_u^2 + b_i^2)`, divided by their number. The L2 term
    concerns the rows in the batch only, so a frequent id is pulled more often, and a row absent
    from the batch costs nothing; it is added while training alone.

    An unknown or missing id starts with a bias and factors of 0: unless training saw such ids, an
    unknown user gets `mu + b_i`, an unknown item `mu + b_u`.

    Args:
        spec: Features; the two ids are used (`spec.query_id`, `spec.candidate_id`).
        embedding_dim: Length of `p` and `q`. Defaults to 64.
        mean: `mu`, the mean of the training ratings, in their unit. Defaults to 0.
        l2: Weight of the L2 term. Defaults to 0.02.
        seed: Seed of the initial factors. Defaults to 0.

    Call arguments:
        batch: Dict with int ids: the query's `(B,)`, the candidate's `(B,)` or `(B, C)`.

    Returns:
        Ratings `(B,)`, or `(B, C)` for lists of candidates.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True, size=4),
    ...     Categorical("item_id", "candidate", is_id=True, size=5),
    ... ))
    >>> model = MatrixFactorization(spec, embedding_dim=2, mean=3.5)
    >>> batch = {"user_id": ops.array([1, 2]), "item_id": ops.array([3, 4])}
    >>> print(model(batch).numpy().round(1))
    [3.5 3.5]
    >>> model.query(batch).shape  # the biases ride along: [p, 1, b_u + mu]
    TensorShape([2, 4])

    Reference:
        Koren, Bell, Volinsky 2009, Matrix factorization techniques for recommender systems;
        Rendle, Zhang, Koren 2019 on tuning it, arXiv:1905.01395.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 64,
        *,
        mean: float = 0.0,
        l2: float = 0.02,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if l2 < 0:
            raise ValueError(checks.expected("l2", "0 or more", l2))
        self.query_name = spec.query_id.name
        self.candidate_name = spec.candidate_id.name
        self.mean = mean
        self.l2 = l2
        sides = {"query": spec.query_id, "candidate": spec.candidate_id}
        tables = {
            f"{side}_{name}": id_embedding(
                feature,
                dim,
                stddev=stddev,
                seed=seed + offset,
                name=f"{side}_{name}",
                dtype=self.dtype_policy,
            )
            for offset, (side, feature) in enumerate(sides.items())
            # small, so that the biases are learned first: products start below 0.01 of a rating
            for name, dim, stddev in (("factors", embedding_dim, 0.02), ("bias", 1, 0.0))
        }
        self.query_factors = tables["query_factors"]
        self.query_bias = tables["query_bias"]
        self.candidate_factors = tables["candidate_factors"]
        self.candidate_bias = tables["candidate_bias"]

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns ratings `(B,)`, or `(B, C)` for lists of candidates."""
        users, items = ids_of_rows(batch, self.query_name), column(batch, self.candidate_name)
        if len(items.shape) == 2:
            users = ops.expand_dims(users, -1)  # (B, 1)
        p, q = self.query_factors(users), self.candidate_factors(items)  # (B, [C,] K)
        b_u, b_i = self.query_bias(users), self.candidate_bias(items)  # (B, [C,] 1)
        if training and self.l2:
            for rows in (p, q, b_u, b_i):
                self.add_loss(self.l2 * ops.mean(ops.sum(ops.square(rows), axis=-1)))
        return self.mean + ops.squeeze(b_u + b_i, -1) + ops.sum(p * q, axis=-1)

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `[p, 1, b_u + mu]`, shape `(B, K + 2)`."""
        users = ids_of_rows(batch, self.query_name)
        p, b_u = self.query_factors(users), self.query_bias(users)
        return ops.concatenate([p, ops.ones_like(b_u), b_u + self.mean], axis=-1)

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `[q, b_i, 1]`, shape `(C, K + 2)`, or `(B, C, K + 2)` for lists."""
        items = column(batch, self.candidate_name)
        q, b_i = self.candidate_factors(items), self.candidate_bias(items)
        return ops.concatenate([q, b_i, ops.ones_like(b_i)], axis=-1)

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products, which are the ratings `(B, C)`."""
        return scoring.dot(query, candidate)

    def set_factors(
        self,
        query_factors: Tensor,
        candidate_factors: Tensor,
        query_bias: Tensor | None = None,
        candidate_bias: Tensor | None = None,
    ) -> None:
        """Sets the tables, for instance to a truncated SVD `U sqrt(S)`, `V sqrt(S)`.

        Args:
            query_factors: Float array `(size, K)`, the rows of the reserved ids included.
            candidate_factors: Float array `(size, K)`.
            query_bias: Float array `(size,)`; `None` leaves the biases as they are.
            candidate_bias: Float array `(size,)`; `None` leaves the biases as they are.
        """
        self.query_factors.embeddings.assign(query_factors)
        self.candidate_factors.embeddings.assign(candidate_factors)
        if query_bias is not None:
            self.query_bias.embeddings.assign(ops.expand_dims(query_bias, -1))
        if candidate_bias is not None:
            self.candidate_bias.embeddings.assign(ops.expand_dims(candidate_bias, -1))
