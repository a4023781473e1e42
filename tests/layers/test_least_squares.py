import itertools

import numpy as np
import pytest
import scipy.sparse

from tfrecs.layers import group_rows, row_l2, solve_half

SETTING = {"unobserved_weight": 0.2, "l2": 0.1, "exponent": 0.5}


def some(num_rows=30, num_columns=40, weighted=True, seed=0):
    """Rows of 0 to 40 entries, of weights 1 to 3, or of 1."""
    rng = np.random.default_rng(seed)
    there = rng.random((num_rows, num_columns)) < np.linspace(0, 1, num_rows)[:, None]
    weights = rng.integers(1, 4, there.shape) if weighted else 1.0
    return scipy.sparse.csr_matrix(np.where(there, weights, 0).astype(np.float32))


def oracle(weights, factors, *, unobserved_weight, l2, exponent):
    """One row after the other, one pair after the other, in float64."""
    dense, found = weights.toarray().astype(float), []
    factors = factors.astype(float)
    for row in dense:
        own = l2 * (row.sum() + unobserved_weight * len(factors)) ** exponent
        system, target = own * np.eye(factors.shape[1]), np.zeros(factors.shape[1])
        for weight, y in zip(row, factors, strict=True):
            system += (weight + unobserved_weight) * np.outer(y, y)
            target += weight * y
        found.append(np.linalg.solve(system, target))
    return np.array(found)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("dim", [3, 16, 50])  # Cholesky for most, for long rows, for none
def test_half_a_step_is_that_of_a_slow_oracle(dim, weighted):
    weights = some(weighted=weighted)
    factors = np.random.default_rng(1).normal(size=(40, dim)).astype(np.float32)
    solution = np.zeros((30, dim), np.float32)
    solve_half(group_rows(weights), factors, solution, **SETTING)
    np.testing.assert_allclose(solution, oracle(weights, factors, **SETTING), atol=2e-5)


def test_one_entry_by_hand():
    # y = 2, weight 3: x = 3 * 2 / (3 * 4 + 0.5 * 4 + 0.1 (3 + 0.5))
    weights, solution = scipy.sparse.csr_matrix([[3.0]]), np.zeros((1, 1), np.float32)
    kw = {"unobserved_weight": 0.5, "l2": 0.1, "exponent": 1.0}
    least = solve_half(group_rows(weights), np.array([[2.0]], np.float32), solution, **kw)
    x = 6 / 14.35
    assert solution[0, 0] == pytest.approx(x)
    assert least == pytest.approx(3 * (1 - 2 * x) ** 2 + 0.5 * (2 * x) ** 2 + 0.35 * x**2)


def test_rows_without_entries_are_left_as_they_are():
    weights, solution = some(), np.full((30, 8), 7.0, np.float32)
    factors = np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)
    solve_half(group_rows(weights), factors, solution, **SETTING)
    empty = np.diff(weights.indptr) == 0
    assert (solution[empty] == 7).all()
    assert not (solution[~empty] == 7).any()


def test_block_by_block_goes_to_the_same_minimum():
    weights = some()
    factors = np.random.default_rng(1).normal(size=(40, 12)).astype(np.float32)
    solution, exact = np.zeros((30, 12), np.float32), np.zeros((30, 12), np.float32)
    groups, empty = group_rows(weights), np.diff(weights.indptr) == 0
    least = solve_half(groups, factors, exact, **SETTING)
    found = [solve_half(groups, factors, solution, block_dim=5, **SETTING) for _ in range(40)]
    assert all(later <= earlier + 1e-3 for earlier, later in itertools.pairwise(found))
    assert found[0] > found[-1] == pytest.approx(least, rel=1e-5)
    np.testing.assert_allclose(solution[~empty], exact[~empty], atol=1e-3)


def test_the_weight_of_the_norm_grows_with_the_row():
    # 0.1 (4 + 0.5 * 10)^2, and 0.1 for all rows with the exponent 0
    assert row_l2(4.0, 10, unobserved_weight=0.5, l2=0.1, exponent=2.0) == pytest.approx(8.1)
    assert row_l2(4.0, 10, unobserved_weight=0.5, l2=0.1, exponent=0.0) == pytest.approx(0.1)


def test_groups_hold_each_row_once_and_little_padding():
    rng = np.random.default_rng(0)
    there = rng.random((500, 400)) < rng.random((500, 1)) ** 3
    weights = scipy.sparse.csr_matrix(there.astype(np.float32))
    groups = group_rows(weights)
    rows = np.concatenate([group.rows for group in groups])
    assert sorted(rows) == np.flatnonzero(there.any(axis=1)).tolist()
    assert sum(group.columns.size for group in groups) < 1.15 * weights.nnz
    assert not any(group.weighted for group in groups)
