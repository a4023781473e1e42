from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tfrecs.layers.cholesky import solve_positive


def some(count, size, seed=0):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(count, 2 * size, size))
    systems = roots.transpose(0, 2, 1) @ roots + np.eye(size)
    return systems.astype(np.float32), rng.normal(size=(count, size)).astype(np.float32)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_solutions_are_those_of_numpy(size):
    systems, right = some(5, size)
    expected = np.linalg.solve(systems.astype(float), right[..., None])[..., 0]
    assert solve_positive(systems.copy(), right) is right
    np.testing.assert_allclose(right, expected, atol=1e-4)


def test_systems_may_have_columns_beside_them():
    systems, right = some(5, 7)
    wide = np.full((5, 7, 8), np.nan, np.float32)
    wide[..., :7] = systems
    found = solve_positive(wide[..., :7], right.copy())
    np.testing.assert_array_equal(found, solve_positive(systems, right))
    assert np.isnan(wide[..., 7]).all()


def test_threads_do_not_disturb_each_other():
    tasks = [some(40, 16, seed) for seed in range(8)]
    alone = [solve_positive(systems.copy(), right.copy()) for systems, right in tasks]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(solve_positive, *zip(*tasks, strict=True)))
    np.testing.assert_array_equal(together, alone)


def test_a_singular_system_is_an_error():
    systems = np.array([[[1, 0], [0, 1]], [[1, 1], [1, 1]]], np.float32)
    with pytest.raises(FloatingPointError, match=r"2 unknowns is singular .* a larger l2"):
        solve_positive(systems, np.ones((2, 2), np.float32))
