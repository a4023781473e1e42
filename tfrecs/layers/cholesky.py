"""Small symmetric systems, many at a time, by LAPACK, which threads call without waiting."""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np


@cache
def _sposv() -> Callable[..., Any]:
    """Returns LAPACK's `sposv`; scipy's own wrapper keeps Python's lock while it runs."""
    import scipy
    from scipy.linalg import cython_lapack  # with what it takes, a quarter of tfrecs' import

    capsule = scipy.LowLevelCallable.from_cython(cython_lapack, "sposv")
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = pointer(capsule.function, capsule.signature.encode())
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 8)(address)


def solve_positive(systems: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solves `A x = b` for many symmetric, positive definite A, in place.

    Args:
        systems: float32 `(B, K, K)`, the values of a row side by side; they are lost.
        right: float32 `(B, K)`, contiguous; becomes the solutions.

    Returns:
        `right`.

    Raises:
        FloatingPointError: A system is not positive definite.

    Example:

    >>> systems = np.array([[[4, 2], [2, 5]], [[4, 0], [0, 1]]], np.float32)
    >>> solve_positive(systems, np.array([[6, 7], [8, 5]], np.float32))
    array([[1., 1.],
           [2., 5.]], dtype=float32)
    """
    count, size = right.shape
    # 64 bits serve a LAPACK of 32-bit integers as well, on a little-endian machine
    between_systems, between_rows, _ = systems.strides
    numbers = np.array([size, between_rows // 4, 1, ord("L")], np.int64)
    order, leading, one, lower = (numbers.ctypes.data + 8 * i for i in range(4))
    failed = np.zeros(count, np.int64)
    places = zip(
        _places(systems.ctypes.data, between_systems, count),
        _places(right.ctypes.data, 4 * size, count),
        _places(failed.ctypes.data, 8, count),
        strict=True,
    )
    solve = _sposv()
    for system, x, info in places:
        solve(lower, order, one, system, leading, x, order, info)
    if failed.any():
        raise FloatingPointError(
            f"A system of {size} unknowns is singular in float32. Take a larger l2."
        )
    return right


def _places(first: int, step: int, count: int) -> range:
    return range(first, first + step * count, step)
