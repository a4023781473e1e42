import numpy as np
import pytest
import tensorflow as tf

from tfrecs.retrieval import Exact, load, quantized
from tfrecs.retrieval.quantized import Quantized

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(300, 16)).astype("float32")
QUERIES = RANDOM.normal(size=(20, 16)).astype("float32")
IDS = np.array([f"i{i}" for i in range(300)])
BOTH = pytest.mark.parametrize("dtype", ["int8", "bfloat16"])


def test_int8_keeps_a_127th_of_the_greatest_number():
    # row 0: scale 2 / 127, so 1 is kept as round(63.5) = 64 (half to even) -> 64 * 2 / 127
    index = Quantized(k=2).index(np.array([[2.0, 1.0], [0.0, 0.0]]), [7, 8])
    scores, ids = index(np.array([[0.0, 1.0]], "float32"))
    np.testing.assert_allclose(scores, [[128 / 127, 0]], rtol=1e-6)
    assert np.asarray(ids).tolist() == [[7, 8]]
    assert index.num_bytes == 2 * 2 + 2 * 4


@BOTH
@pytest.mark.parametrize("similarity", ["dot", "cosine", "squared_l2"])
@pytest.mark.parametrize("block", [300, 64])
def test_the_best_are_nearly_those_of_exact_search(monkeypatch, dtype, similarity, block):
    monkeypatch.setattr(quantized, "BLOCK", block)
    index = Quantized(k=10, similarity=similarity, table_dtype=dtype).index(VECTORS, IDS)
    exact = Exact(k=10, similarity=similarity).index(VECTORS, IDS)
    scores, positions = index.search(QUERIES)
    best, truth = exact.search(QUERIES)
    np.testing.assert_allclose(scores, best, atol=0.15)  # two steps of a 127th, 16 dimensions
    shared = [
        len(set(a) & set(b)) for a, b in zip(np.asarray(positions), np.asarray(truth), strict=True)
    ]
    assert np.mean(shared) > 9
    assert index.recall > 0.9


@BOTH
def test_exclusions_hold_across_blocks(monkeypatch, dtype):
    monkeypatch.setattr(quantized, "BLOCK", 64)
    index = Quantized(k=5, table_dtype=dtype).index(VECTORS, IDS)
    _, first = index.search(QUERIES, 5)
    _, rest = index.search(QUERIES, 3, np.asarray(first)[:, :2])
    np.testing.assert_array_equal(rest, np.asarray(first)[:, 2:])


@BOTH
def test_a_saved_index_answers_as_before(tmp_path, dtype):
    index = Quantized(k=5, table_dtype=dtype, similarity="squared_l2").index(VECTORS, IDS)
    index.save(tmp_path / "index")
    again = load(tmp_path / "index")
    assert (again.recall, again.table_dtype) == (index.recall, dtype)
    for a, b in zip(again.search(QUERIES), index.search(QUERIES), strict=True):
        np.testing.assert_array_equal(a, b)


@BOTH
def test_its_saved_model_holds_the_small_table_alone(tmp_path, dtype):
    index = Quantized(k=5, table_dtype=dtype).index(VECTORS, IDS)
    module = index.export_module()
    signature = [
        tf.TensorSpec((None, 16), tf.float32),
        tf.TensorSpec((), tf.int32),
        tf.TensorSpec((None, None), tf.int32),
    ]
    serve = tf.function(
        lambda q, k, e: {"positions": module(q, k, e)[1]},
        input_signature=signature,
        autograph=False,
    )
    module.serve = serve
    tf.saved_model.save(module, str(tmp_path), {"serving_default": serve})
    stored = (tmp_path / "variables/variables.data-00000-of-00001").stat().st_size
    assert stored < index.num_bytes + 1000
    loaded = tf.saved_model.load(str(tmp_path))
    found = loaded.serve(QUERIES, 5, np.zeros((20, 0), "int32"))
    np.testing.assert_array_equal(found["positions"], index.search(QUERIES)[1])


def test_another_dtype_is_an_error():
    with pytest.raises(ValueError, match="`table_dtype` must be one of 'int8', 'bfloat16'"):
        Quantized(table_dtype="int4")
