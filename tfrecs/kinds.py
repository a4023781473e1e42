"""The kinds of feature: frozen dataclasses that say what a column holds and refuse nonsense."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from tfrecs import checks

Role = Literal["query", "candidate", "context", "label", "weight", "time", "group"]
ROLES: tuple[Role, ...] = ("query", "candidate", "context", "label", "weight", "time", "group")

PADDING_ID = 0  # also what a missing value becomes
UNKNOWN_ID = 1
BINNED = ("quantile", "log_squared")  # how a Numeric becomes the id of a bin
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

    def __post_init__(self) -> None:
        _check_feature(self)
        _check_vocabulary(self, ("string", "int64"))
        if self.is_id and self.role not in ("query", "candidate"):
            raise ValueError(_of(self, "role", "'query' or 'candidate' with is_id=True", self.role))


@dataclass(frozen=True)
class MultiCategorical:
    """A set of values of a vocabulary: the tags of an item.

    After the feature layer: int32 ids `(B, L)` padded with 0, and `<name>_mask` bool `(B, L)`.
    Missing values inside a row are left out. Arguments as `Categorical`, and `max_length`: most
    values kept of a row, the first ones.
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

    def __post_init__(self) -> None:
        _check_feature(self)
        _check_vocabulary(self, ("string", "int64"))


@dataclass(frozen=True)
class Sequence:
    """Values in order of time, oldest first: the items a user has seen.

    After the feature layer: int32 ids (float32 values for dtype "float32") `(B, L)` padded at the
    end with 0, and `<name>_mask` bool `(B, L)`. A row ends at its last value that is not missing;
    a missing value before it keeps its place, as 0 with a `False` mask, so that sequences of the
    same events stay aligned. Arguments as `Categorical`, and `max_length`: most values kept of a
    row, the LAST ones.
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

    def __post_init__(self) -> None:
        _check_feature(self)
        _check_vocabulary(self, ("string", "int64", "float32"))


@dataclass(frozen=True)
class Numeric:
    """A number: an age, a price, a rating.

    After the feature layer: float32 `(B,)`, or int32 bin ids `(B,)` where it is binned (0 missing,
    1 unused, bins from 2). A missing or NaN value becomes the mean (0.0 with "none").

    Args:
        name: Column name.
        role: What the value describes. Defaults to "query".
        normalize: "none", "standard" (minus mean, over standard deviation), "quantile", or
            "log_squared": bins `floor(ln(x)^2)` above 2, of width 1 below, as usual for Criteo.
        num_bins: Number of bins. Defaults to 10.
        size: Number of ids of a binned feature; filled in by the feature layer.
    """

    kind: ClassVar[str] = "numeric"
    name: str
    role: Role = "query"
    normalize: Literal["none", "standard", "quantile", "log_squared"] = "none"
    num_bins: int = 10
    size: int | None = None

    def __post_init__(self) -> None:
        _check_feature(self)
        _check_choice(self, "normalize", ("none", "standard", *BINNED))
        _check_counts(self, 2, "num_bins")


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

    def __post_init__(self) -> None:
        _check_feature(self)
        _check_counts(self, 1, "max_length", "min_count", "max_size")
        _check_values(self, str)


@dataclass(frozen=True)
class Vector:
    """A vector of fixed length: an image embedding.

    After the feature layer: float32 `(B, dim)`. A missing vector or component becomes 0.
    """

    kind: ClassVar[str] = "vector"
    name: str
    role: Role = "candidate"
    dim: int = 0

    def __post_init__(self) -> None:
        _check_feature(self)
        _check_counts(self, 1, "dim")


@dataclass(frozen=True)
class Timestamp:
    """A point in time, an integer since 1970 in `unit`.

    After the feature layer: int64 seconds, rounded down; a missing time becomes -1.
    """

    kind: ClassVar[str] = "timestamp"
    name: str
    role: Role = "time"
    unit: Literal["s", "ms", "us", "ns"] = "s"

    def __post_init__(self) -> None:
        _check_feature(self)
        _check_choice(self, "unit", ("s", "ms", "us", "ns"))


@dataclass(frozen=True)
class Cross:
    """The combination of Categorical features, hashed into `hash_bins` ids: int32 `(B,)`.

    A combination with a missing part is missing: 0. There is no column of this name in the tables.
    """

    kind: ClassVar[str] = "cross"
    name: str
    role: Role = "context"
    features: tuple[str, ...] = ()
    hash_bins: int = 1000
    size: int | None = None

    def __post_init__(self) -> None:
        _check_feature(self)
        object.__setattr__(self, "features", tuple(self.features))
        if len(self.features) < 2 or len(set(self.features)) < len(self.features):
            raise ValueError(_of(self, "features", "two or more different names", self.features))
        _check_counts(self, 1, "hash_bins")


Feature = Categorical | MultiCategorical | Sequence | Numeric | Text | Vector | Timestamp | Cross
KINDS: dict[str, type[Any]] = {
    kind.kind: kind
    for kind in (Categorical, MultiCategorical, Sequence, Numeric, Text, Vector, Timestamp, Cross)
}


def _of(feature: Any, field: str, expectation: str, value: Any, remedy: str = "") -> str:
    """Builds the message about one field of one feature."""
    return checks.expected(f"{field}` of feature `{feature.name}", expectation, value, remedy)


def _check_feature(feature: Any) -> None:
    if not isinstance(feature.name, str) or not feature.name:
        raise ValueError(checks.expected("name", "a text of at least one letter", feature.name))
    _check_choice(feature, "role", ROLES)
    _check_counts(feature, NUM_RESERVED_IDS, *{"size"} & set(type(feature).__annotations__))


def _check_choice(feature: Any, field: str, choices: tuple[str, ...]) -> None:
    value = getattr(feature, field)
    if value not in choices:
        near = checks.did_you_mean(value, choices)
        expectation = f"one of {', '.join(map(repr, choices))}"
        raise ValueError(_of(feature, field, expectation, value, near))


def _check_counts(feature: Any, least: int, *fields: str) -> None:
    """Checks integers of at least `least`; `None` passes where the field's type allows it."""
    for field in fields:
        value = getattr(feature, field)
        optional = type(None) in get_args(type(feature).__annotations__[field])
        count = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if not count and not (optional and value is None):
            raise ValueError(_of(feature, field, f"an integer of at least {least}", value))


def _check_vocabulary(feature: Any, dtypes: tuple[str, ...]) -> None:
    """Checks the fields that say where the ids of a feature come from."""
    _check_choice(feature, "dtype", dtypes)
    lengths = ("max_length",) if hasattr(feature, "max_length") else ()
    _check_counts(feature, 1, "min_count", "max_size", "hash_bins", *lengths)
    _check_values(feature, str if feature.dtype == "string" else int)
    sources = ("hash_bins", "vocabulary", "shared_with")
    given = [field for field in sources if getattr(feature, field) is not None]
    if not given:
        return
    expectation = f"left out together with {given[0]}"
    if feature.dtype == "float32":
        given, expectation = ["", given[0]], "None with dtype='float32'"
    elif feature.min_count != 1 or feature.max_size is not None:
        given.append("min_count" if feature.min_count != 1 else "max_size")
    for field in given[1:]:
        raise ValueError(_of(feature, field, expectation, getattr(feature, field)))


def _check_values(feature: Any, kind: type) -> None:
    """Checks a vocabulary given beforehand: of one type, none missing, none twice."""
    if feature.vocabulary is None:
        return
    values = tuple(feature.vocabulary)
    object.__setattr__(feature, "vocabulary", values)
    if not values:
        raise ValueError(_of(feature, "vocabulary", "one value or more, or None", values))
    missing = "" if kind is str else -1
    wrong = [v for v in values if not isinstance(v, kind) or isinstance(v, bool) or v == missing]
    if wrong:
        expectation = f"of {kind.__name__} values other than {missing!r}, which means missing"
        raise ValueError(_of(feature, "vocabulary", expectation, wrong[0]))
    if len(set(values)) < len(values):
        twice = Counter(values).most_common(1)[0][0]
        raise ValueError(_of(feature, "vocabulary", "without duplicates", twice))
