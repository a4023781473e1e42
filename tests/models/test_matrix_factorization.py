import keras
import numpy as np
import pytest

from tfrecs.models import MatrixFactorization
from tfrecs.optimizers import LazyAdam
from tfrecs.spec import Categorical, FeatureSpec
from tfrecs.testing import ModelCase

CASE = ModelCase(
    "matrix_factorization",
    build=lambda spec: MatrixFactorization(spec, embedding_dim=8, mean=3.0, l2=0.0),
    loss=keras.losses.MeanSquaredError,
    label="rating",
    batch=lambda batch: {
        **batch,
        # an unlearnable mixture of 1 to 5
        "rating": (1 + np.arange(len(batch["user_id"])) * 7 % 5).astype("float32"),
    },
)


def spec(users, items):
    return FeatureSpec(
        (
            Categorical("user_id", "query", is_id=True, size=users),
            Categorical("item_id", "candidate", is_id=True, size=items),
        )
    )


@pytest.fixture
def model():
    """Users 2 and 3, items 2, 3 and 4; mu = 3."""
    model = MatrixFactorization(spec(4, 5), embedding_dim=2, mean=3.0, l2=0.1)
    model.set_factors(
        query_factors=[[0, 0], [0, 0], [1, 2], [0, -1]],
        candidate_factors=[[0, 0], [0, 0], [1, 1], [2, 0], [0, 3]],
        query_bias=[0, 0, 0.5, -0.5],
        candidate_bias=[0, 0, 0.25, 0, -1],
    )
    return model


def batch(users, items):
    return {"user_id": np.array(users, "int32"), "item_id": np.array(items, "int32")}


def test_a_rating_is_mean_plus_biases_plus_dot_product(model):
    # 3 + 0.5 + 0.25 + (1, 2).(1, 1) = 6.75;  3 - 0.5 - 1 + (0, -1).(0, 3) = -1.5
    np.testing.assert_allclose(model(batch([2, 3], [2, 4])), [6.75, -1.5])


def test_lists_of_candidates_get_a_rating_each(model):
    # user 2, item 3: 3 + 0.5 + 0 + 2 = 5.5; user 3, item 2: 3 - 0.5 + 0.25 - 1 = 1.75
    ratings = model(batch([2, 3], [[2, 3], [2, 4]]))
    np.testing.assert_allclose(ratings, [[6.75, 5.5], [1.75, -1.5]])


def test_the_vectors_carry_the_biases(model):
    users, items = batch([2, 3], [2, 3, 4]), batch([2, 3], [2, 3, 4])
    query, candidate = model.query(users), model.candidate(items)
    np.testing.assert_allclose(query, [[1, 2, 1, 3.5], [0, -1, 1, 2.5]])
    np.testing.assert_allclose(candidate, [[1, 1, 0.25, 1], [2, 0, 0, 1], [0, 3, -1, 1]])
    lists = model(batch([2, 3], [[2, 3, 4]] * 2))
    np.testing.assert_allclose(model.score(query, candidate), lists, atol=1e-6)


def test_an_unknown_or_missing_id_falls_back_on_the_biases(model):
    # unknown user 1: 3 + 0.25; missing item 0: 3 + 0.5; both: 3
    np.testing.assert_allclose(model(batch([1, 2, 0], [2, 0, 1])), [3.25, 3.5, 3.0])


def test_the_l2_term_is_of_the_batch_s_rows_and_of_training_alone(model):
    rows = batch([2, 2], [2, 3])
    model(rows, training=False)
    assert model.losses == []
    model(rows, training=True)
    # |p|^2 = 5, 5; |q|^2 = 2, 4; b_u^2 = 0.25, 0.25; b_i^2 = 0.0625, 0
    expected = 0.1 * (10 + 6 + 0.5 + 0.0625) / 2
    np.testing.assert_allclose(sum(model.losses), expected, atol=1e-6)


def test_a_negative_l2_is_an_error():
    with pytest.raises(ValueError, match=r"`l2` must be 0 or more"):
        MatrixFactorization(spec(4, 4), l2=-1.0)


def test_a_truncated_svd_as_initial_factors_gives_its_matrix():
    matrix = np.random.default_rng(0).normal(size=(6, 5))
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    root = np.sqrt(values[:2])
    reserved = np.zeros((2, 2))
    model = MatrixFactorization(spec(8, 7), embedding_dim=2)
    model.set_factors(
        np.concatenate([reserved, left[:, :2] * root]),
        np.concatenate([reserved, right[:2].T * root]),
    )
    items = np.tile(np.arange(2, 7), (6, 1))
    best = (left[:, :2] * values[:2]) @ right[:2]  # the best matrix of rank 2
    np.testing.assert_allclose(model(batch(np.arange(2, 8), items)), best, atol=1e-5)


def test_fit_recovers_a_planted_matrix_of_low_rank():
    rng = np.random.default_rng(0)
    users, items, rank = 60, 50, 2
    truth = 3 + rng.normal(size=(users, rank)) @ rng.normal(size=(rank, items))
    row, column = np.divmod(rng.permutation(users * items), items)
    held = 600  # a fifth of the cells
    inputs, ratings = batch(row + 2, column + 2), truth[row, column]
    train = {key: value[held:] for key, value in inputs.items()}
    model = MatrixFactorization(spec(62, 52), embedding_dim=4, mean=float(truth.mean()), l2=1e-4)
    model.compile(LazyAdam(0.05), "mse", steps_per_execution=8)
    model.fit(train, ratings[held:], batch_size=300, epochs=30, verbose=0)
    predicted = model.predict(inputs, batch_size=3000, verbose=0)[:held]
    error = np.sqrt(np.mean((predicted - ratings[:held]) ** 2))
    assert error < 0.1 * truth.std()  # the mean alone has an error of truth.std()
