"""Half a step of alternating least squares in closed form: rows by length, NumPy and LAPACK."""

import math
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import threadpoolctl

from tfrecs.layers.cholesky import solve_positive

_BLOCK_CELLS = 1 << 14  # entries solved at once: with fewer, the calls cost more than the work
_DUAL_SHARE = 0.8  # of the width: rows with fewer entries are cheaper by n x n systems


@dataclass(frozen=True)
class Rows:
    """Rows of about one length, of a sparse matrix.

    Args:
        rows: int `(B,)`, their places.
        columns: int `(B, L)`; past the end of a row the number of columns, a place of zeros.
        roots: float32 `(B, L)`, square roots of the weights; 0 past the end.
        totals: float32 `(B,)`, the sums of the weights.
        weighted: Whether a weight is not 1.
    """

    rows: np.ndarray
    columns: np.ndarray
    roots: np.ndarray
    totals: np.ndarray
    weighted: bool


def group_rows(weights: scipy.sparse.csr_matrix) -> list[Rows]:
    """Groups the rows that have entries by length, so that hardly anything is padding.

    Args:
        weights: `(R, C)`, above 0 where there is an event.

    Example:

    >>> groups = group_rows(scipy.sparse.csr_matrix([[4.0, 0.0], [0.0, 0.0], [1.0, 9.0]]))
    >>> groups[0].rows, groups[0].columns, groups[0].roots  # place 2 is padding
    (array([0, 2]), array([[0, 2],
           [0, 1]]), array([[2., 0.],
           [1., 3.]], dtype=float32))
    """
    lengths = np.diff(weights.indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    totals = np.asarray(weights.sum(axis=1), np.float32).ravel()
    return [_padded(weights, rows, totals[rows]) for rows in _cut(order, lengths[order])]


def _cut(order: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Yields runs of `order` whose padded size is within bounds, all lengths within a fifth."""
    start = 0
    while start < len(order):
        longest = np.searchsorted(lengths, max(1.2 * lengths[start], lengths[start] + 2), "right")
        fits = _BLOCK_CELLS // lengths[start : int(longest)]
        stop = start + max(1, int(np.sum(np.arange(1, len(fits) + 1) <= fits)))
        yield order[start:stop]
        start = stop


def _padded(weights: scipy.sparse.csr_matrix, rows: np.ndarray, totals: np.ndarray) -> Rows:
    some = weights[rows]
    lengths = np.diff(some.indptr)
    there = np.arange(lengths.max()) < lengths[:, None]  # (B, L)
    columns = np.full(there.shape, weights.shape[1])
    roots = np.zeros(there.shape, np.float32)
    columns[there], roots[there] = some.indices, np.sqrt(some.data)
    return Rows(rows, columns, roots, totals, bool(np.any(some.data != 1)))


def row_l2(
    totals: Any, num_columns: int, *, unobserved_weight: float, l2: float, exponent: float
) -> Any:
    """Returns each row's weight of `|x|^2`: `l2 (n + unobserved_weight C)^exponent`.

    Example:

    >>> row_l2(4.0, 10, unobserved_weight=0.5, l2=0.1, exponent=2.0)  # 0.1 (4 + 5)^2
    8.1...
    """
    return l2 * (totals + unobserved_weight * num_columns) ** exponent


# a thread of ours a core, and one of BLAS in each: BLAS's own would wait for each other
_one_blas_thread = threadpoolctl.threadpool_limits.wrap(limits=1, user_api="blas")


@_one_blas_thread
def gramian_root(factors: np.ndarray) -> np.ndarray:
    """Returns a square root R of a Gramian: `R^T R = F^T F`, `(K, K)`.

    Example:

    >>> root = gramian_root(np.array([[3.0, 0.0], [4.0, 0.0]]))
    >>> np.round(root.T @ root, 6)
    array([[25.,  0.],
           [ 0.,  0.]])
    """
    values, basis = np.linalg.eigh(factors.T @ factors)
    root: np.ndarray = np.sqrt(np.maximum(values, 0))[:, None] * basis.T
    return root


@_one_blas_thread
def solve_half(
    groups: list[Rows],
    factors: np.ndarray,
    solution: np.ndarray,
    *,
    unobserved_weight: float,
    l2: float,
    exponent: float,
    block_dim: int | None = None,
) -> float:
    """Writes the factors of one side that are best for given factors of the other.

    Of each row x of `solution`, with its entries' weights w, their sum n and factors y:

    `min sum w (1 - x y)^2 + unobserved_weight sum_all (x y)^2 + row_l2(n, C) |x|^2`

    The sum over all pairs is the quadratic form of the Gramian `Y^T Y`; in the basis of its
    eigenvectors it is diagonal, so that a row of fewer entries than factors takes a system of
    so many unknowns, and the others one Cholesky factorisation each. Rows without entries are
    left. A row is solved by itself: the result does not depend on the number of threads.

    Args:
        groups: The rows, by `group_rows`.
        factors: float32 `(C, K)`, of the other side.
        solution: float32 `(R, K)`, written to.
        unobserved_weight: Weight of every pair.
        l2: As in `row_l2`, above 0.
        exponent: As in `row_l2`.
        block_dim: Long rows are improved so many factors at a time, from the solution that is
            there; `None` for all at once, which is exact.

    Returns:
        The sum over rows of what is minimised.

    Reference:
        - [Hu, Koren, Volinsky, 2008](https://doi.org/10.1109/ICDM.2008.22);
          [Rendle et al., 2021](https://arxiv.org/abs/2110.14044) for the blocks.
    """
    num_columns, dim = factors.shape
    values, basis = np.linalg.eigh((factors.T @ factors).astype(np.float64))
    basis = basis.astype(np.float32)
    gramian = (unobserved_weight * np.maximum(values, 0)).astype(np.float32)  # (K,), a diagonal
    # a last column of ones becomes each entry's root, and Z^T s a column of one product
    rotated = np.zeros((num_columns + 1, dim + 1), np.float32)  # (C + 1, K + 1)
    rotated[:-1, :dim], rotated[:-1, dim] = factors @ basis, 1
    width = block_dim or dim
    blocks = [slice(start, start + width) for start in range(0, dim, width)]

    own = threading.local()  # a thread's block of entries: fresh memory costs as much as filling it
    largest = max((group.columns.size for group in groups), default=0) * (dim + 1)

    def solve(group: Rows) -> float:
        norms = row_l2(
            group.totals, num_columns, unobserved_weight=unobserved_weight, l2=l2, exponent=exponent
        )
        diagonal = gramian + norms[:, None].astype(np.float32)  # (B, K)
        shape = (*group.columns.shape, dim + 1)
        entries = own.block[: math.prod(shape)].reshape(shape)
        rotated.take(group.columns, axis=0, out=entries, mode="clip")  # "raise" would copy
        if group.weighted:
            entries *= group.roots[..., None]
        if entries.shape[1] <= _DUAL_SHARE * dim:
            found, least = _dual(entries[..., :-1], group.roots, diagonal)
        elif len(blocks) == 1:
            found, least = _primal(entries, diagonal)
        else:
            found = solution[group.rows] @ basis
            least = _blockwise(entries[..., :-1], group.roots, diagonal, found, blocks)
        solution[group.rows] = found @ basis.T
        return least

    def start() -> None:
        own.block = np.empty(largest, np.float32)

    with ThreadPoolExecutor(os.cpu_count(), initializer=start) as pool:
        return sum(pool.map(solve, reversed(groups)))  # the long rows first


def _dual(entries: np.ndarray, roots: np.ndarray, diagonal: np.ndarray) -> tuple[np.ndarray, float]:
    """`x = D^-1 Z^T e`, `e = (I + Z D^-1 Z^T)^-1 s` the errors `s - Z x`: L unknowns a row.

    The minimum is `s e`.
    """
    scaled = entries / diagonal[:, None]  # (B, L, K)
    systems = scaled @ entries.transpose(0, 2, 1)  # (B, L, L)
    np.einsum("bll->bl", systems)[...] += 1
    errors = solve_positive(systems, roots.copy())  # (B, L)
    return (errors[:, None] @ scaled)[:, 0], float(np.vdot(roots, errors))


def _primal(entries: np.ndarray, diagonal: np.ndarray) -> tuple[np.ndarray, float]:
    """`x = (Z^T Z + D)^-1 b`, `b = Z^T s`: K unknowns a row. The minimum is `s^2 - b x`.

    `entries` are Z and, in the last column, s.
    """
    products = entries[..., :-1].transpose(0, 2, 1) @ entries  # (B, K, K + 1): Z^T Z and b
    systems, right = products[..., :-1], products[..., -1]
    np.einsum("bkk->bk", systems)[...] += diagonal
    roots = entries[..., -1]
    found = solve_positive(systems, right.copy())
    return found, float(np.vdot(roots, roots)) - float(np.vdot(right, found))


def _blockwise(
    entries: np.ndarray,
    roots: np.ndarray,
    diagonal: np.ndarray,
    found: np.ndarray,
    blocks: list[slice],
) -> float:
    """`x += (Z^T Z + D)^-1 (Z^T e - D x)`, block by block of x, with the errors `e = s - Z x`."""
    errors = roots - (entries @ found[..., None])[..., 0]
    for block in blocks:
        part, own = entries[:, :, block], diagonal[:, block]  # (B, L, k), (B, k)
        transposed = part.transpose(0, 2, 1)
        systems = transposed @ part  # (B, k, k)
        np.einsum("bkk->bk", systems)[...] += own
        right = (transposed @ errors[..., None])[..., 0] - own * found[:, block]  # (B, k)
        steps = solve_positive(systems, right)
        found[:, block] += steps
        errors -= (part @ steps[..., None])[..., 0]
    return float(np.sum(errors * errors) + np.sum(diagonal * found * found))
