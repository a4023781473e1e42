import keras
import keras_rs
import numpy as np
import pytest

from tfrecs.layers import among_known, large_negative, mask_accidental_hits, sample_uniform


def test_sampled_ids_are_known_and_come_equally_often():
    ids = np.asarray(sample_uniform((30_000,), size=5, seed=1))
    counts = np.bincount(ids, minlength=5)
    assert counts[:2].tolist() == [0, 0]
    # a count is binomial: 10,000 with a standard deviation of 82
    np.testing.assert_allclose(counts[2:], 10_000, atol=400)


def test_an_int_seed_repeats_the_ids_and_a_generator_does_not():
    def draw(seed):
        return np.asarray(sample_uniform((8, 4), 1000, seed))

    np.testing.assert_array_equal(draw(3), draw(3))
    generator = keras.random.SeedGenerator(3)
    assert (draw(generator) != draw(generator)).any()


@pytest.mark.parametrize(
    "dtype, masked", [("float32", -1e9), ("float16", -6e4), ("bfloat16", -1e9)]
)
def test_a_candidate_that_is_the_positive_scores_least(dtype, masked):
    scores = keras.ops.array([[1.0, 2.0], [3.0, 4.0]], dtype)
    result = mask_accidental_hits(scores, np.array([[7, 8], [9, 7]]), np.array([7, 7]))
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    expected = np.asarray(keras.ops.cast(keras.ops.array([[masked, 2], [3, masked]]), dtype))
    np.testing.assert_array_equal(result, expected)
    assert np.isfinite(np.asarray(keras.ops.cast(result, "float32"))).all()
    assert large_negative(dtype) == masked


# What is written here because keras-rs 0.4 lacks it: these fail the day keras-rs has it.


@pytest.mark.xfail(
    raises=AssertionError,
    strict=True,
    reason="keras-rs 0.4 adds 1e-40 to a hit instead of lowering it",
)
def test_keras_rs_removes_accidental_hits():
    labels = np.eye(3, dtype="float32")
    logits = np.array([[1.0, 2.0, 3.0]] * 3, "float32")
    ids = np.array([7, 7, 8])
    masked = np.asarray(keras_rs.layers.RemoveAccidentalHits()(logits, labels, ids))
    assert masked[0, 1] < -1e9


@pytest.mark.xfail(
    raises=AssertionError,
    strict=True,
    reason="keras-rs 0.4 keeps candidate ids as int32, which wrap",
)
def test_keras_rs_retrieves_int64_ids():
    ids = 2**40 + np.arange(3)
    layer = keras_rs.layers.BruteForceRetrieval(
        candidate_embeddings=np.eye(3, dtype="float32"), candidate_ids=ids, k=1
    )
    _, found = layer(np.eye(3, dtype="float32"))
    np.testing.assert_array_equal(np.asarray(found)[:, 0], ids)


@pytest.mark.parametrize("sizes", [(3, 40, 7), (4, 5, 0), (2, 1, 300)])
def test_known_ids_are_found_row_by_row(sizes):
    rows, count, longest = sizes
    rng = np.random.default_rng(0)
    ids = rng.integers(-1, 60, (rows, count)).astype("int32")
    known = rng.integers(0, 60, (rows, longest)).astype("int32")
    expected = [[i in set(own) - {0} for i in row] for row, own in zip(ids, known, strict=True)]
    np.testing.assert_array_equal(among_known(ids, known), expected)
