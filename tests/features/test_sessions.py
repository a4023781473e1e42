import numpy as np
import pytest
import tensorflow as tf

from tfrecs.features import Epoch, from_sessions
from tfrecs.features.sessions import lane_plan

NAMES = {"inputs": {"history": "item"}, "targets": {"item_id": "item"}}


def steps(items, lengths, lanes, **kwargs):
    return from_sessions({"item": np.asarray(items)}, lengths, lanes, **NAMES, **kwargs)


def slow_reference(sessions, lanes):
    """Yields (input, target, carried) of each lane, event by event."""
    waiting = [s for s in sessions if len(s) > 1]
    slots = [None] * lanes
    while True:
        for lane in range(lanes):
            if slots[lane] is None and waiting:
                slots[lane] = (waiting.pop(0), 0)
        if all(slot is None for slot in slots):
            return
        row = []
        for lane, slot in enumerate(slots):
            if slot is None:
                row.append((0, 0, False))
                continue
            session, place = slot
            row.append((session[place], session[place + 1], place > 0))
            slots[lane] = (session, place + 1) if place + 2 < len(session) else None
        yield row


@pytest.mark.parametrize("lanes", [1, 2, 3, 7, 40])
def test_batches_equal_a_slow_reference(lanes):
    rng = np.random.default_rng(lanes)
    sessions = [rng.integers(2, 50, rng.integers(1, 9)).tolist() for _ in range(30)]
    data = steps(np.concatenate(sessions), [len(s) for s in sessions], lanes)
    expected = list(slow_reference(sessions, lanes))
    assert int(data.cardinality()) == len(expected)
    for (batch, label), row in zip(data, expected, strict=True):
        found = zip(
            batch["history"][:, 0].numpy().tolist(),
            label.numpy().tolist(),
            batch["carried"][:, 0].numpy().tolist(),
            strict=True,
        )
        assert list(found) == row
        np.testing.assert_array_equal(batch["history_mask"], batch["history"] > 0)
        np.testing.assert_array_equal(batch["item_id"], label)


def test_several_steps_a_batch_are_the_same_steps():
    items, lengths = np.arange(2, 22), [3, 7, 2, 5, 3]
    one = [(b["history"].numpy(), b["carried"].numpy()) for b, _ in steps(items, lengths, 2)]
    many = list(steps(items, lengths, 2, num_steps=3))
    for place, rows in enumerate(one):
        batch, column = many[place // 3][0], place % 3
        np.testing.assert_array_equal(batch["history"][:, column], rows[0][:, 0])
        np.testing.assert_array_equal(batch["carried"][:, column], rows[1][:, 0])
    assert many[0][1].shape == (6,)


def test_contexts_come_of_this_event_and_of_the_next():
    events = {"item": np.array([2, 3, 4]), "hour": np.array([5, 6, 7])}
    data = from_sessions(
        events,
        [3],
        1,
        inputs={"history": "item", "history_hour": "hour"},
        targets={"item_id": "item", "hour": "hour"},
    )
    found = [(int(b["history_hour"][0, 0]), int(b["hour"][0])) for b, _ in data]
    assert found == [(5, 6), (6, 7)]


def test_negatives_follow_the_popularity_to_the_power_alpha():
    items = np.repeat([2, 3, 4], [100, 400, 900])
    data = steps(items, [1400], 1, num_negatives=2000, alpha=0.5)
    drawn = np.concatenate([b["negatives"].numpy() for b, _ in data.take(20)])
    shares = np.bincount(drawn, minlength=5)[2:] / len(drawn)
    np.testing.assert_allclose(shares, [10 / 60, 20 / 60, 30 / 60], atol=0.01)
    batch, _ = next(iter(data))
    np.testing.assert_allclose(batch["item_id_log_q"], np.log([100]), rtol=1e-6)
    logs = {2: 0.5 * np.log(100), 3: 0.5 * np.log(400), 4: 0.5 * np.log(900)}
    expected = [logs[i] for i in batch["negatives"].numpy()]
    np.testing.assert_allclose(batch["negatives_log_q"], expected, rtol=1e-6)


def test_distinct_negatives_are_the_drawn_ones_counted():
    items, lengths = np.random.default_rng(0).integers(2, 90, 200), [7, 3, 40, 50, 60, 40]
    plain = steps(items, lengths, 4, num_negatives=100)
    distinct = steps(items, lengths, 4, num_negatives=100, distinct=True)
    assert int(distinct.cardinality()) == int(plain.cardinality())
    assert distinct.element_spec[1].shape.as_list() == [2, None]
    for (batch, label), (once, (ids, counts)) in zip(plain, distinct, strict=True):
        np.testing.assert_array_equal(ids[:4], label)
        np.testing.assert_array_equal(counts[:4], label > 0)
        np.testing.assert_array_equal(once["negatives"], ids[4:])
        again = np.repeat(once["negatives"], counts[4:])
        np.testing.assert_array_equal(np.sort(again), np.sort(batch["negatives"]))
        assert len(once["negatives"]) == 64 * -(-len(set(again.tolist())) // 64)
        logs = dict(zip(batch["negatives"].numpy(), batch["negatives_log_q"].numpy(), strict=True))
        logs[0] = 0.0
        np.testing.assert_array_equal(
            once["negatives_log_q"], [logs[i] for i in once["negatives"].numpy()]
        )
        np.testing.assert_array_equal(once["history"], batch["history"])


def test_negatives_change_from_step_to_step_and_epoch_to_epoch():
    def drawn(data):
        return [b["negatives"].numpy().tolist() for b, _ in data]

    data = steps(np.arange(2, 102), [50, 50], 2, num_negatives=8)
    first, second = drawn(data), drawn(data)
    assert len({tuple(row) for row in first}) == len(first)
    assert first != second
    assert drawn(steps(np.arange(2, 102), [50, 50], 2, num_negatives=8)) == first


def test_a_resumed_run_draws_the_negatives_of_its_epoch():
    def third(start):
        epoch = Epoch()
        data = steps(np.arange(2, 102), [50, 50], 2, num_negatives=8, epoch=epoch)
        for number in range(start, 3):
            epoch.on_epoch_begin(number)
            found = [b["negatives"].numpy().tolist() for b, _ in data]
        return found

    assert third(0) == third(2)


def test_sessions_of_one_event_are_left_out_and_long_ones_are_whole():
    lengths = [1, 10_000, 1]
    data = steps(np.arange(2, 10_004) % 50 + 2, lengths, 2)
    assert int(data.cardinality()) == 9999
    counted = data.reduce(
        0, lambda n, x: n + tf.reduce_sum(tf.cast(x[0]["history_mask"], tf.int32))
    )
    assert int(counted) == 9999


def test_a_plan_gives_a_free_lane_the_next_session():
    # lane 0: session 0, then 2; lane 1: session 1, then 3
    assert lane_plan(np.array([2, 4, 3, 2]), 2).tolist() == [[0, 2], [6, 3], [7, 4], [9, -1]]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"lengths": [4, 4]}, "`lengths` must be of the sum of the events"),
        ({"lengths": [3, 0]}, "`lengths` must be positive"),
        ({"lengths": [1, 1, 1]}, "`lengths` must be with a session of 2 events or more"),
        ({"lanes": 0}, "`lanes` must be greater than 0"),
        ({"num_steps": 0}, "`num_steps` must be greater than 0"),
        ({"num_negatives": 4, "alpha": 1.5}, "`alpha` must be from 0 to 1"),
        ({"inputs": {"history": "itm"}}, "`column` must be one of 'item'.*Did you mean 'item'"),
    ],
)
def test_a_wrong_argument_is_named(change, message):
    arguments = {"events": {"item": np.array([2, 3, 4])}, "lengths": [3], "lanes": 2, **NAMES}
    with pytest.raises(ValueError, match=message):
        from_sessions(**arguments | change)
