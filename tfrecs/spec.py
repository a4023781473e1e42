"""FeatureSpec: what a row holds, said once, for training, export and serving alike."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfrecs import checks
from tfrecs.kinds import BINNED as BINNED
from tfrecs.kinds import KINDS as KINDS
from tfrecs.kinds import NUM_RESERVED_IDS as NUM_RESERVED_IDS
from tfrecs.kinds import PADDING_ID as PADDING_ID
from tfrecs.kinds import ROLES as ROLES
from tfrecs.kinds import UNKNOWN_ID as UNKNOWN_ID
from tfrecs.kinds import Attributes as Attributes
from tfrecs.kinds import Categorical as Categorical
from tfrecs.kinds import Cross as Cross
from tfrecs.kinds import Feature as Feature
from tfrecs.kinds import MultiCategorical as MultiCategorical
from tfrecs.kinds import Numeric as Numeric
from tfrecs.kinds import Role as Role
from tfrecs.kinds import Sequence as Sequence
from tfrecs.kinds import Text as Text
from tfrecs.kinds import Timestamp as Timestamp
from tfrecs.kinds import Vector as Vector


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

    def __repr__(self) -> str:
        """One line a feature: its name, role and kind, and what is set of it."""
        lines = [f"FeatureSpec of {len(self.features)} features"]
        width = max((len(feature.name) for feature in self.features), default=0)
        for feature in self.features:
            set_here = [
                f"{field.name}={getattr(feature, field.name)!r}"
                for field in dataclasses.fields(feature)
                if field.name not in ("name", "role")
                and getattr(feature, field.name) != field.default
            ]
            told = f"{feature.role:<9} {type(feature).__name__}({', '.join(set_here)})"
            lines.append(checks.shorten(f"  {feature.name:<{width}}  {told}"))
        return "\n".join(lines)

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        for feature in self.features:
            if not isinstance(feature, tuple(KINDS.values())):
                expectation = "features such as Categorical('user_id')"
                raise TypeError(checks.expected("features", expectation, feature))
        self._check_names()
        for feature in self.features:
            if isinstance(feature, Cross):
                self._check_parts(feature)
            else:
                self.owner(feature.name)
                self.leader(feature.name)

    def _check_names(self) -> None:
        """Checks that no two features write the same key of a batch."""
        keys: dict[str, str] = {}
        for feature in self.features:
            for key in batch_keys(feature):
                if key in keys:
                    raise ValueError(
                        checks.expected("features", "of different names", [keys[key], feature.name])
                        + f" Both write the key {key!r} of a batch: rename one."
                    )
                keys[key] = feature.name

    def _check_parts(self, cross: Cross) -> None:
        for name in cross.features:
            part = next((f for f in self.features if f.name == name), None)
            if not isinstance(part, Categorical):
                raise ValueError(
                    checks.expected(
                        f"features` of feature `{cross.name}",
                        "names of Categorical features of the spec",
                        name,
                        checks.did_you_mean(name, self.names)
                        if part is None
                        else f"{name!r} is {type(part).__name__}.",
                    )
                )

    def owner(self, name: str) -> Feature:
        """Returns the feature that owns the vocabulary of feature `name`: itself unless shared.

        Raises:
            ValueError: If `shared_with` names a missing feature, one of another dtype or without
                a vocabulary, or leads back to itself.
        """
        feature, seen = self[name], [name]
        while (shared := getattr(feature, "shared_with", None)) is not None:
            field = f"shared_with` of feature `{feature.name}"
            if shared not in self:
                remedy = f"Add it, or select {shared!r} too. Features: {', '.join(self.names)}."
                raise ValueError(
                    checks.expected(field, "a feature of the same spec", shared, remedy)
                )
            if shared in seen:
                path = " -> ".join([*seen, shared])
                raise ValueError(checks.expected(field, "free of cycles", path))
            other = self[shared]
            dtype = getattr(feature, "dtype", None)
            if getattr(other, "dtype", None) != dtype:
                expectation = f"a feature with ids of dtype {dtype!r}"
                raise ValueError(checks.expected(field, expectation, other))
            seen.append(shared)
            feature = other
        return feature

    def leader(self, name: str) -> Feature:
        """Returns the feature that decides which places of the lists of feature `name` are kept.

        Raises:
            ValueError: If `aligned_with` names a missing feature, one of another kind or
                `max_length`, or one that is aligned with another itself.
        """
        feature = self[name]
        aligned = getattr(feature, "aligned_with", None)
        if not isinstance(feature, MultiCategorical | Sequence) or aligned is None:
            return feature
        field = f"aligned_with` of feature `{name}"
        if aligned not in self:
            remedy = f"Add it, or select {aligned!r} too. Features: {', '.join(self.names)}."
            raise ValueError(checks.expected(field, "a feature of the same spec", aligned, remedy))
        other = self[aligned]
        alike = isinstance(other, type(feature)) and other.max_length == feature.max_length
        if alike and getattr(other, "aligned_with", None) is None:
            return other
        kind = f"{type(feature).__name__} of max_length={feature.max_length}"
        expectation = f"a {kind} that is not aligned_with another itself"
        raise ValueError(checks.expected(field, expectation, other))

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
    def ids(self) -> "dict[Role, Categorical]":
        """The features that identify a query and a candidate, by role; either may be missing."""
        roles: tuple[Role, ...] = ("query", "candidate")
        return {
            role: self._id(role)
            for role in roles
            if any(getattr(feature, "is_id", False) for feature in self.by_role(role))
        }

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
            fields: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()
            }
            kind = fields.pop("kind", None)
            checks.one_of("kind", kind, KINDS)
            known = [field.name for field in dataclasses.fields(KINDS[kind])]
            for field in fields:
                checks.one_of(f"field of a {kind} feature", field, known)
            features.append(KINDS[kind](**fields))
        return cls(tuple(features))

    def to_json(self) -> str:
        """Returns the spec as JSON text."""
        return json.dumps(self.to_config(), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "FeatureSpec":
        """Rebuilds a spec from `to_json`."""
        return cls.from_config(json.loads(text))

    def to_schema(self) -> Any:
        """Returns the spec as a tensorflow-metadata `Schema`, which TFDV and TFX read."""
        from tfrecs.schema import to_schema  # most programs need no protobuf

        return to_schema(self)

    @classmethod
    def from_schema(cls, message: Any) -> "FeatureSpec":
        """Rebuilds a spec from `to_schema`, or reads a Schema of other origin."""
        from tfrecs.schema import from_schema

        return from_schema(message)


def batch_keys(feature: Feature) -> tuple[str, ...]:
    """Returns the keys of a batch that a feature writes: its name, and what goes with it.

    Example:

    >>> batch_keys(Sequence("history"))
    ('history', 'history_mask')
    >>> batch_keys(Numeric("age", normalize="cdf"))
    ('age', 'age_missing')
    """
    several = isinstance(feature, Vector) and feature.max_count is not None
    if isinstance(feature, MultiCategorical | Sequence | Text) or several:
        return (feature.name, f"{feature.name}_mask")
    if isinstance(feature, Attributes):
        return (feature.name, f"{feature.name}_mask", feature.key_feature.name)
    if isinstance(feature, Numeric) and feature.normalize == "cdf":
        return (feature.name, f"{feature.name}_missing")
    return (feature.name,)
