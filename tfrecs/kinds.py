"""The kinds of feature: frozen dataclasses that say what a column holds and refuse nonsense."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from tfrecs import kind_checks as check
from tfrecs.kind_checks import NUM_RESERVED_IDS as NUM_RESERVED_IDS
from tfrecs.kind_checks import ROLES as ROLES
from tfrecs.kind_checks import Role as Role

PADDING_ID = 0  # also what a missing value becomes
UNKNOWN_ID = 1
BINNED = ("quantile", "log_squared")  # how a Numeric becomes the id of a bin


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
        check.feature(self)
        check.vocabulary(self, ("string", "int64"))
        if self.is_id and self.role not in ("query", "candidate"):
            wanted = "'query' or 'candidate' with is_id=True"
            raise ValueError(check.of(self, "role", wanted, self.role))


@dataclass(frozen=True)
class MultiCategorical:
    """A set of values of a vocabulary: the tags of an item.

    After the feature layer: int32 ids `(B, L)` padded with 0, and `<name>_mask` bool `(B, L)`.
    Missing values inside a row are left out. Arguments as `Categorical`, and `max_length`: most
    values kept of a row, the first ones; `aligned_with`: as in `Sequence`.
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
    aligned_with: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        check.feature(self)
        check.vocabulary(self, ("string", "int64"))


@dataclass(frozen=True)
class Sequence:
    """Values in order of time, oldest first: the items a user has seen.

    After the feature layer: int32 ids (float32 values for dtype "float32") `(B, L)` padded at the
    end with 0, and `<name>_mask` bool `(B, L)`. A row ends at its last value that is not missing;
    a missing value before it keeps its place, as 0 with a `False` mask, so that sequences of the
    same events stay aligned. Arguments as `Categorical`, and `max_length`: most values kept of a
    row, the LAST ones.

    `aligned_with` names the Sequence whose values this one's belong to, one by one: items with
    their prices. Both have as many values in each row (or this one none: all missing) and the same
    `max_length`; they are cut together, where the other one is, and keep their own masks.
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
    aligned_with: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        check.feature(self)
        check.vocabulary(self, ("string", "int64", "float32"))


@dataclass(frozen=True)
class Numeric:
    """A number: an age, a price, a rating.

    After the feature layer: float32 `(B,)`, or int32 bin ids `(B,)` where it is binned (0 missing,
    1 unused, bins from 2). A missing or NaN value becomes the mean (0.0 with "none").

    "cdf" gives F(x), the share of values below x: linear between `num_bins + 1` edges (the least
    value, the quantiles, the greatest), 0 below and 1 above them, and the middle of its jump at a
    value that several edges share. A missing value is 0.5, told by `<name>_missing` bool `(B,)`.

    Args:
        name: Column name.
        role: What the value describes. Defaults to "query".
        normalize: "none", "standard" (minus mean, over standard deviation), "cdf", "quantile", or
            "log_squared": bins `floor(ln(x)^2)` above 2, of width 1 below, as usual for Criteo.
        num_bins: Number of bins, of "cdf" between its edges. Defaults to 10.
        size: Number of ids of a binned feature; filled in by the feature layer.
    """

    kind: ClassVar[str] = "numeric"
    name: str
    role: Role = "query"
    normalize: Literal["none", "standard", "cdf", "quantile", "log_squared"] = "none"
    num_bins: int = 10
    size: int | None = None

    def __post_init__(self) -> None:
        check.feature(self)
        check.choice(self, "normalize", ("none", "standard", "cdf", *BINNED))
        check.counts(self, 2, "num_bins")


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
        check.feature(self)
        check.counts(self, 1, "max_length", "min_count", "max_size")
        check.values(self, str)


@dataclass(frozen=True)
class Vector:
    """A vector of length `dim`, an image embedding, or several: those of an item's images.

    After the feature layer: float32 `(B, dim)`. A missing vector or component becomes 0.

    With `max_count` a row holds any number of vectors, of which so many are kept, the first ones:
    float32 `(B, I, dim)` padded with 0, and `<name>_mask` bool `(B, I)`. A missing vector keeps its
    place, masked, but not at the end of a row.
    """

    kind: ClassVar[str] = "vector"
    name: str
    role: Role = "candidate"
    dim: int = 0
    max_count: int | None = None

    def __post_init__(self) -> None:
        check.feature(self)
        check.counts(self, 1, "dim", "max_count")


@dataclass(frozen=True)
class Attributes:
    """Pairs of a key and a value, in their order: title, brand and colour of an item.

    The column is a map, a list of structs `{key, value}` or of pairs, or a struct whose fields are
    the keys; numbers and booleans count as their text. A pair without a key or a value is left out.

    After the feature layer: int32 token ids `(B, A, T)`, `<name>_mask` bool `(B, A, T)`, and int32
    key ids `<name>_keys` `(B, A)`, all padded with 0; values are split as Text is.

    Args:
        name: Column name.
        role: What the value describes. Defaults to "candidate".
        max_count: Most pairs kept of a row, the first ones; `None` keeps all.
        max_length: Most tokens kept of a value, the first ones. Defaults to 32.
        lowercase: Whether to lower the case of values, by Unicode's rules. Defaults to `True`.
        min_count: Tokens seen fewer times become unknown. Defaults to 1.
        max_size: Most tokens kept in the vocabulary; `None` keeps all. Defaults to 50,000.
        vocabulary, keys: Tokens and keys, when they are known beforehand; `None` to adapt them.
        size, num_keys: Numbers of token and of key ids; filled in by the feature layer.
    """

    kind: ClassVar[str] = "attributes"
    name: str
    role: Role = "candidate"
    max_count: int | None = None
    max_length: int = 32
    lowercase: bool = True
    min_count: int = 1
    max_size: int | None = 50_000
    vocabulary: tuple[str, ...] | None = None
    keys: tuple[str, ...] | None = None
    size: int | None = None
    num_keys: int | None = None

    def __post_init__(self) -> None:
        check.feature(self)
        check.counts(self, 1, "max_count", "max_length", "min_count", "max_size")
        check.counts(self, 2, "num_keys")
        check.values(self, str)
        check.values(self, str, "keys")

    @property
    def key_feature(self) -> Categorical:
        """The keys as a feature of their own: a Categorical `<name>_keys`."""
        return Categorical(f"{self.name}_keys", self.role, vocabulary=self.keys, size=self.num_keys)

    @property
    def value_feature(self) -> Text:
        """The values as a feature of their own: a Text of the same name."""
        limits = (self.max_length, self.lowercase, self.min_count, self.max_size)
        return Text(self.name, self.role, *limits, self.vocabulary, self.size)


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
        check.feature(self)
        check.choice(self, "unit", ("s", "ms", "us", "ns"))


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
        check.feature(self)
        object.__setattr__(self, "features", tuple(self.features))
        if len(self.features) < 2 or len(set(self.features)) < len(self.features):
            wanted = "two or more different names"
            raise ValueError(check.of(self, "features", wanted, self.features))
        check.counts(self, 1, "hash_bins")


_Ids = Categorical | MultiCategorical | Sequence
Feature = _Ids | Numeric | Text | Vector | Attributes | Timestamp | Cross
KINDS: dict[str, type[Any]] = {kind.kind: kind for kind in get_args(Feature)}
