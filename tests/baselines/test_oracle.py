import numpy as np
import pyarrow as pa
import pytest

from tfrecs.baselines import Oracle

QUERIES = pa.table({"user_id": ["a", "b"], "mood": [0.0, 1.0]})


def test_ranks_by_the_given_function_of_the_queries(events, items, spec):
    def relevance(queries):
        mood = queries["mood"].to_numpy()[:, None]
        return mood * [[0.4, 0.3, 0.2, 0.1]] + (1 - mood) * [[0.1, 0.2, 0.3, 0.4]]

    scores, positions = Oracle(relevance).fit(events, items, spec).recommend(QUERIES, 2)
    np.testing.assert_array_equal(positions, [[3, 2], [0, 1]])
    np.testing.assert_allclose(scores, [[0.4, 0.3], [0.4, 0.3]], rtol=1e-6)


def test_scores_of_another_shape_are_refused(events, items, spec):
    oracle = Oracle(lambda queries: np.zeros(4)).fit(events, items, spec)
    message = r"`score_function` must be .* of shape \(2, 4\).* Received: \(4,\)"
    with pytest.raises(ValueError, match=message):
        oracle.recommend(QUERIES, 1)
