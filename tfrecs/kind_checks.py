"""What the fields of a feature may hold, and the errors that say so."""

from collections import Counter
from typing import Any, Literal, get_args

from tfrecs import checks

Role = Literal["query", "candidate", "context", "label", "weight", "time", "group"]
ROLES: tuple[Role, ...] = ("query", "candidate", "context", "label", "weight", "time", "group")

NUM_RESERVED_IDS = 2  # the first known value has id 2


def of(feature: Any, field: str, expectation: str, value: Any, remedy: str = "") -> str:
    """Builds the message about one field of one feature."""
    return checks.expected(f"{field}` of feature `{feature.name}", expectation, value, remedy)


def feature(feature: Any) -> None:
    """Checks what every feature has: a name and a role, and its number of ids if it has one."""
    if not isinstance(feature.name, str) or not feature.name:
        raise ValueError(checks.expected("name", "a text of at least one letter", feature.name))
    choice(feature, "role", ROLES)
    counts(feature, NUM_RESERVED_IDS, *{"size"} & set(type(feature).__annotations__))


def choice(feature: Any, field: str, choices: tuple[str, ...]) -> None:
    """Checks that a field is one of a few values."""
    value = getattr(feature, field)
    if value not in choices:
        near = checks.did_you_mean(value, choices)
        expectation = f"one of {', '.join(map(repr, choices))}"
        raise ValueError(of(feature, field, expectation, value, near))


def counts(feature: Any, least: int, *fields: str) -> None:
    """Checks integers of at least `least`; `None` passes where the field's type allows it."""
    for field in fields:
        value = getattr(feature, field)
        optional = type(None) in get_args(type(feature).__annotations__[field])
        count = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if not count and not (optional and value is None):
            raise ValueError(of(feature, field, f"an integer of at least {least}", value))


def vocabulary(feature: Any, dtypes: tuple[str, ...]) -> None:
    """Checks the fields that say where the ids of a feature come from."""
    choice(feature, "dtype", dtypes)
    lengths = ("max_length",) if hasattr(feature, "max_length") else ()
    counts(feature, 1, "min_count", "max_size", "hash_bins", *lengths)
    values(feature, str if feature.dtype == "string" else int)
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
        raise ValueError(of(feature, field, expectation, getattr(feature, field)))


def values(feature: Any, kind: type, field: str = "vocabulary") -> None:
    """Checks a vocabulary given beforehand: of one type, none missing, none twice."""
    if getattr(feature, field) is None:
        return
    values = tuple(getattr(feature, field))
    object.__setattr__(feature, field, values)
    if not values:
        raise ValueError(of(feature, field, "one value or more, or None", values))
    missing = "" if kind is str else -1
    wrong = [v for v in values if not isinstance(v, kind) or isinstance(v, bool) or v == missing]
    if wrong:
        expectation = f"of {kind.__name__} values other than {missing!r}, which means missing"
        raise ValueError(of(feature, field, expectation, wrong[0]))
    if len(set(values)) < len(values):
        twice = Counter(values).most_common(1)[0][0]
        raise ValueError(of(feature, field, "without duplicates", twice))
