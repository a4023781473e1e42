import pyarrow as pa
import pytest

from tfrecs.evaluation import Results, breakdown, full_ranking, splits


def events(*pairs):
    users, items = zip(*pairs, strict=True)
    return pa.table({"user": users, "item": items})


@pytest.fixture
def split():
    # user 10 has two events in training, 30 one, 20 none; item 1 two, item 3 one, 2 and 4 none
    return splits.given(
        train=events((10, 1), (10, 3), (30, 1)),
        test=events((10, 2), (20, 1), (20, 2), (30, 3)),
        protocol="by hand",
    )


def test_groups_of_users_and_items_by_hand(small, split):
    # positions are of the items 1 2 3 4: user 10 hits item 2 first, 20 item 1 second, 30 misses
    hand = small.fixed({10: [1, 3], 20: [2, 0], 30: [1, 3]})
    tables = breakdown({"hand": hand}, split, small, k=2, edges=(0, 1, 2))
    assert tables["users"].columns == ["ndcg@2, users of", "0", "1", "2+"]
    # user 20: 1 / log2(3) over 1 + 1 / log2(3)
    assert tables["users"].rows == [
        ["test users", "1", "1", "1"],
        ["hand", "0.387", "0.000", "1.000"],
    ]
    # new items: 2 of 10 and 20, of which 10's is found; item 3 of 30 is missed; item 1 is found
    assert tables["items"].rows == [
        ["test events", "2", "1", "1"],
        ["hand", "0.500", "0.000", "1.000"],
    ]


def test_a_group_without_test_events_is_empty(small, split):
    hand = small.fixed({10: [1, 3], 20: [2, 0], 30: [1, 3]})
    rows = breakdown({"hand": hand}, split, small, k=2)["users"].rows
    assert rows[1] == ["hand", "0.387", "0.500", "", "", ""]


def test_columns_of_users_with_a_few_values_are_slices(small, split):
    hand = small.fixed({10: [1, 3], 20: [2, 0], 30: [1, 3]})
    queries = small.queries
    names = pa.array([f"u{user}" for user in queries["user"].to_pylist()])
    devices = pa.array(["tv" if user == 10 else None for user in queries["user"].to_pylist()])
    small.queries = queries.append_column("device", devices).append_column("same", names)
    found = breakdown({"hand": hand}, split, small, k=2)
    assert list(found)[:3] == ["users", "items", "device"]
    assert found["device"].columns == ["ndcg@2, users of device", "none", "tv"]
    # of 20 and 30 the mean of 1 / log2(3) over 1 + 1 / log2(3), and of 1
    assert found["device"].rows[0] == ["test users", "2", "1"]


def test_full_ranking_tells_the_groups_of_its_first_cut_off(small, split):
    hand = small.fixed({10: [1, 3], 20: [2, 0], 30: [1, 3]})
    results = full_ranking({"hand": hand}, split, small, ks=(2,))
    assert results.groups == breakdown({"hand": hand}, split, small, k=2)
    assert Results.from_json(results.to_json()).groups == results.groups
    other = full_ranking({"other": hand}, split, small, ks=(2,))
    names = [row[0] for row in results.merge(other).groups["items"].rows]
    assert names == ["test events", "hand", "other"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"edges": (1, 2)}, "`edges` must be rising from 0"),
        ({"edges": (0, 5, 2)}, "`edges` must be rising from 0"),
        ({"k": 5}, r"`k` must be from 1 to the number of candidates \(4\)"),
    ],
)
def test_a_wrong_argument_is_named(small, split, arguments, message):
    with pytest.raises(ValueError, match=message):
        breakdown({}, split, small, **arguments)
