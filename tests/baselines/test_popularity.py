import numpy as np
import pyarrow as pa
import pytest

from tfrecs.baselines import Popularity
from tfrecs.spec import Categorical, FeatureSpec, Timestamp

QUERIES = pa.table({"user_id": ["a", "nobody"]})


def test_counts_events_and_breaks_ties_by_position(events, items, spec):
    scores, positions = Popularity().fit(events, items, spec).recommend(QUERIES, 4)
    np.testing.assert_array_equal(positions, [[0, 1, 2, 3]] * 2)  # x and y have two each
    np.testing.assert_array_equal(scores, [[3, 2, 2, 0]] * 2)


@pytest.mark.parametrize(
    "days, expected",
    [
        (1, [0, 0, 2, 0]),  # after 86,401 s
        (1.5, [0, 2, 2, 0]),  # after 43,201 s
        (3, [3, 2, 2, 0]),
    ],
)
def test_a_window_counts_the_newest_days_alone(events, items, spec, days, expected):
    fitted = Popularity(window_days=days).fit(events, items, spec)
    np.testing.assert_array_equal(fitted.score(QUERIES)[0], expected)


def test_a_window_reads_the_unit_of_the_time(events, items, spec):
    spec = spec.replace(Timestamp("timestamp", "time", unit="ms"))
    events = events.set_column(2, "timestamp", [[t.as_py() * 1000 for t in events["timestamp"]]])
    fitted = Popularity(window_days=1).fit(events, items, spec)
    np.testing.assert_array_equal(fitted.score(QUERIES)[0], [0, 0, 2, 0])


def test_no_events_are_all_equal(events, items, spec):
    fitted = Popularity(window_days=1).fit(events.slice(0, 0), items, spec)
    np.testing.assert_array_equal(fitted.recommend(QUERIES, 2)[1], [[0, 1]] * 2)


def test_a_window_needs_a_time(events, items, spec):
    ids = FeatureSpec(tuple(f for f in spec if isinstance(f, Categorical)))
    with pytest.raises(ValueError, match="`window_days` must be None where the events have no"):
        Popularity(window_days=7).fit(events, items, ids)


def test_an_event_of_an_unknown_item_is_refused(events, spec):
    with pytest.raises(ValueError, match="`events` row 3 has item_id 'x', which is not in `candi"):
        Popularity().fit(events, pa.table({"item_id": ["w"]}), spec)


@pytest.mark.parametrize("days", [0, -1])
def test_window_must_be_positive(days):
    with pytest.raises(ValueError, match="`window_days` must be greater than 0"):
        Popularity(window_days=days)
