"""FeatureSpec to and from a tensorflow-metadata Schema, which TFDV and TFX read.

What a Schema can say is said in its own fields: type, presence, shape or number of values, domains
and the domain that features share, free text, time and its unit, sequences and their length, and
that labels are absent while serving. The rest (roles, limits of a vocabulary, normalisation) is in
annotation tags `tfrecs.<field>=<JSON>`, one for each field that differs from its default; so is a
Cross, which has no column, in the tags of the Schema.
"""

import dataclasses
import json
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tfrecs import checks
from tfrecs.spec import (
    Attributes,
    Categorical,
    Cross,
    Feature,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Timestamp,
    Vector,
)

_PREFIX = "tfrecs."
_PAIR = 2  # texts: the key and the value of an attribute
_SERVING = "SERVING"
_TYPES = {"string": "BYTES", "int64": "INT", "float32": "FLOAT"}
_UNITS = {
    "s": "UNIX_SECONDS",
    "ms": "UNIX_MILLISECONDS",
    "us": "UNIX_MICROSECONDS",
    "ns": "UNIX_NANOSECONDS",
}


def to_pbtxt(spec: FeatureSpec) -> str:
    """Returns a spec as the text of a schema.pbtxt."""
    return str(text_format.MessageToString(to_schema(spec), as_utf8=True))


def from_pbtxt(text: str) -> FeatureSpec:
    """Rebuilds a spec from the text of a schema.pbtxt.

    Raises:
        ValueError: If the text is no Schema.
    """
    try:
        message = text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        raise ValueError(checks.expected("text", "a tensorflow-metadata Schema", text)) from error
    return from_schema(message)


def to_schema(spec: FeatureSpec) -> Any:
    """Returns a spec as a `schema_pb2.Schema` that `from_schema` reads without loss.

    Example:

    >>> spec = FeatureSpec((Categorical("country", "context"), Numeric("age")))
    >>> print(to_pbtxt(spec.select("country")))
    feature {
      name: "country"
      value_count {
        min: 1
        max: 1
      }
      type: BYTES
      string_domain {
        name: "country"
        is_categorical: CATEGORICAL_YES
      }
      presence {
        min_count: 1
      }
      distribution_constraints {
        min_domain_mass: 0.0
      }
      annotation {
        tag: "tfrecs.role=\\"context\\""
      }
    }
    default_environment: "TRAINING"
    default_environment: "SERVING"
    """
    schema = schema_pb2.Schema(default_environment=["TRAINING", _SERVING])
    shared = {spec.owner(f.name).name for f in spec if spec.owner(f.name) is not f}
    for place, feature in enumerate(spec):
        if isinstance(feature, Cross):
            value = {"place": place, **dataclasses.asdict(feature)}
            schema.annotation.tag.append(f"{_PREFIX}cross={_json(value)}")
            continue
        message = schema.feature.add(name=feature.name, type=_type_name(feature))
        message.presence.min_count = 1
        if feature.role in ("label", "weight"):
            message.not_in_environment.append(_SERVING)
        said = {"name", *_shape(feature, message)}
        owner = spec.owner(feature.name)
        if owner.name in shared:
            if owner is feature:
                said |= _domain(feature, schema, shared=True)
            message.domain = owner.name
            said |= {"shared_with"} if getattr(feature, "shared_with", "") == owner.name else set()
        else:
            said |= _domain(feature, message, shared=False)
        if hasattr(feature, "shared_with") or isinstance(feature, Text | Attributes):
            message.distribution_constraints.min_domain_mass = 0.0  # unknown values are welcome
        message.annotation.tag.extend(_tags(feature, said))
    return schema


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _type_name(feature: Feature) -> str:
    fixed = {"numeric": "FLOAT", "text": "BYTES", "vector": "FLOAT", "timestamp": "INT"}
    return fixed.get(feature.kind) or _TYPES[getattr(feature, "dtype", "string")]


def _shape(feature: Feature, message: Any) -> set[str]:
    """Says how many values a row has, and returns the fields of the feature said by it."""
    if isinstance(feature, Attributes):
        return _nested(message, feature.max_count, _PAIR)
    if isinstance(feature, Vector) and feature.max_count is not None:
        return _nested(message, feature.max_count, feature.dim) | {"dim"}
    if isinstance(feature, Vector):
        message.shape.dim.add(size=feature.dim)
        return {"dim"}
    if not isinstance(feature, MultiCategorical | Sequence):
        message.value_count.min = 1
        message.value_count.max = 1
        return {"dtype"}
    message.value_count.min = 0
    if isinstance(feature, Sequence):
        yes = schema_pb2.SequenceMetadata.SequentialStatus.SEQUENTIAL_YES
        message.sequence_metadata.sequential_status = yes
        if feature.max_length is not None:
            message.sequence_metadata.sequence_truncation_limit = feature.max_length
        return {"dtype", "max_length"}
    return {"dtype"}


def _nested(message: Any, most: int | None, width: int) -> set[str]:
    """Says that a row is a list of lists of `width` values."""
    counts = message.value_counts.value_count
    counts.add(min=0, **({} if most is None else {"max": most}))
    counts.add(min=width, max=width)
    return {"max_count"}


def _domain(feature: Feature, where: Any, *, shared: bool) -> set[str]:
    """Says which values there are, in the feature or for the whole schema."""
    kind = _type_name(feature)
    if isinstance(feature, Text | Attributes):
        where.natural_language_domain.SetInParent()
    elif isinstance(feature, Timestamp):
        formats = schema_pb2.TimeDomain.IntegerTimeFormat
        where.time_domain.integer_format = formats.Value(_UNITS[feature.unit])
        return {"unit"}
    elif kind == "FLOAT":
        where.float_domain.disallow_inf = True
        if isinstance(feature, Vector):
            where.float_domain.is_embedding = True
            where.float_domain.embedding_dim = feature.dim
    elif kind == "INT":
        domain = where.int_domain.add() if shared else where.int_domain
        domain.name, domain.is_categorical = feature.name, True
    else:
        domain = where.string_domain.add() if shared else where.string_domain
        domain.name = feature.name
        domain.is_categorical = schema_pb2.StringDomain.Categorical.CATEGORICAL_YES
        domain.value.extend(getattr(feature, "vocabulary", None) or ())
        return {"vocabulary"}
    return set()


def _tags(feature: Feature, said: set[str]) -> list[str]:
    """Returns a tag for each field that the Schema's own fields do not say."""
    tags = []
    for field in dataclasses.fields(feature):
        value = getattr(feature, field.name)
        if field.name not in said and value != field.default:
            tags.append(f"{_PREFIX}{field.name}={_json(value)}")
    return tags


def from_schema(schema: Any) -> FeatureSpec:
    """Rebuilds a spec from a Schema.

    A Schema of other origin is read by the same fields: what is neither text, time, sequence nor
    vector is Categorical when its type is BYTES or its domain categorical, and Numeric otherwise.

    Args:
        schema: A `schema_pb2.Schema`.

    Raises:
        TypeError: If it is no Schema.
        ValueError: If it has a feature of a type that no kind can hold.
    """
    if not isinstance(schema, schema_pb2.Schema):
        raise TypeError(checks.expected("schema", "a tensorflow-metadata Schema", schema))
    domains = {d.name: d for d in (*schema.string_domain, *schema.int_domain)}
    names = {message.name for message in schema.feature}
    features = [_feature(message, domains, names) for message in schema.feature]
    for tag in schema.annotation.tag:
        if tag.startswith(f"{_PREFIX}cross="):
            value = json.loads(tag.split("=", 1)[1])
            features.insert(value.pop("place"), Cross(**value))
    return FeatureSpec(tuple(features))


def _feature(message: Any, domains: dict[str, Any], names: set[str]) -> Feature:
    kind, fields = _kind(message, domains)
    if kind in (Categorical, MultiCategorical, Sequence):
        fields |= _ids(message, domains, names)
    if kind is Sequence:
        fields["max_length"] = message.sequence_metadata.sequence_truncation_limit or None
    known = [field.name for field in dataclasses.fields(kind)]
    for tag in message.annotation.tag:
        if tag.startswith(_PREFIX):
            field, value = tag.removeprefix(_PREFIX).split("=", 1)
            checks.one_of(f"tag of feature {message.name}", field, known)
            value = json.loads(value)
            fields[field] = tuple(value) if isinstance(value, list) else value
    feature: Feature = kind(name=message.name, **fields)
    return feature


def _kind(message: Any, domains: dict[str, Any]) -> tuple[type[Any], dict[str, Any]]:
    kind = schema_pb2.FeatureType.Name(message.type)
    if kind not in _TYPES.values():
        expectation = "of type BYTES, INT or FLOAT"
        raise ValueError(checks.expected(f"feature {message.name}", expectation, kind))
    if message.HasField("value_counts"):
        return _nested_kind(message, kind)
    sizes = [dim.size for dim in message.shape.dim]
    if kind == "FLOAT" and len(sizes) == 1 and sizes[0] > 0:
        return Vector, {"dim": sizes[0]}
    if message.HasField("natural_language_domain"):
        return Text, {}
    if message.HasField("time_domain"):
        name = schema_pb2.TimeDomain.IntegerTimeFormat.Name(message.time_domain.integer_format)
        units = {value: unit for unit, value in _UNITS.items()}
        return Timestamp, {"unit": units.get(name, "s")}
    if message.HasField("sequence_metadata"):
        return Sequence, {}
    if message.HasField("value_count") and message.value_count.max != 1:
        return (Sequence if kind == "FLOAT" else MultiCategorical), {}
    domain = domains.get(message.domain, message.int_domain)
    if kind == "BYTES" or (kind == "INT" and domain.is_categorical):
        return Categorical, {}
    return Numeric, {}


def _nested_kind(message: Any, kind: str) -> tuple[type[Any], dict[str, Any]]:
    """Returns the kind of a feature whose rows are lists of lists."""
    counts = message.value_counts.value_count
    most, widths = counts[0].max, {counts[-1].min, counts[-1].max}
    if len(counts) == 2 and kind == "BYTES" and widths == {_PAIR}:
        return Attributes, {"max_count": most or None}
    if len(counts) == 2 and kind == "FLOAT" and len(widths) == 1 and most and min(widths) > 0:
        return Vector, {"dim": counts[1].max, "max_count": most}
    expectation = "lists of pairs of texts, or of vectors of one length, so many at most"
    raise ValueError(checks.expected(f"feature {message.name}", expectation, str(message)))


def _ids(message: Any, domains: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Reads dtype and vocabulary, which may be another feature's."""
    kind = schema_pb2.FeatureType.Name(message.type)
    fields: dict[str, Any] = {"dtype": next(d for d, name in _TYPES.items() if name == kind)}
    domain = domains.get(message.domain)
    if message.domain in names - {message.name}:
        fields["shared_with"] = message.domain
    elif kind == "BYTES":
        values = (domain or message.string_domain).value
        fields["vocabulary"] = tuple(values) or None
    return fields
