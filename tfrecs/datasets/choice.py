"""Which columns of the user's tables become features: all, some, or as a spec says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tfrecs import checks
from tfrecs.spec import Categorical, Feature, FeatureSpec, Role


@dataclass(frozen=True)
class Choice:
    """Which columns become features.

    Args:
        features: Names; `None` for all.
        drop: Names of columns that are no features.
        spec: The features themselves; `None` guesses each.
        left: Gets, by column, why it is no feature.
    """

    features: Sequence[str] | None = None
    drop: Sequence[str] = ()
    spec: FeatureSpec | None = None
    left: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> tuple[Any, str]:
        """Returns the feature that the spec has for a column, and why a column is left out."""
        if name in self.drop:
            return None, "--drop"
        if self.spec is not None:
            own = next((n for n in (name, f"user_{name}", f"item_{name}") if n in self.spec), None)
            return (self.spec[own], "") if own else (None, "not in --spec")
        if self.features is not None and name not in self.features:
            return None, "not in --features"
        return None, ""

    def id(self, name: str, role: Role, dtype: Literal["string", "int64"]) -> Feature:
        """Returns the feature of an id.

        Raises:
            ValueError: The spec says another type of ids than the table holds.
        """
        if self.spec is None or name not in self.spec:
            return Categorical(name, role, dtype, is_id=True)
        feature = self.spec[name]
        if getattr(feature, "dtype", dtype) != dtype:
            expectation = f"a Categorical of dtype {dtype!r}, as the table holds"
            raise ValueError(checks.expected(f"spec` of `{name}", expectation, feature))
        return feature


def read_spec(spec: Any) -> FeatureSpec | None:
    """Returns a spec given as such or as a file of `tfrecs spec`.

    Raises:
        ValueError: The file holds no spec; the message names it.
    """
    if spec is None or isinstance(spec, FeatureSpec):
        return spec
    path = Path(spec)
    text = path.read_text(encoding="utf-8")
    try:
        return FeatureSpec.from_json(text)
    except (ValueError, TypeError, KeyError) as error:
        told = checks.told(error)
        remedy = "Write one with tfrecs spec EVENTS > spec.json, and edit that."
        raise ValueError(f"{path} must hold a spec as JSON: {told} {remedy}") from error
