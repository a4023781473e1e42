import datetime

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.features import Epoch, from_arrays, from_arrow
from tfrecs.spec import Categorical, FeatureSpec, Numeric, Sequence, Timestamp, Vector


def values(dataset, name="x"):
    """All values of a column, batch after batch."""
    return [v for batch in dataset for v in batch[name].numpy().tolist()]


@pytest.fixture
def numbers():
    return {"x": np.arange(1000), "y": np.arange(1000) * 2.0}


def test_rows_stay_in_order_without_shuffle(numbers):
    batches = list(from_arrays(numbers, 300))
    assert [len(b["x"]) for b in batches] == [300, 300, 300, 100]
    assert values(batches) == list(range(1000))


def test_the_last_batch_is_left_out_and_the_shape_is_known(numbers):
    data = from_arrays(numbers, 300, drop_remainder=True)
    assert data.cardinality() == 3
    assert data.element_spec["x"].shape == (300,)
    assert values(data) == list(range(900))


def test_a_shuffled_epoch_has_every_row_once_with_its_columns_aligned(numbers):
    data = from_arrays(numbers, 64, shuffle=True)
    assert data.cardinality() == 16  # 15 * 64 = 960, and 40 more
    batches = list(data)
    assert sorted(values(batches)) == list(range(1000))
    assert values(batches, "y") == [2 * x for x in values(batches)]


def test_every_epoch_has_another_order(numbers):
    data = from_arrays(numbers, 100, shuffle=True)
    first, second = values(data), values(data)
    assert first != second != list(range(1000))
    assert sorted(first) == sorted(second)


def test_the_same_seed_gives_the_same_orders_whatever_the_global_seed(numbers):
    def orders(seed):
        data = from_arrays(numbers, 100, shuffle=True, seed=seed)
        return [values(data), values(data)]

    expected = orders(5)
    keras.utils.set_random_seed(123)
    assert orders(5) == expected
    assert orders(6)[0] != expected[0]


def test_an_epoch_ties_the_order_to_its_number(numbers):
    epoch = Epoch()
    data = from_arrays(numbers, 100, shuffle=True, epoch=epoch)
    orders = []
    for number in (0, 1, 2):
        epoch.on_epoch_begin(number)
        orders.append(values(data))
    resumed = Epoch()
    again = from_arrays(numbers, 100, shuffle=True, epoch=resumed)
    resumed.on_epoch_begin(2)
    assert values(again) == orders[2]
    assert orders[0] != orders[1] != orders[2]


def test_fit_resumed_at_an_epoch_sees_the_batches_of_an_uninterrupted_fit():
    def weights(*spans):
        x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "linear")])
        model.layers[0].set_weights([np.ones((3, 1)), np.zeros(1)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        for first, last in spans:
            epoch = Epoch()
            arrays = {"x": x, "y": x.sum(1) ** 2}
            data = from_arrays(arrays, 8, label="y", shuffle=True, epoch=epoch)
            data = data.map(lambda features, label: (features["x"], label))
            model.fit(
                data, initial_epoch=first, epochs=last, callbacks=[epoch], verbose=0, shuffle=False
            )
        return model.get_weights()[0]

    np.testing.assert_allclose(weights((0, 3)), weights((0, 2), (2, 3)), atol=1e-6)


def test_a_random_order_mixes_far_rows():
    data = from_arrays({"x": np.arange(100_000)}, 1000, shuffle=True)
    means = [batch["x"].numpy().mean() for batch in data]
    # the mean of 1000 of 100,000 uniform values: 50,000 +- 28,868 / sqrt(1000) = 913
    assert np.abs(np.array(means) - 50_000).max() < 5 * 913
    assert 500 < np.std(means) < 1400


def test_single_rows_and_text_and_many_axes_are_batched():
    arrays = {"x": np.array(["a"]), "v": np.ones((1, 2, 3), np.float32)}
    (batch,) = from_arrays(arrays, 8, shuffle=True)
    assert batch["x"].numpy().tolist() == [b"a"]
    assert batch["v"].shape == (1, 2, 3)


def test_a_label_stands_apart_and_stays(numbers):
    features, label = next(iter(from_arrays(numbers, 10, label="y")))
    assert list(features) == ["x", "y"]  # positive ids are a feature and a label
    assert label.numpy().tolist() == [2.0 * i for i in range(10)]


@pytest.mark.parametrize("shuffle", [False, True])
def test_weights_go_with_their_rows_and_are_no_feature(numbers, shuffle):
    rows = {**numbers, "w": np.arange(1000) / 4}
    for x, y, w in from_arrays(rows, 300, label="y", weight="w", shuffle=shuffle):
        assert list(x) == ["x", "y"]
        np.testing.assert_array_equal(w, y.numpy() / 8)


def test_fit_weighs_rows_by_them():
    rows = {"x": np.zeros((2, 1), "float32"), "y": np.array([1.0, 3.0]), "w": np.array([3.0, 1.0])}
    inputs = {"x": keras.Input((1,), name="x"), "y": keras.Input((), name="y")}
    model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(inputs["x"]))
    model.compile("sgd", "mse")
    loss = model.evaluate(from_arrays(rows, 2, label="y", weight="w"), verbose=0)
    assert loss == pytest.approx((3 * 1 + 1 * 9) / 2)  # Keras divides by the rows


@pytest.mark.parametrize(
    "arrays, arguments, message",
    [
        ({"x": np.arange(3), "y": np.arange(2)}, {}, "`arrays` must be of one length, at least 1"),
        ({"x": np.arange(0)}, {}, r"at least 1. Received: \{'x': 0\}"),
        ({}, {}, "`arrays` must be of one length"),
        ({"x": np.array(5)}, {}, "`arrays` must be of one length"),
        (
            {"rating": np.arange(3)},
            {"label": "ratings"},
            "`label` must be .* Did you mean 'rating'",
        ),
        ({"x": np.arange(3)}, {"weight": "w"}, "`weight` must be"),
        ({"x": np.arange(3)}, {"weight": "x"}, "`weight` must be given with a label"),
        (
            {"x": np.arange(3), "w": np.array([1.0, -2.0, 1.0])},
            {"label": "x", "weight": "w"},
            r"must be weights of 0 or more. Received: .*-2.0.*It is row 1",
        ),
        (
            {"x": np.arange(3), "w": np.ones((3, 1))},
            {"label": "x", "weight": "w"},
            r"`arrays\['w'\]` must be numbers \(N,\). Received: .*float64 \(3, 1\)",
        ),
        ({"x": np.arange(3)}, {"batch_size": 0}, "`batch_size` must be greater than 0"),
        (
            {"x": np.arange(3)},
            {"batch_size": 4, "drop_remainder": True},
            r"`batch_size` must be at most the number of rows \(3\)",
        ),
    ],
)
def test_bad_arrays_are_refused(arrays, arguments, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(arrays, **{"batch_size": 2, **arguments})


def one_batch(table, **arguments):
    (batch,) = from_arrow(table, table.num_rows, **arguments)
    return {
        name: column.to_list() if isinstance(column, tf.RaggedTensor) else column.numpy().tolist()
        for name, column in batch.items()
    }


NOON = datetime.datetime(2020, 5, 17, 12)


@pytest.mark.parametrize(
    "column, dtype, expected",
    [
        (pa.array(["a", None, ""]), tf.string, [b"a", b"", b""]),
        (pa.array(["ä", None], pa.large_string()), tf.string, ["ä".encode(), b""]),
        (pa.array(["a", None, "a"]).dictionary_encode(), tf.string, [b"a", b"", b"a"]),
        (pa.array([b"\xff", None]), tf.string, [b"\xff", b""]),
        (pa.nulls(2), tf.string, [b"", b""]),
        (pa.array([3, None], pa.int16()), tf.int64, [3, -1]),
        (pa.array([2**62, 0], pa.uint64()), tf.int64, [2**62, 0]),
        (pa.array([3, 3, None]).dictionary_encode(), tf.int64, [3, 3, -1]),
        (pa.array([0.5, 1.0]), tf.float32, [0.5, 1.0]),
        (pa.array([True, False]), tf.float32, [1.0, 0.0]),
        (pa.array([NOON, None], pa.timestamp("ms")), tf.int64, [1_589_716_800_000, -1]),
        (pa.array([NOON.date(), None]), tf.int64, [1_589_673_600, -1]),
        (pa.array([["a", None], None, []]), tf.string, [[b"a", b""], [], []]),
        (pa.array([[1], [2, None]]), tf.int64, [[1], [2, -1]]),
        (pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)), tf.float32, [[1.0, 2.0]]),
        (pa.array([["a", "b"]], pa.list_(pa.string(), 2)), tf.string, [[b"a", b"b"]]),
    ],
)
def test_an_arrow_column_becomes_a_raw_tensor(column, dtype, expected):
    table = pa.table({"c": column})
    assert from_arrow(table, 1).element_spec["c"].dtype == dtype
    assert one_batch(table)["c"] == expected
    twice = pa.concat_tables([table, table])  # in two chunks
    assert one_batch(twice)["c"] == expected * 2


def test_missing_numbers_are_nan():
    table = pa.table(
        {
            "x": pa.array([1.0, None]),
            "b": pa.array([None, True]),
            "v": pa.array([None, [1.0, 2.0]], pa.list_(pa.float64(), 2)),
        }
    )
    batch = one_batch(table)
    np.testing.assert_array_equal(batch["x"], [1.0, np.nan])
    np.testing.assert_array_equal(batch["b"], [np.nan, 1.0])
    np.testing.assert_array_equal(batch["v"], [[np.nan, np.nan], [1.0, 2.0]])


def test_a_slice_of_a_table_keeps_its_lists():
    table = pa.table({"c": [[1], [2, 3], [], [4]], "s": ["a", "b", "c", "d"]}).slice(1, 2)
    assert one_batch(table) == {"c": [[2, 3], []], "s": [b"b", b"c"]}


def test_shuffled_lists_stay_with_their_rows():
    table = pa.table({"n": list(range(50)), "c": [[f"{i}"] * (i % 3) for i in range(50)]})
    for batch in from_arrow(table, 7, shuffle=True):
        for n, row in zip(batch["n"].numpy(), batch["c"].to_list(), strict=True):
            assert row == [str(n).encode()] * (n % 3)


def test_the_spec_says_what_columns_become():
    spec = FeatureSpec(
        (
            Numeric("age"),
            Timestamp("time", unit="s"),
            Timestamp("seen", "context", unit="ms"),
            Sequence("scores", dtype="float32"),
            Vector("image", dim=2),
            Categorical("nothing"),
        )
    )
    table = pa.table(
        {
            "age": [30, None],
            "time": pa.array([-1500, None], pa.timestamp("ms")),
            "seen": pa.array([2, 3], pa.timestamp("s")),
            "scores": [[1, 2], [3]],
            "image": [[1, 2], [3, 4]],
            "nothing": pa.nulls(2),
            "other": ["left", "out"],
        }
    )
    batch = one_batch(table, spec=spec)
    assert list(batch) == list(spec.names)
    np.testing.assert_array_equal(batch["age"], [30.0, np.nan])
    assert batch["time"] == [-2, -1]  # -1.5 s rounded down; missing
    assert batch["seen"] == [2000, 3000]
    assert batch["scores"] == [[1.0, 2.0], [3.0]]
    assert batch["image"] == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    "column, message",
    [
        (
            pa.array([{"a": 1}]),
            "Column `c` must hold text, numbers, times or lists of them.*struct",
        ),
        (pa.array([[[1]]]), "Column `c` must hold text"),
        (pa.array([1]), "Column `c` must hold string values, as its feature Categorical says"),
        (pa.array([1.5]), "Received: double"),
    ],
)
def test_a_column_of_the_wrong_type_is_refused(column, message):
    with pytest.raises(TypeError, match=message):
        from_arrow(pa.table({"c": column}), 1, spec=FeatureSpec((Categorical("c"),)))


def test_a_time_is_no_number():
    table = pa.table({"c": pa.array([NOON])})
    with pytest.raises(TypeError, match="must hold float32 values, as its feature Numeric says"):
        from_arrow(table, 1, spec=FeatureSpec((Numeric("c"),)))


def test_a_number_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"Column `c` is not int64: .*18446744073709551615"):
        from_arrow(pa.table({"c": pa.array([2**64 - 1], pa.uint64())}), 1)


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="`table` must be of one row or more"):
        from_arrow(pa.table({"c": pa.array([], pa.int64())}), 1)


def test_no_thread_of_autotuning_keeps_the_end_of_a_fit_waiting(numbers):
    options = from_arrays(numbers, 300).repeat().prefetch(3).options()
    assert options.autotune.enabled is False
