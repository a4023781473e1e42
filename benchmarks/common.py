"""What every benchmark shares: result files, tables, alternating timings."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "data",
    "protocol",
    "model",
    "metric",
    "value",
    "stderr",
    "unit",
    "peer",
    "ratio",
)


def row(
    data: str,
    protocol: str,
    model: str,
    metric: str,
    value: float,
    *,
    stderr: float | None = None,
    unit: str = "",
    peer: str | None = None,
    ratio: float | None = None,
) -> dict[str, Any]:
    """Returns one result; `peer` is the peer's name on the peer's own rows or beside a ratio."""
    values = (data, protocol, model, metric, float(value), stderr, unit, peer, ratio)
    return dict(zip(COLUMNS, values, strict=True))


def alternate(runs: dict[str, Callable[[], Any]], rounds: int = 5) -> dict[str, float]:
    """Times callables in turn, round after round, and returns the median seconds of each.

    One untimed round warms up. Neighbours on the machine disturb all callables alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for timed in [False] + [True] * rounds:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if timed:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine() -> str:
    """Describes the machine in one line."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else ""
    return f"{os.cpu_count()} cores {model or platform.processor()} {platform.system()}".strip()


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Returns the installed versions of `packages`, and Python's."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def command(subject: str) -> str:
    """Returns the command that this process was started by, without this machine's paths."""
    told = {
        word: "DIR" if Path(word).is_dir() else "PYTHON" for word in sys.argv[1:] if "/" in word
    }
    return " ".join(["python", f"benchmarks/{subject}.py", *(told.get(w, w) for w in sys.argv[1:])])


def unmeasured(document: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows of an earlier document that are not among `rows`, with their origin."""
    same = ("data", "protocol", "model", "metric")
    measured = {tuple(row[name] for name in same) for row in rows}
    origin = {name: document[name] for name in ("command", "date", "machine")}
    kept = [row for row in document["rows"] if tuple(row[name] for name in same) not in measured]
    return [{**origin, **row} for row in kept]


def write(
    subject: str,
    rows: list[dict[str, Any]],
    *,
    seed: int,
    packages: Sequence[str] = ("tensorflow", "keras", "scann", "numpy", "pyarrow"),
    keep: bool = False,
) -> Path:
    """Writes `results/<subject>.json` and prints the rows as a table.

    With `keep`, rows of an earlier run that this one did not measure stay, each with the command
    and the date that it came from; else they are replaced whole.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{subject}.json"
    if keep and path.exists():
        rows = unmeasured(json.loads(path.read_text()), rows) + rows
    document = {
        "command": command(subject),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions(packages),
        "seed": seed,
        "rows": rows,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    show(rows)
    return path


def show(rows: list[dict[str, Any]]) -> None:
    """Prints rows as an aligned table."""

    def text(value: Any) -> str:
        if value is None:
            return ""
        return f"{value:,.4g}" if isinstance(value, float) else str(value)

    widths = [max(len(c), *(len(text(r[c])) for r in rows)) for c in COLUMNS]
    print("  ".join(c.ljust(w) for c, w in zip(COLUMNS, widths, strict=True)))
    for r in rows:
        print("  ".join(text(r[c]).ljust(w) for c, w in zip(COLUMNS, widths, strict=True)))


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Returns ours / theirs; rows of different data, protocols or metrics are an error."""
    for key in ("data", "protocol", "metric"):
        if ours[key] != theirs[key]:
            raise ValueError(
                f"Rows of different {key} cannot be compared: {ours[key]!r} and {theirs[key]!r}."
            )
    return ours["value"] / theirs["value"]
