import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.layers import IdEmbedding, ReservedZeros, id_embedding
from tfrecs.spec import Categorical


def test_the_rows_of_reserved_ids_start_at_zero_and_the_others_do_not():
    rows = np.asarray(ReservedZeros(0.5, seed=3)((1002, 8), "float32"))
    assert (rows[:2] == 0).all()
    # 8,000 numbers: the standard error of their deviation is 0.5 / sqrt(16,000) = 0.004
    assert abs(rows[2:].std() - 0.5) < 0.02


def test_a_deviation_of_zero_gives_zeros_throughout():
    assert (np.asarray(ReservedZeros(0.0)((4, 2), "float32")) == 0).all()


def test_the_initializer_comes_back_from_its_config():
    initializer = ReservedZeros(0.5, seed=3)
    copy = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    np.testing.assert_array_equal(copy((5, 2)), initializer((5, 2)))


def test_ids_of_any_shape_give_their_rows():
    layer = IdEmbedding(4, 2, stddev=0.0)
    layer.embeddings.assign([[0, 1], [2, 3], [4, 5], [6, 7]])
    rows = layer(np.array([[3, 0], [1, 1]], "int32"))
    np.testing.assert_array_equal(rows, [[[6, 7], [0, 1]], [[2, 3], [2, 3]]])


def test_only_the_rows_of_the_batch_are_read():
    layer = IdEmbedding(4, 2, stddev=0.1)
    function = tf.function(layer.call).get_concrete_function(tf.TensorSpec([None], tf.int32))
    types = [operation.type for operation in function.graph.get_operations()]
    assert "ResourceGather" in types
    assert "GatherV2" not in types


def test_the_gradient_is_of_the_rows_of_the_batch():
    layer = IdEmbedding(1000, 2, stddev=0.1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(np.array([5, 7, 5], "int32")))
    gradient = tape.gradient(loss, layer.embeddings.value)
    assert isinstance(gradient, tf.IndexedSlices)
    np.testing.assert_array_equal(gradient.indices, [5, 7, 5])


def test_half_precision_keeps_the_table_in_float32():
    layer = IdEmbedding(4, 2, stddev=0.1, dtype="mixed_float16")
    assert layer.embeddings.dtype == "float32"
    assert layer(np.array([2], "int32")).dtype == tf.float16


def test_a_feature_without_a_size_names_itself():
    with pytest.raises(ValueError, match=r"size of 'user_id'.*adapted FeatureTransform"):
        id_embedding(Categorical("user_id"), 4, stddev=0.1, seed=0, name="users")


def test_a_dimension_of_zero_is_an_error():
    with pytest.raises(ValueError, match=r"`embedding_dim` must be greater than 0"):
        id_embedding(Categorical("user_id", size=4), 0, stddev=0.1, seed=0, name="users")
