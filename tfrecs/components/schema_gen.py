"""SchemaGen: what the columns are, inferred from statistics: types, domains, kinds and roles."""

from typing import Any

import pyarrow as pa
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tfrecs import checks
from tfrecs.components.artifacts import ExampleStatistics, Schema, damaged
from tfrecs.components.component import Component, Output
from tfrecs.components.statistics_gen import read_statistics
from tfrecs.datasets.guess import find_column
from tfrecs.datasets.moments import time_unit
from tfrecs.spec import (
    KINDS,
    Categorical,
    Feature,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Role,
    Text,
    Timestamp,
    Vector,
)

FILE = "schema.pbtxt"
_ARROW = {"STRING": pa.string(), "INT": pa.int64(), "FLOAT": pa.float32()}
_WORDS = 1.5  # mean words a value above which text that hardly repeats is read as words
_FEW = 50  # distinct values of a text that is a closed list
_MASS = 0.99  # share of values that are in a closed list
_SLACK = 0.5  # of the range, that numbers may leave it by


def schema_gen(
    statistics: ExampleStatistics,
    schema: Output[Schema],
    queries: ExampleStatistics | None = None,
    candidates: ExampleStatistics | None = None,
    *,
    split: str = "train",
    overrides: dict[str, dict[str, Any]] = {},  # noqa: B006 read alone
) -> None:
    """What the columns are, inferred from statistics: types, domains, kinds and roles.

    Columns of `queries` have role query, those of `candidates` role candidate; the id of either
    is the column that the events have too. Without them ids are told by their names. A label and
    a time are told by name and type, and what else is in the events is context. Closed lists of
    texts become domains, the range of numbers (half as wide again) their bounds.

    Args:
        statistics: Of the events.
        schema: schema.pbtxt, which TFDV reads and `FeatureSpec.from_schema` too.
        queries: Of the users, where there is a table of them.
        candidates: Of the items.
        split: Split of `statistics` to learn from. Defaults to "train".
        overrides: Fields of features by name, as `{"price": {"normalize": "quantile"}}`; "kind"
            replaces the guess, and `{"kind": "none"}` leaves a column out.
    """
    events = read_statistics(statistics, split)
    sides: dict[Role, Any] = {}
    given: dict[Role, ExampleStatistics | None] = {"query": queries, "candidate": candidates}
    for role, side in given.items():
        if side is not None:
            sides[role] = read_statistics(side, side.properties["split_names"][0])
    own = {_name(f): f for f in events.features}
    ids = _ids(own, sides)
    messages, roles = dict(own), _roles(own, ids)
    for role, dataset in sides.items():
        for feature in dataset.features:
            messages.setdefault(_name(feature), feature)
            roles[_name(feature)] = role
    features: list[Feature] = []
    for name, feature in messages.items():
        guessed = _guess(name, feature, roles[name], is_id=name in ids.values())
        chosen = _overridden(guessed, overrides.get(name, {}))
        if chosen is not None:
            features.append(chosen)
    for name in overrides:
        checks.one_of("overrides", name, messages)
    spec = FeatureSpec(tuple(features))
    message = spec.to_schema()
    for feature in message.feature:
        _constrain(feature, messages[feature.name])
    write_schema(schema, message)


SchemaGen = Component(schema_gen)


def write_schema(schema: Schema, message: Any) -> None:
    """Writes a Schema as text."""
    schema.path.mkdir(exist_ok=True)
    (schema.path / FILE).write_text(text_format.MessageToString(message), encoding="utf-8")


def read_schema(schema: Schema) -> Any:
    """Returns the Schema message."""
    with damaged(schema.path / FILE) as file:
        return text_format.Parse(file.read_text(encoding="utf-8"), schema_pb2.Schema())


def _name(feature: Any) -> str:
    return str(feature.path.step[0] if feature.path.step else feature.name)


def kind_of(feature: Any) -> str:
    """Returns "STRING", "INT" or "FLOAT"."""
    return str(statistics_pb2.FeatureNameStatistics.Type.Name(feature.type))


def common(feature: Any) -> Any:
    """Returns the counts that all kinds of statistics have."""
    stats = feature.string_stats if feature.HasField("string_stats") else feature.num_stats
    return stats.common_stats


def custom(feature: Any, name: str) -> float:
    """Returns a number of `custom_stats`, 0 where there is none."""
    return next((float(c.num) for c in feature.custom_stats if c.name == name), 0.0)


def _ids(own: dict[str, Any], sides: dict[Role, Any]) -> dict[Role, str]:
    """Returns the columns that identify queries and candidates."""
    columns = [(name, pa.array([], _ARROW[kind_of(f)])) for name, f in own.items()]
    ids: dict[Role, str] = {}
    parts: tuple[tuple[Role, str], ...] = (("query", "user"), ("candidate", "item"))
    for role, part in parts:
        there = {_name(f) for f in sides[role].features} if role in sides else set(own)
        shared = pa.table({name: array for name, array in columns if name in there})
        named = find_column(part, shared)
        if named is None and role in sides and len(shared.column_names) == 1:
            named = shared.column_names[0]
        if named is not None:
            ids[role] = named
    return ids


def _roles(own: dict[str, Any], ids: dict[Role, str]) -> dict[str, Role]:
    table = pa.table({name: pa.array([], _ARROW[kind_of(f)]) for name, f in own.items()})
    roles: dict[str, Role] = dict.fromkeys(own, "context")
    for part in ("label", "time"):
        named = find_column(part, table)
        if named is not None:
            roles[named] = part
    return roles | {name: role for role, name in ids.items()}


def _guess(name: str, feature: Any, role: Role, is_id: bool) -> Feature:
    kind, counts = kind_of(feature), common(feature)
    dtype: Any = {"STRING": "string", "INT": "int64", "FLOAT": "float32"}[kind]
    if counts.max_num_values > 1:
        if kind != "FLOAT":
            return MultiCategorical(name, role, dtype)
        return Vector(name, role, dim=int(counts.max_num_values))
    if is_id:
        return Categorical(name, role, dtype, is_id=True)
    if role == "label":
        return Numeric(name, role)
    if role == "time" or (kind == "INT" and "time" in name.lower()):
        bounds = [int(feature.num_stats.min), int(feature.num_stats.max)]
        return Timestamp(name, role, time_unit(pa.chunked_array([bounds])))
    if kind == "STRING":
        stats = feature.string_stats
        rare = stats.unique > counts.num_non_missing / 2
        words = custom(feature, "average_words") >= _WORDS
        if rare and words:
            return Text(name, role)
        closed = 0 < stats.unique <= min(_FEW, counts.tot_num_values / 10)
        domain = sorted(bucket.label for bucket in stats.rank_histogram.buckets)
        return Categorical(name, role, vocabulary=tuple(domain) if closed else None)
    if kind == "INT" and name.lower().endswith("id"):
        return Categorical(name, role, "int64")
    return Numeric(name, role, normalize="standard")


def _overridden(guessed: Feature, fields: dict[str, Any]) -> Feature | None:
    """Returns the feature with what the user said of it."""
    fields = dict(fields)
    kind = fields.pop("kind", guessed.kind)
    if kind == "none":
        return None
    checks.one_of(f"kind of {guessed.name}", kind, KINDS)
    same = kind == guessed.kind
    kept = {k: v for k, v in vars(guessed).items() if same or k in ("name", "role")}
    known = KINDS[kind].__dataclass_fields__
    for field in fields:
        checks.one_of(f"field of {guessed.name}", field, known)
    feature: Feature = KINDS[kind](**(kept | fields))
    return feature


def _constrain(message: Any, feature: Any) -> None:
    """Adds what values were seen: presence, closed lists, ranges."""
    counts = common(feature)
    rows = counts.num_missing + counts.num_non_missing
    if rows and counts.num_missing == 0:
        message.presence.min_fraction = 1.0
    kind = kind_of(feature)
    if message.HasField("string_domain") and message.string_domain.value:
        message.distribution_constraints.min_domain_mass = _MASS
    categorical = message.HasField("int_domain") and message.int_domain.is_categorical
    if kind == "STRING" or categorical or message.HasField("time_domain"):
        return
    stats = feature.num_stats
    slack = _SLACK * (stats.max - stats.min)
    low, high = stats.min - slack, stats.max + slack
    if kind == "INT":  # a Numeric feature says FLOAT of itself; its column holds integers
        message.type = schema_pb2.INT
        message.int_domain.min, message.int_domain.max = int(low), int(high)
    elif not message.float_domain.is_embedding:
        message.float_domain.min, message.float_domain.max = low, high
