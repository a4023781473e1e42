import numpy as np
import pytest

from tfrecs.layers import MLP

X = np.float32([[1, 2], [-3, 1]])


def test_hidden_layers_are_rectified_and_the_head_is_not():
    mlp = MLP(2, (2,))
    for weight, value in zip(
        mlp.weights, ([[1, 0], [0, -1]], [0, 1], [[-2], [1]], [5]), strict=True
    ):
        weight.assign(value)
    # hidden: (1, max(0, -2 + 1)), (max(0, -3), max(0, -1 + 1)); scores 5 - 2, 5
    np.testing.assert_allclose(mlp(X), [3, 5])


def test_without_a_head_it_returns_the_last_hidden_layer():
    assert MLP(2, (8, 3), head=False)(X).shape == (2, 3)


def test_dropout_is_for_training_alone_and_seeded():
    x = np.ones((1, 2), "float32")
    trained = [np.asarray(MLP(2, (64,), dropout=0.5, seed=1)(x, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(*trained)
    mlp = MLP(2, (64,), dropout=0.5, seed=1)
    np.testing.assert_array_equal(mlp(x), MLP(2, (64,), seed=1)(x))
    assert trained[0] != np.asarray(mlp(x))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"dropout": -0.1}, r"`dropout` must be from 0 to below 1"),
        ({"hidden": (4, 0)}, r"`hidden` must be greater than 0"),
    ],
)
def test_a_wrong_argument_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        MLP(2, **{"hidden": (4,), **options})
