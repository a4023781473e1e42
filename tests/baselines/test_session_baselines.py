import numpy as np
import pyarrow as pa
import pytest

from tfrecs.baselines import (
    VSKNN,
    AssociationRules,
    Markov,
    SequentialRules,
    SessionPopularity,
)
from tfrecs.datasets.sessions import session_spec

SPEC = session_spec()
ITEMS = pa.table({"item_id": list("abcd")})
# a b c | a b | c a
EVENTS = pa.table({"session_id": [1, 1, 1, 2, 2, 3, 3], "item_id": list("abcabca")})
ALL = [SessionPopularity, Markov, AssociationRules, SequentialRules, VSKNN]


def scores(baseline, *histories):
    fitted = baseline.fit(EVENTS, ITEMS, SPEC)
    queries = pa.array([list(h) for h in histories], pa.list_(pa.string()))
    return fitted.score(pa.table({"history": queries}))


def test_markov_counts_what_came_next():
    found = scores(Markov(), "a", "ba", "c")
    np.testing.assert_allclose(found, [[0, 2, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0]], atol=2e-3)


def test_association_rules_count_common_sessions():
    # a with b in sessions 1, 2; with c in 1, 3
    found = scores(AssociationRules(), "a", "b")
    np.testing.assert_allclose(found, [[0, 2, 2, 0], [2, 0, 1, 0]], atol=2e-3)


def test_with_cosine_they_are_item_knn():
    # a is in 3 sessions, b and c in 2
    found = scores(AssociationRules(cosine=True), "a")
    np.testing.assert_allclose(found, [[0, 2 / 6**0.5, 2 / 6**0.5, 0]], atol=2e-3)


def test_sequential_rules_weigh_by_distance():
    # a -> b twice at 1, a -> c once at 2
    np.testing.assert_allclose(scores(SequentialRules(), "a"), [[0, 2, 0.5, 0]], atol=2e-3)
    np.testing.assert_allclose(scores(SequentialRules(1), "a"), [[0, 2, 0, 0]], atol=2e-3)


def test_session_popularity_counts_the_session_first():
    # counts 3, 2, 2, 0 over 3 + 1
    found = scores(SessionPopularity(), "dd", "")
    np.testing.assert_allclose(found, [[0.75, 0.5, 0.5, 2], [0.75, 0.5, 0.5, 0]])


def test_vsknn_by_hand():
    # c, a so far: c weighs 1/2, a 2/2, over 2. Session 1 has both: (1/2 + 1) / 2, as has session 3;
    # session 2 has a alone: 1/2. The last item, a, is in all: step 1
    found = scores(VSKNN(), "ca")
    np.testing.assert_allclose(found, [[0.75 + 0.5 + 0.75, 0.75 + 0.5, 0.75 + 0.75, 0]], atol=1e-5)
    # b, d: b weighs 1/4; d is nowhere, so the last shared item is one step before
    found = scores(VSKNN(), "bd")
    np.testing.assert_allclose(found, [[0.25, 0.25, 0.125, 0]], atol=1e-5)


def test_vsknn_looks_at_the_most_recent_and_the_most_similar():
    # of the sessions with a only the last one, then only the most similar: 1 and 3 are alike
    np.testing.assert_allclose(scores(VSKNN(sample_size=1), "a"), [[1, 0, 1, 0]], atol=1e-5)
    np.testing.assert_allclose(scores(VSKNN(neighbours=1), "ca"), [[0.75, 0, 0.75, 0]], atol=1e-5)


def test_vsknn_with_idf_lifts_the_rare():
    idf = np.log([3 / 3, 3 / 2, 3 / 2, 3])
    plain = np.array([[2.0, 1.25, 1.5, 0]])
    np.testing.assert_allclose(scores(VSKNN(idf=True), "ca"), plain * idf, atol=1e-5)


def test_vsknn_equals_a_slow_reference_on_random_sessions():
    rng = np.random.default_rng(0)
    sessions = [rng.choice(12, rng.integers(2, 7)) for _ in range(60)]
    numbers = np.repeat(np.arange(60), [len(s) for s in sessions])
    names = np.array([f"i{n:02d}" for n in range(12)])
    events = pa.table({"session_id": numbers, "item_id": names[np.concatenate(sessions)]})
    knn = VSKNN(5, 20).fit(events, pa.table({"item_id": names}), SPEC)
    histories = [rng.choice(12, rng.integers(1, 6)) for _ in range(20)]
    found = knn.score(pa.table({"history": [names[h].tolist() for h in histories]}))
    for history, got in zip(histories, found, strict=True):
        near = []
        sharing = [n for n, s in enumerate(sessions) if set(s) & set(history)][-20:]
        for number in sharing:
            weights = {item: (place + 1) / len(history) for place, item in enumerate(history)}
            common = set(history) & set(sessions[number])
            similarity = sum(weights[item] for item in common) / len(history)
            near.append((similarity, number))
        expected = np.zeros(12)
        for similarity, number in sorted(near)[-5:]:
            step = 1
            while history[-step] not in sessions[number]:
                step += 1
            expected[list(set(sessions[number]))] += similarity / step
        np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("baseline", ALL)
def test_unknown_items_and_empty_sessions_get_the_popularity_order(baseline):
    found = scores(baseline(), "z", "")
    assert (found.argmax(axis=1) == 0).all()
    assert np.isfinite(found).all()


@pytest.mark.parametrize("baseline", ALL)
def test_recommend_gives_the_best_first(baseline):
    fitted = baseline().fit(EVENTS, ITEMS, SPEC)
    best, positions = fitted.recommend(pa.table({"history": [["a", "b"]]}), k=3)
    assert (np.diff(best[0]) <= 0).all()
    assert len(set(positions[0].tolist())) == 3


@pytest.mark.parametrize("baseline", ALL)
def test_a_session_of_ten_thousand_events_is_answered(baseline):
    fitted = baseline().fit(EVENTS, ITEMS, SPEC)
    found = fitted.score(pa.table({"history": [list("abcd") * 2500]}))
    assert np.isfinite(found).all()


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match="`events` must be a table with the column 'session_id'"):
        Markov().fit(EVENTS.drop_columns("session_id"), ITEMS, SPEC)
    with pytest.raises(ValueError, match="`queries` must be a table with the column 'history'"):
        Markov().fit(EVENTS, ITEMS, SPEC).score(pa.table({"user_id": [1]}))


@pytest.mark.parametrize(
    "build, argument",
    [
        (lambda: VSKNN(0), "neighbours"),
        (lambda: VSKNN(sample_size=0), "sample_size"),
        (lambda: SequentialRules(0), "max_distance"),
        (lambda: AssociationRules(max_length=0), "max_length"),
    ],
)
def test_a_wrong_argument_is_named(build, argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be greater than 0"):
        build()
