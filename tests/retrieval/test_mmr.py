import numpy as np

from tfrecs.retrieval.mmr import mmr

# cosines: 0 and 1 are one direction, 2 is across, 3 is half way
VECTORS = np.array([[[2, 0], [1, 0], [0, 1], [1, 1]]], "float32")
SCORES = np.array([[4.0, 3.0, 2.0, 0.0]], "float32")  # scaled: 1, 0.75, 0.5, 0


def order(k, diversity, scores=SCORES):
    return np.asarray(mmr(scores, VECTORS, k, diversity)).tolist()


def test_without_diversity_the_order_is_the_scores():
    assert order(4, 0.0) == [[0, 1, 2, 3]]


def test_what_repeats_a_taken_item_waits():
    # after 0: item 1 has 0.5 * 0.75 - 0.5 * 1 = -0.125, item 2 has 0.5 * 0.5 - 0 = 0.25, and item
    # 3 has 0 - 0.5 * 0.707; after 2: item 1 stays at -0.125, item 3 at -0.354
    assert order(4, 0.5) == [[0, 2, 1, 3]]
    assert order(2, 0.5) == [[0, 2]]


def test_slots_without_a_candidate_come_last():
    scores = np.array([[1.0, -np.inf, 2.0, 3.0]], "float32")
    assert order(4, 0.9, scores)[0][-1] == 1


def test_equal_scores_and_zero_vectors_give_numbers():
    zeros = np.zeros((2, 3, 4), "float32")
    assert np.asarray(mmr(np.ones((2, 3), "float32"), zeros, 3, 0.5)).tolist() == [[0, 1, 2]] * 2
