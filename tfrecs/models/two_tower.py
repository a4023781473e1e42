"""Two-tower matrix factorization: implicit feedback as a dot product of two id embeddings."""

import math
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfrecs import checks, scoring
from tfrecs.layers import (
    CountMinSketch,
    PopularitySampler,
    among_known,
    id_embedding,
    ids_of_rows,
    mask_accidental_hits,
    mask_scores,
    sample_uniform,
)
from tfrecs.models.base import Batch, Retriever, Tensor, column
from tfrecs.spec import NUM_RESERVED_IDS, PADDING_ID, UNKNOWN_ID, FeatureSpec

NEGATIVES = ("in_batch", "uniform", "popularity", "mixed", "given")


class TwoTower(Retriever):
    """Two-tower matrix factorization: implicit feedback as a dot product of two id embeddings.

    `s_ui = p_u . q_i`, or `cos(p_u, q_i) / temperature`

    Trained on positive pairs alone. The scores of a batch of pairs depend on where the negatives
    come from:

    - "in_batch": `(B, B)`, every query against every candidate of the batch. Candidates come as
      often as they are popular, so while training `log q` of a candidate, the log of its share of
      the events, is subtracted from its column. Train with `InBatch(Softmax())`, the positive ids
      as labels. With `num_negatives` the batch falls into groups of `num_negatives + 1`
      consecutive rows, `(B, num_negatives + 1)`: a large batch then costs no more a row than a
      small one.
    - "uniform": `(B, 1 + N)`, the positive in column 0, then `num_negatives` candidates drawn
      uniformly, anew each step (the same ones whenever `training=False`). Train with
      `Sampled(BPR())` or `Sampled(Sigmoid())`.
    - "popularity": the same, drawn by the popularity that `sampler.set_counts` is given. While
      training `log q` is subtracted from every column, which a softmax needs and BPR does not:
      there, set `log_q=False`.
    - "mixed": `(B, B + N)`, the candidates of the batch, then `num_negatives` uniform ones that
      all rows share, so that items without events are negatives too. `log q` is subtracted from
      both. Train with `SharedNegatives(Softmax())`.
    - "given": `(B, 1 + N)`, the negatives of an exposure log: the batch's
      `<candidate id>_negatives`, int `(B, N)`, where 0 is padding.

    A sampled negative that is the positive itself scores -1e9, as padding does; others that the
    user took too are negatives, unless `exclude_known`. For the hardest
    among many negatives, wrap the loss: `Sampled(Hardest(BPR(), 5))`.

    Args:
        spec: Features; the two ids are used (`spec.query_id`, `spec.candidate_id`).
        embedding_dim: Length of `p` and `q`. Defaults to 64.
        negatives: One of the above. Defaults to "in_batch".
        num_negatives: Negatives that are drawn. `None`, the default, is 1, and with "in_batch" the
            rest of the batch; else the batch is a multiple of one more.
        exclude_known: Whether drawn negatives that the row's user knows score -1e9 as well: the
            batch's `<candidate id>_known`, int `(B, K)`, as `features.with_known` adds it. For
            "uniform", "popularity" and "mixed". Defaults to `False`.
        log_q: Whether to correct scores in training: in-batch ones by the batch's
            `<candidate id name>_log_q`, float `(B,)`, natural log, or with "sketch" by a
            `CountMinSketch` that counts the candidates as they come. Defaults to `True`.
        temperature: Divides the cosine, above 0; `None` for the plain dot product.
        l2: Weight of the squared norms of the batch's vectors, summed over the vectors of a row
            and averaged over rows; added while training alone. Defaults to 0.
        seed: Seed of the initial embeddings and of the negatives. Defaults to 0.

    Call arguments:
        batch: Dict with int ids: the query's `(B,)`; the candidate's `(B,)` for pairs, or
            `(B, C)` to score just those.

    Returns:
        Scores: `(B, B)` or `(B, 1 + N)` for pairs, which `predict` gives as `(B,)`; `(B, C)` for
        lists of candidates.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True, size=10),
    ...     Categorical("item_id", "candidate", is_id=True, size=20),
    ... ))
    >>> batch = {"user_id": ops.array([2, 3, 4]), "item_id": ops.array([5, 6, 7])}
    >>> TwoTower(spec)(batch).shape
    TensorShape([3, 3])
    >>> TwoTower(spec, negatives="uniform", num_negatives=4)(batch).shape
    TensorShape([3, 5])

    Reference:
        Rendle et al. 2009 (BPR), arXiv:1205.2618; Yi et al. 2019, Sampling-bias-corrected neural
        modeling for large corpus item recommendations (log q); Rendle et al. 2020,
        arXiv:2005.09683.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 64,
        *,
        negatives: Literal["in_batch", "uniform", "popularity", "mixed", "given"] = "in_batch",
        num_negatives: int | None = None,
        exclude_known: bool = False,
        log_q: bool | Literal["sketch"] = True,
        temperature: float | None = None,
        l2: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.one_of("negatives", negatives, NEGATIVES)
        checks.one_of("log_q", log_q, (True, False, "sketch"))
        if num_negatives is not None:
            checks.positive("num_negatives", num_negatives)
        if temperature is not None:
            checks.positive("temperature", temperature)
        if exclude_known and negatives in ("in_batch", "given"):
            remedy = "Negatives of 'uniform', 'popularity' or 'mixed' are drawn."
            raise ValueError(checks.expected("exclude_known", "False", negatives, remedy))
        if l2 < 0:
            raise ValueError(checks.expected("l2", "0 or more", l2))
        self.query_name = spec.query_id.name
        self.candidate_name = spec.candidate_id.name
        self.negatives = negatives
        self.num_negatives = num_negatives
        self.exclude_known = exclude_known
        self.log_q = log_q
        self.temperature = temperature
        self.l2 = l2
        self.seed = seed
        # the length of a row starts near 1, whatever its dimension
        stddev, dtype = embedding_dim**-0.5, self.dtype_policy
        self.query_embedding = id_embedding(
            spec.query_id, embedding_dim, stddev=stddev, seed=seed, name="query", dtype=dtype
        )
        self.candidate_embedding = id_embedding(
            spec.candidate_id,
            embedding_dim,
            stddev=stddev,
            seed=seed + 1,
            name="candidate",
            dtype=dtype,
        )
        self.num_candidates = self.candidate_embedding.size
        if negatives in ("uniform", "mixed") and self.num_candidates <= NUM_RESERVED_IDS:
            name = self.candidate_name
            raise ValueError(checks.expected(f"size of {name!r}", "3 or more", self.num_candidates))
        if negatives == "popularity":
            self.sampler = PopularitySampler(self.num_candidates, name="sampler")
        if log_q == "sketch":
            self.sketch = CountMinSketch(name="sketch")
        self.seed_generator = keras.random.SeedGenerator(seed + 2)

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores by `negatives`, or for lists of candidates `(B, C)`."""
        items = column(batch, self.candidate_name)
        paired = len(items.shape) == 1
        if paired and self.negatives != "in_batch":
            drawn = self._draw(batch, items, training)  # (B, N), or shared by all rows (N,)
            own = ops.cast(items, drawn.dtype)
            own = own if self.negatives == "mixed" else ops.expand_dims(own, -1)
            batch = {**batch, self.candidate_name: ops.concatenate([own, drawn], axis=-1)}
        query, candidate = self.query(batch), self.candidate(batch)
        if training and self.l2:
            norms = ops.sum(ops.square(query)) + ops.sum(ops.square(candidate))
            self.add_loss(self.l2 * norms / ops.cast(ops.shape(items)[0], norms.dtype))
        corrected = training and bool(self.log_q)
        if paired and self.negatives == "in_batch":
            return self._in_batch(batch, query, candidate, corrected)
        scores = self.score(query, candidate)  # (B, C)
        return self._sampled(batch, scores, items, corrected) if paired else scores

    def _draw(self, batch: Batch, items: Tensor, training: bool) -> Tensor:
        """Returns the ids of negatives, int32 `(B, N)`, or of shared ones `(N,)`."""
        if self.negatives == "given":
            return column(batch, f"{self.candidate_name}_negatives")
        number = self.num_negatives or 1
        seed = self.seed_generator if training else self.seed
        if self.negatives == "mixed":
            return sample_uniform((number,), self.num_candidates, seed)
        shape = (ops.shape(items)[0], number)
        if self.negatives == "popularity":
            return self.sampler.sample(shape, seed)
        return sample_uniform(shape, self.num_candidates, seed)

    def _sampled(self, batch: Batch, scores: Tensor, items: Tensor, corrected: bool) -> Tensor:
        """Returns scores `(B, 1 + N)` or `(B, B + N)`, corrected, accidental hits masked."""
        ids = batch[self.candidate_name]
        if corrected and self.negatives == "popularity":
            log_q = ops.take(self.sampler.log_q, ids)
            scores = scores - ops.cast(log_q, scores.dtype)
        if self.negatives == "mixed":
            if corrected:
                uniform = -math.log(self.num_candidates - NUM_RESERVED_IDS)
                drawn = ops.shape(ids)[0] - ops.shape(items)[0]
                log_q = ops.concatenate([self._log_q(batch, items), ops.full((drawn,), uniform)])
                scores = scores - ops.cast(log_q, scores.dtype)
            rows, columns = ops.arange(ops.shape(items)[0]), ops.arange(ops.shape(ids)[0])
            others = ops.where(ops.equal(rows[:, None], columns), -1, ids)  # its own column is none
            if self.exclude_known:
                scores = mask_scores(scores, self._known(batch, others))
            return mask_accidental_hits(scores, others, items)
        negatives = mask_accidental_hits(scores[:, 1:], ids[:, 1:], ids[:, 0])
        if self.exclude_known:
            negatives = mask_scores(negatives, self._known(batch, ids[:, 1:]))
        if self.negatives == "given":
            negatives = mask_scores(negatives, ids[:, 1:] == PADDING_ID)
        return ops.concatenate([scores[:, :1], negatives], axis=-1)  # (B, 1 + N)

    def _known(self, batch: Batch, ids: Tensor) -> Tensor:
        """Returns which of the ids `(B, N)` their row's user knows."""
        key = f"{self.candidate_name}_known"
        if key not in batch:
            remedy = "Add it: features.with_known(dataset, users, items, ...)."
            raise ValueError(checks.expected("batch", f"a dict with {key!r}", [*batch], remedy))
        return among_known(ids, batch[key])

    def _in_batch(self, batch: Batch, query: Tensor, candidate: Tensor, corrected: bool) -> Tensor:
        """Returns scores `(B, B)`, or of groups of S rows `(B, S)`."""
        items = batch[self.candidate_name]
        if self.num_negatives is None:
            scores = self.score(query, candidate)  # (B, B)
            if corrected:
                scores = scores - ops.cast(self._log_q(batch, items), scores.dtype)
            return scores
        size, dim = self.num_negatives + 1, query.shape[-1]
        if query.shape[0] is not None and query.shape[0] % size:
            remedy = "Choose another batch size, and drop the remainder."
            expectation = f"of a multiple of num_negatives + 1 = {size} rows"
            raise ValueError(checks.expected("batch", expectation, query.shape[0], remedy))
        query = ops.reshape(query, (-1, size, dim))
        candidate = ops.reshape(candidate, (-1, size, dim))
        scores = ops.einsum("gsd,gtd->gst", query, candidate)  # (B / S, S, S)
        if corrected:
            scores -= ops.reshape(ops.cast(self._log_q(batch, items), scores.dtype), (-1, 1, size))
        return ops.reshape(scores, (-1, size))

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `p`, or with a temperature `p / (|p| temperature)`, shape `(B, D)`."""
        p = self.query_embedding(ids_of_rows(batch, self.query_name))
        return p if self.temperature is None else ops.normalize(p, axis=-1) / self.temperature

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `q`, or with a temperature `q / |q|`, shape `(C, D)` or `(B, C, D)`."""
        q = self.candidate_embedding(column(batch, self.candidate_name))
        return q if self.temperature is None else ops.normalize(q, axis=-1)

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products `(B, C)`."""
        return scoring.dot(query, candidate)

    def set_unknown_query(self, ids: Tensor) -> None:
        """Gives an unknown query the mean of known ones, so that it gets what most like.

        `p_unknown = mean of p_u`, or with a temperature of `p_u / |p_u|`

        Before, an unknown query scores every candidate 0. Call it after training; missing ids
        (padding) are left as they are.

        Args:
            ids: Int ids `(N,)` of the queries to average, one an event to weigh the active ones
                more, as the training events have them.

        Raises:
            ValueError: If none of `ids` is known.
        """
        ids, counts = np.unique(ops.convert_to_numpy(ids), return_counts=True)
        known = ids >= NUM_RESERVED_IDS
        if not known.any():
            raise ValueError(checks.expected("ids", "with a known one among them", ids.tolist()))
        table = self.query_embedding.embeddings
        p = ops.take(table.value, ids[known], axis=0)  # (M, D)
        if self.temperature is not None:
            p = ops.normalize(p, axis=-1)
        weights = ops.cast(counts[known, None] / counts[known].sum(), p.dtype)
        mean = ops.sum(p * weights, axis=0, keepdims=True)
        table.assign(ops.concatenate([table[:UNKNOWN_ID], mean, table[UNKNOWN_ID + 1 :]]))

    def _log_q(self, batch: Batch, items: Tensor) -> Tensor:
        """Returns the log of the share of each of the batch's candidates, `(B,)`."""
        if self.log_q == "sketch":
            return self.sketch(items, training=True)
        key = f"{self.candidate_name}_log_q"
        if key not in batch:
            raise ValueError(
                f"`batch` must have {key!r}, the log of each candidate's share of the events, "
                f"because log_q=True. Received: {sorted(batch)}. "
                "Add it to the training batches, or set log_q=False."
            )
        return batch[key]
