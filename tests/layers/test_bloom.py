import numpy as np
import pytest

from tfrecs.layers.bloom import BloomEmbedding, bits_of_ids


def test_a_row_is_the_mean_of_its_bits():
    layer = BloomEmbedding(12, 7, 3, num_hashes=2)
    table, bits = np.asarray(layer.rows.embeddings), layer.bits[5]
    np.testing.assert_allclose(layer(np.array([5]))[0], table[bits].mean(axis=0), rtol=1e-6)


def test_dot_products_rank_as_the_sum_of_the_log_probabilities_of_the_bits():
    layer = BloomEmbedding(60, 20, 8)
    query = np.random.default_rng(0).normal(size=8)
    logits = np.asarray(layer.rows.embeddings)[2:] @ query
    log_p = logits - np.log(np.exp(logits).sum())
    recovered = log_p[layer.bits[2:] - 2].sum(axis=1)
    scores = np.asarray(layer(np.arange(2, 60))) @ query
    np.testing.assert_allclose(recovered - recovered[0], 4 * (scores - scores[0]), atol=1e-4)


def test_planted_bits_rank_their_id_first():
    layer = BloomEmbedding(60, 40, 8)
    for item in (2, 17, 59):
        log_p = np.full(42, -5.0)
        log_p[layer.bits[item]] = -0.1
        recovered = log_p[layer.bits[2:]].sum(axis=1)
        best = np.flatnonzero(recovered == recovered.max()) + 2
        assert item in best
        assert all(set(layer.bits[i]) == set(layer.bits[item]) for i in best)


@pytest.mark.parametrize("num_bits", [4, 5, 12, 97])
def test_bits_of_an_id_differ_and_spread(num_bits):
    bits = bits_of_ids(2000, num_bits, 4, seed=0)[2:]
    assert all(len(set(row)) == 4 for row in bits.tolist())
    counts = np.bincount(bits.ravel() - 2, minlength=num_bits)
    assert counts.min() > 0.5 * counts.mean()


def test_reserved_ids_are_zeros():
    np.testing.assert_array_equal(BloomEmbedding(12, 7, 3)(np.array([0, 1])), np.zeros((2, 3)))


def test_the_table_grows_with_the_bits_not_with_the_ids():
    assert BloomEmbedding(10_000, 100, 8).count_params() == 800


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="`num_bits` must be num_hashes = 4 or more"):
        BloomEmbedding(12, 3, 8)
    with pytest.raises(ValueError, match="`num_hashes` must be greater than 0"):
        BloomEmbedding(12, 3, 8, num_hashes=0)
