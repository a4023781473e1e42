"""Error messages that say which argument, what was expected, what came and what to do next."""

import difflib
from collections.abc import Iterable
from typing import Any

_MAX_REPR = 200


def received(value: Any) -> str:
    """Formats a value for an error message, cut to a readable length.

    Example:

    >>> received([1, 2])
    '[1, 2]'
    """
    text = repr(value)
    return text if len(text) <= _MAX_REPR else text[: _MAX_REPR - 3] + "..."


def expected(argument: str, expectation: str, value: Any, remedy: str = "") -> str:
    """Builds the house's error message.

    Args:
        argument: Name of the argument at fault.
        expectation: What it must be, continuing "must be ...".
        value: What came.
        remedy: A sentence that says what to type next. Defaults to none.

    Returns:
        "`argument` must be ... Received: ... remedy".

    Example:

    >>> print(expected("k", "a positive integer", 0))
    `k` must be a positive integer. Received: 0.
    """
    message = f"`{argument}` must be {expectation}. Received: {received(value)}."
    return f"{message} {remedy}" if remedy else message


def positive(argument: str, value: float) -> None:
    """Raises ValueError unless `value` is greater than zero."""
    if isinstance(value, bool) or not value > 0:
        raise ValueError(expected(argument, "greater than 0", value))


def one_of(argument: str, value: Any, choices: Iterable[Any]) -> None:
    """Raises ValueError unless `value` is among `choices`, naming the nearest choice."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(
            expected(
                argument,
                "one of " + ", ".join(map(repr, choices)),
                value,
                did_you_mean(value, choices),
            )
        )


def did_you_mean(value: Any, choices: Iterable[Any]) -> str:
    """Returns "Did you mean 'x'?" for the nearest of `choices`, or an empty string."""
    near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    return f"Did you mean {near[0]!r}?" if near else ""
