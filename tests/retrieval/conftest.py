import numpy as np
import pytest


@pytest.fixture(scope="session")
def clusters():
    """6,000 vectors and 200 queries, 16 wide, around the same 80 centres."""
    random = np.random.default_rng(0)
    centers = random.standard_normal((80, 16))

    def draw(count):
        noise = random.standard_normal((count, 16))
        return (centers[random.integers(0, 80, count)] + 0.6 * noise).astype("float32")

    return draw(6_000), draw(200)


@pytest.fixture(scope="session")
def brute_force():
    """Positions and scores by NumPy's argsort, one query at a time."""

    def search(vectors, queries, k, similarity="dot", exclude=None):
        vectors, queries = vectors.astype("float64"), queries.astype("float64")
        if similarity == "cosine":
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        scores = queries @ vectors.T
        if similarity == "squared_l2":
            scores = -np.square(queries[:, None] - vectors).sum(-1)
        for row, positions in enumerate(exclude or []):
            scores[row, [p for p in positions if p >= 0]] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, order, 1)
        return best, np.where(np.isinf(best), -1, order)

    return search
