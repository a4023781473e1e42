"""The iki ranker: six inputs, one score from -1 to 1."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.layers import (
    MLP,
    ReservedZeros,
    column,
    history_vectors,
    squared_relu,
    start_as_products,
)
from tfrecs.models.base import Batch, Ranker, Tensor
from tfrecs.spec import NUM_RESERVED_IDS, FeatureSpec, MultiCategorical

HISTORIES = LIKED, DISLIKED, VIEWED = "liked", "disliked", "viewed"
TAGS = "tags"  # of the candidates: each may have an instance of its own
INPUTS = ("profile", "rated", "viewed", "user_svd", "item_svd", "content")
_PRODUCTS = (("user_svd", "item_svd", 2.0), ("preference", "content", 1.0))  # how large at first


class IkiRanker(Ranker):
    """iki: likes by profile, histories of content, SVD embeddings and content, from -1 to 1.

    `profile    = relu(W tags_and_skills)`, multi-hot
    `preference = V (relu(A [h(liked), h(disliked)]), relu(B h(viewed)))`
    `score      = tanh(MLP(profile, preference, p_u, q_i, c_i))`

    h is minimum, maximum, mean and "is empty" of the content vectors (`layers.history_vectors`).
    q are the items' SVD embeddings; `p_u = sum_i r_ui q_i / s`, the fold-in, of the three
    histories with r of +1, -1 and the weight of a view. Targets are +1, -1 and 0: train with
    "mean_squared_error".

    In training a row's own item is taken out of its user's histories, and its user out of the
    item's embedding, `q_i - r_ui p_u / s`: else both would tell the label. The first of the last
    layers is of `squared_relu`, whose units start as the products `p . q` and `preference . c`
    (`layers.start_as_products`): straight pieces do not come to a product on this many ratings.

    Items enter by two tables, which `set_items` fills: new content needs no other change. A tag may
    have weights of its own (`set_instances`), which `for_tag` scores with.

    Args:
        spec: Query features MultiCategorical (tags, skills), and the Sequences "liked", "disliked"
            and "viewed", which share the candidate id's vocabulary.
        content_dim: Length of content vectors. Defaults to 64.
        embedding_dim: Length of SVD embeddings. Defaults to 32.
        extra_dim: Further dense columns of an item, beside its content. Defaults to 0.
        profile_dim: Length of the profile embedding. Defaults to 32.
        hidden: Units of the last dense layers, the squares first. Defaults to 512 and 64.
        dropout: Share of hidden units left out in training. Defaults to 0.
        without: Inputs to leave out, among `INPUTS`. Defaults to none.
        num_instances: Tags with weights of their own. Defaults to 0.
        seed: Seed of the initial weights and the dropout. Defaults to 0.

    Call arguments:
        batch: Dict of the features' tensors.

    Returns:
        Scores `(B,)`, or `(B, C)` for lists of candidates.

    Example:

    >>> from tfrecs.spec import Categorical, Sequence
    >>> spec = FeatureSpec((
    ...     MultiCategorical("user_tags", size=6),
    ...     *(Sequence(name, shared_with="item_id", size=9) for name in (LIKED, DISLIKED, VIEWED)),
    ...     Categorical("item_id", "candidate", is_id=True, size=9),
    ... ))
    >>> lists = ("user_tags", LIKED, DISLIKED, VIEWED)
    >>> batch = {"item_id": ops.array([3, 4])} | {name: ops.array([[2], [5]]) for name in lists}
    >>> batch |= {f"{name}_mask": ops.array([[True], [True]]) for name in lists}
    >>> IkiRanker(spec, content_dim=4)(batch).shape
    TensorShape([2])

    Reference:
        iki, Recommender systems with deep learning architectures; weights per tag are its.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        content_dim: int = 64,
        embedding_dim: int = 32,
        *,
        extra_dim: int = 0,
        profile_dim: int = 32,
        hidden: Sequence[int] = (512, 64),
        dropout: float = 0.0,
        without: Sequence[str] = (),
        num_instances: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name in without:
            checks.one_of("without", name, INPUTS)
        self.item = spec.candidate_id.name
        self.content_dim = content_dim
        self.used = [name for name in INPUTS if name not in without]
        self.sets = [f for f in spec.by_role("query") if isinstance(f, MultiCategorical)]
        num_items = spec.candidate_id.size or 0
        self.content = self._table(num_items, content_dim + extra_dim, seed, "content")
        self.item_svd = self._table(num_items, embedding_dim, seed + 1, "item_svd")
        self.fold_weights = self.add_weight(  # for +1, -1 and a view, by component
            shape=(3, embedding_dim), initializer="ones", trainable=False, name="fold_weights"
        )
        h = 3 * content_dim + 1
        sizes = sum((f.size or 0) - NUM_RESERVED_IDS for f in self.sets)
        widths = {"profile": (sizes, profile_dim), "rated": (2 * h, content_dim)}
        widths["viewed"] = (h, content_dim)
        self.dense = {
            name: self._dense(name, *widths[name], "relu", seed)
            for name in widths
            if name in self.used and widths[name][0]
        }
        histories = [name for name in ("rated", "viewed") if name in self.dense]
        if histories:
            width = content_dim * len(histories)
            self.preference = self._dense("preference", width, content_dim, None, seed)
        lengths = {  # of the parts of the last layers' input, in order
            "profile": profile_dim * ("profile" in self.dense),
            "preference": content_dim * bool(histories),
            **{name: embedding_dim * (name in self.used) for name in ("user_svd", "item_svd")},
            "content": (content_dim + extra_dim) * ("content" in self.used),
        }
        options: dict[str, Any] = {"dropout": dropout, "seed": seed + 10, "name": "mlp"}
        options |= {"first": squared_relu, "dtype": self.dtype_policy}
        self.mlp = MLP(sum(lengths.values()), hidden, **options)
        starts = dict(zip(lengths, np.cumsum([0, *lengths.values()]).tolist(), strict=False))
        pairs = [(starts[x], starts[y], min(lengths[x], lengths[y]), s) for x, y, s in _PRODUCTS]
        start_as_products(self.mlp.dense, pairs)
        num_tags = getattr(spec[TAGS], "size", 0) if TAGS in spec else 0
        self._add_instances(num_instances, num_tags)

    def _table(self, rows: int, dim: int, seed: int, name: str) -> Any:
        start = ReservedZeros(dim**-0.5, seed)
        return self.add_weight(
            shape=(rows, dim), initializer=start, trainable=False, autocast=False, name=name
        )

    def _dense(self, name: str, size: int, units: int, activation: Any, seed: int) -> Any:
        start = keras.initializers.GlorotUniform(seed + len(name))
        layer = keras.layers.Dense(
            units, activation, kernel_initializer=start, name=name, dtype=self.dtype_policy
        )
        layer.build((None, size))
        return layer

    def _add_instances(self, count: int, num_tags: int) -> None:
        """Makes room for the weights of `count` tags; place 0 is the global ones'."""
        self.instances: list[Any] = []
        if not count:
            return
        self.places = self.add_weight(
            shape=(num_tags,), initializer="zeros", dtype="int32", trainable=False, name="places"
        )
        for variable in list(self.trainable_variables):
            stack = self.add_weight(
                shape=(count + 1, *variable.shape),
                initializer="zeros",
                trainable=False,
                autocast=False,
                name="tags_" + variable.path.replace("/", "_"),
            )
            self.instances.append(stack)

    def set_items(
        self,
        content: np.ndarray,
        item_svd: np.ndarray,
        inverse: np.ndarray,
        view_weight: float = 0.1,
    ) -> None:
        """Replaces what is known of the items.

        Args:
            content: `(size, content_dim + extra_dim)`, by the id of the item; 0 and 1 are zeros.
            item_svd: `(size, embedding_dim)`, `V sqrt(S)`; zeros for new items.
            inverse: `(embedding_dim,)`, `1 / S`.
            view_weight: What a view without a rating counted in the SVD. Defaults to 0.1.
        """
        self.content.assign(content)
        self.item_svd.assign(item_svd)
        self.fold_weights.assign(np.outer([1, -1, view_weight], inverse))

    def set_instances(self, tags: Iterable[int], weights: Sequence[Sequence[np.ndarray]]) -> None:
        """Gives tags weights of their own; all others keep the global ones, which are copied.

        Args:
            tags: Ids of the tags.
            weights: For each tag the values of `trainable_variables`.
        """
        places = np.zeros(self.places.shape, np.int32)
        for place, tag in enumerate(tags, 1):
            places[tag] = place
        self.places.assign(places)
        own = [variable.numpy() for variable in self.trainable_variables]
        for number, stack in enumerate(self.instances):
            stack.assign(np.stack([own[number], *(values[number] for values in weights)]))

    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`, or `(B, C)` for lists of candidates."""
        ids = self._ids(batch, self.item)
        listed = len(ids.shape) == 2
        own = None if listed or not training else ids
        x = self._user(batch, own)  # (B, K)
        user_svd = self._fold_in(batch, own)
        if "user_svd" in self.used:
            x.append(user_svd)
        if listed:
            each = ops.ones_like(ids, dtype=self.compute_dtype)[..., None]  # (B, C, 1)
            x = [part[:, None] * each for part in x]
        if "item_svd" in self.used:
            rows = self._rows(self.item_svd, ids)
            x.append(rows if own is None else self._without_user(batch, own, user_svd, rows))
        if "content" in self.used:
            x.append(self._rows(self.content, ids))
        return ops.tanh(self.mlp(ops.concatenate(x, axis=-1), training=training))

    def for_tag(self, batch: Batch, tag: Tensor) -> Tensor:
        """Returns `call` by the weights of one tag, int `()`; by the global ones if it has none."""
        if not self.instances:
            return self(batch)
        place = ops.take(self.places.value, tag)
        values = [ops.take(stack.value, place, axis=0) for stack in self.instances]
        mapping = list(zip(self.trainable_variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self(batch)

    def _user(self, batch: Batch, own: Tensor | None) -> list[Tensor]:
        """Returns profile and preference of the users, each `(B, K)`."""
        out = []
        if "profile" in self.dense:
            hot = [ops.multi_hot(self._ids(batch, f.name), f.size or 0) for f in self.sets]
            known = [ops.maximum(x[:, NUM_RESERVED_IDS:], 0) for x in hot]  # of no values: -inf
            out.append(self._through("profile", known))
        ids = {name: self._history(batch, name, own) for name in HISTORIES}
        h = {}
        if "rated" in self.dense:
            vectors = [self._vectors(*ids[name]) for name in (LIKED, DISLIKED)]
            h["rated"] = self._through("rated", vectors)
        if "viewed" in self.dense:
            h["viewed"] = self._through("viewed", [self._vectors(*ids[VIEWED])])
        if h:
            out.append(self.preference(ops.concatenate(list(h.values()), axis=1)))
        return out

    def _fold_in(self, batch: Batch, own: Tensor | None) -> Tensor:
        """Returns the users' SVD embeddings `(B, K)`."""
        sums = [self._sum(*self._history(batch, name, own)) for name in HISTORIES]
        weights = ops.cast(self.fold_weights, self.compute_dtype)
        return sum(x * weights[place] for place, x in enumerate(sums))

    def _without_user(self, batch: Batch, own: Tensor, user: Tensor, rows: Tensor) -> Tensor:
        """Returns items' embeddings without what their row's user adds: `q - r p / s`."""
        met = []
        for name in HISTORIES:
            ids, mask = self._history(batch, name, None)
            same = ops.logical_and(mask, ids == own[:, None])
            met.append(ops.sum(ops.cast(same, self.compute_dtype), axis=1))
        weights = ops.stack(met, axis=1) @ ops.cast(self.fold_weights, self.compute_dtype)  # r / s
        return rows - weights * (user + weights * rows)  # `user` lacks the item, p has it

    def _through(self, name: str, parts: list[Tensor]) -> Tensor:
        return self.dense[name](ops.cast(ops.concatenate(parts, axis=1), self.compute_dtype))

    def _history(self, batch: Batch, name: str, own: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns ids `(B, L)` and where they are known, in training without the row's own item."""
        ids, mask = self._ids(batch, name), column(batch, f"{name}_mask")
        mask = ops.logical_and(mask, ids >= NUM_RESERVED_IDS)
        return ids, mask if own is None else ops.logical_and(mask, ids != own[:, None])

    def _ids(self, batch: Batch, name: str) -> Tensor:
        """Returns integers; floats come from Keras's symbolic tracing alone."""
        ids = column(batch, name)
        whole = "int" in keras.backend.standardize_dtype(ids.dtype)
        return ids if whole else ops.cast(ids, "int32")

    def _vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        return history_vectors(self._rows(self.content, ids)[..., : self.content_dim], mask)

    def _sum(self, ids: Tensor, mask: Tensor) -> Tensor:
        rows = self._rows(self.item_svd, ids)
        return ops.sum(rows * ops.cast(mask, rows.dtype)[..., None], axis=1)

    def _rows(self, table: Any, ids: Tensor) -> Tensor:
        # `.value` is what TensorFlow can gather from without a read of the whole variable
        return ops.cast(ops.take(table.value, ids, axis=0), self.compute_dtype)
