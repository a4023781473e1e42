"""Contextual GRU4Rec: a GRU over a session whose events carry contexts."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfrecs import checks, scoring
from tfrecs.layers import IdEmbedding, column
from tfrecs.layers.next_item import history_name, next_item_scores
from tfrecs.layers.recurrent import GatedCell, biased_table, projection, with_one, without_bias
from tfrecs.models.base import Batch, Retriever, Tensor
from tfrecs.spec import Categorical, Feature, FeatureSpec, Numeric
from tfrecs.spec import Sequence as Items

MODES = ("input", "output", "recurrence")


class ContextualGRU4Rec(Retriever):
    """Contextual GRU4Rec: a GRU over a session whose events carry contexts.

    `h_t = GRU([e(i_t), c_t], (1 + R c_t) * h_{t-1}); s_j = (h_t * (1 + O d_t)) . w_j + b_j`

    `c_t` joins the embedded contexts of an event: the spec's sequences beside the history, aligned
    with it (an event's type, the hour, the gap since the one before as a bucket, which is
    `datasets.gap_buckets`). `d_t` joins those of the next event that are known when it is asked
    for: the spec's Categorical (and binned Numeric) features of role context. Each of the three
    places can be switched off; without any it is GRU4Rec with one layer. Contexts start with next
    to no effect on state and output.

    Trained as `GRU4Rec`, by session-parallel batches or pairs.

    Args:
        spec: The candidate's id, the history, contexts.
        units: Width of the GRU. Defaults to 100.
        modes: Where contexts enter, of "input", "recurrence" and "output". Defaults to all.
        context_dim: Width of a context's embedding. Defaults to 8.
        dropout: Share of the state that is dropped in training. Defaults to 0.
        log_q: As in `GRU4Rec`. Defaults to 0.
        lanes: Sessions side by side in a session-parallel batch. Defaults to 32.
        num_bits: As in `GRU4Rec`.
        seed: Seed of initial weights and dropout. Defaults to 0.

    Call arguments:
        batch: As of `GRU4Rec`, with the contexts: sequences `(B, L)`, others `(B,)`.

    Returns:
        Scores: `(B, B)` or `(B, B + N)` for pairs, `(B, C)` for lists.

    Example:

    >>> spec = FeatureSpec((
    ...     Categorical("item_id", "candidate", is_id=True, size=20),
    ...     Items("history", "query", shared_with="item_id", size=20),
    ...     Items("history_kind", "context", size=5),
    ...     Categorical("device", "context", size=4),
    ... ))
    >>> history = ops.array([[5, 6, 7], [8, 0, 0]])
    >>> batch = {"history": history, "history_mask": history > 0, "history_kind": history // 3,
    ...          "device": ops.array([2, 3])}
    >>> ContextualGRU4Rec(spec, 16).query(batch).shape
    TensorShape([2, 17])

    Reference:
        Smirnova, Vasile 2017, arXiv:1706.07684; Beutel et al. 2018, Latent cross (1 + context).
    """

    def __init__(
        self,
        spec: FeatureSpec,
        units: int = 100,
        *,
        modes: Sequence[str] = MODES,
        context_dim: int = 8,
        dropout: float = 0.0,
        log_q: float = 0.0,
        lanes: int = 32,
        num_bits: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for mode in modes:
            checks.one_of("modes", mode, MODES)
        for argument, value in (("units", units), ("context_dim", context_dim), ("lanes", lanes)):
            checks.positive(argument, value)
        self.candidate_name, self.history_name = spec.candidate_id.name, history_name(spec)
        self.modes, self.log_q, self.context_dim = tuple(modes), log_q, context_dim
        self.lanes = lanes
        size, dtype = spec.candidate_id.size or 0, self.dtype_policy
        checks.positive(f"size of {self.candidate_name!r}", size)
        self.items = biased_table(size, units, num_bits, seed=seed, name="items", dtype=dtype)
        past, coming = contexts(spec, self.history_name)
        self.past = past if {"input", "recurrence"} & set(modes) else ()
        self.coming = coming if "output" in modes else ()
        self.tables = {
            feature.name: IdEmbedding(
                feature.size, context_dim, stddev=0.1, seed=seed + 30 + n, dtype=dtype
            )
            for n, feature in enumerate((*self.past, *self.coming))
        }
        width = context_dim * len(self.past)
        joined = units + (width if "input" in modes else 0)
        self.projection = projection(joined, units, seed + 1, "projection", dtype=dtype)
        self.cell = GatedCell(units, seed + 2, name="gru", dtype=dtype)
        gates = 4 if self.past and "recurrence" in modes else 3
        self.recurrence = keras.layers.RNN(self.cell, dtype=dtype)
        self.recurrence.build((None, None, gates * units))
        self.state_gate = self._gate("state_gate", width, units) if gates == 4 else None
        width = context_dim * len(self.coming)
        self.output_gate = self._gate("output_gate", width, units) if width else None
        self.dropout = keras.layers.Dropout(dropout, seed=seed + 3, dtype=dtype)
        self.state = self.add_weight(
            shape=(lanes, units), initializer="zeros", trainable=False, name="state"
        )

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B, B)`, `(B, B + N)` or, for lists of candidates, `(B, C)`."""
        query, name = self.query(batch, training), self.candidate_name
        log_q = self.log_q if training else 0.0
        return next_item_scores(query, self.candidate, self.score, batch, name, log_q)

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `[h (1 + O d), 1]` `(B, D + 1)`."""
        x = without_bias(self.items(column(batch, self.history_name)))  # (B, L, D)
        c = [self.tables[f.name](column(batch, f.name)) for f in self.past]
        joined = ops.concatenate([x, *c], -1) if c and "input" in self.modes else x
        x = self.projection(joined)  # (B, L, 3D)
        if self.state_gate is not None:
            x = ops.concatenate([x, self.state_gate(ops.concatenate(c, -1))], -1)
        if "carried" in batch:
            h = self._carry_on(x, batch["carried"], training)
        else:
            h = self.recurrence(x, mask=column(batch, f"{self.history_name}_mask"))
            h = self.dropout(h, training=training)
        if self.output_gate is not None:
            d = [self.tables[f.name](column(batch, f.name)) for f in self.coming]
            h *= 1 + self.output_gate(ops.concatenate(d, -1))
        return with_one(h)

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `[w, b]`, `(C, D + 1)` or `(B, C, D + 1)`."""
        return self.items(column(batch, self.candidate_name))

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products `(B, C)`."""
        return scoring.dot(query, candidate)

    def _carry_on(self, x: Tensor, carried: Tensor, training: bool) -> Tensor:
        state, found = ops.cast(self.state.value, x.dtype), []
        for t, x_t in enumerate(ops.unstack(x, axis=1)):
            h, _ = self.cell(x_t, [state * ops.cast(carried[:, t, None], x.dtype)])
            state = self.dropout(h, training=training)
            found.append(state)
        self.state.assign(ops.cast(state, self.state.dtype))
        return ops.reshape(ops.stack(found, 1), (-1, state.shape[-1]))

    def _gate(self, name: str, width: int, units: int) -> keras.layers.Dense:
        start = keras.initializers.RandomNormal(stddev=0.01, seed=width)
        layer = keras.layers.Dense(
            units, kernel_initializer=start, name=name, dtype=self.dtype_policy
        )
        layer.build((None, width))
        return layer


def contexts(spec: FeatureSpec, history: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Returns the contexts of the events so far, and those of the event that is asked for.

    Raises:
        ValueError: If a feature of role context has no ids.
    """
    features: tuple[Feature, ...] = spec.by_role("context")
    for feature in features:
        if not isinstance(feature, (Items, Categorical, Numeric)) or not feature.size:
            remedy = "Take it as a Categorical or a Sequence, or with normalize='quantile'."
            raise ValueError(
                checks.expected(f"feature {feature.name!r}", "one with ids", feature, remedy)
            )
    beside = (*spec.by_role("query"), *features)
    past = tuple(f for f in beside if isinstance(f, Items) and f.name != history)
    return past, tuple(f for f in features if not isinstance(f, Items))
