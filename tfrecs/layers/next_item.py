"""What models of the next item share: the history they read, the candidates they score."""

from collections.abc import Callable
from typing import Any

from keras import ops

from tfrecs.layers.batch import column
from tfrecs.layers.negatives import mask_accidental_hits, mask_scores
from tfrecs.spec import FeatureSpec, Sequence

Tensor = Any  # a tensor of whichever backend Keras runs on
Batch = dict[str, Tensor]


def history_name(spec: FeatureSpec) -> str:
    """Returns the name of the query's sequence of candidates.

    Raises:
        ValueError: If there is none, or several.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> item = Categorical("item_id", "candidate", is_id=True)
    >>> history_name(FeatureSpec((item, Sequence("history", shared_with="item_id"))))
    'history'
    """
    item = spec.candidate_id.name
    found = [
        feature.name
        for feature in spec.by_role("query")
        if isinstance(feature, Sequence) and feature.shared_with == item
    ]
    if len(found) != 1:
        raise ValueError(
            f"`spec` must have one Sequence of role 'query' that shares the ids of {item!r}. "
            f"Received: {found}. Add Sequence('history', shared_with={item!r})."
        )
    return found[0]


def next_item_scores(
    query: Tensor,
    candidate: Callable[[Batch], Tensor],
    score: Callable[[Tensor, Tensor], Tensor],
    batch: Batch,
    name: str,
    log_q: float,
) -> Tensor:
    """Scores queries against the candidates that the batch brings.

    Args:
        query: `(B, D)`.
        candidate: Maps a batch to candidate vectors.
        score: Scores `(B, D)` against `(C, D)` or `(B, C, D)`.
        batch: Has the candidates' ids: `(B,)` for pairs, which are scored all against all, and
            against `negatives` `(N,)` where the batch has them; `(B, C)` to score just those.
        name: Name of the candidate's id.
        log_q: Times `<name>_log_q` (and `negatives_log_q`) is subtracted from scores of pairs.

    Returns:
        `(B, B)`, `(B, B + N)` or `(B, C)`.

    Raises:
        ValueError: A tensor of the batch is missing.
    """
    ids = column(batch, name)
    shared = len(ids.shape) == 1 and "negatives" in batch
    if shared:
        ids = ops.concatenate([ids, ops.cast(batch["negatives"], ids.dtype)])
    scores = score(query, candidate({**batch, name: ids}))
    if log_q and len(ids.shape) == 1:
        log = column(batch, f"{name}_log_q")
        if shared:
            log = ops.concatenate([log, column(batch, "negatives_log_q")])
        scores -= ops.cast(log_q * log, scores.dtype)
    return scores


def sampled_scores(
    query: Tensor, items: Callable[[Tensor], Tensor], batch: Batch, name: str
) -> Tensor:
    """Scores queries against their own item and the batch's `negatives`.

    Args:
        query: `(R, D)`.
        items: Maps ids to vectors.
        batch: Has the ids of the positives `(R,)` and `negatives` `(N,)`; where it has
            `negatives_seen` bool `(B, N)` too, the queries are of B rows of R / B each.
        name: Name of the candidate's id.

    Returns:
        `(R, 1 + N)`, the positive in column 0; a negative that is the positive, or that its row
        has seen, scores -1e9.
    """
    ids, negatives = column(batch, name), ops.cast(batch["negatives"], batch[name].dtype)
    own = ops.sum(query * items(ids), axis=-1, keepdims=True)  # (R, 1)
    others = ops.matmul(query, ops.transpose(items(negatives)))  # (R, N)
    if "negatives_seen" in batch:  # the positive is among them
        seen = ops.expand_dims(batch["negatives_seen"], 1)  # (B, 1, N)
        by_row = ops.reshape(others, (ops.shape(seen)[0], -1, negatives.shape[0]))
        others = ops.reshape(mask_scores(by_row, seen), ops.shape(others))
    else:
        others = mask_accidental_hits(others, negatives[None, :], ids)
    return ops.concatenate([own, others], axis=-1)
