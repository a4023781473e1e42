"""A model's prediction for events: one score a row."""

from typing import Any

import numpy as np
import pyarrow as pa
from keras import ops

from tfrecs import checks
from tfrecs.evaluation.scorers import as_tensors, check_finite, graph
from tfrecs.evaluation.truth import candidate_positions, query_positions


def join_events(events: pa.Table, tables: Any) -> pa.Table:
    """Gives every event what is known of its query and its candidate.

    Args:
        events: Events with the ids of the spec.
        tables: Has `queries`, `candidates` and `spec`.

    Returns:
        `events` with the columns of the spec that it lacks; null where an id is unknown.
    """
    for role in tables.spec.ids:
        query = role == "query"
        table = tables.queries if query else tables.candidates
        rows = (query_positions if query else candidate_positions)(events, tables)
        at = pa.array(rows, mask=rows < 0)
        for feature in tables.spec.by_role(role):
            if feature.name in table.column_names and feature.name not in events.column_names:
                events = events.append_column(feature.name, table[feature.name].take(at))
    return events


class ModelPredictor:
    """Predicts a number for each event, such as a rating, by `model(batch)`.

    Args:
        model: A model whose `call` gives one score a row.
        transform: Its adapted `FeatureTransform`.
        tables: Has `queries`, `candidates` and `spec`: what is known of both sides.
        batch_size: Events at a time. Defaults to 8192.
    """

    def __init__(self, model: Any, transform: Any, tables: Any, batch_size: int = 8192) -> None:
        checks.positive("batch_size", batch_size)
        self.transform = transform
        self.tables = tables
        self.batch_size = batch_size
        self._call = graph(lambda batch: model(batch, training=False))

    def predict(self, events: pa.Table) -> np.ndarray:
        """Returns the score of each event, float32 `(N,)`.

        Raises:
            ValueError: If a score is NaN or infinite, or the model gives no `(B,)`.
        """
        rows = join_events(events, self.tables)
        names = [f.name for f in self.transform.spec.by_role("query", "candidate")]
        names += [
            f.name
            for f in self.transform.spec.by_role("context", "time")
            if f.name in rows.column_names
        ]
        scores = np.empty(rows.num_rows, np.float32)
        for start in range(0, rows.num_rows, self.batch_size):
            block = rows.slice(start, self.batch_size)
            batch = as_tensors(self.transform.encode(block, names))
            found = ops.convert_to_numpy(self._call(batch))
            if found.shape != (block.num_rows,):
                raise ValueError(
                    checks.expected(
                        "model", f"a model of one score a row, {(block.num_rows,)}", found.shape
                    )
                )
            scores[start : start + block.num_rows] = found
        check_finite(scores, "scores")
        return scores
