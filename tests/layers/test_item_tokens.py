import numpy as np
import pytest

from tfrecs.layers.item_tokens import ItemTokens, encode_lists
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Numeric, Text

ID = Categorical("news_id", "candidate", is_id=True, size=5)
WORDS = ("cat", "dog", "mat")


def tokens(*features):
    return ItemTokens(FeatureSpec((ID, *features)), 4)


def title(name="title", **kwargs):
    return Text(name, max_length=3, size=5, **kwargs)


def test_texts_of_one_vocabulary_share_a_table():
    shared = tokens(title(vocabulary=WORDS), title("body", vocabulary=WORDS))
    assert shared.table("title") is shared.table("body")
    apart = tokens(title(), title("body"))
    assert apart.table("title") is not apart.table("body")


def test_an_item_has_the_tokens_of_all_its_features():
    layer = tokens(title(), Categorical("category", "candidate", size=4))
    layer.set_catalogue({"news_id": [4, 2], "title": [[3, 4], [2, 0]], "category": [2, 3]})
    features = layer.rows(np.array([[2, 4], [0, 1]]))
    assert features["title"].numpy().tolist() == [[[2, 0, 0], [3, 4, 0]], [[0] * 3, [0] * 3]]
    vectors, mask = layer(features)
    assert mask.numpy().astype(int).tolist() == [[[1, 0, 0, 1], [1, 1, 0, 1]], [[0] * 4] * 2]
    np.testing.assert_array_equal(vectors[0, 0, 0], layer.table("title").embeddings[2])
    np.testing.assert_array_equal(vectors[0, 1, 3], layer.table("category").embeddings[2])
    given = layer.given({"title": np.array([[3, 4]]), "category": np.array([2])})
    np.testing.assert_array_equal(layer(given)[0][0, :2], vectors[0, 1, :2])


def test_an_item_without_features_is_its_id():
    layer = tokens()
    vectors, mask = layer(layer.rows(np.array([3, 1, 0])))
    assert vectors.shape == (3, 1, 4)
    assert mask.numpy().ravel().tolist() == [True, False, False]  # unknown is no token


def test_lists_are_encoded_as_their_items_are():
    layer = tokens(title())
    layer.set_catalogue({"news_id": [2, 3], "title": [[3, 4], [2, 0]]})

    def total(features):
        return layer(features)[0].numpy().sum(axis=1)

    alone = encode_lists(layer.rows(np.array([2, 3])), total)
    lists = encode_lists(layer.rows(np.array([[2, 3], [3, 3]])), total)
    np.testing.assert_allclose(lists, [alone, [alone[1], alone[1]]])


def test_distinct_items_are_encoded_by_their_widths():
    layer, seen = tokens(title()), []
    layer.set_catalogue({"news_id": [2, 3], "title": [[3, 0], [2, 4]]})
    assert layer.distinct({"news_id": np.array([2])}, lambda features: None) is None

    def encode(features):
        seen.append(features["title"].shape)
        return layer(features)[0].numpy().sum(axis=1)

    batch = {"news_id_distinct_2": np.array([3, 0, 0]), "news_id_distinct_1": np.array([2])}
    found = layer.distinct(batch, encode)
    assert seen == [(1, 1), (3, 2)]
    rows = layer(layer.rows(np.array([2, 3])))[0].numpy().sum(axis=1)
    np.testing.assert_allclose(found[:2], rows, atol=1e-6)


def test_a_feature_that_has_no_tokens_is_named():
    with pytest.raises(ValueError, match="`spec` must be of texts and ids"):
        tokens(Numeric("price", "candidate"))
    with pytest.raises(ValueError, match="`max_length of 'tags'` must be a number"):
        tokens(MultiCategorical("tags", "candidate", size=5))
    with pytest.raises(ValueError, match="`name` must be one of 'title'"):
        tokens(title()).table("body")
