"""`export_feed`: profile, candidates and ranker of a feed in one versioned SavedModel."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs.export import gates
from tfrecs.export.feed_graph import CV, TAG, TEXT, FeedSignatures, N
from tfrecs.export.folders import STOCK, label_of, new_versions, unpublished
from tfrecs.export.publish import Export, about_model, write_version
from tfrecs.export.requests import MISSING, UNKNOWN, Request, Rows, decoded, table_rows
from tfrecs.export.servable import EMBEDDING, Servable
from tfrecs.files import written_aside
from tfrecs.models.iki import TAGS, IkiRanker

_ROWS = 16


def export_feed(
    signatures: FeedSignatures,
    queries: pa.Table,
    directory: str | os.PathLike[str],
    *,
    name: str,
    version: int | None = None,
    card: Mapping[str, Any] | None = None,
    check: bool = True,
) -> Export:
    """Writes a SavedModel that takes a user and a tag, and answers with the user's feed.

    | signature | inputs | outputs |
    | --- | --- | --- |
    | `serving_default` | sets, `cv`, `liked`, `disliked`, `viewed`; `tag` | below, `(B, n)` |
    | `feed` | also `n`, int32 | the same |
    | `content` | `text`, string `(B,)` | `embedding`, the content vector `(B, D)` |

    Outputs are ids, `score`, `source` (what proposed an item, joined by commas) and
    `nearest_liked` (the item of `liked` whose content is most like it). Fewer than `n` candidates
    leave slots of the missing id and score -inf; an unknown tag, and one without items, have none.
    Of a CV the first 64 KiB are read. Without any history the answer is what is popular and new
    on the tag, and items far from each other where there has been no event on it.

    Args:
        signatures: The feed.
        queries: Raw users to check with.
        directory: Folder of all models.
        name: Name of the model, which names its folder.
        version: A positive integer that is not there yet. Defaults to the next.
        card: More for the card, by section: "data", "metrics", "parameters".
        check: Whether to ask the SavedModel in a fresh process, and compare. Defaults to `True`.

    Returns:
        The path of the variant "stock", and the version; the recall is 1.

    Raises:
        OSError, RuntimeError: If the files cannot be written, or answer otherwise than the model;
            nothing is published then. TypeError, ValueError: If an argument is wrong.
    """
    gates.check_arguments(name, model=(signatures.model, IkiRanker))
    folders = new_versions(Path(directory), {STOCK: name}, version)
    folder = folders[STOCK]
    requests = _requests(signatures, queries)
    with unpublished(directory), written_aside(folder) as aside:
        functions = signatures.trace()
        parts = [m for m in (signatures.skills, signatures.content) if m is not None]
        names = (*signatures.names, TAGS)
        servable = Servable(functions, signatures.transform, names, signatures.candidates, *parts)
        if signatures.extractor is not None:  # not the module: its tagger is a Keras model
            servable.parts.append(signatures.extractor.table)
        said = label_of(folder, STOCK) | about_model(signatures.model, card or {})
        write_version(aside, servable, functions, signatures.transform, requests, said, check)
    return Export(folders, int(folder.name), 1.0)


def _requests(signatures: FeedSignatures, queries: pa.Table) -> list[Request]:
    """Returns users, each with another tag, one of unknown and one of missing values."""
    inputs = {n: spec for n, spec in signatures.inputs.items() if n != TAG}
    queries = queries.slice(0, _ROWS)
    rows = table_rows("queries", queries, inputs)
    tags = signatures.transform.vocabulary(TAGS).tolist()
    dtype = signatures.inputs[TAG].dtype.name
    rows[TAG] = [tags[place % len(tags)] for place in range(queries.num_rows)]
    for name, spec in inputs.items():
        if len(spec.shape) > 1 and not rows[name][0]:  # nobody has any
            rows[name] = [[MISSING[spec.dtype.name]]] * queries.num_rows
    for odd in (UNKNOWN, MISSING):
        for name, spec in signatures.inputs.items():
            width = len(rows[name][0]) if len(spec.shape) > 1 else 0
            value = odd[dtype if name == TAG else spec.dtype.name]
            rows[name].append([value] * width if len(spec.shape) > 1 else value)
    requests = [
        Request("serving_default", rows, _answer(signatures, rows, signatures.n)),
        Request("feed", {**rows, N: 3}, _answer(signatures, rows, 3)),
    ]
    if signatures.content is not None:
        texts = ["", "a text", *rows.get(CV, [])]
        vectors = signatures.content(tf.constant(texts)).numpy()
        requests.append(Request("content", {TEXT: texts}, {EMBEDDING: vectors}))
    return requests


def _answer(signatures: FeedSignatures, rows: Rows, n: int) -> dict[str, np.ndarray]:
    raw = {k: tf.constant(rows[k], spec.dtype) for k, spec in signatures.inputs.items()}
    found = signatures.feed({**raw, N: tf.constant(n)})
    return {key: decoded(value) for key, value in found.items()}
