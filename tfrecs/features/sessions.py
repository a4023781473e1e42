"""Session-parallel batches: sessions side by side, one event of each a step."""

import heapq
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecs import checks
from tfrecs.features.order import Epoch, each_epoch, read_ahead
from tfrecs.layers.sampling import alias_tables
from tfrecs.spec import PADDING_ID

_CELLS = 1 << 16  # negatives drawn at once
_MULTIPLE = 64  # so that a model compiled for a shape sees but a few


def from_sessions(
    events: Mapping[str, Any],
    lengths: Any,
    lanes: int,
    *,
    inputs: Mapping[str, str],
    targets: Mapping[str, str],
    num_steps: int = 1,
    num_negatives: int = 0,
    alpha: float = 0.5,
    distinct: bool = False,
    seed: int = 0,
    epoch: Epoch | None = None,
) -> tf.data.Dataset:
    """Batches of `lanes` sessions side by side, for models that carry their state on.

    A lane goes through its session event by event: this event is the input, the next one the
    target. When a session ends the next one takes its lane, and `carried` is `False` there. No
    session is cut or padded; lanes that find no session any more hold padding until all are done.
    Sessions come in their given order, the same every epoch; one of a single event has no target
    and is left out.

    Negatives are drawn by `P(i) ~ count(i)^alpha`, shared by a batch, for many steps at once.

    Args:
        events: Columns of N events by name: sessions one after the other, events in order of time.
        lengths: Events of each session, `(S,)`, of sum N.
        lanes: Number of sessions side by side, B.
        inputs: By name in the batch, the column whose value at the input event it takes.
        targets: By name in the batch, the column whose value at the next event it takes. The first
            one is the label; of it negatives are drawn.
        num_steps: Events of a lane in a batch, T: through so many the gradient goes back. Defaults
            to 1, as published.
        num_negatives: Ids drawn for each batch. Defaults to 0.
        alpha: From 0 (uniform) to 1 (by popularity). Defaults to 0.5.
        distinct: Whether an id that is drawn several times for a batch stands once among its
            negatives, and the label tells how often it counts: the same loss, by
            `SharedNegatives`, of fewer scores. Defaults to `False`.
        seed: Of the negatives. Defaults to 0.
        epoch: Ties the negatives to the epoch of `fit`; see `Epoch`.

    Returns:
        Dataset of (batch, label). The batch holds inputs `(B, T)` with `<name>_mask`; `carried`
        bool `(B, T)`, whether the event follows on that of the step before; targets `(B T,)`; with
        negatives `negatives` int32 `(num_negatives,)` and, for logQ, `negatives_log_q`, the log of
        `count^alpha`, and `<label>_log_q`, that of `count`: neither is normalised, as in the
        authors' code, which sets how labels and negatives weigh against each other. Where there
        is no event, masks are `False` and values 0. The label is the first target; with `distinct`
        int32 `(2, B T + U)`: ids of the targets and of the U distinct negatives, which padding
        makes a multiple of 64, and how often each counts.

    Raises:
        ValueError: Lengths that do not fit the events, no session of two events, arguments out of
            range.

    Example:

    >>> steps = from_sessions({"item": [5, 6, 7, 8, 9]}, [3, 2], 2,
    ...                       inputs={"history": "item"}, targets={"item_id": "item"})
    >>> for batch, label in steps:
    ...     print(batch["history"][:, 0].numpy(), label.numpy(), batch["carried"][:, 0].numpy())
    [5 8] [6 9] [False False]
    [6 0] [7 0] [ True False]

    Reference:
        Hidasi et al. 2016, arXiv:1511.06939, section 3.1; 2018, arXiv:1706.03847, section 3.
    """
    columns = {name: np.asarray(column) for name, column in events.items()}
    lengths = np.asarray(lengths, np.int64)
    _check(columns, lengths, {**inputs, **targets})
    checks.positive("lanes", lanes)
    checks.positive("num_steps", num_steps)
    label = next(iter(targets))
    plan = lane_plan(lengths, lanes, num_steps)  # (steps, B), the place of the input event
    with tf.device("CPU"):
        held = {name: tf.constant(columns[name]) for name in {*inputs.values(), *targets.values()}}
        places = tf.constant(plan.reshape(-1, num_steps, lanes))
        first = np.zeros(len(columns[targets[label]]), bool)
        first[np.cumsum(lengths) - lengths] = True
        starts = tf.constant(first)
    draw = _Negatives(columns[targets[label]], num_negatives, alpha) if num_negatives else None
    block = max(1, _CELLS // num_negatives) if num_negatives else 64

    def batches(seeds: tf.Tensor, number: tf.Tensor) -> Any:
        at = tf.transpose(places[number * block : (number + 1) * block], (0, 2, 1))  # (K, B, T)
        alive, at = at >= 0, tf.maximum(at, 0)
        batch = {"carried": alive & ~tf.gather(starts, at)}
        for name, column in inputs.items():
            batch[name] = _masked(tf.gather(held[column], at), alive)
            batch[f"{name}_mask"] = alive
        rows = (-1, lanes * num_steps)
        for name, column in targets.items():
            batch[name] = tf.reshape(_masked(tf.gather(held[column], at + 1), alive), rows)
        if draw:
            batch["negatives"] = draw(tf.shape(at)[0], seeds, number)  # (K, num_negatives)
            batch[f"{label}_log_q"] = tf.gather(draw.share, batch[label])
            if not distinct:
                batch["negatives_log_q"] = tf.gather(draw.log_q, batch["negatives"])
        return batch, batch[label]

    count = -(-len(places) // block)

    def blocks(seeds: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.range(count).map(lambda number: batches(seeds, number))

    dataset = each_epoch(blocks, seed, epoch).unbatch()
    if draw and distinct:
        dataset = dataset.map(draw.once)
    size = len(places)
    return read_ahead(dataset.apply(tf.data.experimental.assert_cardinality(size)), 64)


def lane_plan(lengths: np.ndarray, lanes: int, num_steps: int = 1) -> np.ndarray:
    """Returns which event each lane reads at each step.

    The next session goes to the lane that is free first, of several to the first of them.

    Args:
        lengths: Events of each session, `(S,)`.
        lanes: Number of lanes, B.
        num_steps: The number of steps is made a multiple of it. Defaults to 1.

    Returns:
        int64 `(steps, B)`, places of events that have a next one; -1 where there is none.

    Example:

    >>> lane_plan(np.array([3, 2, 2]), 2).tolist()
    [[0, 3], [1, 5]]
    """
    starts = np.cumsum(lengths) - lengths
    long = np.flatnonzero(lengths > 1)
    counts = lengths[long] - 1  # steps of a session
    heap = [(0, lane) for lane in range(lanes)]
    taken = np.empty((2, len(long)), np.int64)
    for number, count in enumerate(counts.tolist()):  # a session each, not an event
        step, lane = heap[0]
        taken[:, number] = step, lane
        heapq.heapreplace(heap, (step + count, lane))
    total = max(step for step, _ in heap)
    plan = np.full((-(-total // num_steps) * num_steps, lanes), -1, np.int64)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    step = np.repeat(taken[0], counts) + within
    plan[step, np.repeat(taken[1], counts)] = np.repeat(starts[long], counts) + within
    return plan


class _Negatives:
    """Draws ids by their counts to the power alpha; knows the log of both weights."""

    def __init__(self, ids: np.ndarray, number: int, alpha: float) -> None:
        if not 0 <= alpha <= 1:
            raise ValueError(checks.expected("alpha", "from 0 to 1", alpha))
        counts = np.bincount(ids).astype(np.float64)
        counts[PADDING_ID] = 0
        weights = np.where(counts > 0, counts**alpha, 0)
        share, alias = alias_tables(weights / weights.sum())
        logs = np.log(np.maximum(counts, 1)).astype(np.float32)
        with tf.device("CPU"):
            self.number = number
            self.kept, self.alias = tf.constant(share), tf.constant(alias)
            self.share = tf.constant(logs)
            self.log_q = tf.constant(np.float32(alpha) * logs)

    def __call__(self, steps: tf.Tensor, seeds: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        seeds = tf.random.experimental.stateless_fold_in(seeds, number)
        shape = (steps, self.number)
        # in float32 the rest of a place among many would be coarse
        draws = len(self.alias) * tf.random.stateless_uniform(shape, seeds, dtype=tf.float64)
        places = tf.cast(draws, tf.int32)  # below their number: 1 - 2**-53 is the largest draw
        rest = tf.cast(draws - tf.cast(places, tf.float64), tf.float32)
        kept = rest < tf.gather(self.kept, places)
        return tf.where(kept, places, tf.gather(self.alias, places))

    def once(self, batch: dict[str, tf.Tensor], ids: tf.Tensor) -> Any:
        """Returns the batch with each negative once, and ids and counts of all columns."""
        ids = tf.cast(ids, tf.int32)
        targets = tf.stack([ids, tf.cast(ids != PADDING_ID, tf.int32)])  # (2, B)
        drawn, _, counts = tf.unique_with_counts(batch["negatives"])
        padding = [[0, 0], [0, -tf.size(drawn) % _MULTIPLE]]
        columns = tf.pad(tf.stack([drawn, counts]), padding)  # (2, U)
        batch |= {"negatives": columns[0], "negatives_log_q": tf.gather(self.log_q, columns[0])}
        return batch, tf.concat([targets, columns], 1)


def _masked(values: tf.Tensor, alive: tf.Tensor) -> tf.Tensor:
    return tf.where(alive, values, tf.zeros([], values.dtype))


def _check(columns: dict[str, np.ndarray], lengths: np.ndarray, wanted: Mapping[str, str]) -> None:
    for name in wanted.values():
        checks.one_of("column", name, columns)
    if lengths.ndim != 1 or (lengths < 1).any():
        raise ValueError(checks.expected("lengths", "positive, of shape (S,)", lengths))
    sizes = {name: len(columns[name]) for name in wanted.values()}
    if set(sizes.values()) != {int(lengths.sum())}:
        raise ValueError(
            checks.expected("lengths", f"of the sum of the events, {sizes}", int(lengths.sum()))
        )
    if not (lengths > 1).any():
        raise ValueError(
            checks.expected("lengths", "with a session of 2 events or more", int(lengths.max()))
        )
