"""Items far from each other: what a user without a history is shown first."""

import tensorflow as tf


def farthest_points(vectors: tf.Tensor, k: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Returns `k` rows, each the farthest from those before it: greedy k-center, in any graph.

    `i_n = argmax_i min_{m < n} |x_i - x_{i_m}|`; of equal distances the first row. The smallest
    distance between two of them is at least half of the largest possible.

    Args:
        vectors: float32 `(N, D)`.
        k: int32 `()`, at most N are returned.
        start: int32 `()`, the first row, below N.

    Returns:
        int32 `(min(k, N),)`.

    Example:

    >>> farthest_points(tf.constant([[0.0], [1.0], [5.0], [9.0]]), 3, 1).numpy().tolist()
    [1, 3, 2]

    Reference:
        Gonzalez 1985, Clustering to minimize the maximum intercluster distance.
    """
    count = tf.shape(vectors)[0]
    size = tf.minimum(k, count)
    chosen = tf.TensorArray(tf.int32, size, element_shape=())
    nearest = tf.fill([count], tf.float32.max)

    def step(
        place: tf.Tensor, row: tf.Tensor, nearest: tf.Tensor, chosen: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        distance = tf.reduce_sum(tf.square(vectors - tf.gather(vectors, row)), axis=1)
        nearest = tf.minimum(nearest, distance)
        # what is chosen is below all distances, doubles of it included
        nearest = tf.tensor_scatter_nd_update(nearest, [[row]], [-1.0])
        following = tf.argmax(nearest, output_type=tf.int32)
        return place + 1, following, nearest, chosen.write(place, row)

    start = tf.cast(start, tf.int32)
    loop = tf.while_loop(lambda place, *_: place < size, step, (0, start, nearest, chosen))
    return loop[3].stack()
