"""Any events, split in every way: each row once, no leak, shares that add up."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tfrecs.datasets import Tables
from tfrecs.evaluation import splits, strong_generalisation
from tfrecs.evaluation.sessions import by_session_start, next_items
from tfrecs.spec import Categorical, FeatureSpec, Sequence, Timestamp

SPEC = FeatureSpec(
    (
        Categorical("user", "query", dtype="int64", is_id=True),
        Categorical("item", "candidate", dtype="int64", is_id=True),
        Timestamp("time"),
    )
)
events = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 6)), min_size=4, max_size=30
)
shares = st.sampled_from([0.05, 0.2, 0.34, 0.5])


def as_table(rows):
    users, items, times = zip(*rows, strict=True)
    return pa.table({"user": users, "item": items, "time": times, "row": range(len(rows))})


def parts(split, number):
    """The numbers of the rows of each part; together they are all, each once."""
    named = {name: getattr(split, name) for name in ("train", "test", "validation", "given")}
    found = {name: part["row"].to_pylist() for name, part in named.items() if part is not None}
    assert sorted(row for rows in found.values() for row in rows) == list(range(number))
    assert all(rows == sorted(rows) for rows in found.values())  # in their order
    return found


def cut(function, *args, **kwargs):
    """The split; events that leave a part empty are no case of these tests."""
    try:
        return function(*args, **kwargs)
    except ValueError as error:
        empty = "leaves no event", "share of events before the cutoff"
        assume(not any(words in str(error) for words in empty))
        raise


@given(events, shares, st.sampled_from([0.0, 0.2]), st.integers(0, 9))
def test_random_rows_have_their_shares(rows, fraction, validation, seed):
    table = as_table(rows)
    split = cut(splits.random, table, fraction=fraction, validation=validation, seed=seed)
    found = parts(split, len(rows))
    assert len(found["test"]) == max(1, round(fraction * len(rows)))
    if validation:
        assert len(found["validation"]) == max(1, round(validation * len(rows)))
    again = splits.random(table, fraction=fraction, validation=validation, seed=seed)
    assert again.test.equals(split.test)


@given(events, st.booleans())
def test_the_last_events_of_each_user_are_held_out(rows, validation):
    split = cut(splits.leave_last_out, as_table(rows), SPEC, validation=validation)
    found = parts(split, len(rows))
    for user in {row[0] for row in rows}:
        own = sorted((time, n) for n, (u, _, time) in enumerate(rows) if u == user)
        last = [n for _, n in own]
        held = 2 if validation else 1
        if len(own) <= held:
            assert set(last) <= set(found["train"])
            continue
        assert last[-1] in found["test"]
        assert not validation or last[-2] in found["validation"]
        assert set(last[:-held]) <= set(found["train"])


@given(events, shares, st.sampled_from([0.0, 0.2]))
def test_nothing_is_learned_from_that_is_as_late_as_what_is_foretold(rows, fraction, validation):
    split = cut(splits.by_time, as_table(rows), SPEC, fraction=fraction, validation=validation)
    found = parts(split, len(rows))
    times = {name: [rows[n][2] for n in numbers] for name, numbers in found.items()}
    assert max(times["train"]) < min(times["test"])
    share = max(1, len(rows) - round((1 - fraction) * len(rows)))
    later = sum(time > min(times["test"]) for time in times["test"])
    assert later < share <= len(found["test"])  # ties at the cutoff can make it more
    if validation:
        assert max(times["train"]) < min(times["validation"])
        assert max(times["validation"]) < min(times["test"])


@given(events, shares, st.sampled_from([0.0, 0.2]), st.integers(0, 9), st.randoms())
def test_users_are_on_one_side_whatever_the_order_of_rows(rows, fraction, validation, seed, random):
    def users_of(rows):
        options = {"fraction": fraction, "validation": validation, "seed": seed}
        found = parts(cut(splits.by_user, as_table(rows), SPEC, **options), len(rows))
        return {name: {rows[n][0] for n in numbers} for name, numbers in found.items()}

    sides = users_of(rows)
    users = {row[0] for row in rows}
    assert sum(map(len, sides.values())) == len(users)
    assert len(sides["test"]) == max(1, round(fraction * len(users)))
    shuffled = random.sample(rows, len(rows))
    assert users_of(shuffled) == sides


@given(events, st.sets(st.integers(0, 2), min_size=1), st.sets(st.integers(3, 5)))
def test_folds_go_where_they_are_named(rows, test, validation):
    table = as_table(rows)
    found = parts(cut(splits.by_column, table, "item", test, validation), len(rows))
    assert {rows[n][1] for n in found["test"]} <= test
    assert {rows[n][1] for n in found.get("validation", [])} <= validation
    assert not {rows[n][1] for n in found["train"]} & (test | validation)


@given(events, shares)
def test_whole_sessions_are_held_out_and_begin_no_earlier(rows, fraction):
    found = parts(cut(by_session_start, as_table(rows), SPEC, fraction), len(rows))
    begins = {}
    for user, _, time in rows:
        begins[user] = min(time, begins.get(user, time))
    sides = {name: {rows[n][0] for n in numbers} for name, numbers in found.items()}
    assert not sides["train"] & sides["test"]
    assert len(sides["test"]) == max(1, round(fraction * len(begins)))
    assert max(begins[u] for u in sides["train"]) <= min(begins[u] for u in sides["test"])


@given(events, shares, st.sampled_from([0.2, 0.5]), st.integers(0, 9))
def test_strong_generalisation_learns_nothing_of_test_users(rows, fraction, held_out, seed):
    rows = sorted(set(rows))
    table = as_table(rows)
    queries = pa.table({"user": sorted({row[0] for row in rows})})
    candidates = pa.table({"item": list(range(6))})
    tables = Tables("small", table, queries, candidates, SPEC)
    options = {"fraction": fraction, "held_out": held_out, "seed": seed}
    split, prepared = cut(strong_generalisation, tables, **options)
    found = parts(split, len(rows))
    learned = {rows[n][0] for n in found["train"]}
    judged = {rows[n][0] for n in found["test"]}
    assert not learned & judged
    assert {rows[n][0] for n in found["given"]} <= judged
    for user in judged:
        own = [n for n, row in enumerate(rows) if row[0] == user]
        hidden = len(set(own) & set(found["test"]))
        assert hidden == max(1, np.round(held_out * len(own)))
    lists = dict(
        zip(
            prepared.queries["user"].to_pylist(),
            prepared.queries["history"].to_pylist(),
            strict=True,
        )
    )
    for user in judged:
        shown = sorted(rows[n][1] for n in found["given"] if rows[n][0] == user)
        assert sorted(lists[user] or []) == shown


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=7), min_size=1, max_size=5),
    st.integers(1, 4),
)
def test_a_session_so_far_is_what_came_before_in_the_same_session(sessions, max_length):
    spec = FeatureSpec(
        (
            Categorical("item_id", "candidate", dtype="int64", is_id=True),
            Sequence("history", "query", dtype="int64", shared_with="item_id"),
        )
    )
    numbers = np.repeat(np.arange(len(sessions)), [len(s) for s in sessions])
    flat = [item for session in sessions for item in session]
    test = pa.table({"session_id": numbers, "item_id": pa.array(flat, pa.int64())})
    catalogue = pa.table({"item_id": pa.array(range(6), pa.int64())})  # 6 is no candidate
    found = next_items(test, catalogue, spec, max_length)
    expected = [
        (session[max(0, place - max_length) : place], item)
        for session in sessions
        for place, item in enumerate(session)
        if place > 0 and item < 6
    ]
    histories = found.queries["history"].to_pylist()
    assert list(zip(histories, found.targets.tolist(), strict=True)) == expected
    assert [flat[row] for row in found.rows] == [item for _, item in expected]


def test_events_of_one_time_cannot_be_split_by_it():
    same = as_table([(0, 0, 5), (1, 1, 5), (2, 2, 5)])
    for validation in (0.0, 0.2):
        with pytest.raises(ValueError, match="leaves no event for train"):
            splits.by_time(same, SPEC, fraction=0.3, validation=validation)


def test_an_empty_part_says_so_in_every_split():
    one = as_table([(0, 0, 0)])
    for function in (splits.random, splits.leave_last_out, splits.by_user, by_session_start):
        arguments = (one,) if function is splits.random else (one, SPEC)
        with pytest.raises(ValueError, match="leaves no event for"):
            function(*arguments)
