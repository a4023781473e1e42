import numpy as np
import pyarrow as pa
import pytest

from tfrecs.baselines import Random

QUERIES = pa.table({"user_id": [f"u{n}" for n in range(200)]})
ITEMS = pa.table({"item_id": [f"i{n}" for n in range(100)]})


@pytest.fixture
def fitted(events, spec):
    return Random(seed=1).fit(events, ITEMS, spec)


def test_scores_are_uniform(fitted):
    scores = fitted.score(QUERIES)
    assert scores.min() >= 0.0
    assert scores.max() < 1.0
    # the mean of 20,000 draws has a standard deviation of 0.29 / sqrt(20,000) = 0.002
    assert abs(scores.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(scores[:, 0], scores[:, 1])[0, 1]) < 0.3  # 4 deviations of 200 rows


def test_every_item_gets_its_turn(fitted):
    _, positions = fitted.recommend(QUERIES, 10)
    counts = np.bincount(positions.ravel(), minlength=100)
    # 20 expected of each, with a standard deviation of 4.2
    assert counts.min() > 3
    assert counts.max() < 40


def test_order_of_the_queries_does_not_matter(fitted):
    backwards = QUERIES.take(np.arange(200)[::-1])
    np.testing.assert_array_equal(
        fitted.recommend(backwards, 5)[1][::-1], fitted.recommend(QUERIES, 5)[1]
    )


def test_seeds_differ(fitted, events, spec):
    other = Random(seed=2).fit(events, ITEMS, spec)
    same = Random(seed=1).fit(events, ITEMS, spec)
    assert (other.score(QUERIES) != fitted.score(QUERIES)).mean() > 0.99
    np.testing.assert_array_equal(same.score(QUERIES), fitted.score(QUERIES))
