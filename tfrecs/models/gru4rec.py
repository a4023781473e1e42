"""GRU4Rec: the next item of a session by a GRU over its items so far."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from tfrecs import checks, scoring
from tfrecs.layers import IdEmbedding, column
from tfrecs.layers.bloom import BloomEmbedding
from tfrecs.layers.next_item import history_name, next_item_scores
from tfrecs.layers.recurrent import GatedCell, biased_table, projection, with_one, without_bias
from tfrecs.models.base import Batch, Retriever, Tensor
from tfrecs.spec import FeatureSpec

EMBEDDINGS = ("constrained", "separate", "one_hot")


class GRU4Rec(Retriever):
    """GRU4Rec: the next item of a session by a GRU over its items so far.

    `h_t = GRU(e(i_t), h_{t-1}); s_j = h_t . w_j + b_j`

    Two ways to train. By session-parallel batches (`features.from_sessions`), as published: each
    of `lanes` sessions side by side brings one event, the state is carried on from step to step
    and starts at 0 with a new session; scores are `(B, B + N)`, against the other lanes' targets
    and N sampled items; train with `SharedNegatives(Softmax())` or `BPRMax()`, by
    `AdagradMomentum`. Or by pairs of a history and its next item, `(B, B)`, with `InBatch`.

    A query is the session so far, the sequence of items; an empty one scores by `b_j` alone.

    Args:
        spec: The candidate's id and the sequence that shares its ids are used.
        units: Width of each GRU layer. Defaults to (100,).
        embedding: What the input is: "constrained" (the rows `w` of the output), "separate" (a
            table of its own) or "one_hot" (so that a row is `W e`). Defaults to "constrained".
        input_dim: Width of the table of "separate"; `None` for the first of `units`.
        dropout: Share of the state that is dropped in training. Defaults to 0.
        embedding_dropout: Share of the input that is dropped in training. Defaults to 0.
        log_q: How much of the log of an item's sampling probability is subtracted from its score in
            training; 1 for all of it. Defaults to 0.
        lanes: Sessions side by side in a session-parallel batch. Defaults to 32.
        num_bits: Rows of a `BloomEmbedding` in the place of each item table; `None` for a row an
            item.
        seed: Seed of initial weights and dropout. Defaults to 0.

    Call arguments:
        batch: Dict with the history `(B, L)` and its mask, and the candidate's ids `(B,)` or
            `(B, C)`; from `from_sessions` also `carried`, `negatives` and the logs.

    Returns:
        Scores: `(B, B)` or `(B, B + N)` for pairs, `(B, C)` for lists.

    Example:

    >>> from tfrecs.spec import Categorical, Sequence as Items
    >>> spec = FeatureSpec((
    ...     Categorical("item_id", "candidate", is_id=True, size=20),
    ...     Items("history", "query", shared_with="item_id", size=20),
    ... ))
    >>> history = ops.array([[5, 6, 7], [8, 0, 0]])
    >>> GRU4Rec(spec).query({"history": history, "history_mask": history > 0}).shape
    TensorShape([2, 101])

    Reference:
        Hidasi et al. 2016, arXiv:1511.06939; Hidasi, Karatzoglou 2018, arXiv:1706.03847.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        units: Sequence[int] = (100,),
        *,
        embedding: Literal["constrained", "separate", "one_hot"] = "constrained",
        input_dim: int | None = None,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        log_q: float = 0.0,
        lanes: int = 32,
        num_bits: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.one_of("embedding", embedding, EMBEDDINGS)
        checks.positive("lanes", lanes)
        for width in units or [0]:
            checks.positive("units", width)
        self.candidate_name, self.history_name = spec.candidate_id.name, history_name(spec)
        self.embedding, self.log_q, self.lanes = embedding, log_q, lanes
        size, dtype = spec.candidate_id.size or 0, self.dtype_policy
        checks.positive(f"size of {self.candidate_name!r}", size)
        self.items = biased_table(size, units[-1], num_bits, seed=seed, name="items", dtype=dtype)
        widths = [input_dim or units[0], *units]
        if embedding == "constrained":
            widths[0] = units[-1]
        elif embedding == "one_hot":
            widths[0] = 3 * units[0]
        if embedding != "constrained":
            self.inputs_table = _inputs_table(size, widths[0], num_bits, seed + 1, dtype)
        self.cells, self.recurrences, self.projections = [], [], []
        for number, width in enumerate(units):
            cell = GatedCell(width, seed + 10 + number, name=f"gru_{number}", dtype=dtype)
            last = number + 1 == len(units)
            layer = keras.layers.RNN(cell, return_sequences=not last, dtype=dtype)
            layer.build((None, None, 3 * width))
            self.cells.append(cell)
            self.recurrences.append(layer)
            one_hot = embedding == "one_hot" and number == 0
            name = f"projection_{number}"
            place = (widths[number], width, seed + 20 + number, name)
            self.projections.append(_same if one_hot else projection(*place, dtype=dtype))
        self.dropout = keras.layers.Dropout(dropout, seed=seed + 2, dtype=dtype)
        self.embedding_dropout = keras.layers.Dropout(embedding_dropout, seed=seed + 3, dtype=dtype)
        self.states = [
            self.add_weight(
                shape=(lanes, w), initializer="zeros", trainable=False, name=f"state_{number}"
            )
            for number, w in enumerate(units)
        ]

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B, B)`, `(B, B + N)` or, for lists of candidates, `(B, C)`."""
        query = self.query(batch, training)
        log_q = self.log_q if training else 0.0
        return next_item_scores(
            query, self.candidate, self.score, batch, self.candidate_name, log_q
        )

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `[h, 1]` after the last item, `(B, D + 1)`; after each one where carried."""
        x = self._embed(column(batch, self.history_name), training)  # (B, L, E)
        if "carried" in batch:
            return with_one(self._carry_on(x, batch["carried"], training))
        mask = column(batch, f"{self.history_name}_mask")
        for project, layer in zip(self.projections, self.recurrences, strict=True):
            x = self.dropout(layer(project(x), mask=mask), training=training)
        return with_one(x)

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `[w, b]`, `(C, D + 1)` or `(B, C, D + 1)`."""
        return self.items(column(batch, self.candidate_name))

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products `(B, C)`."""
        return scoring.dot(query, candidate)

    def advance(self, item_ids: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Goes one event further, for a server that keeps the states of its sessions.

        Args:
            item_ids: Int ids `(B,)` of the items just met.
            states: Of each layer, `(B, units)`; zeros at the beginning of a session.

        Returns:
            Query vectors `(B, D + 1)`, and the new states.
        """
        return self._step(self._embed(item_ids, False), states, False)

    def _embed(self, ids: Tensor, training: bool) -> Tensor:
        constrained = self.embedding == "constrained"
        rows = without_bias(self.items(ids)) if constrained else self.inputs_table(ids)
        return self.embedding_dropout(rows, training=training)

    def _carry_on(self, x: Tensor, carried: Tensor, training: bool) -> Tensor:
        """Returns the last state after each event of the lanes, `(B T, D)`, and keeps it."""
        states, found = [state.value for state in self.states], []
        for t, x_t in enumerate(ops.unstack(x, axis=1)):
            keep = ops.cast(carried[:, t, None], x.dtype)
            states = [keep * ops.cast(state, x.dtype) for state in states]
            _, states = self._step(x_t, states, training)
            found.append(states[-1])
        for variable, state in zip(self.states, states, strict=True):
            variable.assign(ops.cast(state, variable.dtype))
        return ops.reshape(ops.stack(found, 1), (-1, found[0].shape[-1]))

    def _step(
        self, x: Tensor, states: Sequence[Tensor], training: bool
    ) -> tuple[Tensor, list[Tensor]]:
        after = []
        for project, cell, state in zip(self.projections, self.cells, states, strict=True):
            x, _ = cell(project(x), [state])
            x = self.dropout(x, training=training)
            after.append(x)
        return with_one(x), after


def _inputs_table(size: int, dim: int, num_bits: int | None, seed: int, dtype: Any) -> Any:
    more = {"stddev": (2 / (size + dim)) ** 0.5, "seed": seed, "name": "inputs", "dtype": dtype}
    if num_bits is None:
        return IdEmbedding(size, dim, **more)
    return BloomEmbedding(size, num_bits, dim, **more)


def _same(x: Tensor) -> Tensor:
    """The projection of a one-hot input, whose rows are projected already."""
    return x
