import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from tfrecs.models import IkiRanker
from tfrecs.models.iki import INPUTS
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Numeric, Sequence
from tfrecs.testing import ModelCase

SPEC = FeatureSpec(
    (
        MultiCategorical("user_tags", "query", shared_with="tags"),
        MultiCategorical("skills", "query"),
        *(Sequence(name, shared_with="item_id") for name in ("liked", "disliked", "viewed")),
        Categorical("item_id", "candidate", is_id=True),
        MultiCategorical("tags", "candidate"),
        Numeric("feedback", "label"),
    )
)


def build(spec):
    """A ranker of items whose SVD gives products well within what tanh tells apart."""
    model = IkiRanker(spec, content_dim=6, embedding_dim=4, hidden=(64, 16))
    rng, size = np.random.default_rng(0), spec.candidate_id.size
    known = np.arange(size)[:, None] >= 2
    content, svd = (known * rng.normal(0, 0.3, (size, dim)) for dim in (6, 4))
    model.set_items(content, svd, np.full(4, 0.5))
    return model


CASE = ModelCase(
    "iki",
    build=build,
    loss=lambda: keras.losses.MeanSquaredError(),
    label="feedback",
    learning_rate=0.01,  # squares of units make for larger steps
    spec=SPEC,
)
SIZES = {"user_tags": 4, "skills": 3, "liked": 6, "disliked": 6, "viewed": 6, "item_id": 6}


def sized(**more):
    sizes = {**SIZES, "tags": 4, **more}
    return FeatureSpec(
        tuple(dataclasses.replace(f, size=sizes[f.name]) for f in SPEC if f.name in sizes)
    )


def batch(items, liked, disliked, viewed, tags=((2,),), skills=((2,),)):
    lists = {"liked": liked, "disliked": disliked, "viewed": viewed}
    lists |= {"user_tags": tags, "skills": skills}
    out = {"item_id": np.array(items, "int32")}
    for name, rows in lists.items():
        out[name] = np.array(rows, "int32").reshape(len(rows), -1)
        out[f"{name}_mask"] = out[name] > 0
    return out


def known(**kwargs):
    """Items 2 to 5 with content of one number and SVD embeddings of one, all kernels 1."""
    model = IkiRanker(sized(), content_dim=1, embedding_dim=1, profile_dim=1, hidden=(), **kwargs)
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape) * ("bias" not in variable.path))
    model.set_items(
        np.array([[0], [0], [0.1], [-0.2], [0.3], [0.4]]),
        np.array([[0], [0], [0.01], [0.02], [0.03], [0.04]]),
        np.array([0.5]),
        view_weight=0.1,
    )
    return model


def test_the_six_inputs_by_hand():
    model = known()
    score = model(batch([5], [[2, 3]], [[4]], [[0]], tags=[[2, 3]]))
    profile = 3  # tags 2 and 3, skill 2
    # h(liked): min -0.2, max 0.1, mean -0.05; h(disliked): 0.3 three times; nothing is empty
    rated = -0.2 + 0.1 - 0.05 + 3 * 0.3
    viewed = 1  # an empty set: the bit alone
    user_svd = 0.5 * (0.01 + 0.02 - 0.03)
    total = profile + rated + viewed + user_svd + 0.04 + 0.4
    np.testing.assert_allclose(score, [np.tanh(total)], rtol=1e-6)


def test_views_count_their_weight_and_unknown_items_nothing():
    model = known(without=("profile", "rated", "viewed", "item_svd", "content"))
    # p = 0.5 (q_2 - q_3 + 0.1 q_4); ids 1 are unknown
    score = model(batch([5], [[2, 1]], [[3, 1]], [[4, 1]]))
    np.testing.assert_allclose(score, [np.tanh(0.5 * (0.01 - 0.02 + 0.003))], rtol=1e-5)


def test_in_training_a_row_s_own_item_is_out_of_its_histories():
    model = known()
    with_it = batch([2], [[2, 3]], [[4]], [[2]])
    without = batch([2], [[3, 0]], [[4]], [[0]])
    model.mlp.dense[0].kernel.assign([[0], [1], [1], [0], [0]])  # preference and user embedding
    np.testing.assert_allclose(model(with_it, training=True), model(without), rtol=1e-6)
    assert abs(float(model(with_it)[0] - model(without)[0])) > 1e-4


def test_in_training_a_row_s_user_is_out_of_its_item_s_embedding():
    model = known(without=("profile", "rated", "viewed", "user_svd", "content"))
    model.item_svd.assign(10 * model.item_svd)
    rows = batch([2], [[2, 3]], [[4]], [[2]])
    # p = 0.5 (0.1 + 0.2 - 0.3 + 0.1 * 0.1); r / s = 0.5 (1 + 0.1), liked and viewed
    expected = 0.1 - 0.55 * 0.005
    np.testing.assert_allclose(model(rows, training=True), [np.tanh(expected)], rtol=1e-5)
    np.testing.assert_allclose(model(rows), [np.tanh(0.1)], rtol=1e-5)


def test_the_score_starts_as_products_of_embeddings_and_of_preference_and_content():
    model = IkiRanker(sized(), content_dim=3, embedding_dim=2, hidden=(40, 4), profile_dim=5)
    first, second = (np.array(layer.kernel) for layer in model.mlp.dense[:2])
    # profile 5, preference 3, user 2, item 2, content 3; 8 units of embeddings, then 12
    x = np.arange(15) / 10
    out = np.maximum(x @ first[:, :20], 0) ** 2 @ second[:20]
    svd = 16 * (0.8 * 1.0 + 0.9 * 1.1)
    content = 4 * (0.5 * 1.2 + 0.6 * 1.3 + 0.7 * 1.4)
    np.testing.assert_allclose(out, [svd, -svd, content, -content], rtol=1e-5)


def test_lists_of_candidates_score_as_their_rows_do():
    model = IkiRanker(sized(), content_dim=4, embedding_dim=3)
    users = {"liked": [[2, 3], [4, 0]], "disliked": [[0], [5]], "viewed": [[0], [2]]}
    tags = {"tags": [[2], [3]], "skills": [[2], [0]]}
    listed = model(batch([[2, 3, 4], [5, 2, 1]], **users, **tags))
    for place in range(3):
        rows = batch([[2, 3, 4][place], [5, 2, 1][place]], **users, **tags)
        np.testing.assert_allclose(listed[:, place], model(rows), rtol=1e-5)


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_is_left_out_has_no_influence(name):
    model = IkiRanker(sized(), content_dim=3, embedding_dim=2, without=(name,))
    rows = batch([5], [[2, 3]], [[4]], [[3]])
    changed = {
        "profile": batch([5], [[2, 3]], [[4]], [[3]], tags=[[3]]),
        "viewed": batch([5], [[2, 3]], [[4]], [[2]]),
    }
    tables = [model.content.numpy(), model.item_svd.numpy()]
    before = float(model(rows)[0])
    if name == "item_svd":
        tables[1][5] += 1
    if name == "content":
        tables[0][5] += 1
    if name == "user_svd":
        tables[1][[2, 3, 4]] += 1
    model.content.assign(tables[0])
    model.item_svd.assign(tables[1])
    if name == "viewed":  # they still fold in
        model.fold_weights.assign(model.fold_weights * np.array([[1], [1], [0]]))
        before = float(model(rows)[0])
    if name == "rated":
        model.fold_weights.assign(np.zeros((3, 2)))
        before = float(model(rows)[0])
        changed["rated"] = batch([5], [[5, 3]], [[2]], [[3]])
    np.testing.assert_allclose(model(changed.get(name, rows)), [before], rtol=1e-6)


def test_a_tag_with_weights_of_its_own_scores_by_them_and_others_by_the_global_ones():
    model = IkiRanker(sized(), content_dim=2, embedding_dim=2, num_instances=1, seed=1)
    other = IkiRanker(sized(), content_dim=2, embedding_dim=2, seed=2)
    other.set_items(model.content.numpy(), model.item_svd.numpy(), np.ones(2), view_weight=1.0)
    model.fold_weights.assign(other.fold_weights)
    model.set_instances([3], [[v.numpy() for v in other.trainable_variables]])
    rows = batch([5, 2], [[2, 3], [3, 0]], [[4], [0]], [[3], [2]], [[2], [3]], [[2], [2]])
    np.testing.assert_allclose(model.for_tag(rows, ops.array(3)), other(rows), rtol=1e-5)
    np.testing.assert_allclose(model.for_tag(rows, ops.array(2)), model(rows), rtol=1e-5)


def test_new_content_enters_by_the_table_alone():
    small = IkiRanker(sized(), content_dim=2, embedding_dim=2)
    large = IkiRanker(sized(**dict.fromkeys(("liked", "disliked", "viewed", "item_id"), 7)), 2, 2)
    large.set_weights(
        [
            np.pad(w, ((0, 1), (0, 0))) if v.name in ("content", "item_svd") else w
            for v, w in zip(small.variables, small.get_weights(), strict=True)
        ]
    )
    rows = batch([5], [[2, 3]], [[4]], [[3]])
    np.testing.assert_allclose(large(rows), small(rows), rtol=1e-6)
    assert np.isfinite(large({**rows, "item_id": np.array([6])})).all()


def test_it_learns_who_likes_what():
    rng = np.random.default_rng(0)
    model = IkiRanker(sized(), content_dim=2, embedding_dim=2, hidden=(32,), without=("profile",))
    content = np.array([[0, 0], [0, 0], [1, 0], [1, 0.1], [0, 1], [0.1, 1]], "float32")
    model.set_items(content, content, np.ones(2))
    kind = rng.integers(2, size=256)  # who likes items 2 and 3, and who 4 and 5
    pick = rng.integers(2, size=256)
    item = rng.integers(2, 6, size=256)
    label = np.where((item >= 4) == kind, 1.0, -1.0).astype("float32")
    rows = batch(
        item,
        (2 + 2 * kind + pick)[:, None],
        (5 - 2 * kind - pick)[:, None],
        np.zeros((256, 1)),
        np.full((256, 1), 2),
        np.full((256, 1), 2),
    )
    model.compile(keras.optimizers.Adam(0.01), "mean_squared_error")
    model.fit(rows, label, epochs=30, batch_size=64, verbose=0)
    assert ((model.predict_on_batch(rows) > 0) == (label > 0)).mean() > 0.97


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"`without` must be one of .* Did you mean 'content'"):
        IkiRanker(sized(), without=("contents",))
