"""Implicit ALS: weighted regression on all pairs, solved in closed form."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import scipy.sparse
from keras import ops

from tfrecs import checks, scoring
from tfrecs.layers import fold_in, gramian_root, group_rows, id_embedding, row_l2, solve_half
from tfrecs.models.base import Batch, Retriever, Tensor, column
from tfrecs.models.ials_input import gathered, refuse
from tfrecs.spec import NUM_RESERVED_IDS, FeatureSpec, MultiCategorical, Sequence


class IALS(Retriever):
    """Implicit ALS: weighted regression on all pairs, in closed form; new users are folded in.

    `s_ui = p_u . q_i`, which `fit` makes the minimum of

    `sum over events w (1 - s_ui)^2 + a sum over all pairs s_ui^2
    + l2 (sum_u (n_u + a I)^v |p_u|^2 + sum_i (n_i + a U)^v |q_i|^2)`

    with w the strength of an event (the label; 1 without one), `a` the weight of a pair, n the
    sum of a row's strengths, U and I the numbers of users and items. Divided by `a`, it is Hu's
    confidence `1 + w / a` of what was observed. An epoch solves for all items, then for all users:
    no learning rate, no sampling, the same result each time. Repeated events of a pair add their
    strengths; a strength of 0 is no event; those of unknown ids are left out.

    Where the spec has a list of candidates among the query's features (a Sequence or
    MultiCategorical that shares the candidate id's vocabulary, such as a history), a query with
    such a list is folded in: its vector is the minimum for that list, the id is not read. So does
    a candidate with a list of queries. Users without events get the mean user; items without
    events get 0. More factors than users or items are allowed; those too many come out as 0.

    Args:
        spec: Features; the two ids and such lists are used.
        embedding_dim: Length of `p` and `q`. Defaults to 64.
        unobserved_weight: `a`, above 0. Defaults to 0.3.
        l2: Above 0. Defaults to 0.007.
        l2_exponent: `v`: 0 for the same `l2` for all rows. Defaults to 1.0.
        block_dim: Solve for so many factors at a time (iALS++): a wide model's epoch then takes
            less, and it needs a few more of them. `None`, the default, is exact.
        seed: Seed of the initial factors. Defaults to 0.

    Call arguments:
        batch: Dict with int ids: the query's `(B,)`, the candidate's `(B,)` or `(B, C)`.

    Returns:
        Scores `(B,)`, or `(B, C)` for lists of candidates.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True, size=4),
    ...     Categorical("item_id", "candidate", is_id=True, size=5),
    ... ))
    >>> model = IALS(spec, embedding_dim=2)
    >>> events = {"user_id": np.array([2, 2, 3]), "item_id": np.array([2, 3, 4])}
    >>> history = model.fit(events, epochs=5)
    >>> scores = model.score(model.query(events), model.candidate(events))
    >>> print(ops.round(scores, 1).numpy())
    [[0.8 0.8 0. ]
     [0.8 0.8 0. ]
     [0.  0.  0.8]]

    Reference:
        Hu, Koren, Volinsky 2008, Collaborative filtering for implicit feedback datasets; Rendle
        et al. 2022 on tuning it, arXiv:2110.14037, and on blocks, arXiv:2110.14044.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        embedding_dim: int = 64,
        *,
        unobserved_weight: float = 0.3,
        l2: float = 0.007,
        l2_exponent: float = 1.0,
        block_dim: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.positive("unobserved_weight", unobserved_weight)
        checks.positive("l2", l2)
        if block_dim is not None:
            checks.positive("block_dim", block_dim)
        self.objective = {
            "unobserved_weight": unobserved_weight,
            "l2": l2,
            "exponent": l2_exponent,
        }
        self.block_dim = block_dim
        ids = (spec.query_id, spec.candidate_id)
        self.names = tuple(feature.name for feature in ids)
        self.lists = (
            _list_of(spec, "query", ids[1].name),
            _list_of(spec, "candidate", ids[0].name),
        )
        stddev = 0.1 * embedding_dim**-0.5
        self.tables = tuple(
            id_embedding(
                feature,
                embedding_dim,
                stddev=stddev,
                seed=seed + side,
                name=("query", "candidate")[side],
                dtype=self.dtype_policy,
            )
            for side, feature in enumerate(ids)
        )
        # square roots R of the Gramians R^T R, which are then positive whatever R is
        self.roots = tuple(
            self.add_weight(
                shape=(embedding_dim, embedding_dim),
                initializer="zeros",
                trainable=False,
                autocast=False,
                name=f"{table.name}_root",
            )
            for table in self.tables
        )
        self.built = True  # `fit` does not call the model

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`, or `(B, C)` for lists of candidates."""
        query, candidate = self.query(batch), self.candidate(batch)
        if len(candidate.shape) == 3:
            return self.score(query, candidate)
        return ops.sum(query * candidate, axis=-1)

    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `p`, shape `(B, D)`."""
        return self._vectors(batch, 0)

    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns `q`, shape `(C, D)` or `(B, C, D)`."""
        return self._vectors(batch, 1)

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns dot products `(B, C)`."""
        return scoring.dot(query, candidate)

    def _vectors(self, batch: Batch, side: int) -> Tensor:
        """Returns rows of the side's table; where a list of the other side comes along, of it."""
        name, other = self.lists[side], 1 - side
        rows = self.tables[side](column(batch, self.names[side]))
        if name is None:
            return rows
        met = column(batch, name)
        known = ops.logical_and(column(batch, f"{name}_mask"), met >= NUM_RESERVED_IDS)
        counts = ops.sum(ops.cast(known, "float32"), axis=-1)
        l2 = row_l2(counts, self.tables[other].size - NUM_RESERVED_IDS, **self.objective)
        root = self.roots[other]
        gramian = self.objective["unobserved_weight"] * ops.matmul(ops.transpose(root), root)
        folded = ops.cast(fold_in(self.tables[other](met), known, gramian, l2), rows.dtype)
        return ops.where(counts[..., None] > 0, folded, rows)

    def fit(  # type: ignore[override]  # what has no meaning here is refused
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 16,
        steps_per_epoch: int | None = None,
        initial_epoch: int = 0,
        callbacks: Iterable[keras.callbacks.Callback] | None = None,
        verbose: int = 0,
        shuffle: bool = False,
        batch_size: int | None = None,
        sample_weight: Any = None,
        **others: Any,
    ) -> keras.callbacks.History:
        """Solves for the factors, by turns; callbacks are called once an epoch.

        Args:
            x: Events: a dict of int arrays `(N,)` of the two ids, or an iterable (a dataset) of
                such batches or of `(batch, strengths)` or `(batch, strengths, weights)`.
            y: Strengths `(N,)` where `x` is a dict, 0 or more; `None`, the default, for 1.
            epochs: The last epoch. Defaults to 16.
            steps_per_epoch: Batches to take of an iterable; `None` for all.
            initial_epoch: The first epoch. Defaults to 0.
            callbacks: Keras callbacks; `None`, the default, for none.
            verbose: 0 to show nothing. Defaults to 0.
            shuffle: Not read: there is no order.
            batch_size: Not read: all events are solved at once.
            sample_weight: Weights `(N,)` of the events where `x` is a dict, 0 or more; strengths
                are multiplied by them. Defaults to 1 for each.
            **others: Arguments of Keras's `fit` that mean nothing here: each is refused by name.

        Returns:
            Keras's history: "loss", the objective over the sum of the strengths.

        Raises:
            ValueError: A strength is negative or not finite, or no event is left; an argument that
                means nothing here.
        """
        del shuffle, batch_size
        refuse(others)
        events = self._matrix(*gathered((x, y, sample_weight), steps_per_epoch, self.names))
        matrices = (events, events.T.tocsr())
        groups = [group_rows(matrix) for matrix in matrices]
        totals = [np.asarray(matrix.sum(axis=1)).ravel() for matrix in matrices]
        loop = keras.callbacks.CallbackList(
            list(callbacks or ()),
            add_history=True,
            add_progbar=verbose > 0,
            model=self,
            verbose=verbose,
        )
        loop.set_params({"epochs": epochs, "steps": 1, "verbose": verbose})
        self.stop_training, self._initial_epoch = False, None
        if getattr(self, "optimizer", None) is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)  # or checkpoints would not load
        loop.on_train_begin()  # BackupAndRestore takes back weights, and says the epoch
        p, q = (ops.convert_to_numpy(t.embeddings)[NUM_RESERVED_IDS:].copy() for t in self.tables)
        p[totals[0] == 0], q[totals[1] == 0] = 0, 0
        logs: dict[str, float] = {}
        for epoch in range(self._initial_epoch or initial_epoch, epochs):
            loop.on_epoch_begin(epoch)
            solve_half(groups[1], p, q, **self.objective, block_dim=self.block_dim)
            loss = solve_half(groups[0], q, p, **self.objective, block_dim=self.block_dim)
            loss += np.sum(row_l2(totals[1], len(p), **self.objective) * np.sum(q * q, axis=1))
            self._set(p, q, totals[0])
            logs = {"loss": float(loss / totals[0].sum())}
            loop.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        loop.on_train_end(logs)
        return self.history

    def _set(self, p: np.ndarray, q: np.ndarray, totals: np.ndarray) -> None:
        """Writes factors of known ids to the weights, the mean user where there are no events."""
        mean = p[totals > 0].mean(axis=0, keepdims=True)
        known = np.where(totals[:, None] > 0, p, mean)
        nothing = np.zeros((NUM_RESERVED_IDS, q.shape[1]), q.dtype)
        tables = np.concatenate([nothing + mean, known]), np.concatenate([nothing, q])
        for side, factors in enumerate((p, q)):
            self.tables[side].embeddings.assign(tables[side])
            self.roots[side].assign(gramian_root(factors))

    def _matrix(self, users: Any, items: Any, strengths: Any) -> scipy.sparse.csr_matrix:
        """Returns the strengths `(users, items)`, of known ids alone."""
        wrong = ~(np.isfinite(strengths) & (strengths >= 0))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                checks.expected("y", "strengths of 0 or more", strengths[row], f"It is row {row}.")
            )
        kept = (users >= NUM_RESERVED_IDS) & (items >= NUM_RESERVED_IDS) & (strengths > 0)
        if not kept.any():
            expectation = f"events of known {self.names[0]} and {self.names[1]}"
            raise ValueError(checks.expected("x", expectation, f"{len(users)} others"))
        cells = (users[kept] - NUM_RESERVED_IDS, items[kept] - NUM_RESERVED_IDS)
        shape = [table.size - NUM_RESERVED_IDS for table in self.tables]
        return scipy.sparse.csr_matrix(
            (strengths[kept].astype(np.float32), cells), shape=(shape[0], shape[1])
        )


def _list_of(spec: FeatureSpec, role: Any, owner: str) -> str | None:
    """Returns the name of the list of `owner`'s ids among the features of `role`."""
    lists = [f for f in spec.by_role(role) if isinstance(f, MultiCategorical | Sequence)]
    return next((f.name for f in lists if f.shared_with == owner), None)
