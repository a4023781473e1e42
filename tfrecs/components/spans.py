"""Spans: daily data whose files are named by number or date, as TFX names them."""

import datetime
import re

from tfrecs import checks
from tfrecs.components import storage

_SPAN = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)\}")


def resolve_span(source: str, span: int | None) -> tuple[str, int | None, int | None]:
    """Fills in the span of a source of daily data, as TFX's patterns name it.

    `{SPAN}` is a number, `{YYYY}`, `{MM}` and `{DD}` together a date (the span is then the number
    of days since 1970), `{VERSION}` a number of which the greatest is taken.

    Args:
        source: As `example_gen`.
        span: The span; `None` for the greatest there is.

    Returns:
        The source, its span and its version; `None` where it has none.

    Raises:
        FileNotFoundError: The span is not there.

    Example:

    >>> resolve_span("events.csv", None)
    ('events.csv', None, None)
    """
    if not _SPAN.search(source):
        return source, None, None
    storage.check("source", source)
    source, mark, query = source.partition("?") if storage.is_remote(source) else (source, "", "")
    end = source.find("/", source.rindex("}"))
    head, tail = (source, "") if end < 0 else (source[:end], source[end:])
    widths = {"YYYY": r"\d{4}", "MM": r"\d{2}", "DD": r"\d{2}", "SPAN": r"\d+", "VERSION": r"\d+"}
    parts = _SPAN.split(head)
    pattern = "".join(
        f"(?P<{part}>{widths[part]})" if place % 2 else re.escape(part).replace(r"\*", "[^/]*")
        for place, part in enumerate(parts)
    )
    found = []
    for place in storage.find(_SPAN.sub("*", head) + mark + query):
        path = place.removesuffix(mark + query)
        match = re.fullmatch(pattern, path)
        if match:
            named = {name: int(value) for name, value in match.groupdict().items()}
            number = _days(named) if "YYYY" in named else named.get("SPAN", 0)
            found.append((number, named.get("VERSION"), path))
    wanted = [f for f in found if span is None or f[0] == span]
    if not wanted:
        there = sorted({number for number, _, _ in found})
        expectation = f"one of the spans of {source}: {there}"
        raise FileNotFoundError(checks.expected("span", expectation, span))
    number, version, chosen = max(wanted, key=lambda found: (found[0], found[1] or 0))
    return chosen + tail + mark + query, number, version


def _days(named: dict[str, int]) -> int:
    date = datetime.date(named["YYYY"], named.get("MM", 1), named.get("DD", 1))
    return (date - datetime.date(1970, 1, 1)).days
