import logging

import numpy as np
import pyarrow as pa
import pytest

from tfrecs.features import (
    FeatureTransform,
    ImpressionIds,
    encode_impressions,
    from_histories,
    from_impressions,
    token_counts,
)
from tfrecs.spec import Categorical, FeatureSpec

LOG = ImpressionIds(
    history=np.array([5, 6, 7, 8], np.int32),
    history_lengths=np.array([3, 0, 1, 0]),
    # a click and three more; none clicked; all clicked; two clicks and one more
    candidates=np.array([10, 11, 12, 13, 10, 11, 12, 13, 14, 10, 15], np.int32),
    labels=np.array([0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1], np.int8),
    lengths=np.array([4, 2, 2, 3]),
)


def test_a_log_is_encoded_with_the_ids_of_a_transform():
    transform = FeatureTransform(FeatureSpec((Categorical("news_id", "candidate", is_id=True),)))
    transform.adapt(pa.table({"news_id": ["a", "b"]}))
    log = pa.table(
        {
            "history": [["a", "x"], []],
            "candidates": [["b"], ["a", "b"]],
            "clicked": [None, [1, 0]],
        }
    )
    found = encode_impressions(log, transform)
    a, b = transform.encode(pa.table({"news_id": ["a", "b"]}))["news_id"]
    assert found.history.tolist() == [a, 1]  # x is not known
    assert found.history_lengths.tolist() == [2, 0]
    assert found.candidates.tolist() == [b, a, b]
    assert found.labels.tolist() == [-1, 1, 0]


def test_negatives_are_of_the_same_impression(caplog):
    with caplog.at_level(logging.INFO, "tfrecs"):
        data = from_impressions(LOG, 3, num_negatives=2, max_length=2)
    assert "2 of 4 impressions have a click and a negative" in caplog.text
    drawn = set()
    for _ in range(20):
        for batch, labels in data:
            rows = zip(batch["news_id"].numpy(), labels.numpy(), strict=True)
            found = {int(ids[0]): (ids[1:].tolist(), live.tolist()) for ids, live in rows}
            assert set(found) == {11, 14, 15}
            assert found[14] == ([10, 0], [1, 0, -1])  # but one negative
            assert found[15] == ([10, 0], [1, 0, -1])
            negatives, live = found[11]
            assert live == [1, 0, 0]
            assert len(set(negatives)) == 2
            assert set(negatives) < {10, 12, 13}
            drawn |= set(negatives)
            history = dict(
                zip(batch["news_id"].numpy()[:, 0], batch["history"].numpy(), strict=True)
            )
            assert history[11][:3].tolist() == [6, 7, 0]  # the last two
            assert history[14].sum() == 0
    assert drawn == {10, 12, 13}


def test_a_seed_decides_order_and_negatives():
    def ids(seed):
        data = from_impressions(LOG, 3, num_negatives=2, seed=seed)
        return [batch["news_id"].numpy().tolist() for _ in range(4) for batch, _ in data]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


@pytest.mark.parametrize("with_history", [True, False])
def test_distinct_items_stand_once_and_give_the_others_back(with_history):
    counts = np.arange(16) % 5
    data = from_impressions(
        LOG, 3, num_negatives=2, num_tokens=counts, widths=(2, 4), with_history=with_history
    )
    for batch, _ in data:
        short, long = (batch[f"news_id_distinct_{w}"].numpy() for w in (2, 4))
        assert len(short) == len(long) == 64
        assert (counts[short] <= 2).all()
        assert (counts[long[long > 0]] > 2).all()
        known = np.concatenate([short, long])
        assert len(set(known[known > 0])) == (known > 0).sum()
        np.testing.assert_array_equal(known[batch["news_id_place"]], batch["news_id"])
        if with_history:
            np.testing.assert_array_equal(known[batch["history_place"]], batch["history"])
        else:
            assert "history_place" not in batch
            assert set(known) - {0} <= set(LOG.candidates)


def test_histories_come_in_the_order_of_the_log():
    first, second = from_histories(LOG, 2, num_tokens=np.ones(16, int), widths=(1,))
    assert first["history"].numpy()[:, :4].tolist() == [[5, 6, 7, 0], [0, 0, 0, 0]]
    assert second["history_mask"].numpy().sum(axis=1).tolist() == [1, 0]
    assert "news_id" not in first
    known = first["news_id_distinct_1"].numpy()
    np.testing.assert_array_equal(known[first["history_place"]], first["history"])


def test_tokens_are_counted_by_id():
    arrays = {"news_id": np.array([3, 2]), "title": np.array([[4, 5, 0], [6, 0, 0]])}
    assert token_counts(arrays, "title", 5, "news_id").tolist() == [0, 0, 1, 2, 0]


def test_a_log_without_anything_to_learn_is_refused():
    labels = np.zeros_like(LOG.labels)
    log = ImpressionIds(LOG.history, LOG.history_lengths, LOG.candidates, labels, LOG.lengths)
    with pytest.raises(ValueError, match="`log` must be with an impression of which some was"):
        from_impressions(log, 2)
    with pytest.raises(ValueError, match="`num_negatives` must be greater than 0"):
        from_impressions(LOG, 2, num_negatives=0)
