import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse

from tfrecs import baselines
from tfrecs.baselines.base import find_positions, top_k
from tfrecs.spec import Categorical, FeatureSpec

ALL = [
    baselines.Popularity(),
    baselines.Random(seed=3),
    baselines.ItemKNN(),
    baselines.Oracle(lambda queries: np.tile([0.1, 0.4, 0.2, 0.3], (queries.num_rows, 1))),
]


def users(*ids):
    return pa.table({"user_id": list(ids)})


def test_interaction_matrix_counts_events(events, spec):
    matrix = baselines.interaction_matrix(events, ["a", "b", "c"], ["w", "x", "y", "z"], spec)
    np.testing.assert_array_equal(matrix.toarray(), [[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 2, 0]])


@pytest.mark.parametrize("make", [pa.array, np.array, lambda ids: pa.chunked_array([ids])])
def test_interaction_matrix_takes_integer_ids_of_any_container(make, spec):
    events = pa.table({"user_id": [7, 9], "item_id": pa.array([1, 2], pa.int32())})
    matrix = baselines.interaction_matrix(events, make([9, 7]), make([1, 2]), spec)
    np.testing.assert_array_equal(matrix.toarray(), [[0, 1], [1, 0]])


def test_interaction_matrix_of_no_events_is_empty(events, spec):
    matrix = baselines.interaction_matrix(events.slice(0, 0), ["a"], ["w", "x"], spec)
    assert matrix.shape == (1, 2)
    assert matrix.nnz == 0


@pytest.mark.parametrize(
    "queries, candidates, message",
    [
        (["a", "b"], ["w", "x", "y"], r"row 2 has user_id 'c', which is not in `query_ids`"),
        (["a", "b", "c"], ["w", "x"], r"row 5 has item_id 'y', which is not in `candidate_ids`"),
        (["a", "b", "a"], ["w"], r"`query_ids` must be distinct ids.* Received: \['a'\]"),
        (["a", None], ["w"], r"`query_ids` must be distinct ids.* Received: \[None\]"),
        ([1, 2], ["w"], r"`user_id` must have one type everywhere. Received: string"),
    ],
)
def test_interaction_matrix_names_the_id_that_does_not_fit(
    events, spec, queries, candidates, message
):
    with pytest.raises(ValueError, match=message):
        baselines.interaction_matrix(events, queries, candidates, spec)


def test_missing_column_and_missing_id_are_named(events, spec, items):
    with pytest.raises(ValueError, match="`events` must be a table with the column 'user_id'"):
        baselines.ItemKNN().fit(events.rename_columns(["userid", "item_id", "t"]), items, spec)
    holes = pa.table({"user_id": ["a", "a"], "item_id": ["w", None]})
    with pytest.raises(ValueError, match=r"`events` has no item_id in row 1 \(1 such rows\)"):
        baselines.Popularity().fit(holes, items, spec)


def test_repeated_candidates_are_named(events, spec):
    twice = pa.table({"item_id": ["w", "x", "y", "x"]})
    with pytest.raises(ValueError, match=r"`candidates` must be distinct ids.*\['x'\]"):
        baselines.Popularity().fit(events, twice, spec)


def test_positions_of_nothing_are_none():
    empty = pa.array([], pa.string())
    assert find_positions(empty, pa.array(["a"]), "user_id").shape == (0,)
    np.testing.assert_array_equal(find_positions(pa.array(["a"]), empty, "user_id"), [-1])


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_top_k_is_a_stable_sort(k):
    scores = np.random.default_rng(0).integers(0, 4, (50, 5)).astype(np.float32)  # many ties
    best, positions = top_k(scores, k)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_array_equal(best, np.take_along_axis(scores, expected, axis=1))


def test_top_k_of_no_rows_is_empty():
    best, positions = top_k(np.empty((0, 4), np.float32), 2)
    assert best.shape == positions.shape == (0, 2)


def test_top_k_refuses_nan():
    with pytest.raises(ValueError, match="score of row 1, position 0 is NaN"):
        top_k(np.array([[0.0, 1.0], [np.nan, 1.0]]), 1)


@pytest.fixture(params=ALL, ids=lambda baseline: type(baseline).__name__)
def baseline(request):
    return request.param


def test_scores_fall_and_positions_are_distinct(baseline, events, items, spec):
    scores, positions = baseline.fit(events, items, spec).recommend(users("a", "c"), 4)
    assert scores.dtype == np.float32
    assert positions.dtype == np.int64
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_array_equal(np.sort(positions), [[0, 1, 2, 3]] * 2)


def test_excluded_candidates_leave_empty_slots_at_the_end(baseline, events, items, spec):
    # the zero stored in the second row excludes nothing
    exclude = scipy.sparse.csr_matrix(
        (np.array([1.0, 1.0, 1.0, 0.0]), ([0, 0, 0, 1], [0, 2, 3, 1])), shape=(2, 4)
    )
    fitted = baseline.fit(events, items, spec)
    scores, positions = fitted.recommend(users("a", "b"), 3, exclude)
    np.testing.assert_array_equal(positions[0], [1, -1, -1])
    np.testing.assert_array_equal(scores[0, 1:], [-np.inf, -np.inf])
    assert (positions[1] >= 0).all()


def test_a_query_does_not_depend_on_its_batch(baseline, events, items, spec, monkeypatch):
    fitted = baseline.fit(events, items, spec)
    together = fitted.recommend(users("a", "nobody", "c"), 2)
    monkeypatch.setattr("tfrecs.baselines.base._BLOCK_CELLS", 4)  # one query a block
    for found, expected in zip(
        fitted.recommend(users("a", "nobody", "c"), 2), together, strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_unknown_queries_get_finite_scores(baseline, events, items, spec):
    scores, positions = baseline.fit(events, items, spec).recommend(users("nobody"), 4)
    assert np.isfinite(scores).all()
    assert sorted(positions[0]) == [0, 1, 2, 3]


def test_no_queries_get_no_rows(baseline, events, items, spec):
    none = users("a").slice(0, 0)
    scores, positions = baseline.fit(events, items, spec).recommend(none, 2)
    assert scores.shape == positions.shape == (0, 2)


@pytest.mark.parametrize("k", [0, 5, 2.0, True])
def test_k_out_of_the_catalogue_is_refused(baseline, events, items, spec, k):
    fitted = baseline.fit(events, items, spec)
    with pytest.raises(
        ValueError, match=rf"`k` must be an integer from 1 to .*\(4\). Received: {k}"
    ):
        fitted.recommend(users("a"), k)


def test_exclude_of_another_shape_is_refused(baseline, events, items, spec):
    fitted = baseline.fit(events, items, spec)
    with pytest.raises(ValueError, match=r"`exclude` must be of shape \(1, 4\).*\(2, 4\)"):
        fitted.recommend(users("a"), 1, scipy.sparse.csr_matrix((2, 4)))


def test_fit_again_forgets(baseline, events, items, spec):
    twice = baseline.fit(events, items, spec).fit(events.slice(0, 3), items, spec)
    once = type(baseline)(**vars_of(baseline)).fit(events.slice(0, 3), items, spec)
    np.testing.assert_array_equal(
        twice.recommend(users("a"), 4)[0], once.recommend(users("a"), 4)[0]
    )


def vars_of(baseline):
    """The constructor's arguments: the public attributes."""
    return {name: value for name, value in vars(baseline).items() if not name.startswith("_")}


@pytest.mark.parametrize("kind", [baselines.Popularity, baselines.Random, baselines.ItemKNN])
def test_recommend_before_fit_is_refused(kind):
    with pytest.raises(ValueError, match=f"`{kind.__name__}` has not been fitted. Call `fit"):
        kind().recommend(users("a"), 1)


def test_ids_of_another_type_are_refused(events, items, spec):
    fitted = baselines.ItemKNN().fit(events, items, spec)
    with pytest.raises(ValueError, match="`user_id` must have one type everywhere"):
        fitted.recommend(users(1, 2), 1)


def test_integer_ids_are_as_good_as_text():
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", dtype="int64", is_id=True),
            Categorical("item_id", "candidate", dtype="int64", is_id=True),
        )
    )
    events = pa.table({"user_id": [1, 1, 2], "item_id": [10, 20, 10]})
    knn = baselines.ItemKNN(shrinkage=0).fit(events, pa.table({"item_id": [10, 20, 30]}), spec)
    assert knn.recommend(users(2), 1)[1] == [[1]]
