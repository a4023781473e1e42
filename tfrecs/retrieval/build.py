"""Building the index that fits a catalogue, and reading a saved one of any class."""

import logging
import os
from typing import Any

from tfrecs import checks
from tfrecs.retrieval import storage
from tfrecs.retrieval.base import Index
from tfrecs.retrieval.exact import Exact
from tfrecs.retrieval.quantized import Quantized
from tfrecs.retrieval.scann import ScaNN
from tfrecs.retrieval.scann_ops import why_not

logger = logging.getLogger("tfrecs")

EXACT_BELOW = 5_000  # candidates: exact search answers in less than a call costs


def build(
    vectors: Any,
    ids: Any,
    *,
    k: int = 100,
    similarity: str = "dot",
    recall: float = 0.98,
    queries: Any = None,
    seed: int = 0,
) -> Index:
    """Builds the index that fits the catalogue: ScaNN, or exact search for a small one.

    Exact search is used below 5,000 candidates, where `recall` is 1, and where ScaNN cannot
    run (no package, not Linux on x86-64, another backend than TensorFlow): the log says which.

    Args:
        vectors: `(C, D)` finite floats, one row a candidate.
        ids: `(C,)` distinct strings or integers.
        k: Number of results when a call does not say, cut to the catalogue. Defaults to 100.
        similarity: "dot", "cosine" or "squared_l2". Defaults to "dot".
        recall: Recall@k against exact search to reach. Defaults to 0.98.
        queries: `(S, D)` sample of query vectors to reach the recall on. Defaults to a sample
            of the candidates.
        seed: Of that sample. Defaults to 0.

    Returns:
        A filled index.

    Raises:
        ValueError: `recall` is not above 0 and at most 1, or an argument does not fit an index.

    Example:

    >>> import numpy as np
    >>> index = build(np.eye(3), ["a", "b", "c"], k=1)
    >>> type(index).__name__
    'Exact'
    """
    count = len(vectors)
    k = max(1, min(k, count))
    if not 0 < recall <= 1:
        raise ValueError(checks.expected("recall", "above 0 and at most 1", recall))
    if recall < 1 and count >= EXACT_BELOW:
        reason = why_not()
        if reason is None:
            index = ScaNN(k=k, similarity=similarity, recall=recall, seed=seed)
            return index.index(vectors, ids, queries)
        logger.warning("%s: building an exact index of %d candidates.", reason, count)
    else:
        logger.info("Building an exact index of %d candidates.", count)
    return Exact(k=k, similarity=similarity).index(vectors, ids)


def load(directory: str | os.PathLike[str]) -> Index:
    """Reads an index that `Index.save` wrote, of whichever class.

    Args:
        directory: Where it was saved.

    Returns:
        The index, which answers as the saved one did.
    """
    classes: dict[str, type[Index]] = {"ScaNN": ScaNN, "Quantized": Quantized}
    name = storage.read_header(directory)["class"]
    return classes.get(name, Exact).load(directory)
