"""Error messages that say which argument, what was expected, what came and what to do next."""

import difflib
import errno
from collections.abc import Iterable
from typing import Any

_MAX_REPR = 200


def received(value: Any) -> str:
    """Formats a value for an error message, cut to a readable length.

    Example:

    >>> received([1, 2])
    '[1, 2]'
    """
    return shorten(" ".join(repr(value).splitlines()), _MAX_REPR)


def shorten(text: str, most: int = 100) -> str:
    """Cuts a text to `most` letters, the last three of them dots.

    Example:

    >>> shorten("one, two, three", 10)
    'one, tw...'
    """
    return text if len(text) <= most else text[: most - 3] + "..."


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


def told(error: Exception) -> str:
    """Returns what an error says to a reader who sees no traceback.

    Example:

    >>> told(FileNotFoundError(2, "No such file or directory", "events.csv"))
    "No such file or directory: 'events.csv'. Check the path."
    """
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return (
            f"Not enough memory: {error}\n"
            "Take a smaller --embedding-dim or --batch-size, or another machine."
        )
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    if error.filename is None:
        return error.strerror
    remedies = {errno.ENOENT: " Check the path.", errno.ENOSPC: " Free some space there."}
    remedy = remedies.get(error.errno or 0, " Name another place.")
    return f"{error.strerror}: {str(error.filename)!r}.{remedy}"


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
