"""FeatureSpec: what a row holds, said once, for training, export and serving alike."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tfrecs import checks

Role = Literal["query", "candidate", "context", "label", "weight", "time", "group"]
ROLES: tuple[Role, ...] = ("query", "candidate", "context", "label", "weight", "time", "group")

PADDING_ID = 0  # also what a missing value becomes
UNKNOWN_ID = 1
NUM_RESERVED_IDS = 2  # the first known value has id 2


@dataclass(frozen=True)
class Categorical:
    """One value of a vocabulary: a user id, a country, a category.

    After the feature layer: int32 ids of shape `(B,)`; missing is 0, unknown is 1, known values
    start at 2.

    Args:
        name: Column name, which is also the key of the batch.
        role: What the value describes. Defaults to "query".
        dtype: "string" or "int64". Defaults to "string".
        is_id: Whether it identifies the query or the candidate. Defaults to `False`.
        min_count: Values seen fewer times become unknown. Defaults to 1.
        max_size: Most values kept, the frequent first; `None` keeps all.
        hash_bins: Hash into that many ids instead of a vocabulary; `None` for a vocabulary.
        vocabulary: The values, when they are known beforehand; `None` to adapt them.
        shared_with: Name of the feature whose vocabulary this one uses; `None` for its own.
        size: Number of ids, reserved ones included; filled in by the feature layer.
    """

    kind: ClassVar[str] = "categorical"
    name: str
    role: Role = "query"
    dtype: Literal["string", "int64"] = "string"
    is_id: bool = False
    min_count: int = 1
    max_size: int | None = None
    hash_bins: int | None = None
    vocabulary: tuple[str | int, ...] | None = None
    shared_with: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class MultiCategorical:
    """A set of values of a vocabulary: the tags of an item.

    After the feature layer: int32 ids `(B, L)` padded with 0, and `<name>_mask` bool `(B, L)`.
    Arguments as `Categorical`, and `max_length`: most values kept of a row, the first ones.
    """

    kind: ClassVar[str] = "multi_categorical"
    name: str
    role: Role = "query"
    dtype: Literal["string", "int64"] = "string"
    max_length: int | None = None
    min_count: int = 1
    max_size: int | None = None
    hash_bins: int | None = None
    vocabulary: tuple[str | int, ...] | None = None
    shared_with: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Sequence:
    """Values in order of time, oldest first: the items a user has seen.

    After the feature layer: int32 ids (float32 values for dtype "float32") `(B, L)` padded at the
    end with 0, and `<name>_mask` bool `(B, L)`. Arguments as `Categorical`, and `max_length`: most
    values kept of a row, the LAST ones.
    """

    kind: ClassVar[str] = "sequence"
    name: str
    role: Role = "query"
    dtype: Literal["string", "int64", "float32"] = "string"
    max_length: int | None = 50
    min_count: int = 1
    max_size: int | None = None
    hash_bins: int | None = None
    vocabulary: tuple[str | int, ...] | None = None
    shared_with: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Numeric:
    """A number: an age, a price, a rating.

    After the feature layer: float32 `(B,)`, or int32 bin ids `(B,)` with "quantile" (0 missing,
    1 unused, bins from 2). A missing or NaN value becomes the mean (0.0 with "none").

    Args:
        name: Column name.
        role: What the value describes. Defaults to "query".
        normalize: "none", "standard" (minus mean, over standard deviation) or "quantile".
        num_bins: Number of quantile bins. Defaults to 10.
        size: Number of ids of a binned feature; filled in by the feature layer.
    """

    kind: ClassVar[str] = "numeric"
    name: str
    role: Role = "query"
    normalize: Literal["none", "standard", "quantile"] = "none"
    num_bins: int = 10
    size: int | None = None


@dataclass(frozen=True)
class Text:
    """Free text: a title, a body.

    After the feature layer: int32 token ids `(B, L)` padded with 0, and `<name>_mask`.

    Args:
        name: Column name.
        role: What the value describes. Defaults to "candidate".
        max_length: Most tokens kept, the first ones. Defaults to 64.
        lowercase: Whether to lower the case, by Unicode's rules. Defaults to `True`.
        min_count: Tokens seen fewer times become unknown. Defaults to 1.
        max_size: Most tokens kept in the vocabulary; `None` keeps all. Defaults to 50,000.
        vocabulary: The tokens, when they are known beforehand; `None` to adapt them.
        size: Number of ids; filled in by the feature layer.
    """

    kind: ClassVar[str] = "text"
    name: str
    role: Role = "candidate"
    max_length: int = 64
    lowercase: bool = True
    min_count: int = 1
    max_size: int | None = 50_000
    vocabulary: tuple[str, ...] | None = None
    size: int | None = None


@dataclass(frozen=True)
class Vector:
    """A vector of fixed length: an image embedding. After the feature layer: float32 `(B, dim)`."""

    kind: ClassVar[str] = "vector"
    name: str
    role: Role = "candidate"
    dim: int = 0


@dataclass(frozen=True)
class Timestamp:
    """A point in time, an integer since 1970 in `unit`. After the feature layer: int64 seconds."""

    kind: ClassVar[str] = "timestamp"
    name: str
    role: Role = "time"
    unit: Literal["s", "ms", "us", "ns"] = "s"


@dataclass(frozen=True)
class Cross:
    """The combination of categorical features, hashed into `hash_bins` ids: int32 `(B,)`."""

    kind: ClassVar[str] = "cross"
    name: str
    role: Role = "context"
    features: tuple[str, ...] = ()
    hash_bins: int = 1000
    size: int | None = None


Feature = Categorical | MultiCategorical | Sequence | Numeric | Text | Vector | Timestamp | Cross
KINDS: dict[str, type[Any]] = {
    kind.kind: kind
    for kind in (Categorical, MultiCategorical, Sequence, Numeric, Text, Vector, Timestamp, Cross)
}


@dataclass(frozen=True)
class FeatureSpec:
    """The features of a data set, in order.

    Args:
        features: The features; names are unique.

    Example:

    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> spec.query_id.name, spec.candidate_id.name
    ('user_id', 'item_id')
    >>> FeatureSpec.from_json(spec.to_json()) == spec
    True
    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Feature:
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(
            checks.expected("name", "a feature of the spec: " + ", ".join(self.names), name)
            + " "
            + checks.did_you_mean(name, self.names)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    def by_role(self, *roles: Role) -> tuple[Feature, ...]:
        """Returns the features of any of `roles`, in order."""
        for role in roles:
            checks.one_of("role", role, ROLES)
        return tuple(feature for feature in self.features if feature.role in roles)

    def select(self, *names: str) -> "FeatureSpec":
        """Returns a spec of the named features, in the order of this spec."""
        for name in names:
            self[name]
        return FeatureSpec(tuple(f for f in self.features if f.name in names))

    def replace(self, *features: Feature) -> "FeatureSpec":
        """Returns a spec with the features of the same names replaced."""
        new = {feature.name: feature for feature in features}
        return FeatureSpec(tuple(new.get(f.name, f) for f in self.features))

    @property
    def query_id(self) -> Categorical:
        """The feature that identifies a query: a user, a session."""
        return self._id("query")

    @property
    def candidate_id(self) -> Categorical:
        """The feature that identifies a candidate: an item."""
        return self._id("candidate")

    def _id(self, role: Role) -> Categorical:
        found = [f for f in self.by_role(role) if isinstance(f, Categorical) and f.is_id]
        if len(found) != 1:
            raise ValueError(
                f"`spec` must have one Categorical feature with role={role!r} and is_id=True. "
                f"Received: {[f.name for f in found]}. "
                f"Add Categorical('{role}_id', {role!r}, is_id=True)."
            )
        return found[0]

    def to_config(self) -> dict[str, Any]:
        """Returns the spec as primitives, for JSON and for Keras configs."""
        return {"features": [{"kind": f.kind, **dataclasses.asdict(f)} for f in self.features]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FeatureSpec":
        """Rebuilds a spec from `to_config`."""
        features = []
        for entry in config["features"]:
            fields = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
            kind = fields.pop("kind")
            checks.one_of("kind", kind, KINDS)
            features.append(KINDS[kind](**fields))
        return cls(tuple(features))

    def to_json(self) -> str:
        """Returns the spec as JSON text."""
        return json.dumps(self.to_config(), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "FeatureSpec":
        """Rebuilds a spec from `to_json`."""
        return cls.from_config(json.loads(text))
