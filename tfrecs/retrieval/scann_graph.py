"""ScaNN inside a graph: its configuration, its search, and what a SavedModel holds of it."""

import threading
import uuid
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecs.retrieval.graph import check_k
from tfrecs.retrieval.scann_ops import scann_ops
from tfrecs.retrieval.tuning import Plan

SPLIT_FROM = 32  # queries in a batch from which two searches at a time pay


def scann_config(vectors: np.ndarray, num_leaves: int, similarity: str, k: int) -> str:
    """Returns the configuration of a searcher.

    Args:
        vectors: `(C, D)` float32.
        num_leaves: Partitions; 1 scores every candidate.
        similarity: "dot", "cosine" (of vectors of unit length) or "squared_l2".
        k: Number of results when a search does not say.
    """
    count, dim = vectors.shape
    distance = "squared_l2" if similarity == "squared_l2" else "dot_product"
    builder = scann_ops().builder(vectors, min(k, count), distance)
    if num_leaves == 1:
        return str(builder.score_brute_force().create_config())
    # k-means drops partitions with fewer rows of its sample than min_partition_size: with the
    # default of 50 and 60 rows a partition, the tree of 1 M x 64 was useless. k-means++, since
    # random centres differ from build to build.
    builder.tree(
        num_leaves,
        1,
        training_sample_size=min(count, max(100_000, 64 * num_leaves)),
        min_partition_size=max(1, min(10, count // num_leaves // 4)),
        random_init=False,
    )
    # 4 bits for each dimension rather than two: 1 M x 64, recall@100 0.98 with 200 candidates
    # reordered rather than 800, and 1.3 times the queries/s, for 64 bytes a candidate.
    # ScaNN keeps its global top-n to 256 blocks.
    block = 1 if dim <= 256 else 2
    threshold = float("nan")
    if distance == "dot_product":  # 0.2 is for vectors of unit length
        threshold = 0.2 * float(np.sqrt(np.square(vectors).sum(1).mean()))
    builder.score_ah(block, anisotropic_quantization_threshold=threshold)
    return str(builder.reorder(max(2 * k, 100)).create_config())


class Searcher:
    """A searcher in this process, gone when this object is.

    ScaNN's operations keep a searcher under a name until someone destroys it; without a name
    of its own a second searcher would be the first one again.

    Args:
        create: ScaNN's operation that makes it.
        *args: What that operation takes.
    """

    def __init__(self, create: Callable[..., tf.Tensor], *args: tf.Tensor) -> None:
        named = partial(create, shared_name=f"tfrecs-scann-{uuid.uuid4()}")
        self.handle = tf.function(named, autograph=False)(*args)
        weakref.finalize(self, destroy, self.handle).atexit = False


def destroy(handle: tf.Tensor) -> None:
    """Frees the searcher's memory, also when Python collects it while a graph is traced."""
    free = partial(tf.raw_ops.DestroyResourceOp, resource=handle, ignore_lookup_error=True)
    if tf.executing_eagerly():
        free()
    else:  # another thread is outside the graph
        threading.Thread(target=free).start()


class ScannModule(tf.Module):
    """ScaNN for a SavedModel: the nine tensors a searcher is restored from, as raw variables.

    The searcher is made at the first call of a session and kept; all signatures of a session
    share it, by a name made of its contents.

    Args:
        tensors: What `scann_to_tensors` gives.
        shared_name: Name of the searcher in a session.
        plan: How to search.
        similarity: Similarity of the index.
    """

    def __init__(
        self, tensors: list[tf.Tensor], shared_name: str, plan: Plan, similarity: str
    ) -> None:
        super().__init__()
        self.tensors = [tf.Variable(t, trainable=False, validate_shape=False) for t in tensors]
        self._shared_name = f"tfrecs-scann-{shared_name}"
        self._plan = plan
        self._similarity = similarity

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self, queries: tf.Tensor, k: tf.Tensor, exclude_positions: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.control_dependencies([check_k(k, self._plan.num_candidates)]):
            k = tf.identity(k)
        *state, dataset = self.tensors
        handle = scann_ops().tensors_to_scann(dataset, *state, shared_name=self._shared_name)
        return search_scann(  # type: ignore[no-any-return]
            handle,
            queries,
            k,
            exclude_positions,
            plan=self._plan,
            similarity=self._similarity,
        )


@tf.autograph.experimental.do_not_convert
def search_scann(
    handle: tf.Tensor,
    queries: tf.Tensor,
    k: Any,
    exclude_positions: tf.Tensor | None,
    *,
    plan: Plan,
    similarity: str,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Searches a ScaNN searcher; over-fetches by the longest row of exclusions.

    Args:
        handle: The searcher's resource.
        queries: `(B, D)` float32.
        k: Number of results, int or scalar.
        exclude_positions: `(B, E)` int32 padded with -1, or None.
        plan: How to search.
        similarity: As for the index.

    Returns:
        `scores` and `positions`, `(B, k)`.
    """
    whole = tf.reduce_all(tf.math.is_finite(queries), axis=-1, keepdims=True)  # (B, 1)
    queries = tf.where(whole, queries, 0.0)
    if similarity == "cosine":
        queries = tf.math.divide_no_nan(queries, tf.norm(queries, axis=-1, keepdims=True))
    k = tf.cast(k, tf.int32)
    if exclude_positions is None:
        scores, positions = fetch(handle, queries, k, plan, similarity)
    else:
        inside = (exclude_positions >= 0) & (exclude_positions < plan.num_candidates)
        counts = tf.reduce_sum(tf.cast(inside, tf.int32), axis=-1)
        extra = tf.maximum(tf.reduce_max(counts), 0)  # the maximum of no row is the least int
        wanted = tf.minimum(k + extra, plan.num_candidates)
        scores, positions = fetch(handle, queries, wanted, plan, similarity)
        scores, positions = tf.cond(
            extra > 0,
            lambda: drop_excluded(scores, positions, exclude_positions, k),
            lambda: (scores, positions),
        )
    found = whole & (scores > float("-inf"))
    scores = tf.where(found, scores, float("-inf"))
    return scores, tf.where(found, positions, -1)


def fetch(
    handle: tf.Tensor, queries: tf.Tensor, wanted: tf.Tensor, plan: Plan, similarity: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns exactly `wanted` neighbours of each query.

    Leaves and reordering grow with `wanted` above the plan's k. Where the partitions searched
    hold too few candidates, all are searched.
    """
    scale = tf.maximum(1.0, tf.cast(wanted, tf.float32) / plan.k)

    def scaled(value: int, limit: int) -> tf.Tensor:
        return tf.cast(tf.minimum(tf.math.ceil(value * scale), float(limit)), tf.int32)

    leaves = scaled(plan.leaves_to_search, plan.num_leaves)
    reorder = tf.maximum(scaled(plan.reorder, plan.num_candidates), wanted)
    positions, distances = search_split(handle, queries, wanted, reorder, leaves)
    if plan.num_leaves > 1:
        filled = tf.reduce_sum(tf.cast(distances == distances, tf.int32), axis=-1)  # not NaN
        short = tf.reduce_any(filled < wanted)
        positions, distances = tf.cond(
            short,
            lambda: search_split(handle, queries, wanted, reorder, plan.num_leaves),
            lambda: (positions, distances),
        )
    scores = -distances if similarity == "squared_l2" else distances + 0.0  # -0.0 becomes 0.0
    return scores, positions


def search_split(
    handle: tf.Tensor, queries: tf.Tensor, wanted: Any, reorder: Any, leaves: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Searches a batch as two halves at a time.

    ScaNN's own threads are one fewer than the cores, so on two cores a batch is searched by
    one; TensorFlow runs the halves beside each other.
    """

    def search(part: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found: tuple[tf.Tensor, tf.Tensor] = scann_ops().scann_search_batched(
            handle, part, wanted, reorder, leaves, True
        )
        return found

    rows = tf.shape(queries)[0]
    middle = rows // 2

    def whole() -> tuple[tf.Tensor, tf.Tensor]:
        empty = tf.cast(tf.equal(rows, 0), tf.int32)  # ScaNN fails on a batch of none
        found = search(tf.pad(queries, [[0, empty], [0, 0]]))
        return found[0][:rows], found[1][:rows]

    def halves() -> tuple[tf.Tensor, tf.Tensor]:
        first, second = search(queries[:middle]), search(queries[middle:])
        width = tf.maximum(tf.shape(first[0])[1], tf.shape(second[0])[1])
        return join(first[0], second[0], width, 0), join(first[1], second[1], width, np.nan)

    return tf.cond(rows >= SPLIT_FROM, halves, whole)  # type: ignore[no-any-return]


def join(first: tf.Tensor, second: tf.Tensor, width: tf.Tensor, fill: float) -> tf.Tensor:
    """Puts two blocks of rows together, padded to one width."""
    return tf.concat([pad_columns(part, width, fill) for part in (first, second)], axis=0)


def pad_columns(part: tf.Tensor, width: Any, fill: float) -> tf.Tensor:
    """Pads `(B, W)` to at least `width` columns."""
    missing = tf.maximum(width - tf.shape(part)[1], 0)
    return tf.pad(part, [[0, 0], [0, missing]], constant_values=tf.cast(fill, part.dtype))


def drop_excluded(
    scores: tf.Tensor, positions: tf.Tensor, exclude_positions: tf.Tensor, k: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the best `k` that are not excluded, filled up with -inf."""
    order = tf.sort(exclude_positions, axis=-1)  # (B, E)
    place = tf.searchsorted(order, positions)  # (B, K): first not less than
    place = tf.minimum(place, tf.shape(order)[1] - 1)
    excluded = tf.gather(order, place, batch_dims=1) == positions
    scores = tf.where(excluded, float("-inf"), scores)
    scores = pad_columns(scores, k, -np.inf)
    best, columns = tf.math.top_k(scores, k)
    positions = tf.gather(pad_columns(positions, k, -1), columns, batch_dims=1)
    return best, positions
