import numpy as np
import pytest

from tfrecs.features import from_sequences

ITEMS, LENGTHS = [2, 3, 4, 5, 6, 7, 8, 9, 10], [4, 1, 2, 2]


def pairs(data):
    found = []
    for batch, targets, weights in data:
        targets = np.asarray(targets).reshape(batch["history"].shape)
        live = np.asarray(weights).reshape(targets.shape) > 0
        np.testing.assert_array_equal(live, batch["history_mask"])
        found += list(zip(np.asarray(batch["history"])[live], targets[live], strict=True))
    return sorted((int(a), int(b)) for a, b in found)


def test_every_item_has_its_next_one_as_target_once():
    data = from_sequences(ITEMS, LENGTHS, 2, num_negatives=3)
    assert pairs(data) == [(2, 3), (3, 4), (4, 5), (7, 8), (9, 10)]
    assert len(list(data)) == 2


def test_long_sequences_keep_their_last_items():
    data = from_sequences(ITEMS, LENGTHS, 3, num_negatives=3, max_length=1)
    assert pairs(data) == [(4, 5), (7, 8), (9, 10)]


def test_with_a_stride_of_the_windows_every_item_is_a_target_once():
    items, lengths = np.arange(2, 25), [11, 1, 2, 9]
    data = from_sequences(items, lengths, 2, num_negatives=1, max_length=4, stride=4)
    found = pairs(data)
    assert set(found) == {(i, i + 1) for i in range(2, 24) if i not in (12, 13, 15)}
    # the first window of the sequence of 11 is filled up from the next one
    assert [found.count((i, i + 1)) for i in range(2, 12)] == [1, 1, 2, 2, 1, 1, 1, 1, 1, 1]
    assert [found.count((i, i + 1)) for i in range(16, 24)] == [1] * 8


def test_windows_overlap_by_what_the_stride_leaves():
    data = from_sequences(np.arange(2, 12), [10], 1, num_negatives=1, max_length=4, stride=2)
    rows = sorted(batch["history"].numpy()[0].tolist() for batch, _, _ in data)
    assert rows == [[2, 3, 4, 5], [3, 4, 5, 6], [5, 6, 7, 8], [7, 8, 9, 10]]


def test_the_order_changes_from_epoch_to_epoch_and_not_with_the_seed():
    items = np.arange(2, 402)
    first, again = (from_sequences(items, [4] * 100, 10, num_negatives=1) for _ in range(2))
    epochs = [[b["history"].numpy()[0, 0] for b, _, _ in data] for data in (first, first, again)]
    assert epochs[0] == epochs[2]
    assert epochs[0] != epochs[1]


def test_negatives_are_known_ids():
    batch, _, _ = next(iter(from_sequences(ITEMS, LENGTHS, 2, num_negatives=500)))
    assert set(batch["negatives"].numpy()) == set(range(2, 11))


@pytest.mark.parametrize("stride, masked", [(None, 0.0), (2, 0.0), (None, 0.5)])
def test_seen_negatives_are_those_of_the_whole_sequence(stride, masked):
    rng = np.random.default_rng(0)
    lengths = np.array([9, 1, 3, 12, 2])
    items = rng.integers(2, 30, lengths.sum())
    sets = [set(part.tolist()) for part in np.split(items, np.cumsum(lengths)[:-1])]
    data = from_sequences(
        items,
        lengths,
        2,
        num_negatives=40,
        max_length=4,
        stride=stride,
        exclude_seen=True,
        masked=masked,
    )
    rows = 0
    for batch, _, _ in data:
        negatives = batch["negatives"].numpy()
        assert len(set(negatives.tolist())) < 40  # some came twice
        for history, seen in zip(
            batch["history"].numpy(), batch["negatives_seen"].numpy(), strict=True
        ):
            part = history[history > 0].tolist()
            whole = [s for s in sets if len(s) > 1 and set(part) <= s]
            assert any(seen.tolist() == [n in s for n in negatives.tolist()] for s in whole)
            rows += 1
    assert rows == (4 if stride is None else 10)


def test_without_exclusion_any_item_is_a_negative():
    batch, _, _ = next(iter(from_sequences(ITEMS, LENGTHS, 2, num_negatives=5)))
    assert "negatives_seen" not in batch


def test_masked_targets_are_items_of_the_history():
    data = from_sequences(np.arange(2, 42), [5] * 8, 4, masked=0.3, num_negatives=1)
    for batch, targets, weights in data:
        history, hidden = batch["history"].numpy(), batch["masked"].numpy()
        assert hidden.any(axis=1).all()
        np.testing.assert_array_equal(
            np.asarray(targets).reshape(history.shape), np.where(hidden, history, 0)
        )
        np.testing.assert_array_equal(np.asarray(weights), hidden.ravel())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"lengths": [1] * 9}, "`lengths` must be of sum 9, with one of 2 items or more"),
        ({"lengths": [3, 3]}, "`lengths` must be of sum 9"),
        ({"batch_size": 0}, "`batch_size` must be greater than 0"),
        ({"max_length": 0}, "`max_length` must be greater than 0"),
        ({"num_negatives": 0}, "`num_negatives` must be greater than 0"),
        ({"max_length": 5, "stride": 6}, "`stride` must be from 1 to `max_length` 5"),
        ({"masked": 1.0}, "`masked` must be from 0 to below 1"),
    ],
)
def test_a_wrong_argument_is_named(change, message):
    arguments = {"items": ITEMS, "lengths": LENGTHS, "batch_size": 2} | change
    with pytest.raises(ValueError, match=message):
        from_sequences(**arguments)


@pytest.mark.parametrize("masked", [0.0, 0.5])
def test_a_target_has_the_weight_of_its_item(masked):
    items, weights = np.array([5, 6, 7, 8, 9]), np.array([0.5, 1.5, 2.5, 3.5, 4.5])
    data = from_sequences(items, [3, 2], 2, num_negatives=1, masked=masked, weights=weights)
    for _, targets, found in data:
        expected = np.where(targets > 0, targets.numpy() - 4.5, 0)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match=r"`weights` must be 0 or more, \(3,\)"):
        from_sequences([5, 6, 7], [3], 2, weights=weights)
