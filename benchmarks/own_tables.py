"""Own tables: what 78 generated tables are read as, and how fast 5 million rows are.

    python benchmarks/own_tables.py            # the cases
    python benchmarks/own_tables.py --speed    # also the speed; writes results/own_tables.json

Each case has its right value. It counts as right (the value), told (the value of the guess is
another, and a note or a refusal names the option), refused, or silently wrong, which must be none.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tfrecs.datasets import read_tables
from tfrecs.datasets.choice import Choice
from tfrecs.datasets.readers import read_file
from tfrecs.datasets.sources import Source

try:
    import common
except ImportError:  # the tests read the cases
    from benchmarks import common

VERDICTS = ("right", "told", "refused", "WRONG")
Read = Callable[[Any], Any]


@dataclass(frozen=True)
class Case:
    """A table, what is asked of it, and the right value; `None` where only a question is right."""

    kind: str
    name: str
    events: Any
    read: Read
    value: Any
    items: Any = None
    suffix: str = ".csv"
    options: Any = None
    asks: str = ""  # the option that a note or a refusal must name where the value is not read


def items_of(read: Any) -> Any:
    return read.tables.candidates[read.tables.spec.candidate_id.name].to_pylist()


def users_of(read: Any) -> Any:
    return read.tables.queries[read.tables.spec.query_id.name].to_pylist()


def column(name: str) -> Read:
    return lambda read: read.tables.events[name].to_pylist()


def feature(name: str) -> Read:
    return lambda read: read.tables.candidates[name].to_pylist()


def positives(read: Any) -> Any:
    return read.tables.positives.num_rows


def seconds(name: str) -> Read:
    def found(read: Any) -> Any:
        unit = read.tables.spec[name].unit
        return [v / {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit] for v in column(name)(read)]

    return found


def kinds(read: Any) -> Any:
    return sorted(read.tables.spec.names)


def ids() -> Iterator[Case]:
    """Ids exactly as they are written."""
    spellings = {
        "leading zeros": ["007", "7"],
        "quoted": ['"012"', '"12"'],
        "exponents": ["12E4", "120000"],
        "hexadecimal": ["0x1F", "31"],
        "fractions": ["123.0", "123"],
        "30 digits": ["123456789012345678901234567890", "123456789012345678901234567891"],
        "beyond int64": ["9223372036854775808", "9223372036854775809"],
        "blanks": [" x", "x"],
        "missing words": ["NA", "null"],
        "signs": ["+5", "5"],
        "case": ["a", "A"],
        "unicode forms": ["\u00e9", "e\u0301"],
        "true": ["true", "True"],
        "dates": ["2024-01-01", "20240101"],
    }
    for name, cells in spellings.items():
        text = "user,item\n" + "".join(f"u{i},{cell}\n" for i, cell in enumerate(cells))
        yield Case("ids", name, text, items_of, [cell.strip('"') for cell in cells])
    line = '{"user": "a", "item": %s}\n'
    yield Case(
        "ids", "JSON dates", line % '"2024-01-01"', items_of, ["2024-01-01"], suffix=".jsonl"
    )
    yield Case(
        "ids",
        "JSON over 2**53 with a null",
        line % "9007199254740993" + line % 5,
        items_of,
        [9007199254740993, 5],
        suffix=".jsonl",
    )
    yield Case(
        "ids",
        "JSON of 30 digits",
        line % ("1" * 30) + line % ("1" * 29 + "2"),
        items_of,
        None,
        suffix=".jsonl",
        asks="ids",
    )
    yield Case("ids", "int64 of Arrow", {"user": [1, 2], "item": [7, 8]}, items_of, [7, 8])
    yield Case(
        "ids", "whole floats of pandas", {"user": [1.0, 2.0], "item": ["x", "y"]}, users_of, [1, 2]
    )
    yield Case("ids", "an index column", ",user,item\n0,a,x\n1,b,y\n", kinds, ["item", "user"])
    yield Case("ids", "Unnamed: 0", "Unnamed: 0,user,item\n0,a,x\n1,b,y\n", kinds, ["item", "user"])


def labels() -> Iterator[Case]:
    """Which events are positive."""
    for name, words in {
        "yes and no": ["yes", "no"],
        "True and False": ["True", "False"],
        "y and n": ["Y", "n"],
        "likes": ["like", "dislike"],
        "thumbs": ["up", "down"],
        "0 and 1 as text": ['"1"', '"0"'],
    }.items():
        text = "user,item,liked\n" + "".join(f"u{i},x,{w}\n" for i, w in enumerate(words))
        yield Case("labels", name, text, positives, 1)
    stars = "user;item;stars\na;x;4,5\nb;y;1,5\n"
    yield Case("labels", "stars with commas", stars, column("stars"), [4.5, 1.5])
    rated = "user,item,rating\na,x,5\nb,y,1\n"
    yield Case("labels", "ratings, all above 0", rated, positives, 1, asks="--positive")
    yield Case("labels", "an expression", rated, positives, 1, options={"positive": "rating >= 4"})
    kind = "user,item,event\na,x,view\nb,y,buy\n"
    yield Case("labels", "kinds of events", kind, positives, 1, asks="--positive")
    yield Case(
        "labels", "a chosen kind", kind, positives, 1, options={"positive": "event == 'buy'"}
    )
    yield Case(
        "labels",
        "none positive",
        "user,item,rating\na,x,0\nb,y,-1\n",
        positives,
        None,
        asks="--positive",
    )
    yield Case(
        "labels",
        "1 is like, 2 is dislike",
        "user,item,label\na,x,1\nb,y,2\n",
        positives,
        1,
        asks="--positive",
    )


def times() -> Iterator[Case]:
    """Times as UTC seconds."""
    spelled = {
        "seconds": ["1700000000", "1700000060"],
        "milliseconds": ["1700000000000", "1700000060000"],
        "microseconds": ["1700000000000000", "1700000060000000"],
        "nanoseconds": ["1700000000000000000", "1700000060000000000"],
        "ISO": ["2023-11-14T22:13:20", "2023-11-14T22:14:20"],
        "ISO in UTC": ["2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z"],
        "ISO with zones": ["2023-11-15T00:13:20+02:00", "2023-11-14T22:14:20+00:00"],
        "day first": ["14/11/2023 22:13:20", "14/11/2023 22:14:20"],
        "month first": ["11/14/2023 22:13:20", "11/14/2023 22:14:20"],
        "numbers of digits": ["20231114221320", "20231114221420"],
    }
    for name, cells in spelled.items():
        text = "user,item,time\n" + "".join(f"u,i{n},{cell}\n" for n, cell in enumerate(cells))
        yield Case("times", name, text, seconds("time"), [1700000000, 1700000060])
    days = [1706659200, 1706745600]
    for name, cells in {
        "dates": ["2024-01-31", "2024-02-01"],
        "points": ["31.01.2024", "01.02.2024"],
        "slashes, year first": ["2024/1/31", "2024/2/1"],
        "20240131": ["20240131", "20240201"],
    }.items():
        text = "user,item,date\n" + "".join(f"u,i{n},{cell}\n" for n, cell in enumerate(cells))
        yield Case("times", name, text, seconds("date"), days)
    two = "user,item,date\na,x,01/02/2024\na,y,03/02/2024\n"
    yield Case("times", "either order", two, seconds("date"), None, asks="--date-order")
    yield Case(
        "times",
        "two orders",
        "user,item,date\na,x,31/01/2024\na,y,01/31/2024\n",
        seconds("date"),
        None,
        asks="2024-01-31",
    )
    yield Case(
        "times",
        "two units",
        "user,item,time\na,x,1700000000\na,y,1700000000000\n",
        seconds("time"),
        None,
        asks="one unit",
    )
    mixed = "user,item,time\na,x,2024-01-31T12:00:00Z\na,y,2024-01-31T12:00:00\n"
    yield Case("times", "some with a zone", mixed, seconds("time"), None, asks="zone")


def numbers() -> Iterator[Case]:
    """Numbers of features."""

    def of(cells: list[str], sep: str = ";") -> str:
        return f"item{sep}price\n" + "".join(f"i{n}{sep}{cell}\n" for n, cell in enumerate(cells))

    events = "user,item\na,i0\nb,i1\n"
    for name, cells, sep, value in (
        ("decimal commas", ["19,9", "5,25"], ";", [19.9, 5.25]),
        ("European thousands", ["1.299,50", "19,9"], ";", [1299.5, 19.9]),
        ("English thousands", ['"1,299.50"', "19.9"], ",", [1299.5, 19.9]),
        ("points", ["19.9", "5.25"], ";", [19.9, 5.25]),
        ("exponents", ["1e-05", "2.5"], ",", [1e-05, 2.5]),
        ("missing", ["NaN", "2.5"], ",", [None, 2.5]),
    ):
        yield Case("numbers", name, events, feature("price"), value, items=of(cells, sep))
    yield Case(
        "numbers",
        "1.299 in a file of ;",
        events,
        feature("price"),
        None,
        items=of(["1.299", "2.500"]),
        asks="--decimal",
    )
    yield Case(
        "numbers",
        "1,299 alone",
        events,
        feature("price"),
        None,
        items=of(['"1,299"', '"2,500"'], ","),
        asks="--decimal",
    )
    yield Case(
        "numbers",
        "postcodes",
        events,
        feature("zip"),
        ["02139", "10001"],
        items="item,zip\ni0,02139\ni1,10001\n",
    )


def joins() -> Iterator[Case]:
    """The right row for each id."""
    events = "user,item\na,1\nb,2\n"
    yield Case(
        "joins",
        "another name",
        events,
        feature("price"),
        [5, 6],
        items="sku,price,n\n1,5,9\n2,6,9\n",
    )
    yield Case(
        "joins",
        "a better column",
        events,
        feature("price"),
        None,
        items="item,code,price\n9,1,5\n2,2,6\n",
        asks="--item-id",
    )
    yield Case(
        "joins",
        "under half",
        "user,item\na,1\nb,2\nc,3\n",
        feature("price"),
        None,
        items="item,price\n1,5\n9,6\n",
        asks="--allow-missing",
    )
    yield Case(
        "joins",
        "ints and text",
        {"user": ["a"], "item": [7]},
        items_of,
        ["7"],
        items="item,price\n7,5\n",
    )
    yield Case(
        "joins",
        "ints and zeros",
        {"user": ["a"], "item": [7]},
        items_of,
        None,
        items="item,price\n007,5\n",
        asks="--item-id",
    )
    yield Case(
        "joins",
        "a chosen column",
        events,
        feature("price"),
        [5, 6],
        items="item,code,price\n9,1,5\n8,2,6\n",
        options={"item_id": "code"},
    )


def pairs(read: Any) -> Any:
    users, items = (column(read.columns[part])(read) for part in ("user", "item"))
    return list(zip(users, items, strict=True))


def shapes() -> Iterator[Case]:
    """One row an event, of any shape."""
    three = [("a", "x"), ("a", "y"), ("b", "y")]
    yield Case("shapes", "sessions of blanks", "session_id,items\na,x y\nb,y\n", pairs, three)
    yield Case(
        "shapes",
        "sessions of JSON lists",
        'session_id,items\na,"[""x"", ""y""]"\nb,"[""y""]"\n',
        pairs,
        three,
    )
    yield Case(
        "shapes", "lists of times too", "session_id,items,times\na,x y,1 2\nb,y,3\n", pairs, three
    )
    yield Case(
        "shapes",
        "lists of other lengths",
        "session_id,items,times\na,x y,1 2\nb,y,3 4\n",
        pairs,
        None,
        asks="--drop",
    )
    yield Case("shapes", "lines of items", "a x y\nb y\n", pairs, three, suffix=".txt")
    recbole = "user_id:token\titem_id:token\trating:float\n01\tx\t4\n1\ty\t3\n"
    yield Case("shapes", "RecBole", recbole, users_of, ["01", "1"], suffix=".inter")
    nested = '{"user": "a", "events": [{"item": "x"}, {"item": "y"}]}\n'
    nested += '{"user": "b", "events": [{"item": "y"}]}\n'
    yield Case("shapes", "nested events", nested, pairs, three, suffix=".jsonl")
    shown = '{"user": "a", "shown": ["x", "y"], "prices": [1.5, 2], "clicked": [0, 1]}\n'
    yield Case("shapes", "impressions", shown, column("prices"), [1.5, 2.0], suffix=".jsonl")
    yield Case("shapes", "impressions, clicked", shown, positives, 1, suffix=".jsonl")
    yield Case("shapes", "Criteo's without ids", "label,I1,C1\n1,5,a\n0,7,b\n", positives, 1)
    yield Case(
        "shapes",
        "user item rating without names",
        "a x 5\na y 3\nb x 1\n",
        pairs,
        None,
        suffix=".txt",
        asks=".tsv",
    )


def cases() -> list[Case]:
    """Returns all cases."""
    return [case for group in (ids, labels, times, numbers, joins, shapes) for case in group()]


def judged(case: Case, folder: Path) -> tuple[str, str]:
    """Reads a case; returns right, told, refused or WRONG, and what came."""

    def placed(name: str, content: Any, suffix: str) -> Any:
        if not isinstance(content, str):
            return content
        path = folder / f"{name}{suffix}"
        path.write_text(content, encoding="utf-8")
        return path

    events = placed("events", case.events, case.suffix)
    items = placed("items", case.items, ".csv")
    try:
        read = read_tables(events, items, **(case.options or {}))
        got = case.read(read)
    except (ValueError, TypeError) as error:
        asked = bool(case.asks) and case.asks in str(error)
        return ("refused" if asked else "WRONG"), str(error)
    if case.value is not None and got == case.value:
        return "right", repr(got)
    told = bool(case.asks) and any(case.asks in note for note in read.notes)
    return ("told" if told else "WRONG"), repr(got)


def table_of(rows: int) -> pa.Table:
    """Returns events as shops have them."""
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "user_id": rng.integers(0, 200_000, rows),
            "item_id": rng.integers(0, 50_000, rows),
            "rating": rng.integers(1, 11, rows) / 2,
            "timestamp": rng.integers(1_600_000_000, 1_700_000_000, rows),
        }
    )


_FRESH = """
import sys
import pyarrow as pa
from tfrecs.datasets import read_tables
def kept():  # ru_maxrss would be the parent's
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
start = kept()
events = read_tables(sys.argv[1]).tables.events
print(pa.default_memory_pool().max_memory() / events.nbytes, (kept() - start) / events.nbytes)
"""


def peaks(path: Path) -> tuple[float, float]:
    """Returns the most that Arrow held, and that a fresh process grew by, in sizes of the table."""
    command = [sys.executable, "-c", _FRESH, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    arrow, process = map(float, told.split())
    return arrow, process


def speed(rows: int, folder: Path) -> list[dict[str, Any]]:
    """Measures reading of CSV and Parquet beside pyarrow's own readers, in turns."""
    table = table_of(rows)
    pyarrow.csv.write_csv(table, folder / "e.csv")
    pq.write_table(table, folder / "e.parquet")
    told: list[int] = []

    def ours(path: Path) -> pa.Table:
        read = read_file(path, lambda done, total: told.append(done))
        source = Source(read, str(path), "e", path.suffix == ".csv")
        for name in ("rating", "timestamp"):
            read = source.with_column(name, source.typed(name, Choice(), [])).table
        return read

    found = []
    readers = {"CSV": pyarrow.csv.read_csv, "Parquet": pq.read_table}
    for kind, own in readers.items():
        path = folder / f"e.{kind.lower()}"
        runs = {"pyarrow": own, "tfrecs": ours, "read_tables": read_tables}
        seconds = common.alternate({n: partial(run, path) for n, run in runs.items()}, rounds=3)
        data, arrow, process = f"{rows:,} events, {kind}", *peaks(path)
        row = partial(common.row, data, "read, types told")
        for name, taken in seconds.items():
            ratio = {"peer": "pyarrow", "ratio": seconds["pyarrow"] / taken}
            more = ratio if name == "tfrecs" else {}
            found.append(row(name, "rows_per_s", rows / taken, unit="1/s", **more))
        found.append(row("read_tables", "peak_of_arrow", arrow, unit="x the table"))
        found.append(row("read_tables", "peak_of_process", process, unit="x the table"))
    assert told  # progress was told
    return found


def main() -> None:
    """Prints a row a case, and writes the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--rows", type=int, default=5_000_000)
    asked = parser.parse_args()
    counts: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            verdict, got = judged(case, Path(folder))
            row = counts.setdefault(case.kind, dict.fromkeys(VERDICTS, 0))
            row[verdict] += 1
            print(f"{verdict:8} {case.kind:8} {case.name:32} {got[:110]}")
        print(counts)
        if asked.speed:
            rows = [
                common.row(f"{sum(row.values())} tables of {kind}", "cases", "tfrecs", name, count)
                for kind, row in counts.items()
                for name, count in row.items()
            ]
            rows += speed(asked.rows, Path(folder))
            common.write("own_tables", rows, seed=0, packages=("numpy", "pyarrow"))
    if any(row["WRONG"] for row in counts.values()):
        raise SystemExit("silently wrong")


if __name__ == "__main__":
    main()
