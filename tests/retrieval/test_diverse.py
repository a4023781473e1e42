import numpy as np
import tensorflow as tf

from tfrecs.retrieval.diverse import farthest_points


def smallest(points):
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return distance[np.triu_indices(len(points), 1)].min()


def test_each_point_is_the_farthest_from_those_before():
    points = tf.constant([[0.0, 0], [3, 0], [0, 4], [1, 1]])
    # from (0, 0): (0, 4) is 4 away; then (3, 0) is 3 away; then (1, 1)
    assert farthest_points(points, 4, 0).numpy().tolist() == [0, 2, 1, 3]


def test_no_row_comes_twice_even_where_all_are_equal():
    assert sorted(farthest_points(tf.ones([4, 2]), 9, 2).numpy().tolist()) == [0, 1, 2, 3]


def test_a_set_has_a_greater_smallest_distance_than_a_random_one_in_95_of_100_draws():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 16)).astype("float32")
    find = tf.function(farthest_points)
    wins = 0
    for _ in range(100):
        found = find(tf.constant(points), tf.constant(10), tf.constant(rng.integers(300)))
        at_random = points[rng.choice(300, 10, replace=False)]
        wins += smallest(points[found.numpy()]) >= smallest(at_random)
    assert wins >= 95


def test_an_empty_set_gives_nothing():
    assert farthest_points(tf.zeros([0, 3]), 5, 0).shape[0] in (0, None)
