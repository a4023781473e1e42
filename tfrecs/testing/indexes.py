"""The contract of indexes."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfrecs.retrieval import Index
from tfrecs.retrieval import load as load_index
from tfrecs.testing.case import Check, expect, expect_close

Build = Callable[[], Index]
NUM_CANDIDATES, NUM_QUERIES, DIM = 64, 8, 6
STRINGS = np.array([f"item_{i}" for i in range(NUM_CANDIDATES)])
INTEGERS = np.arange(NUM_CANDIDATES) * 10**15  # too large for int32 and for float64


def equals_oracle(build: Build) -> None:
    """The best of a plain product come back, best first, for string and for int64 ids."""
    vectors, queries = _vectors()
    best, order = _oracle(vectors, queries, 5)
    for ids in (STRINGS, INTEGERS):
        scores, found = build().index(vectors, ids)(queries, 5)
        expect(_ids(found) == ids[order].tolist(), f"The ids of query 0 are {_ids(found)[0]}.")
        expect_close(scores, best, "The scores")


def k_at_call_time(build: Build) -> None:
    """One index answers any k, up to the size of the catalogue; more is an error."""
    vectors, queries = _vectors()
    index = build().index(vectors, STRINGS)
    for k in (1, 7, NUM_CANDIDATES):
        scores, ids = index(queries, k)
        shapes = tuple(scores.shape), tuple(ids.shape)
        expect(shapes == ((NUM_QUERIES, k),) * 2, f"For k={k} the shapes are {shapes}.")
    try:
        index(queries, NUM_CANDIDATES + 1)
    except ValueError as error:
        expect("`k`" in str(error), f"The error of a k over the catalogue says: {error}")
    else:
        expect(False, "A k over the catalogue is no error.")


def exclusion(build: Build) -> None:
    """Excluded ids do not come back, the next best do; ids that are unknown do no harm."""
    vectors, queries = _vectors()
    _, order = _oracle(vectors, queries, NUM_CANDIDATES)
    index = build().index(vectors, STRINGS)
    seen = [[*STRINGS[row[: 1 + n % 3]].tolist(), "item_x"] for n, row in enumerate(order)]
    _, ids = index(queries, 4, seen)
    expected = [STRINGS[row[1 + n % 3 :][:4]].tolist() for n, row in enumerate(order)]
    expect(_ids(ids) == expected, f"With {seen[0]} excluded, query 0 has the ids {_ids(ids)[0]}.")


def nothing_left(build: Build) -> None:
    """Slots with nothing to fill them have score -inf and the missing id."""
    vectors, queries = _vectors()
    for ids, missing in ((STRINGS, ""), (INTEGERS, -1)):
        index = build().index(vectors, ids)
        scores, found = index(queries, 3, [ids[1:].tolist()] * NUM_QUERIES)
        expect(
            _ids(found) == [[ids[0].item(), missing, missing]] * NUM_QUERIES,
            f"With all but one excluded, query 0 has the ids {_ids(found)[0]}.",
        )
        empty = np.asarray(scores)[:, 1:]
        expect(bool(np.isneginf(empty).all()), f"Scores of empty slots are {empty[0]}.")


def save_and_load(build: Build) -> None:
    """A loaded index answers as the one that was saved."""
    vectors, queries = _vectors()
    index = build().index(vectors, INTEGERS)
    with tempfile.TemporaryDirectory() as directory:
        index.save(Path(directory) / "index")
        loaded = load_index(Path(directory) / "index")
    (scores, ids), (same_scores, same_ids) = index(queries, 5), loaded(queries, 5)
    expect(_ids(same_ids) == _ids(ids), f"Loaded, query 0 has the ids {_ids(same_ids)[0]}.")
    expect_close(same_scores, scores, "Scores of a loaded index")


def rebuild(build: Build) -> None:
    """Indexing again replaces all candidates."""
    vectors, queries = _vectors()
    index = build().index(vectors, STRINGS).index(vectors[::-1].copy(), INTEGERS)
    _, order = _oracle(vectors[::-1], queries, 5)
    _, ids = index(queries, 5)
    expect(_ids(ids) == INTEGERS[order].tolist(), f"Rebuilt, query 0 has {_ids(ids)[0]}.")


def bad_input(build: Build) -> None:
    """Repeated ids, NaN vectors and ids that are too few are errors."""
    vectors, _ = _vectors()
    broken = vectors.copy()
    broken[3, 0] = np.nan
    for what, rows, ids in (
        ("repeated ids", vectors, np.where(STRINGS == "item_1", "item_0", STRINGS)),
        ("a NaN vector", broken, STRINGS),
        ("too few ids", vectors, STRINGS[1:]),
    ):
        try:
            build().index(rows, ids)
        except ValueError:
            continue
        expect(False, f"An index takes {what}.")


CHECKS: tuple[Callable[[Build], None], ...] = (
    equals_oracle,
    k_at_call_time,
    exclusion,
    nothing_left,
    save_and_load,
    rebuild,
    bad_input,
)


def check_index(build: Build) -> Iterator[Check]:
    """Yields what an index promises, one check after the other.

    It finds what a plain product finds among 64 candidates, by string and by int64 ids; k is
    chosen at the call; excluded ids stay out; empty slots are marked; saved and loaded it is the
    same; indexing again replaces; bad candidates are errors. How an approximate index does on many
    candidates is measured by `tfrecs.retrieval.recall_at_k`.

    Args:
        build: Returns a new index of dot products without candidates.

    Yields:
        Checks.

    Example:

    >>> from tfrecs.retrieval import Exact
    >>> for check in check_index(Exact):
    ...     check.run()  # raises ContractError if the index breaks its promise
    """
    for run in CHECKS:
        yield Check(run.__name__, partial(run, build))


def _vectors() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(NUM_CANDIDATES, DIM)).astype(np.float32)
    return vectors, random.normal(size=(NUM_QUERIES, DIM)).astype(np.float32)


def _oracle(vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    products = queries @ vectors.T
    order = np.argsort(-products, axis=1)[:, :k]
    return np.take_along_axis(products, order, axis=1), order


def _ids(ids: Any) -> list[list[Any]]:
    values = np.asarray(ids).tolist()
    return [[v.decode() if isinstance(v, bytes) else v for v in row] for row in values]
