import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.features import ContentVectors, joined_texts

TEXTS = pa.chunked_array([["red wine wine", "red cars", None, "unseen words"]])


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("red 1 0\nwine 0 2\ncars 4 4\nother 9 9\n")
    return path


def test_a_vector_is_the_words_weighed_by_tf_idf(vectors):
    content = ContentVectors.adapt(TEXTS, vectors=vectors)
    # N = 4: red is in 2 texts, wine and cars in 1
    red, rare = np.log(5 / 3) + 1, np.log(5 / 2) + 1
    expected = [
        np.array([red, 2 * rare * 2]) / (red + 2 * rare),
        np.array([red + 4 * rare, 4 * rare]) / (red + rare),
        [0, 0],
        [0, 0],  # none of its words has a vector
    ]
    np.testing.assert_allclose(content.encode(TEXTS), expected, rtol=1e-5)
    # 3 of 5 words; 5 of 7 tokens
    assert content.coverage == pytest.approx({"words": 3 / 5, "tokens": 5 / 7})


def test_without_normalisation_it_is_the_sum(vectors):
    content = ContentVectors.adapt(TEXTS, vectors=vectors, normalize=False)
    red, rare = np.log(5 / 3) + 1, np.log(5 / 2) + 1
    np.testing.assert_allclose(content.encode(TEXTS)[0], [red, 4 * rare], rtol=1e-5)


def test_graph_and_columns_give_the_same_and_new_texts_get_a_vector(vectors, tmp_path):
    content = ContentVectors.adapt(TEXTS, vectors=vectors)
    texts = ["Wine, red!", "", "cars cars red nonsense", "вино"]
    data = tf.data.Dataset.from_tensor_slices(texts).batch(3).map(content.__call__)
    found = np.concatenate(list(data.as_numpy_iterator()))
    np.testing.assert_allclose(found, content.encode(pa.chunked_array([texts])), rtol=1e-6)
    assert found[0].any()
    assert not found[[1, 3]].any()
    content.save(tmp_path / "content")
    loaded = ContentVectors.load(tmp_path / "content")
    np.testing.assert_array_equal(loaded(tf.constant(texts)), content(tf.constant(texts)))
    assert loaded.coverage == content.coverage


def test_learned_vectors_put_words_of_the_same_texts_together():
    texts = pa.chunked_array(
        [
            ["wine grapes", "grapes cellar", "cellar wine"] * 3
            + ["cars wheels", "wheels engine", "engine cars"] * 3
        ]
    )
    content = ContentVectors.adapt(texts, dim=2)
    wine, grapes, cars = content.encode(pa.chunked_array([["wine", "grapes", "cars"]]))
    assert wine @ grapes > 0.9 * np.linalg.norm(wine) * np.linalg.norm(grapes)
    assert abs(wine @ cars) < 0.1 * np.linalg.norm(wine) * np.linalg.norm(cars)
    again = ContentVectors.adapt(texts, dim=2)
    np.testing.assert_array_equal(again.table, content.table)
    assert ContentVectors.adapt(pa.chunked_array([["one"]]), dim=3).dim == 3


def test_texts_without_a_word_are_refused():
    with pytest.raises(ValueError, match="`texts` must be texts of one word or more"):
        ContentVectors.adapt(pa.chunked_array([["", "?!"]]))
    with pytest.raises(ValueError, match="`dim` must be greater than 0"):
        ContentVectors.adapt(TEXTS, dim=0)


def test_columns_are_joined_to_texts():
    table = pa.table({"title": ["Red", None], "tags": pa.array([["a", "b"], None])})
    assert joined_texts(table, ["title", "tags"]).to_pylist() == ["Red a b", ""]
