"""Training and test events: every way of splitting says in one line what it did."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.arrow import as_table
from tfrecs.evaluation.columns import codes, column, times_of
from tfrecs.evaluation.shares import check_fractions, last_share, percent, ties_of_time
from tfrecs.spec import FeatureSpec

PARTS = ("train", "validation", "test", "given", "disliked")


@dataclass(frozen=True)
class Split:
    """Events to learn from and events to be judged on; no row is in two of them.

    Args:
        train: Events to learn from.
        test: Events to be judged on.
        protocol: One line that says how they were split; results carry it.
        validation: Events to choose parameters on; `None` for none.
        given: Events that test users bring with them: not learned from, and not recommended;
            `None` for none.
        disliked: Pairs that users turned down: not learned from as positives, and not recommended
            to them; `None` for none. See `known.with_disliked`.
    """

    train: pa.Table
    test: pa.Table
    protocol: str
    validation: pa.Table | None = None
    given: pa.Table | None = None
    disliked: pa.Table | None = None

    def __repr__(self) -> str:
        """Names the protocol and the size of each part."""
        lines = [f"  {part:<10} {table.num_rows:>11,} rows" for part, table in self._parts()]
        return "\n".join([f"Split: {self.protocol}", *lines])

    def __post_init__(self) -> None:
        for part, table in self._parts():
            if table.num_rows == 0:
                raise ValueError(
                    f"The split `{self.protocol}` leaves no event for {part}. "
                    "Split more events, or by another protocol (--protocol on the command line)."
                )

    def _parts(self) -> list[tuple[str, pa.Table]]:
        named = {part: getattr(self, part) for part in PARTS}
        return [(part, table) for part, table in named.items() if table is not None]


def random(
    events: pa.Table, *, fraction: float = 0.1, validation: float = 0.0, seed: int = 0
) -> Split:
    """Holds out rows at random.

    Repeated events of one query and candidate may fall on both sides; `full_ranking` does not
    count what was seen in training as a hit.

    Args:
        events: Table of events.
        fraction: Share of the rows for test, above 0 and below 1. Defaults to 0.1.
        validation: Share of the rows for validation. Defaults to 0.0, none.
        seed: Of the choice. Defaults to 0.

    Returns:
        The split, rows in their order.

    Raises:
        ValueError: If a fraction is out of range or a part is empty.

    Example:

    >>> split = random(pa.table({"user_id": list(range(10))}), fraction=0.2)
    >>> split.train.num_rows, split.test.num_rows, split.protocol
    (8, 2, 'random 20 % of events, seed 0')
    """
    events = as_table("events", events)
    check_fractions(fraction, validation)
    order = np.random.default_rng(seed).permutation(events.num_rows)
    protocol = f"random {percent(fraction)} of events, seed {seed}"
    return _cut(events, _first(order, fraction, validation), protocol, validation > 0)


def leave_last_out(events: pa.Table, spec: FeatureSpec, *, validation: bool = False) -> Split:
    """Holds out the last event of each query (user).

    Equal times are ordered by row: the later row is the later event; the protocol's line tells for
    how many queries the order of rows decides. A query with one event (two,
    with `validation`) keeps it in training and is not tested. The rule looks at one query at a
    time, so a test event may be older than another query's training events; `by_time` forbids it.

    Args:
        events: Table of events with the query id and the time of `spec`.
        spec: Names the two columns.
        validation: Whether the last event but one goes to validation. Defaults to `False`.

    Returns:
        The split, rows in their order.

    Raises:
        ValueError: If the spec has no time, a column is missing or has a missing value, or no
            query has enough events.

    Example:

    >>> from tfrecs.spec import Categorical, FeatureSpec, Timestamp
    >>> spec = FeatureSpec((Categorical("user_id", "query", is_id=True), Timestamp("time")))
    >>> events = pa.table({"user_id": ["a", "a", "b"], "time": [2, 1, 3]})
    >>> leave_last_out(events, spec).test.to_pylist()
    [{'user_id': 'a', 'time': 2}]
    """
    events = as_table("events", events)
    users = codes(events, spec.query_id.name)
    times = times_of(events, spec)
    order = np.lexsort((times, users))  # stable: equal times stay in row order
    sorted_users = users[order]
    ends = np.append(np.nonzero(np.diff(sorted_users))[0], events.num_rows - 1)
    counts = np.bincount(users, minlength=len(ends))  # of the users in order of code, as `ends`
    held = 2 if validation else 1
    ends = ends[counts > held] if events.num_rows else ends[:0]
    side = np.zeros(events.num_rows, np.int8)
    side[order[ends]] = 1
    if validation:
        side[order[ends - 1]] = 2
    protocol = "leave last out" + (" but one" if validation else "")
    tied = times[order[ends]] == times[order[ends - 1]]
    if validation:
        tied |= times[order[ends - 1]] == times[order[ends - 2]]
    protocol += ties_of_time(tied)
    return _cut(events, side, protocol, validation)


def by_time(
    events: pa.Table,
    spec: FeatureSpec,
    *,
    fraction: float | None = None,
    cutoff: float | None = None,
    validation: float = 0.0,
) -> Split:
    """Holds out all events from a point in time on: training is strictly before test.

    Args:
        events: Table of events with the time of `spec`.
        spec: Names the column.
        fraction: Share of the events for test; the cutoff is that quantile of the times. Events at
            the cutoff itself all go to test, so ties can make it larger: the protocol's line has
            the share that it is.
        cutoff: First time of the test, in the column's unit; give it or `fraction`.
        validation: Share of the events just before the cutoff for validation. Defaults to 0.0.

    Returns:
        The split, rows in their order.

    Raises:
        ValueError: If neither or both of `fraction` and `cutoff` are given, one is out of range,
            the spec has no time, or a part is empty.
    """
    events = as_table("events", events)
    if (fraction is None) == (cutoff is None):
        told = (fraction, cutoff)
        raise ValueError(checks.expected("fraction", "given, or `cutoff`, but not both", told))
    check_fractions(0.5 if fraction is None else fraction, validation)
    times = times_of(events, spec)
    if len(times) == 0:
        raise ValueError("`events` must have rows to split by time. Received: an empty table.")
    start = _quantile(times, fraction) if fraction is not None else cutoff
    side = (times >= start).astype(np.int8)
    earlier = times[side == 0]
    if validation and len(earlier):  # without any, `Split` says that training is empty
        share = validation * len(times) / len(earlier)
        if share >= 1:
            expectation = "less than the share of events before the cutoff"
            raise ValueError(checks.expected("validation", expectation, validation))
        side[(side == 0) & (times >= _quantile(earlier, share))] = 2
    what = last_share(fraction, side == 1) if fraction is not None else f"from {cutoff:g}"
    return _cut(events, side, f"by time, {what}", validation > 0)


def by_user(
    events: pa.Table,
    spec: FeatureSpec,
    *,
    fraction: float = 0.1,
    validation: float = 0.0,
    seed: int = 0,
) -> Split:
    """Holds out all events of some queries (users): strong generalisation, queries disjoint.

    A model that knows queries by id alone cannot answer for them; one that reads a history can.

    Args:
        events: Table of events with the query id of `spec`.
        spec: Names the column.
        fraction: Share of the queries for test, above 0 and below 1. Defaults to 0.1.
        validation: Share of the queries for validation. Defaults to 0.0, none.
        seed: Of the choice, which does not depend on the order of rows. Defaults to 0.

    Returns:
        The split, rows in their order.

    Raises:
        ValueError: If a fraction is out of range or a part is empty.
    """
    events = as_table("events", events)
    check_fractions(fraction, validation)
    users = codes(events, spec.query_id.name)
    num_users = int(users.max()) + 1 if len(users) else 0
    order = np.random.default_rng(seed).permutation(num_users)
    side = _first(order, fraction, validation)[users]
    protocol = f"by user, {percent(fraction)} of users, seed {seed}"
    return _cut(events, side, protocol, validation > 0)


def given(
    train: pa.Table, test: pa.Table, validation: pa.Table | None = None, *, protocol: str = "given"
) -> Split:
    """Takes the tables of a published split as they are.

    Args:
        train: Events to learn from.
        test: Events to be judged on.
        validation: Events to choose parameters on; `None` for none.
        protocol: What to call it. Defaults to "given".
    """
    return Split(train=train, test=test, protocol=protocol, validation=validation)


def by_column(
    events: pa.Table,
    name: str,
    test: Collection[Any],
    validation: Collection[Any] = (),
    *,
    protocol: str = "given",
) -> Split:
    """Splits by a column of folds or of part names.

    Args:
        events: Table of events.
        name: The column.
        test: Its values that mark test events, as `[5]` or `["test"]`.
        validation: Its values that mark validation events. Defaults to none.
        protocol: What to call the protocol. Defaults to "given".

    Returns:
        The split; the rest of the rows is for training.

    Raises:
        ValueError: If the column is missing, a value is in both, or a part is empty.

    Example:

    >>> events = pa.table({"user_id": ["a", "b", "c"], "fold": [1, 2, 1]})
    >>> by_column(events, "fold", test=[2]).test["user_id"].to_pylist()
    ['b']
    """
    events = as_table("events", events)
    values = column(events, name)
    both = set(test) & set(validation)
    if both:
        told = sorted(map(str, both))
        raise ValueError(checks.expected("validation", "of other folds than `test`", told))
    side = np.zeros(events.num_rows, np.int8)
    for number, chosen in ((1, test), (2, validation)):
        wanted = pa.array(list(chosen), values.type)
        side[pc.is_in(values, value_set=wanted).to_numpy(zero_copy_only=False)] = number
    folds = ", ".join(map(str, test))
    return _cut(events, side, f"{protocol}, {name} {folds}", len(validation) > 0)


def _cut(events: pa.Table, side: np.ndarray, protocol: str, validation: bool) -> Split:
    """Cuts by 0 train, 1 test, 2 validation."""
    parts = [events.filter(pa.array(side == number)) for number in (0, 1, 2)]
    return Split(parts[0], parts[1], protocol, parts[2] if validation else None)


def _first(order: np.ndarray, fraction: float, validation: float) -> np.ndarray:
    """Returns the side of each of `len(order)` things, the first of `order` held out."""
    side = np.zeros(len(order), np.int8)
    num_test = max(1, round(fraction * len(order)))
    num_validation = max(1, round(validation * len(order))) if validation else 0
    side[order[:num_test]] = 1
    side[order[num_test : num_test + num_validation]] = 2
    return side


def _quantile(times: np.ndarray, fraction: float) -> Any:
    """Returns the time at which the last `fraction` of `times` begins."""
    rank = min(len(times) - 1, round((1 - fraction) * len(times)))
    return np.partition(times, rank)[rank]
