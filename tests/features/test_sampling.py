import numpy as np
import pytest
import tensorflow as tf

from tfrecs.features import log_q, with_known


def test_the_share_of_each_candidate_is_counted():
    found = log_q(np.array([7, 3, 7, 7]))
    np.testing.assert_allclose(found, np.log([3 / 4, 1 / 4, 3 / 4, 3 / 4]), rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("ids", [np.zeros(0, int), np.zeros((2, 2), int)])
def test_ids_must_be_a_filled_vector(ids):
    with pytest.raises(ValueError, match=r"`ids` must be of shape \(N,\)"):
        log_q(ids)


def test_each_row_has_what_its_user_knows_and_strangers_nothing():
    rows = tf.data.Dataset.from_tensors(({"u": [3, 9, 2, 4]}, [1, 1, 1, 1]))
    ((batch, label),) = with_known(rows, [2, 3, 2, 2], [8, 5, 6, 8], query="u", candidate="i")
    assert batch["i_known"].numpy().tolist() == [[5, 0], [0, 0], [6, 8], [0, 0]]
    assert label.numpy().tolist() == [1, 1, 1, 1]


def test_a_batch_of_strangers_has_padding_alone():
    (batch,) = with_known(
        tf.data.Dataset.from_tensors({"u": [7, 2]}), [5], [8], query="u", candidate="i"
    )
    assert batch["i_known"].numpy().tolist() == [[0], [0]]


@pytest.mark.parametrize(
    "users, items, message",
    [
        ([2, 3], [4], "`users and items` must be ids of one shape"),
        ([], [], "of one shape"),
        ([2.0], [4], "int ids of 0 or more"),
        ([-1], [4], "int ids of 0 or more"),
    ],
)
def test_pairs_that_are_no_ids_are_refused(users, items, message):
    rows = tf.data.Dataset.from_tensors({"u": [7, 2]})
    with pytest.raises(ValueError, match=message):
        with_known(rows, users, items, query="u", candidate="i")
