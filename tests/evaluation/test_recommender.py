import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from tfrecs import retrieval
from tfrecs.evaluation import ModelRecommender, recommender, scorers
from tfrecs.evaluation.scorers import PairScorer, VectorScorer


def best(scores, k, exclude=None):
    """The same by sorting: scores down, positions up."""
    scores = scores.astype("float64").copy()
    if exclude is not None:
        scores[exclude.toarray() != 0] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(scores, order, axis=1)
    return found, np.where(np.isneginf(found), -1, order)


def some(shape, density=0.4, seed=1):
    return sp.random(*shape, density, "csr", random_state=seed)


@pytest.mark.parametrize("kind", ["retriever", "ranker"])
@pytest.mark.parametrize(
    "batch_size, max_scores, k", [(4, 1, 1), (4, 50, 5), (1024, 50, 23), (1024, 1 << 16, 5)]
)
def test_blocks_give_the_order_of_a_full_sort(world, monkeypatch, kind, batch_size, max_scores, k):
    monkeypatch.setattr(VectorScorer, "max_scores", max_scores)
    monkeypatch.setattr(PairScorer, "max_scores", max_scores)
    recommend = ModelRecommender(
        getattr(world, kind), world.transform, world.candidates, batch_size=batch_size
    ).recommend
    exclude = some(world.scores.shape)
    scores, positions = recommend(world.queries, k, exclude)
    wanted_scores, wanted = best(world.scores, k, exclude)
    np.testing.assert_array_equal(positions, wanted)
    np.testing.assert_array_equal(scores, wanted_scores)
    assert (scores.dtype, positions.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("kind", ["retriever", "ranker"])
def test_k_may_differ_from_call_to_call(world, kind):
    recommend = ModelRecommender(getattr(world, kind), world.transform, world.candidates).recommend
    for k in (3, 7, 2, 23):
        np.testing.assert_array_equal(recommend(world.queries, k)[1], best(world.scores, k)[1])


def test_seen_items_are_never_recommended_and_empty_slots_say_so(world):
    exclude = sp.csr_matrix(np.ones(world.scores.shape))
    exclude[0, 5] = 0  # user 0 has one item left, the others none
    recommender = ModelRecommender(world.retriever, world.transform, world.candidates)
    scores, positions = recommender.recommend(world.queries, 3, exclude)
    assert positions[0].tolist() == [5, -1, -1]
    assert scores[0].tolist() == [world.scores[0, 5], -np.inf, -np.inf]
    assert (positions[1:] == -1).all()


def test_a_stored_zero_excludes_nothing(world):
    exclude = sp.csr_matrix((np.zeros(1), ([0], [3])), shape=world.scores.shape)
    recommender = ModelRecommender(world.retriever, world.transform, world.candidates)
    np.testing.assert_array_equal(
        recommender.recommend(world.queries, 4, exclude)[1], best(world.scores, 4)[1]
    )


@pytest.mark.parametrize("kind", ["retriever", "ranker"])
@pytest.mark.parametrize("max_scores", [1, 1 << 16])
def test_given_candidates_get_their_scores(world, monkeypatch, kind, max_scores):
    monkeypatch.setattr(VectorScorer, "max_scores", max_scores)
    monkeypatch.setattr(PairScorer, "max_scores", max_scores)
    positions = np.random.default_rng(0).integers(-1, 23, (11, 6))
    found = ModelRecommender(getattr(world, kind), world.transform, world.candidates).score(
        world.queries, positions
    )
    wanted = np.take_along_axis(world.scores, np.maximum(positions, 0), axis=1)
    np.testing.assert_array_equal(found, np.where(positions < 0, -np.inf, wanted))


def test_no_block_of_scores_is_larger_than_the_bound(world, monkeypatch):
    monkeypatch.setattr(VectorScorer, "max_scores", 20)
    monkeypatch.setattr(recommender, "graph", lambda function: function)  # shapes as they are
    monkeypatch.setattr(scorers, "graph", lambda function: function)
    sizes = []

    class Watched(world.vectors):
        def score(self, query, candidate):
            scores = super().score(query, candidate)
            sizes.append(int(np.prod(scores.shape)))
            return scores

    watched = Watched(*world.retriever.tables.values())
    found = ModelRecommender(watched, world.transform, world.candidates)
    np.testing.assert_array_equal(found.recommend(world.queries, 5)[1], best(world.scores, 5)[1])
    assert max(sizes) <= 20
    assert sum(sizes) == world.scores.size


def test_an_exact_index_gives_what_scoring_all_gives(world):
    index = retrieval.Exact().index(world.retriever.tables["item"], np.arange(23))
    plain, indexed = (
        ModelRecommender(world.retriever, world.transform, world.candidates, index=i, batch_size=4)
        for i in (None, index)
    )
    for exclude in (None, some(world.scores.shape, 0.9)):
        for one, two in zip(
            plain.recommend(world.queries, 6, exclude),
            indexed.recommend(world.queries, 6, exclude),
            strict=True,
        ):
            np.testing.assert_array_equal(one, two)


def test_an_index_of_other_candidates_is_refused(world):
    index = retrieval.Exact().index(world.retriever.tables["item"], np.arange(23)[::-1])
    with pytest.raises(ValueError, match=r"`index` must be over the 23 candidates in their order"):
        ModelRecommender(world.retriever, world.transform, world.candidates, index=index)
    with pytest.raises(ValueError, match="`model` must be a Retriever where there is an index"):
        ModelRecommender(world.ranker, world.transform, world.candidates, index=index)


def test_arguments_out_of_range_are_refused(world):
    good = ModelRecommender(world.retriever, world.transform, world.candidates)
    for k in (0, 24):
        with pytest.raises(ValueError, match=r"`k` must be from 1 to the number of candidates"):
            good.recommend(world.queries, k)
    with pytest.raises(ValueError, match=r"`exclude` must be of shape \(11, 23\)"):
        good.recommend(world.queries, 3, sp.csr_matrix((11, 22)))
    with pytest.raises(ValueError, match="`batch_size` must be greater than 0"):
        ModelRecommender(world.retriever, world.transform, world.candidates, batch_size=0)
    with pytest.raises(ValueError, match="`candidates` must be a table with rows"):
        ModelRecommender(world.retriever, world.transform, pa.table({"item": np.arange(0)}))


def test_a_model_that_diverged_is_refused(world, vectors):
    query, candidate = (array.copy() for array in vectors)
    query[3, 1] = np.nan
    broken = ModelRecommender(world.vectors(query, candidate), world.transform, world.candidates)
    with pytest.raises(ValueError, match=r"finite vectors of queries.*first in row 3"):
        broken.recommend(world.queries, 3)
    broken = ModelRecommender(world.pairs(query, candidate), world.transform, world.candidates)
    with pytest.raises(ValueError, match="trained to finite scores"):
        broken.recommend(world.queries, 3)
    candidate[2, 0] = np.inf
    with pytest.raises(ValueError, match="finite vectors of candidates"):
        ModelRecommender(world.vectors(query, candidate), world.transform, world.candidates)


def test_no_queries_get_no_recommendations(world):
    good = ModelRecommender(world.retriever, world.transform, world.candidates)
    scores, positions = good.recommend(world.queries.slice(0, 0), 3)
    assert scores.shape == positions.shape == (0, 3)
