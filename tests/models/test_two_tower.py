import keras
import numpy as np
import pytest

from tfrecs.features import from_arrays, with_known
from tfrecs.losses import BPR, Hardest, InBatch, Sampled, SharedNegatives, Sigmoid, Softmax
from tfrecs.models import TwoTower
from tfrecs.optimizers import SparseAdagrad
from tfrecs.spec import Categorical, FeatureSpec
from tfrecs.testing import ModelCase

CASES = [
    ModelCase(
        "two_tower_in_batch",
        build=lambda spec: TwoTower(spec, embedding_dim=8),
        loss=lambda: InBatch(Softmax()),
        label="item_id",
        batch=lambda batch: {
            **batch,
            "item_id_log_q": np.full(len(batch["item_id"]), -3.0, "float32"),
        },
    ),
    ModelCase(
        "two_tower_cosine",
        build=lambda spec: TwoTower(spec, embedding_dim=8, log_q=False, temperature=0.1),
        loss=lambda: InBatch(Softmax()),
        label="item_id",
    ),
    ModelCase(
        "two_tower_uniform",
        build=lambda spec: TwoTower(spec, embedding_dim=8, negatives="uniform", num_negatives=4),
        loss=lambda: Sampled(BPR()),
        label="item_id",
    ),
]


CASES += [
    ModelCase(
        "two_tower_popularity",
        build=lambda spec: TwoTower(spec, 8, negatives="popularity", num_negatives=4),
        loss=lambda: Sampled(Softmax()),
        label="item_id",
    ),
    ModelCase(
        "two_tower_mixed",
        build=lambda spec: TwoTower(
            spec, 8, negatives="mixed", num_negatives=4, log_q="sketch", temperature=0.1
        ),
        loss=lambda: SharedNegatives(Softmax()),
        label="item_id",
    ),
]


def spec(users=5, items=6):
    return FeatureSpec(
        (
            Categorical("user_id", "query", is_id=True, size=users),
            Categorical("item_id", "candidate", is_id=True, size=items),
        )
    )


def batch(users, items, **more):
    return {"user_id": np.array(users, "int32"), "item_id": np.array(items, "int32"), **more}


def known(**kwargs):
    """Users 2, 3, 4 and items 2 to 5 with vectors to compute with by hand."""
    model = TwoTower(spec(), embedding_dim=2, **kwargs)
    model.query_embedding.embeddings.assign([[0, 0], [0, 0], [1, 2], [3, 4], [0, 1]])
    model.candidate_embedding.embeddings.assign([[0, 0], [0, 0], [1, 0], [0, 1], [3, 4], [-1, 0]])
    return model


def test_pairs_in_a_batch_are_scored_all_against_all():
    # (1, 2) and (3, 4) against (1, 0) and (3, 4)
    np.testing.assert_allclose(known()(batch([2, 3], [2, 4])), [[1, 11], [3, 25]])


def test_lists_of_candidates_are_scored_alone():
    scores = known()(batch([2, 3], [[2, 3, 4], [5, 5, 0]]))
    np.testing.assert_allclose(scores, [[1, 2, 11], [-3, -3, 0]])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_negatives": 1},
        {"negatives": "uniform", "num_negatives": 3},
        {"negatives": "mixed", "num_negatives": 3},
    ],
    ids=str,
)
def test_a_prediction_is_of_the_pairs_whatever_the_batch_and_the_negatives(options):
    model, pairs = known(**options), batch([2, 3, 4], [2, 4, 3])
    # (1, 2) . (1, 0), (3, 4) . (3, 4), (0, 1) . (0, 1)
    np.testing.assert_allclose(model.predict(pairs, batch_size=3, verbose=0), [1, 25, 1])
    np.testing.assert_allclose(model.predict(pairs, batch_size=2, verbose=0), [1, 25, 1])
    lists = batch([2, 3], [[2, 3, 4], [5, 5, 0]])
    found = known(**options).predict(lists, verbose=0)
    np.testing.assert_allclose(found, [[1, 2, 11], [-3, -3, 0]])


def test_evaluate_gives_the_loss_of_the_negatives_after_a_prediction_too(tmp_path):
    model, pairs = known(log_q=False), batch([2, 3], [2, 4])
    model.compile(loss=InBatch(Softmax()))
    model.predict(pairs, verbose=0)
    # scores [[1, 11], [3, 25]]: -log softmax of the diagonal
    expected = np.mean([np.log1p(np.exp(10)), np.log1p(np.exp(-22))])
    found = model.evaluate(pairs, pairs["item_id"], verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "model.keras").predict(pairs, verbose=0), [1, 25]
    )


def test_a_temperature_gives_the_cosine_over_it():
    model = known(temperature=0.5)
    # cos((3, 4), (1, 0)) = 0.6 and with itself 1, over 0.5
    np.testing.assert_allclose(model(batch([3, 3], [2, 4])), [[1.2, 2], [1.2, 2]], atol=1e-6)


def test_in_training_the_log_of_its_share_is_taken_from_a_candidate_s_column():
    rows = batch([2, 3], [2, 4], item_id_log_q=np.log([0.5, 0.25]).astype("float32"))
    trained = known()(rows, training=True)
    np.testing.assert_allclose(
        trained, [[1 + np.log(2), 11 + np.log(4)], [3 + np.log(2), 25 + np.log(4)]], atol=1e-5
    )
    np.testing.assert_allclose(known()(rows), [[1, 11], [3, 25]])
    np.testing.assert_allclose(known(log_q=False)(rows, training=True), [[1, 11], [3, 25]])


def test_training_without_the_shares_says_what_to_add():
    with pytest.raises(ValueError, match=r"must have 'item_id_log_q'.*set log_q=False"):
        TwoTower(spec())(batch([2], [3]), training=True)


def test_uniform_negatives_stand_behind_the_positive():
    model = known(negatives="uniform", num_negatives=50)
    scores = np.asarray(model(batch([2, 3], [2, 4]), training=True))
    assert scores.shape == (2, 51)
    np.testing.assert_allclose(scores[:, 0], [1, 25])
    # user (1, 2): items 3, 4, 5 score 2, 11, -1; the positive, item 2, is masked
    assert set(scores[0, 1:]) == {np.float32(s) for s in (-1e9, 2, 11, -1)}
    # user (3, 4): items 2, 3, 5 score 3, 4, -3; the positive, item 4, is masked
    assert set(scores[1, 1:]) == {np.float32(s) for s in (-1e9, 3, 4, -3)}


@pytest.mark.parametrize("negatives", ["uniform", "popularity", "mixed"])
def test_what_a_user_knows_is_no_negative_where_that_is_asked_for(negatives):
    model = known(negatives=negatives, num_negatives=50, exclude_known=True, log_q=False)
    if negatives == "popularity":
        model.sampler.set_counts(np.array([0, 0, 1, 1, 1, 1]))
    rows = batch([2, 3], [2, 4], item_id_known=np.array([[2, 3, 5], [4, 0, 0]], "int32"))
    scores = np.asarray(model(rows, training=True))
    own = scores[[0, 1], [0, 1]] if negatives == "mixed" else scores[:, 0]
    np.testing.assert_allclose(own, [1, 25])
    # user (1, 2) knows items 2, 3 and 5: item 4 is left, which scores 11
    assert set(scores[0]) == {np.float32(s) for s in (1, 11, -1e9)}
    # user (3, 4) knows item 4 alone: items 2, 3, 5 score 3, 4, -3
    assert set(scores[1]) == {np.float32(s) for s in (25, -1e9, 3, 4, -3)}


def test_fit_leaves_out_what_users_know():
    users, items = np.array([2, 2, 2, 3], "int32"), np.array([2, 3, 5, 4], "int32")
    rows = from_arrays(batch(users, items), 2, label="item_id")
    rows = with_known(rows, users, items, query="user_id", candidate="item_id")
    model = TwoTower(spec(), 2, negatives="uniform", num_negatives=3, exclude_known=True)
    model.compile("sgd", Sampled(BPR()))
    assert np.isfinite(model.fit(rows, epochs=2, verbose=0, shuffle=False).history["loss"]).all()


@pytest.mark.parametrize("negatives", ["in_batch", "given"])
def test_only_drawn_negatives_can_be_left_out(negatives):
    with pytest.raises(ValueError, match=r"`exclude_known` must be False.*are drawn"):
        TwoTower(spec(), negatives=negatives, exclude_known=True)


def test_what_users_know_must_come_with_the_batch():
    with pytest.raises(ValueError, match=r"'item_id_known'.*features\.with_known"):
        TwoTower(spec(), negatives="uniform", exclude_known=True)(batch([2], [3]))


def test_negatives_change_from_step_to_step_in_training_alone():
    model = TwoTower(spec(5, 1000), negatives="uniform", num_negatives=8)
    rows = batch([2, 3], [2, 4])
    first, second = (np.asarray(model(rows, training=True)) for _ in range(2))
    assert (first[:, 1:] != second[:, 1:]).any()
    np.testing.assert_array_equal(model(rows), model(rows))


def test_the_l2_term_is_of_the_batch_s_vectors():
    model = known(log_q=False, l2=0.1)
    model(batch([2, 3], [2, 4]), training=True)
    # |(1, 2)|^2 + |(3, 4)|^2 + |(1, 0)|^2 + |(3, 4)|^2 = 5 + 25 + 1 + 25, over 2 rows
    np.testing.assert_allclose(sum(model.losses), 0.1 * 56 / 2, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"negatives": "popular"}, r"`negatives` must be one of 'in_batch', 'uniform'"),
        ({"log_q": "exact"}, r"`log_q` must be one of True, False, 'sketch'"),
        ({"num_negatives": 0}, r"`num_negatives` must be greater than 0"),
        ({"temperature": 0.0}, r"`temperature` must be greater than 0"),
        ({"l2": -0.1}, r"`l2` must be 0 or more"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TwoTower(spec(), **arguments)


def test_uniform_negatives_need_a_known_candidate():
    with pytest.raises(ValueError, match=r"size of 'item_id'` must be 3 or more"):
        TwoTower(spec(items=2), negatives="uniform")


@pytest.mark.parametrize(
    "arguments, loss",
    [
        ({}, InBatch(Softmax())),
        ({"negatives": "uniform"}, Sampled(BPR())),
        ({"negatives": "uniform", "num_negatives": 4}, Sampled(Sigmoid())),
        ({"negatives": "popularity", "num_negatives": 4}, Sampled(Softmax())),
        ({"negatives": "mixed", "num_negatives": 30}, SharedNegatives(Softmax())),
        ({"log_q": "sketch"}, InBatch(Hardest(Softmax(), 30))),
    ],
    ids=["softmax", "bpr", "sigmoid", "popularity", "mixed", "sketch"],
)
def test_fit_ranks_the_items_of_a_user_s_group_first(arguments, loss):
    # users and items of even ids like each other, and those of odd ids
    rng = np.random.default_rng(0)
    users, items = rng.integers(2, 42, 4000), rng.integers(2, 32, 4000)
    users += (users + items) % 2 * np.where(users < 41, 1, -1)
    rows = batch(users, items, item_id_log_q=np.full(4000, -np.log(30), "float32"))
    model = TwoTower(spec(42, 32), embedding_dim=4, **arguments)
    model.compile(SparseAdagrad(1.0), loss, steps_per_execution=8)
    history = model.fit(rows, items, batch_size=100, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    everything = np.tile(np.arange(2, 32), (40, 1))
    scores = model.predict(batch(np.arange(2, 42), everything), batch_size=40, verbose=0)
    alike = (np.arange(2, 42)[:, None] + everything) % 2 == 0
    top = np.argsort(-scores, axis=1)[:, :15]
    assert np.take_along_axis(alike, top, axis=1).mean() > 0.9


def test_the_same_seed_gives_the_same_weights_after_training():
    def train():
        keras.utils.set_random_seed(0)
        model = TwoTower(spec(5, 50), embedding_dim=4, negatives="uniform", seed=3)
        model.compile(SparseAdagrad(0.5), Sampled(BPR()))
        rows = batch([2, 3, 4] * 20, list(range(2, 42)) + [2] * 20)
        model.fit(rows, rows["item_id"], batch_size=10, epochs=2, verbose=0)
        return model.get_weights()

    for first, second in zip(train(), train(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_unknown_query_gets_the_mean_of_the_known_ones():
    model = known()
    model.set_unknown_query(np.array([2, 3, 3, 0]))
    # (1 (1, 2) + 2 (3, 4)) / 3; the padding id does not count
    np.testing.assert_allclose(
        model.query({"user_id": np.array([1])}), [[7 / 3, 10 / 3]], rtol=1e-6
    )
    np.testing.assert_allclose(model.query({"user_id": np.array([0, 2])}), [[0, 0], [1, 2]])


def test_an_unknown_query_gets_the_mean_direction_with_a_temperature():
    model = known(temperature=1.0)
    model.set_unknown_query(np.array([3, 4]))
    direction = np.array([0.6, 0.8 + 1]) / np.hypot(0.6, 1.8)
    np.testing.assert_allclose(model.query({"user_id": np.array([1])}), [direction], rtol=1e-6)


def test_an_unknown_query_needs_known_ones():
    with pytest.raises(ValueError, match="`ids` must be with a known one"):
        known().set_unknown_query(np.array([0, 1]))


def test_a_batch_in_groups_is_scored_group_by_group():
    log_q = np.array([0.0, -1.0, -2.0, -3.0], "float32")
    pairs = batch([2, 3, 4, 2], [2, 4, 3, 5], item_id_log_q=log_q)
    model = known(num_negatives=1)
    # (1, 2), (3, 4) against (1, 0), (3, 4); then (0, 1), (1, 2) against (0, 1), (-1, 0)
    expected = np.array([[1, 11], [3, 25], [1, 0], [2, -1]])
    np.testing.assert_allclose(model(pairs), expected)
    corrected = expected - np.array([[0, -1], [0, -1], [-2, -3], [-2, -3]])
    np.testing.assert_allclose(model(pairs, training=True), corrected)


def test_a_batch_must_fall_into_whole_groups():
    with pytest.raises(ValueError, match=r"`batch` must be of a multiple of num_negatives .* = 2"):
        known(num_negatives=1)(batch([2, 3, 4], [2, 4, 3]))


def test_popular_negatives_are_drawn_by_their_counts_and_corrected_in_training():
    model = known(negatives="popularity", num_negatives=40)
    model.sampler.set_counts([0, 0, 6, 0, 2, 0])
    rows = batch([2, 3], [3, 3])
    plain, trained = (np.asarray(model(rows, training=training)) for training in (False, True))
    # user (1, 2): items 2, 4 score 1, 11; q is 6/8 and 2/8
    assert set(plain[0, 1:]) == {1.0, 11.0}
    corrected = {round(1 - np.log(6 / 8), 4), round(11 - np.log(2 / 8), 4)}
    assert {round(float(score), 4) for score in trained[0, 1:]} == corrected


def test_mixed_negatives_stand_behind_the_batch():
    model = known(negatives="mixed", num_negatives=3, log_q=False)
    scores = np.asarray(model(batch([2, 3, 2], [2, 4, 2]), training=True))
    assert scores.shape == (3, 6)
    # the same item in another row is no negative
    np.testing.assert_allclose(scores[:, :3], [[1, 11, -1e9], [3, 25, 3], [-1e9, 11, 1]])


def test_mixed_negatives_are_corrected_by_where_they_come_from():
    model, plain = known(negatives="mixed", num_negatives=2), known(log_q=False)
    rows = batch([2, 3], [2, 4], item_id_log_q=np.log([0.5, 0.25]).astype("float32"))
    scores = np.asarray(model(rows, training=True))
    np.testing.assert_allclose(
        scores[:, :2], np.asarray(plain(rows)) - np.log([0.5, 0.25]), rtol=1e-5
    )
    # items 2 to 5 are drawn with 1/4 each: user (1, 2) scores them 1, 2, 11, -1
    possible = np.array([1, 2, 11, -1]) + np.log(4)
    drawn = scores[0, 2:]
    assert all(np.isclose(possible, score).any() or score == -1e9 for score in drawn)


def test_given_negatives_are_scored_as_listed_and_padding_is_none():
    model = known(negatives="given")
    rows = batch([2, 3], [2, 4], item_id_negatives=np.array([[3, 2, 0], [5, 3, 2]]))
    expected = [[1, 2, -1e9, -1e9], [25, -3, 4, 3]]
    np.testing.assert_allclose(model(rows, training=True), expected)
    with pytest.raises(ValueError, match="`batch` must be a dict with 'item_id_negatives'"):
        model(batch([2], [2]))


def test_a_sketch_in_the_model_learns_the_shares_by_itself():
    model, rows = known(log_q="sketch"), batch([2, 3, 2, 3], [2, 2, 2, 4])
    plain = np.asarray(model(rows))
    trained = np.asarray(model(rows, training=True))
    np.testing.assert_allclose(plain - trained, np.tile(np.log([0.75] * 3 + [0.25]), (4, 1)), 1e-5)
