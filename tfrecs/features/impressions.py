"""Batches of impressions: clicked and shown items, each distinct item of a batch there once."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.features.order import Epoch, each_epoch, num_batches, read_ahead, shuffled
from tfrecs.spec import PADDING_ID

_LOG = logging.getLogger("tfrecs")
Batch = dict[str, tf.Tensor]


@dataclass(frozen=True)
class ImpressionIds:
    """A log of impressions by ids: lists one after the other, with their lengths.

    Args:
        history: Ids of what was clicked before, int32 `(N,)`.
        history_lengths: Of each impression, `(I,)`.
        candidates: Ids of what was shown, int32 `(M,)`.
        labels: 1 clicked, 0 not, -1 not known, int8 `(M,)`.
        lengths: Candidates of each impression, `(I,)`.
    """

    history: np.ndarray
    history_lengths: np.ndarray
    candidates: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray


def encode_impressions(log: pa.Table, transform: Any) -> ImpressionIds:
    """Returns a log with the ids of an adapted `FeatureTransform`; an id not known there is 1.

    Args:
        log: Table of `history`, `candidates` and `clicked`, lists; null labels are not known.
        transform: Has the candidate's id among its features.
    """
    name = transform.spec.candidate_id.name

    def ids(column: str) -> tuple[np.ndarray, np.ndarray]:
        lists = log[column].combine_chunks()
        lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        flat = pa.table({name: lists.flatten()})
        found = transform.encode(flat, [name])[name] if flat.num_rows else np.zeros(0, np.int32)
        return found, lengths.astype(np.int64)

    (history, past), (candidates, lengths) = ids("history"), ids("candidates")
    clicked = log["clicked"].combine_chunks()
    known = np.repeat(clicked.is_valid().to_numpy(zero_copy_only=False), lengths)
    labels = np.full(len(candidates), -1, np.int8)
    labels[known] = clicked.flatten().to_numpy(zero_copy_only=False)
    return ImpressionIds(history, past, candidates, labels, lengths)


class Histories:
    """Builds batches of histories and candidates, on the graph of a `tf.data.Dataset`.

    Args:
        log: The impressions.
        item: Name of the candidate's id.
        history: Name of the history.
        max_length: Most items of a history, the last ones.
        num_tokens: How many tokens each item has, by id; `None` not to have distinct items apart.
        widths: Classes of items by their number of tokens, rising.
        with_history: Whether the histories' items are among the distinct ones.
    """

    def __init__(
        self,
        log: ImpressionIds,
        item: str,
        history: str,
        max_length: int,
        num_tokens: np.ndarray | None,
        widths: Sequence[int],
        with_history: bool,
    ) -> None:
        self.item, self.name = item, history
        self.widths, self.with_history = list(widths), with_history
        ends = np.cumsum(log.history_lengths)
        sizes = np.minimum(log.history_lengths, max_length)
        with tf.device("CPU"):
            self.held = tf.constant(np.append(log.history, 0).astype(np.int32))
            self.sizes = tf.constant(sizes.astype(np.int32))
            self.first = tf.constant((ends - sizes).astype(np.int32))
            self.classes = None
            if num_tokens is not None:
                kinds = np.searchsorted(self.widths, np.minimum(num_tokens, self.widths[-1]))
                self.classes = tf.constant(kinds.astype(np.int32))

    def batch(self, rows: tf.Tensor, candidates: tf.Tensor | None) -> Batch:
        """Returns the batch of impressions `rows` `(B,)` and candidates `(B, C)`."""
        size = tf.gather(self.sizes, rows)
        longest = -(-tf.maximum(tf.reduce_max(size), 1) // 8) * 8  # few different shapes
        places = tf.range(longest)
        mask = places < size[:, None]  # (B, H)
        at = tf.where(mask, tf.gather(self.first, rows)[:, None] + places, 0)
        seen = tf.where(mask, tf.gather(self.held, at), PADDING_ID)
        batch = {self.name: seen, f"{self.name}_mask": mask}
        if candidates is not None:
            batch[self.item] = candidates
        if self.classes is not None:
            batch |= self._distinct(batch)
        return batch

    def _distinct(self, batch: Batch) -> Batch:
        """Returns the distinct items by their widths, and the place of each item among them."""
        names = [self.name] if self.with_history else []
        names += [self.item] if self.item in batch else []
        every = tf.concat([tf.reshape(batch[name], [-1]) for name in names], axis=0)
        ids, where = tf.unique(every)  # (U,), (all,)
        kinds = tf.gather(self.classes, ids)
        made, places, start = {}, tf.zeros_like(ids), 0
        for number, width in enumerate(self.widths):
            own = kinds == number
            count = tf.reduce_sum(tf.cast(own, tf.int32))
            room = -(-tf.maximum(count, 1) // 64) * 64  # few different shapes
            chosen = tf.boolean_mask(ids, own)
            made[f"{self.item}_distinct_{width}"] = tf.pad(chosen, [[0, room - count]])
            rank = tf.cumsum(tf.cast(own, tf.int32)) - 1 + start
            places, start = tf.where(own, rank, places), start + room
        flat = tf.gather(places, where)
        for name in names:
            size = tf.size(batch[name])
            made[f"{name}_place"] = tf.reshape(flat[:size], tf.shape(batch[name]))
            flat = flat[size:]
        return made


def from_impressions(
    log: ImpressionIds,
    batch_size: int,
    *,
    num_negatives: int = 4,
    item: str = "news_id",
    history: str = "history",
    max_length: int = 50,
    num_tokens: np.ndarray | None = None,
    widths: Sequence[int] = (12, 16, 30),
    with_history: bool = True,
    seed: int = 0,
    epoch: Epoch | None = None,
) -> tf.data.Dataset:
    """Training batches: each clicked item with negatives of the same impression.

    A sample is a clicked item and `num_negatives` others that the user was shown and left, drawn
    without repetition, anew each epoch; where there are fewer, the label of the rest is -1.
    Impressions without a click or without anything else are passed over, and their number logged.
    An item that the catalogue does not know (id 1) is no positive.

    Args:
        log: The impressions, of `encode_impressions`.
        batch_size: Samples of a batch, B; a last batch that is not full is left out.
        num_negatives: K. Defaults to 4.
        item: Name of the candidates' ids. Defaults to "news_id".
        history: Name of the history. Defaults to "history".
        max_length: Most items of a history, the last ones. Defaults to 50.
        num_tokens: How many tokens each item has, by id, `(size,)`, such as
            `(title > 0).sum(axis=1)` of a catalogue. With it a batch also has the distinct items
            of histories and candidates, which models encode once; `None`, the default, without.
        widths: Distinct items are encoded apart by these numbers of tokens, each batch padded to
            its own; the last one must hold all. Defaults to (12, 16, 30).
        with_history: Whether distinct items are also those of histories (NRMS), or of candidates
            alone (a Perceiver reads histories as tokens). Defaults to `True`.
        seed: Of order and negatives. Defaults to 0.
        epoch: Ties the order to the epoch of `fit`; see `Epoch`.

    Returns:
        Dataset of (batch, labels): history `(B, H)`, its mask, ids of candidates `(B, 1 + K)`, the
        clicked one first; labels float32 `(B, 1 + K)`.

    Raises:
        ValueError: If no impression has both a click and something left.

    Example:

    >>> log = ImpressionIds(np.array([5, 6]), np.array([2, 0]), np.array([7, 8, 9]),
    ...                     np.array([0, 1, 0]), np.array([2, 1]))
    >>> for batch, labels in from_impressions(log, 1, num_negatives=2):
    ...     print(batch["news_id"].numpy().tolist(), labels.numpy().tolist())
    [[8, 7, 0]] [[1.0, 0.0, -1.0]]
    """
    checks.positive("num_negatives", num_negatives)
    parts = Histories(log, item, history, max_length, num_tokens, widths, with_history)
    rows = np.repeat(np.arange(len(log.lengths)), log.lengths)
    negative = log.labels == 0
    counts = np.bincount(rows[negative], minlength=len(log.lengths))
    clicked = np.flatnonzero((log.labels == 1) & (log.candidates > 1))
    positive = clicked[counts[rows[clicked]] > 0]
    if not len(positive):
        expectation = "with an impression of which some was clicked and some was not"
        raise ValueError(checks.expected("log", expectation, f"{len(clicked)} clicks"))
    used = len(np.unique(rows[positive]))
    _LOG.info("%d of %d impressions have a click and a negative", used, len(counts))
    with tf.device("CPU"):
        held = tf.constant(np.append(log.candidates[negative], 0).astype(np.int32))
        first = tf.constant((np.cumsum(counts) - counts).astype(np.int32))
        number = tf.constant(counts.astype(np.int32))
        targets = tf.constant(log.candidates[positive].astype(np.int32))
        of_target = tf.constant(rows[positive].astype(np.int32))
    size = len(positive)

    def batch_of(places: tf.Tensor, seeds: tf.Tensor) -> Any:
        impressions = tf.gather(of_target, places)
        there = tf.gather(number, impressions)  # (B,)
        widest = tf.maximum(tf.reduce_max(there), num_negatives)
        keys = tf.random.stateless_uniform([tf.shape(places)[0], widest], seeds)
        keys = tf.where(tf.range(widest) < there[:, None], keys, -1.0)
        chance, drawn = tf.math.top_k(keys, num_negatives)  # without repetition
        live = chance >= 0
        at = tf.where(live, tf.gather(first, impressions)[:, None] + drawn, 0)
        negatives = tf.where(live, tf.gather(held, at), PADDING_ID)
        candidates = tf.concat([tf.gather(targets, places)[:, None], negatives], axis=1)
        labels = tf.pad(tf.where(live, 0.0, -1.0), [[0, 0], [1, 0]], constant_values=1.0)
        return parts.batch(impressions, candidates), labels

    count = num_batches(size, batch_size, drop_remainder=True)

    def batches(seeds: tf.Tensor) -> tf.data.Dataset:
        def one(turn: tf.Tensor) -> Any:
            places = tf.range(turn * batch_size, (turn + 1) * batch_size)
            places = tf.ensure_shape(shuffled(places, seeds, size), [batch_size])
            return batch_of(places, tf.random.experimental.stateless_fold_in(seeds, turn))

        return tf.data.Dataset.range(count).map(one)

    dataset = each_epoch(batches, seed, epoch)
    return read_ahead(dataset.apply(tf.data.experimental.assert_cardinality(count)), 4)


def from_histories(
    log: ImpressionIds,
    batch_size: int,
    *,
    item: str = "news_id",
    history: str = "history",
    max_length: int = 50,
    num_tokens: np.ndarray | None = None,
    widths: Sequence[int] = (12, 16, 30),
) -> tf.data.Dataset:
    """Batches of the histories alone, in the order of the log, to encode users.

    Arguments as `from_impressions`; without `num_tokens` there are no distinct items apart.
    """
    parts = Histories(log, item, history, max_length, num_tokens, widths, with_history=True)
    total = len(log.lengths)

    def one(turn: tf.Tensor) -> Batch:
        first = tf.cast(turn, tf.int32) * batch_size
        return parts.batch(tf.range(first, tf.minimum(first + batch_size, total)), None)

    count = num_batches(total, batch_size, drop_remainder=False)
    return read_ahead(tf.data.Dataset.range(count).map(one))


def token_counts(arrays: Mapping[str, np.ndarray], name: str, size: int, item: str) -> np.ndarray:
    """Returns how many tokens each item has of a text, int64 `(size,)` by id.

    Args:
        arrays: Of the items, as `transform.encode` gives them.
        name: The text.
        size: Number of ids.
        item: Name of the ids.
    """
    counts = np.zeros(size, np.int64)
    counts[arrays[item]] = (arrays[name] != PADDING_ID).sum(axis=1)
    return counts
