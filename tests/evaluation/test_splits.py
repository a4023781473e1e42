import numpy as np
import pyarrow as pa
import pytest

from tfrecs.evaluation import splits
from tfrecs.spec import Categorical, FeatureSpec, Timestamp

SPEC = FeatureSpec(
    (
        Categorical("user", "query", is_id=True),
        Categorical("item", "candidate", is_id=True),
        Timestamp("time"),
    )
)
UNTIMED = SPEC.select("user", "item")


@pytest.fixture
def events():
    return pa.table(
        {
            "user": ["b", "a", "a", "c", "b", "a", "b"],
            "item": ["p", "q", "r", "s", "t", "u", "v"],
            "time": [5, 1, 3, 9, 5, 2, 5],
        }
    )


def many(num_rows, seed=0):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "row": np.arange(num_rows),
            "user": rng.integers(0, num_rows // 5, num_rows).astype(str),
            "item": rng.integers(0, 50, num_rows).astype(str),
            "time": rng.integers(0, num_rows // 2, num_rows),
        }
    )


def rows_of(table):
    return [(row["user"], row["time"], row["row"]) for row in table.to_pylist()]


def items(table):
    return table["item"].to_pylist()


def test_leave_last_out_holds_out_the_latest_event_and_the_later_row_of_a_tie(events):
    split = splits.leave_last_out(events, SPEC)
    # a: times 1, 3, 2 -> r. b: three times 5 -> the last row, v. c has one event: kept.
    assert items(split.test) == ["r", "v"]
    assert items(split.train) == ["p", "q", "s", "t", "u"]
    assert split.validation is None
    assert split.protocol == "leave last out, ties of time by row for 50 % of them"


def test_leave_last_out_gives_validation_the_event_before(events):
    split = splits.leave_last_out(events, SPEC, validation=True)
    assert items(split.test) == ["r", "v"]
    assert items(split.validation) == ["t", "u"]
    assert items(split.train) == ["p", "q", "s"]


def test_with_validation_a_user_of_two_events_stays_in_training():
    table = pa.table({"user": [1, 1, 2, 2, 2], "item": list("abcde"), "time": [1, 2, 1, 2, 3]})
    split = splits.leave_last_out(table, SPEC, validation=True)
    assert items(split.train) == ["a", "b", "c"]
    assert items(split.validation) == ["d"]
    assert items(split.test) == ["e"]


@pytest.mark.parametrize("kind", ["dictionary", "timestamp", "chunks"])
def test_leave_last_out_reads_every_column_type(events, kind):
    if kind == "dictionary":
        events = events.set_column(0, "user", events["user"].dictionary_encode())
        events = events.filter(pa.array([True] * 7))
    if kind == "timestamp":
        events = events.set_column(2, "time", events["time"].cast(pa.timestamp("s")))
    if kind == "chunks":
        events = pa.concat_tables([events.slice(0, 3), events.slice(3)])
    assert items(splits.leave_last_out(events, SPEC).test) == ["r", "v"]


def test_by_time_puts_all_events_of_the_cutoff_in_test(events):
    # sorted times 1 2 3 5 5 5 9: the last 2 of 7 begin at a 5, so all three 5 go along
    split = splits.by_time(events, SPEC, fraction=2 / 7)
    assert items(split.train) == ["q", "r", "u"]
    assert items(split.test) == ["p", "s", "t", "v"]
    assert items(splits.by_time(events, SPEC, cutoff=6).test) == ["s"]


def test_by_time_takes_validation_just_before_the_cutoff(events):
    split = splits.by_time(events, SPEC, cutoff=9, validation=1 / 7)
    assert items(split.validation) == ["p", "t", "v"]
    assert items(split.train) == ["q", "r", "u"]


def test_random_holds_out_the_share_it_says():
    split = splits.random(many(1000), fraction=0.2, validation=0.1, seed=3)
    assert [t.num_rows for t in (split.train, split.test, split.validation)] == [700, 200, 100]
    assert split.protocol == "random 20 % of events, seed 3"


def test_by_user_does_not_depend_on_the_order_of_rows():
    table = many(1000)
    backwards = table.take(np.arange(1000)[::-1])
    one, two = (splits.by_user(t, SPEC, fraction=0.3) for t in (table, backwards))
    assert set(one.test["user"].to_pylist()) == set(two.test["user"].to_pylist())


def test_by_column_and_given_take_a_published_split(events):
    folds = events.append_column("fold", pa.array([1, 2, 3, 1, 2, 3, 1]))
    split = splits.by_column(folds, "fold", test=[2], validation=[3], protocol="five folds")
    assert items(split.test) == ["q", "t"]
    assert items(split.validation) == ["r", "u"]
    assert split.protocol == "five folds, fold 2"
    assert splits.given(split.train, split.test, protocol="NCF").protocol == "NCF"


MAKERS = {
    "random": lambda t, seed: splits.random(t, fraction=0.2, validation=0.1, seed=seed),
    "leave_last_out": lambda t, seed: splits.leave_last_out(t, SPEC, validation=True),
    "by_time": lambda t, seed: splits.by_time(t, SPEC, fraction=0.2, validation=0.1),
    "by_user": lambda t, seed: splits.by_user(t, SPEC, fraction=0.2, validation=0.1, seed=seed),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_parts_are_disjoint_and_complete_and_the_same_for_a_seed(maker):
    table = many(2000)
    split, again, other = (MAKERS[maker](table, seed) for seed in (0, 0, 1))
    rows = [set(t["row"].to_pylist()) for t in (split.train, split.test, split.validation)]
    assert sum(map(len, rows)) == len(set.union(*rows)) == 2000
    assert split.test.equals(again.test)
    if "seed" in split.protocol:
        assert not split.test.equals(other.test)


def test_no_training_event_is_later_than_what_is_held_out():
    split = splits.by_time(many(2000), SPEC, fraction=0.2, validation=0.1)
    latest = [max(t["time"].to_pylist()) for t in (split.train, split.validation)]
    earliest = [min(t["time"].to_pylist()) for t in (split.validation, split.test)]
    assert latest[0] < earliest[0] <= latest[1] < earliest[1]


def test_no_user_trains_on_later_events_than_its_own_test():
    split = splits.leave_last_out(many(2000), SPEC)
    last = {}
    for user, time, row in rows_of(split.train):
        last[user] = max(last.get(user, (-1, -1)), (time, row))
    tested = rows_of(split.test)
    assert len({user for user, _, _ in tested}) == len(tested)
    assert all(last[user] < (time, row) for user, time, row in tested)


def test_users_of_a_user_split_are_disjoint():
    split = splits.by_user(many(2000), SPEC, fraction=0.2, validation=0.1)
    users = [set(t["user"].to_pylist()) for t in (split.train, split.test, split.validation)]
    assert sum(map(len, users)) == len(set.union(*users))


def test_the_missing_time_is_named_with_the_role_to_add(events):
    with pytest.raises(ValueError, match=r"role='time'.*Add Timestamp"):
        splits.leave_last_out(events, UNTIMED)
    with pytest.raises(ValueError, match="a table with the column 'time'"):
        splits.leave_last_out(events.drop_columns("time"), SPEC)


@pytest.mark.parametrize(
    "times, message",
    [
        ([1, None, 3], "no time in row 1"),
        ([1.0, float("nan"), 2.0], "none of them NaN"),
        (["x", "y", "z"], "a column of numbers"),
    ],
)
def test_unusable_times_are_refused(times, message):
    table = pa.table({"user": ["a", "a", "a"], "item": ["x", "y", "z"], "time": times})
    with pytest.raises(ValueError, match=message):
        splits.leave_last_out(table, SPEC)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_fractions_out_of_range_are_refused(events, fraction):
    for maker in (splits.random, lambda t, **kw: splits.by_user(t, SPEC, **kw)):
        with pytest.raises(ValueError, match="`fraction` must be above 0 and below 1"):
            maker(events, fraction=fraction)
    with pytest.raises(ValueError, match="`fraction` must be above 0 and below 1"):
        splits.by_time(events, SPEC, fraction=fraction)
    with pytest.raises(ValueError, match="`validation` must be from 0 to below"):
        splits.random(events, fraction=0.5, validation=0.6)


def test_by_time_wants_one_of_fraction_and_cutoff(events):
    for both in ({}, {"fraction": 0.1, "cutoff": 3}):
        with pytest.raises(ValueError, match="but not both"):
            splits.by_time(events, SPEC, **both)
    with pytest.raises(ValueError, match="share of events before the cutoff"):
        splits.by_time(events, SPEC, cutoff=3, validation=0.4)


def test_an_empty_part_is_refused(events):
    with pytest.raises(ValueError, match="leaves no event for test"):
        splits.by_time(events, SPEC, cutoff=100)
    with pytest.raises(ValueError, match="leaves no event for train"):
        splits.by_time(events, SPEC, cutoff=0)
    with pytest.raises(ValueError, match="leaves no event for test"):
        splits.leave_last_out(events.slice(3, 1), SPEC)
    with pytest.raises(ValueError, match="of other folds than `test`"):
        splits.by_column(events, "time", test=[5], validation=[5])


@pytest.mark.parametrize("maker", MAKERS)
def test_an_empty_table_is_refused(events, maker):
    with pytest.raises(ValueError, match=r"leaves no event|empty table"):
        MAKERS[maker](events.slice(0, 0), 0)


def test_ties_of_time_are_told_in_the_protocols_line():
    spec = FeatureSpec((Categorical("user", is_id=True), Timestamp("at", "time")))
    days = pa.table({"user": list("aabbcdefgh"), "at": [1, 2, 2, 2, 2, 3, 3, 3, 3, 3]})
    split = splits.by_time(days, spec, fraction=0.1)
    assert split.test.num_rows == 5
    assert split.protocol == (
        "by time, last 50 % of events, those at the cutoff's own time with them"
    )
    exact = splits.by_time(days.set_column(1, "at", pa.array(range(10))), spec, fraction=0.1)
    assert exact.protocol == "by time, last 10 % of events"
    # of a and b, who have two events, b's are of one time
    assert splits.leave_last_out(days, spec).protocol == (
        "leave last out, ties of time by row for 50 % of them"
    )
    three = pa.table({"user": list("aaa"), "at": [1, 1, 2]})
    assert splits.leave_last_out(three, spec).protocol == "leave last out"
    assert "ties" in splits.leave_last_out(three, spec, validation=True).protocol
