"""The life of an index: candidates come, change and go, and a new index takes over."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tfrecs import checks
from tfrecs.retrieval.base import Index, check_vectors
from tfrecs.retrieval.ids import IdMap
from tfrecs.retrieval.scann import ScaNN


def updated(
    index: Index,
    vectors: Any,
    ids: Any,
    *,
    removed: Iterable[Any] = (),
    queries: Any = None,
) -> Index:
    """Returns a new index with candidates added, changed and removed; the old one stays as it is.

    Its class and arguments are the old one's; ScaNN partitions again and chooses its parameters
    by measured recall again. `tfrecs.export.export` of the result writes the next version, which
    servers take over while requests run.

    Args:
        index: The index.
        vectors: `(N, D)` vectors of new and of changed candidates, of the same model as the
            others; `(0, D)` for none.
        ids: `(N,)` their ids; one that the index has is changed.
        removed: Ids to leave out.
        queries: For ScaNN, `(S, D)` sample of query vectors to reach the recall on.

    Returns:
        The new index: remaining candidates in their order, then the new ones.

    Raises:
        ValueError: An id to remove is not there, or is among `ids`; vectors and ids do not fit.

    Example:

    >>> import numpy as np
    >>> from tfrecs.retrieval import Exact
    >>> old = Exact(k=1).index(np.eye(3), ["a", "b", "c"])
    >>> updated(old, [[0.0, 5.0, 0.0]], ["d"], removed=["b"]).ids.tolist()
    ['a', 'c', 'd']
    """
    known = {value: place for place, value in enumerate(index.ids.tolist())}
    added = IdMap(ids).values.tolist() if len(ids) else []
    table = index.vectors.copy()
    given = check_vectors(vectors) if added else np.zeros((0, index.dim), np.float32)
    if given.shape != (len(added), index.dim):
        expectation = f"of shape ({len(added)}, {index.dim})"
        raise ValueError(checks.expected("vectors", expectation, given.shape))
    gone = set(removed)
    if unknown := sorted(map(str, (gone - set(known)) | (gone & set(added)))):
        expectation = "ids of the index that are not among `ids`"
        raise ValueError(checks.expected("removed", expectation, unknown))
    for value, vector in zip(added, given, strict=True):
        if value in known:
            table[known[value]] = vector
    fresh = [row for row, value in enumerate(added) if value not in known]
    kept = [place for value, place in known.items() if value not in gone]
    all_ids = [*(index.ids[kept].tolist()), *(added[row] for row in fresh)]
    all_vectors = np.concatenate([table[kept], given[fresh]])
    new: Index = type(index).from_config(index.get_config())
    if isinstance(new, ScaNN):
        return new.index(all_vectors, all_ids, queries)
    return new.index(all_vectors, all_ids)
