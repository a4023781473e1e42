"""Weighted regularised matrix factorization by gradient descent, with side features."""

from typing import Any

from keras import ops

from tfrecs import checks, scoring
from tfrecs.layers import EmbeddingBag
from tfrecs.models.base import Batch, Retriever, Tensor, column
from tfrecs.spec import NUM_RESERVED_IDS, FeatureSpec, batch_keys


class WRMF(Retriever):
    """Weighted regression on all pairs by gradients: the objective of IALS, with side features.

    `s_ui = p_u . q_i`, with `p` and `q` the sums of the embeddings of a side's features

    Train it on positive events with labels of 1 and `loss="mse"`. While training it adds what the
    events do not say, divided by their number N, as `IALS` has it with the exponent 1:

    `a sum over all pairs s_ui^2 + l2 (sum_u (n_u + a I) |p_u|^2 + sum_i (n_i + a U) |q_i|^2)`

    The sum over all pairs is estimated from the batch, each pair of an event's user and another
    event's item weighted by how seldom they come: `1/(B (B - 1)) sum_{b != c} s_bc^2 / (q_b q_c)`,
    which for given factors has that sum, by way of the Gramian `sum_u p_u p_u^T`, as its mean. So
    no negatives are sampled, and a step costs `B D^2`. The shares of users and items among the
    events come in the batch as `<id>_log_q` (`features.log_q`).

    Args:
        spec: Features of the query and of the candidate; crosses are left out.
        embedding_dim: Length of `p` and `q`. Defaults to 64.
        num_events: N, the number of training events.
        unobserved_weight: `a`, above 0. Defaults to 0.3.
        l2: 0 or more. Defaults to 0.007.
        seed: Seed of the initial embeddings. Defaults to 0.

    Call arguments:
        batch: Dict of the features' tensors: the query's `(B,)`, the candidate's `(B,)` or
            `(B, C)`; in training both logs of shares, float `(B,)`.

    Returns:
        Scores `(B,)`, or `(B, C)` for lists of candidates.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True, size=4),
    ...     Categorical("country", "query", size=3),
    ...     Categorical("item_id", "candidate", is_id=True, size=5),
    ... ))
    >>> model = WRMF(spec, embedding_dim=2, num_events=100)
    >>> ids = ops.array([2, 3])
    >>> model({"user_id": ids, "country": ids - 1, "item_id": ids}).shape
    TensorShape([2])

    Reference:
        Hu, Koren, Volinsky 2008, Collaborative filtering for implicit feedback datasets; Krichene
        et al. 2019, Efficient training on very large corpora via Gramian estimation,
        arXiv:1807.07187.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 64,
        *,
        num_events: int,
        unobserved_weight: float = 0.3,
        l2: float = 0.007,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.positive("num_events", num_events)
        checks.positive("unobserved_weight", unobserved_weight)
        if l2 < 0:
            raise ValueError(checks.expected("l2", "0 or more", l2))
        self.num_events = num_events
        self.unobserved_weight = unobserved_weight
        self.l2 = l2
        ids = (spec.query_id, spec.candidate_id)
        self.names = tuple(feature.name for feature in ids)
        self.sizes = tuple((feature.size or 0) - NUM_RESERVED_IDS for feature in ids)
        sides = (spec.by_role("query"), spec.by_role("candidate"))
        self.keys = [key for feature in sides[1] for key in batch_keys(feature)]
        self.bags = tuple(
            EmbeddingBag(
                FeatureSpec(features),
                embedding_dim,
                stddev=0.3 * embedding_dim**-0.5,
                crosses=False,
                seed=seed + side,
                name=("query", "candidate")[side],
                dtype=self.dtype_policy,
            )
            for side, features in enumerate(sides)
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`, or `(B, C)` for lists of candidates."""
        query, candidate = self.query(batch), self.candidate(batch)
        if len(candidate.shape) == 3:
            return self.score(query, candidate)
        scores = ops.sum(query * candidate, axis=-1)  # (B,)
        if training:
            self.add_loss(self._unobserved(batch, query, candidate, scores) / self.num_events)
        return scores

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `p`, shape `(B, D)`."""
        return ops.sum(self.bags[0](batch), axis=1)

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `q`, shape `(C, D)` or `(B, C, D)`."""
        shape = ops.shape(column(batch, self.names[1]))
        if len(shape) == 1:
            return ops.sum(self.bags[1](batch), axis=1)
        flat = {key: ops.reshape(batch[key], (-1, *ops.shape(batch[key])[2:])) for key in self.keys}
        return ops.reshape(ops.sum(self.bags[1](flat), axis=1), (*shape, -1))

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products `(B, C)`."""
        return scoring.dot(query, candidate)

    def _unobserved(self, batch: Batch, p: Tensor, q: Tensor, scores: Tensor) -> Tensor:
        """Returns the estimate of what is added to the squared errors of all events."""
        # a row's weight: how many rows of its side it stands for, times the size of the batch
        weights = [ops.exp(-column(batch, f"{name}_log_q")) for name in self.names]
        p, q, scores = (ops.cast(x, "float32") for x in (p, q, scores))
        size = ops.cast(ops.shape(scores)[0], "float32")
        grams = [
            ops.matmul(ops.transpose(x * w[:, None]), x)
            for x, w in zip((p, q), weights, strict=True)
        ]
        same = ops.sum(ops.square(scores) * weights[0] * weights[1])
        pairs = (ops.sum(grams[0] * grams[1]) - same) / (size * ops.maximum(size - 1, 1))
        norms = [ops.sum(x * x, axis=-1) for x in (p, q)]
        events = self.num_events * ops.mean(norms[0] + norms[1])
        every = [ops.mean(n * w) for n, w in zip(norms, weights, strict=True)]
        rest = self.sizes[1] * every[0] + self.sizes[0] * every[1]
        return self.unobserved_weight * (pairs + self.l2 * rest) + self.l2 * events
