"""The columns that are the events' own: the label, the time, and what is known of an event."""

from typing import Any

import pyarrow as pa

from tfrecs.datasets import sides, trials
from tfrecs.datasets.choice import Choice
from tfrecs.datasets.labels import label_or_none, labels
from tfrecs.datasets.moments import as_unit, times
from tfrecs.datasets.positive import parse_positive
from tfrecs.datasets.sources import Source
from tfrecs.spec import Feature, Numeric, Timestamp


def event_features(
    source: Source,
    found: dict[str, str | None],
    made: list[sides.Side],
    choice: Choice,
    label: str | None,
    positive: str | None,
    notes: list[str],
) -> tuple[pa.Table, list[Feature], Any]:
    """Returns the events, the features that are theirs (label, time, context), and the positive."""
    ids = [side.name for side in made]
    taken = {name for side in made for name in side.table.column_names}
    features: list[Feature] = []
    rows = source.table
    if positive is not None and label is None and found["label"] is not None:
        found["label"] = label_or_none(found["label"], rows, source.decimal, choice)
    for name in rows.column_names:
        if name == found["label"]:
            sign = source.sign(name, notes)
            rows = _with(rows, name, labels(name, rows[name], sign, notes))
            features.append(Numeric(name, "label"))
        elif name == found["time"]:
            moments, unit = times(name, trials.of_training(rows, name), source.date_order)
            wanted: Any = choice.spec[name] if choice.spec and name in choice.spec else None
            if isinstance(wanted, Timestamp):
                moments, unit = as_unit(moments, unit, wanted.unit), wanted.unit
            moments = trials.later(rows, str(found["user"]), moments)
            rows = _with(rows, name, moments)
            features.append(Timestamp(name, "time", unit))
        elif name not in (*ids, trials.PART, *(taken if positive is None else ())):
            rows = _with(rows, name, source.typed(name, choice, notes))
    expression, read = parse_positive(positive, rows) if positive is not None else (None, ())
    for name in rows.column_names:
        if name in (*ids, trials.PART, found["label"], found["time"]):
            continue
        if name in read:
            choice.left[name] = "says which events are positive"
        elif name in taken:
            notes.append(f"{name!r} of the events is left out: users or items have it too.")
            rows = rows.drop_columns(name)
        else:
            rows, feature = sides.with_feature(rows, name, "context", choice, notes)
            features += [feature] if feature is not None else []
    return rows, features, expression


def _with(rows: pa.Table, name: str, column: Any) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, column)
