import numpy as np
import pytest

from tfrecs.features.sampling import log_q


def test_the_share_of_each_candidate_is_counted():
    found = log_q(np.array([7, 3, 7, 7]))
    np.testing.assert_allclose(found, np.log([3 / 4, 1 / 4, 3 / 4, 3 / 4]), rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("ids", [np.zeros(0, int), np.zeros((2, 2), int)])
def test_ids_must_be_a_filled_vector(ids):
    with pytest.raises(ValueError, match=r"`ids` must be of shape \(N,\)"):
        log_q(ids)
