import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

from tfrecs.retrieval.tag_candidates import CandidateOptions, TagCandidates

# items 2 to 9: content on two axes; tag 2 has items 2 to 7, tag 3 items 8 and 9 without events
CONTENT = np.array(
    [[0, 0], [0, 0], [1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [-1, 0], [0, -1], [3, 0], [0, 3]],
    "float32",
)
TAGS = [np.array([], int), np.array([], int), np.arange(2, 8), np.array([8, 9])]
NOTHING = tf.constant([], tf.int32)


def ratings():
    """Users 0 to 2: 0 and 1 like item 2 and then 4 or 5, 2 likes 6 twice as late."""
    matrix = scipy.sparse.lil_matrix((3, 10))
    for user, item in [(0, 2), (0, 4), (1, 2), (1, 5), (2, 6)]:
        matrix[user, item] = 1.0
    return matrix.tocsr()


def candidates(newest=None, **options):
    settings = {"radius": 0.5, "popular": 0, "recent": 0, "users": 0, **options}
    made = CandidateOptions(**settings)
    return TagCandidates(CONTENT, TAGS, ratings(), newest=newest, options=made)


def found(module, tag=2, liked=(), disliked=(), viewed=()):
    ids, bits = module(*(tf.constant(x, tf.int32) for x in (tag, liked, disliked, viewed)))
    return dict(zip(ids.numpy().tolist(), bits.numpy().tolist(), strict=True))


def test_neighbours_are_within_the_radius_of_a_like_and_are_no_known_items():
    assert found(candidates(), liked=[2]) == {3: 1}  # cos((1, 0), (0.9, 0.1)) = 0.994
    assert found(candidates(radius=0.995), liked=[2]).keys() != {3}
    assert found(candidates(), liked=[2], disliked=[3]).get(3) is None


def test_a_wider_radius_never_gives_fewer():
    sizes = [
        sum(bit & 1 for bit in found(candidates(radius=r), liked=[3]).values())
        for r in (0.99, 0.9, 0.5, 0.1, 0.0)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_similar_users_bring_what_they_met_the_more_similar_first():
    module = candidates(users=2, neighbours=0)
    # user 0 met 2 and 4, user 1 met 2 and 5: both have cosine 1 / sqrt(2) with who likes 2 alone
    assert found(module, liked=[2]) == {4: 2, 5: 2}
    # with 4 disliked user 0 is at 0 and user 1 at 1 / 2
    assert found(module, liked=[2], disliked=[4]) == {5: 2}


def test_popular_and_newest_items_of_the_tag_are_the_floor():
    assert found(candidates(popular=1)) == {2: 4}  # two events
    newest = np.arange(10.0)
    assert found(candidates(newest=newest, recent=2)) == {7: 8, 6: 8}
    assert found(candidates(popular=9, newest=newest, recent=1)) == {2: 4, 4: 4, 5: 4, 6: 4, 7: 8}


def test_a_tag_without_events_gives_items_far_from_each_other_to_a_new_user():
    module = candidates(popular=5, recent=5, newest=np.arange(10.0))
    assert found(module, tag=3) == {8: 16, 9: 16}
    # with a like the newest are shown too
    assert set(found(module, tag=3, liked=[2]).values()) <= {1, 8, 9}


def test_unknown_tags_and_tags_without_items_have_no_candidates():
    module = candidates(popular=5)
    assert found(module, tag=1) == found(module, tag=0) == found(module, tag=99) == {}


def test_padding_and_unknown_items_of_a_history_are_passed_over():
    module = candidates(users=2, popular=2)
    assert found(module, liked=[0, 1, 2]) == found(module, liked=[2])


def test_the_pool_keeps_the_most_promising():
    all_of_them = list(found(candidates(radius=0, users=3, popular=9), liked=[2]))
    few = list(found(candidates(radius=0, users=3, popular=9, pool=2), liked=[2]))
    assert few == all_of_them[:2]


def test_the_last_items_of_a_user_are_taken():
    order = ratings()
    order[1, 2], order[1, 5] = 9.0, 1.0  # user 1 met 2 last
    options = CandidateOptions(radius=1, users=3, recent_of_user=1, popular=0, recent=0)
    module = TagCandidates(CONTENT, TAGS, ratings(), order=order, options=options)
    assert found(module, viewed=[5]) == {2: 2}


def test_it_is_one_graph():
    module = candidates(users=2, popular=2)
    graph = tf.function(module.__call__)
    args = [tf.constant(x, tf.int32) for x in (2, [2], [4], [])]
    for eager, traced in zip(module(*args), graph(*args), strict=True):
        np.testing.assert_array_equal(eager, traced)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="`radius` must be a cosine, from -1 to 1"):
        CandidateOptions(radius=2)
    with pytest.raises(ValueError, match="`pool` must be greater than 0"):
        CandidateOptions(pool=0)
