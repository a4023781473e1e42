import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.layers import EmbeddingBag, FieldRows, embedding_bag
from tfrecs.optimizers import LazyAdam, SparseAdagrad
from tfrecs.spec import (
    Attributes,
    Categorical,
    Cross,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Timestamp,
    Vector,
)

USER, ITEM = Categorical("user", size=4), Categorical("item", "candidate", size=5)


def bag(*features, dim=2, **options):
    layer = EmbeddingBag(FeatureSpec(features), dim, **options)
    if layer.rows:  # row r holds (r, 10 r)
        layer.embeddings.assign(np.arange(layer.rows)[:, None] * [1, 10][:dim])
    return layer


def ints(*values):
    return np.array(values, "int32")


def test_the_features_follow_each_other_in_one_table():
    layer = bag(USER, ITEM)
    assert layer.names == ["user", "item"]
    assert tuple(layer.embeddings.shape) == (9, 2)
    fields = layer({"user": ints(2, 3), "item": ints(0, 4)})
    # user 2 is row 2, item 0 is row 4 + 0
    np.testing.assert_array_equal(fields, [[[2, 20], [4, 40]], [[3, 30], [8, 80]]])


def test_a_shared_vocabulary_has_its_rows_once():
    layer = bag(ITEM, Categorical("last", shared_with="item", size=5))
    assert layer.rows == 5
    fields = layer({"item": ints(3), "last": ints(3)})
    np.testing.assert_array_equal(fields[0, 0], fields[0, 1])


@pytest.mark.parametrize(
    "combiner, expected", [("sum", 5), ("mean", 2.5), ("sqrtn", 5 / np.sqrt(2))]
)
def test_lists_are_combined_without_their_padding(combiner, expected):
    layer = bag(MultiCategorical("tags", size=5), combiner=combiner)
    tags = {"tags": np.array([[2, 3, 0], [0, 0, 0]], "int32")}
    tags["tags_mask"] = tags["tags"] > 0
    np.testing.assert_allclose(layer(tags)[:, 0, 0], [expected, 0], rtol=1e-6)


def test_numbers_and_vectors_scale_and_project():
    layer = bag(Numeric("age"), Vector("image", dim=3))
    layer.number_vectors.assign([[1, 2]])
    layer.projections[0].assign([[1, 0], [0, 1], [1, 1]])
    fields = layer({"age": np.float32([0.5]), "image": np.float32([[1, 2, 3]])})
    np.testing.assert_allclose(fields, [[[0.5, 1], [4, 5]]])


def test_several_vectors_are_the_mean_of_those_that_are_there():
    layer = bag(Vector("images", dim=3, max_count=2))
    layer.projections[0].assign([[1, 0], [0, 1], [1, 1]])
    images = np.float32([[[1, 2, 3], [3, 2, 1]], [[1, 2, 3], [0, 0, 0]], [[0, 0, 0]] * 2])
    mask = np.array([[True, True], [True, False], [False, False]])
    fields = layer({"images": images, "images_mask": mask})
    np.testing.assert_allclose(fields, [[[4, 4]], [[4, 5]], [[0, 0]]])


def test_binned_numbers_are_ids():
    layer = bag(Numeric("price", normalize="quantile", num_bins=3, size=5))
    np.testing.assert_array_equal(layer({"price": ints(4)}), [[[4, 40]]])


def test_crosses_can_be_left_out():
    cross = Cross("both", features=("user", "item"), hash_bins=3, size=5)
    assert bag(USER, ITEM, cross).names == ["user", "item", "both"]
    assert bag(USER, ITEM, cross, crosses=False).names == ["user", "item"]


def test_a_cut_feature_is_a_product_of_two_short_tables():
    layer = bag(Categorical("ad", size=12), max_rows=4)
    # rows: 2 reserved, 4 remainders, then quotients: the reserved ids', 0, 1, 2
    assert layer.rows == 2 + 4 + 1 + 3
    fields = np.asarray(layer({"ad": ints(0, 1, 2, 5, 6, 11)}))[:, 0, 0]
    # id 11 is value 9 = 2 * 4 + 1: remainder row 3, quotient row 6 + 1 + 2 = 9: 3 (1 + 9)
    remainder, quotient = np.array([0, 1, 2, 5, 2, 3]), np.array([6, 6, 7, 7, 8, 9])
    np.testing.assert_allclose(fields, remainder * (1 + quotient))


def test_no_two_ids_of_a_cut_feature_share_both_rows():
    layer = EmbeddingBag(FeatureSpec((Categorical("ad", size=1002),)), 4, stddev=1.0, max_rows=40)
    fields = np.asarray(layer({"ad": np.arange(1002, dtype="int32")}))[:, 0]
    assert layer.rows == 2 + 40 + 26
    assert len(np.unique(fields.round(5), axis=0)) == 1002 - 1  # the reserved two are 0 both


def test_lists_are_cut_as_well():
    layer = bag(MultiCategorical("tags", size=12), max_rows=4, combiner="sum")
    tags = {"tags": ints([2, 6, 0]), "tags_mask": np.array([[True, True, False]])}
    np.testing.assert_allclose(layer(tags)[0, 0, 0], 2 * (1 + 7) + 2 * (1 + 8))


def test_reserved_rows_of_every_feature_start_at_zero():
    layer = EmbeddingBag(FeatureSpec((USER, ITEM)), 3, stddev=1.0)
    zero = (np.asarray(layer.embeddings) == 0).all(axis=1)
    assert np.flatnonzero(zero).tolist() == [0, 1, 4, 5]


def test_the_initializer_comes_back_from_its_config():
    initializer = FieldRows([0, 3], 0.5, seed=3)
    copy = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    np.testing.assert_array_equal(copy((6, 2)), initializer((6, 2)))


def test_the_l2_term_is_of_the_batch_s_fields_and_of_training_alone():
    layer = bag(USER, ITEM, l2=0.5)
    batch = {"user": ints(2, 2), "item": ints(0, 0)}
    layer(batch)
    assert layer.losses == []
    layer(batch, training=True)
    # each row has the fields (2, 20) and (4, 40)
    np.testing.assert_allclose(layer.losses[0], 0.5 * (4 + 400 + 16 + 1600))


def test_one_gather_reads_all_single_ids_one_each_list_and_nothing_the_table():
    layer = bag(
        USER, ITEM, MultiCategorical("tags", size=5), Categorical("ad", size=90), max_rows=9
    )
    signature = {name: tf.TensorSpec([None], tf.int32) for name in ("user", "item", "ad")}
    signature["tags"] = tf.TensorSpec([None, None], tf.int32)
    signature["tags_mask"] = tf.TensorSpec([None, None], tf.bool)
    graph = tf.function(layer.call, autograph=False).get_concrete_function(signature).graph
    operations = graph.get_operations()
    assert [o.type for o in operations].count("ResourceGather") == 1 + len(layer.several)
    reads = [o for o in operations if o.type == "ReadVariableOp"]
    assert not any(o.outputs[0].consumers() for o in reads)  # for its shape, and pruned


@pytest.mark.parametrize("optimizer", [LazyAdam, SparseAdagrad])
def test_a_step_leaves_the_rows_of_other_ids_alone_compiled_by_xla_too(optimizer):
    for jit in (False, True):
        model = keras.Sequential([_Sum(bag(USER, ITEM, l2=0.1))])
        model.compile(optimizer(0.1), "mse", jit_compile=jit)
        before = np.asarray(model.layers[0].bag.embeddings)
        rows = {"user": ints(2, 2), "item": ints(3, 4)}
        model.fit(rows, np.float32([1, 0]), verbose=0)
        moved = (np.asarray(model.layers[0].bag.embeddings) != before).any(axis=1)
        assert np.flatnonzero(moved).tolist() == [2, 7, 8]


class _Sum(keras.layers.Layer):
    def __init__(self, layer):
        super().__init__()
        self.bag = layer

    def call(self, batch, training=False):
        return keras.ops.sum(self.bag(batch, training=training), axis=(1, 2))


def test_half_precision_keeps_the_table_in_float32():
    layer = bag(USER, Numeric("age"), dtype="mixed_float16")
    assert layer.embeddings.dtype == "float32"
    fields = layer({"user": ints(2), "age": np.float32([1])})
    assert fields.dtype == tf.float16


def test_a_table_that_is_too_large_says_the_bytes_and_the_remedies(monkeypatch):
    monkeypatch.setattr(embedding_bag, "free_memory", lambda: 1e6)
    with pytest.raises(
        MemoryError, match=r"1,000,000 rows x 16 takes 64,000,000 bytes.*1,000,000.*max_rows"
    ):
        EmbeddingBag(FeatureSpec((Categorical("ad", size=1_000_000),)), 16)


def test_free_memory_is_known_on_linux():
    assert embedding_bag.free_memory() > 1e6


@pytest.mark.parametrize(
    "features, options, message",
    [
        ((Categorical("user"),), {}, r"size of 'user'.*adapted FeatureTransform"),
        (
            (Timestamp("at", "context"),),
            {},
            r"`spec` must be of ids, numbers and vectors.*'at' out",
        ),
        ((Sequence("prices", dtype="float32"),), {}, r"`spec` must be of ids.*'prices' out"),
        ((Attributes("facts", size=5),), {}, r"`spec` must be of ids.*'facts' out"),
        ((Numeric("click", "label"),), {}, r"`spec` must be with a feature of role query"),
        ((USER,), {"dim": 0}, r"`embedding_dim` must be greater than 0"),
        ((USER,), {"combiner": "max"}, r"`combiner` must be one of"),
        ((USER,), {"l2": -1.0}, r"`l2` must be 0 or more"),
        ((USER,), {"max_rows": 0}, r"`max_rows` must be greater than 0"),
    ],
)
def test_what_cannot_be_embedded_is_named(features, options, message):
    with pytest.raises(ValueError, match=message):
        bag(*features, **options)


def test_a_tensor_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"`batch` must be a dict with 'item'"):
        bag(USER, ITEM)({"user": ints(2)})
