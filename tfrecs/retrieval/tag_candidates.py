"""Candidates of one tag for one user, from four sources, in the graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import tensorflow as tf

from tfrecs import checks
from tfrecs.retrieval.diverse import farthest_points

SOURCES = ("neighbours", "users", "popular", "recent", "diverse")  # bits 1, 2, 4, 8, 16
NEIGHBOURS, USERS, POPULAR, RECENT, DIVERSE = (1 << bit for bit in range(len(SOURCES)))


@dataclass(frozen=True)
class CandidateOptions:
    """How far each source reaches.

    Args:
        radius: Least cosine between an item and a liked one. Defaults to 0.5.
        neighbours: Most items about each liked one. Defaults to 50.
        liked: Last liked items whose neighbourhoods are taken. Defaults to 20.
        users: Most similar users that are asked. Defaults to 30.
        recent_of_user: Last items of each of them. Defaults to 20.
        users_of_item: Last users of an item that are compared. Defaults to 100.
        popular: Most popular items of the tag. Defaults to 50.
        recent: Newest items of the tag. Defaults to 20.
        pool: Most candidates in all. Defaults to 500.
        diverse: Items far from each other, where no source has any. Defaults to 20.
    """

    radius: float = 0.5
    neighbours: int = 50
    liked: int = 20
    users: int = 30
    recent_of_user: int = 20
    users_of_item: int = 100
    popular: int = 50
    recent: int = 20
    pool: int = 500
    diverse: int = 20

    def __post_init__(self) -> None:
        if not -1 <= self.radius <= 1:
            raise ValueError(checks.expected("radius", "a cosine, from -1 to 1", self.radius))
        for name in ("liked", "users_of_item", "recent_of_user", "pool"):
            checks.positive(name, getattr(self, name))


class TagCandidates(tf.Module):
    """Finds candidates among the items of a tag.

    | source | which items of the tag |
    | --- | --- |
    | neighbours | within a cosine radius of one of the user's last likes, in content space |
    | users | lately met by the users whose ratings and views are most like the user's (cosine) |
    | popular | with the most events |
    | recent | the newest |
    | diverse | far from each other, from a random start: where no source has any candidate |

    "popular" takes items with events alone, and a tag none of whose items has an event has no
    "recent" for a user without a history, who is shown "diverse" ones. Items of the user's own
    histories are left out. All of it is one graph, the same in Python and in a SavedModel. Items
    are ids from 2 on, as a `FeatureTransform` gives them.

    Args:
        content: float32 variable or tensor `(C + 2, D)`, content by id.
        tags: For each tag id, the item ids that have it, int arrays.
        ratings: `(U, C + 2)` sparse: +1, -1, or the weight of a view.
        order: `(U, C + 2)` sparse like `ratings`: when, above 0, larger is later; `None` by place.
        newest: float `(C + 2,)`, larger is newer; `None` for no "recent".
        options: How far each source reaches.
    """

    def __init__(
        self,
        content: tf.Tensor,
        tags: Sequence[np.ndarray],
        ratings: scipy.sparse.csr_matrix,
        *,
        order: scipy.sparse.csr_matrix | None = None,
        newest: np.ndarray | None = None,
        options: CandidateOptions | None = None,
    ) -> None:
        super().__init__(name="tag_candidates")
        self.content, self.options = content, options or CandidateOptions()
        options = self.options
        self.num_users, self.num_items = ratings.shape
        events = np.diff(ratings.tocsc().indptr)
        self.popularity = _held(events, "float32")
        by_events = [tag[np.argsort(-events[tag], kind="stable")] for tag in tags]
        self.tag_starts = _held(np.cumsum([0, *map(len, tags)]))
        self.tag_items = _held(np.concatenate([*by_events, []]))
        places = [_places(tag, newest) for tag in by_events]
        self.newest = _held(np.concatenate([*places, []]))
        users, items, values, times = _cells(ratings, order)
        norms = np.sqrt(np.bincount(users, values**2, self.num_users))
        values = values / np.maximum(norms, 1e-9)[users]
        kept = _last(items, times, options.users_of_item)
        self.item_starts = _held(
            np.cumsum([0, *np.bincount(items[kept], minlength=self.num_items)])
        )
        self.item_users, self.item_values = _held(users[kept]), _held(values[kept], "float32")
        kept = _last(users, times, options.recent_of_user)
        theirs = np.zeros((self.num_users, options.recent_of_user), np.int32)
        counts = np.bincount(users[kept], minlength=self.num_users)
        firsts = np.repeat(np.cumsum(counts) - counts, counts)
        theirs[users[kept], np.arange(len(kept)) - firsts] = items[kept]
        self.user_items = _held(theirs)

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self,
        tag: tf.Tensor,
        liked: tf.Tensor,
        disliked: tf.Tensor,
        viewed: tf.Tensor,
        view_weight: float = 0.1,
        seed: int | tf.Tensor = 0,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the candidates of one user.

        Args:
            tag: int32 `()`, id of the tag.
            liked: int32 `(L,)`, ids of items, the last ones last; 0 and 1 are passed over.
            disliked: The same.
            viewed: The same.
            view_weight: What a view counts in the cosine. Defaults to 0.1.
            seed: Of the start of "diverse". Defaults to 0.

        Returns:
            Ids int32 `(M,)`, the most promising first, and the bits of their sources int32 `(M,)`.
        """
        histories = [tf.boolean_mask(ids, ids > 1) for ids in (liked, disliked, viewed)]
        met = tf.concat(histories, axis=0)
        values = tf.repeat([1.0, -1.0, view_weight], [tf.size(ids) for ids in histories])
        tag = tf.where(tag < tf.size(self.tag_starts) - 1, tag, 0)
        start, stop = self.tag_starts[tag], self.tag_starts[tag + 1]
        items, newest = self.tag_items[start:stop], self.newest[start:stop]  # (T,)
        events = tf.gather(self.popularity, items)
        near = self._near(items, histories[0])
        votes = self._votes(items, met, values)
        place = tf.range(tf.size(items))
        known = (tf.size(met) > 0) | tf.reduce_any(events > 0)
        found = [
            near > 0,
            votes > 0,
            (place < self.options.popular) & (events > 0),
            (newest < self.options.recent) & known,
        ]
        bits = tf.add_n([tf.cast(x, tf.int32) * (1 << bit) for bit, x in enumerate(found)])
        seen = tf.scatter_nd(met[:, None], tf.ones_like(met), [self.num_items])
        unseen = tf.gather(seen, items) == 0
        bits = tf.where(unseen, bits, 0)
        length = tf.cast(tf.maximum(tf.size(items), 1), tf.float32)
        promise = near + tf.math.divide_no_nan(votes, tf.reduce_max(votes))
        promise += 1e-3 * (1 - tf.cast(place, tf.float32) / length)
        chosen = tf.where(bits > 0)[:, 0]
        count = tf.minimum(tf.size(chosen), self.options.pool)
        order = tf.math.top_k(tf.gather(promise, chosen), count).indices
        chosen = tf.cast(tf.gather(chosen, order), tf.int32)
        far = tf.cond(
            tf.size(chosen) > 0, lambda: chosen[:0], lambda: self._far(items, unseen, seed)
        )
        bits = tf.concat([tf.gather(bits, chosen), tf.fill([tf.size(far)], DIVERSE)], axis=0)
        return tf.gather(items, tf.concat([chosen, far], axis=0)), bits

    def _near(self, items: tf.Tensor, liked: tf.Tensor) -> tf.Tensor:
        """Returns the cosine to the nearest liked item, 0 outside of all neighbourhoods `(T,)`."""
        options = self.options
        liked = liked[-options.liked :]
        rows = tf.math.l2_normalize(self._content(items), axis=1)
        centres = tf.math.l2_normalize(self._content(liked), axis=1)
        cosine = tf.matmul(centres, rows, transpose_b=True)  # (L, T)
        count = tf.minimum(tf.size(items), options.neighbours)
        last = tf.math.top_k(cosine, count).values[:, -1:]  # of each neighbourhood
        last = tf.cond(count > 0, lambda: last, lambda: tf.fill([tf.size(liked), 1], 2.0))
        inside = (cosine >= options.radius) & (cosine >= last) & (cosine > 0)
        best = tf.reduce_max(tf.where(inside, cosine, 0.0), axis=0)
        return tf.maximum(best, 0.0)  # without any liked item: of nothing, -inf

    def _content(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(self.content, ids), tf.float32)

    def _votes(self, items: tf.Tensor, met: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the cosines of the most similar users who met each item `(T,)`."""
        starts = tf.gather(self.item_starts, met)
        lengths = tf.gather(self.item_starts, met + 1) - starts
        places = tf.ragged.range(starts, starts + lengths)
        users = tf.gather(self.item_users, places.flat_values)
        parts = tf.gather(self.item_values, places.flat_values) * tf.repeat(values, lengths)
        norm = tf.maximum(tf.norm(values), 1e-9)
        cosine = tf.math.unsorted_segment_sum(parts, users, self.num_users) / norm  # (U,)
        best = tf.math.top_k(cosine, min(self.options.users, self.num_users))
        theirs = tf.gather(self.user_items, best.indices)  # (K, R), 0 for none
        weights = tf.maximum(best.values, 0.0)[:, None] * tf.ones_like(theirs, tf.float32)
        ids = tf.reshape(theirs, [-1])
        votes = tf.math.unsorted_segment_sum(tf.reshape(weights, [-1]), ids, self.num_items)
        return tf.gather(votes, items)

    def _far(self, items: tf.Tensor, unseen: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns places of items far from each other, from a start by `seed`."""
        places = tf.cast(tf.where(unseen)[:, 0], tf.int32)
        size = tf.size(places)
        seeds = tf.stack([tf.cast(seed, tf.int32), tf.size(items)])
        start = tf.random.stateless_uniform([], seeds, 0, tf.maximum(size, 1), tf.int32)
        rows = self._content(tf.gather(items, places))
        found = tf.cond(
            size > 0,
            lambda: farthest_points(rows, self.options.diverse, start),
            lambda: tf.zeros([0], tf.int32),
        )
        return tf.gather(places, found)


def _held(values: np.ndarray, dtype: str = "int32") -> tf.Variable:
    """Returns what a SavedModel keeps beside its graph, whose size is limited."""
    return tf.Variable(np.asarray(values, dtype), trainable=False)


def _places(items: np.ndarray, newest: np.ndarray | None) -> np.ndarray:
    """Returns how many items are newer than each; the largest number where nothing is known."""
    if newest is None:
        return np.full(len(items), np.iinfo(np.int32).max)
    places = np.empty(len(items), np.int64)
    places[np.argsort(-newest[items], kind="stable")] = np.arange(len(items))
    return places


def _cells(
    ratings: scipy.sparse.csr_matrix, order: scipy.sparse.csr_matrix | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns row, column, value and time of each rating, by row."""
    ratings = ratings.tocsr().sorted_indices()
    rows = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
    times = np.arange(ratings.nnz) if order is None else order.tocsr().sorted_indices().data
    return rows, ratings.indices.astype(np.int64), ratings.data.astype(np.float64), times


def _last(groups: np.ndarray, times: np.ndarray, most: int) -> np.ndarray:
    """Returns the cells of each group that are the last `most`, by group, the last first."""
    order = np.lexsort((-times, groups))
    counts = np.bincount(groups) if len(groups) else np.zeros(0, np.int64)
    firsts = np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.arange(len(order)) - firsts < most]
