"""The demo worlds: how fast they are made, how much memory, what each oracle and signal is worth.

    python benchmarks/demo.py                     # all of it: minutes on 2 cores
    python benchmarks/demo.py --only rates        # or memory, oracles, signals
    python benchmarks/demo.py --events 100000     # rates and memory of one size

Rates are those of streams of events, the site and the shop in turn; the shop's ratio is to the
site's rate. Memory is the peak of a fresh process that streams, and what its size adds to that.
"""

import argparse
import subprocess
import sys
from typing import Any

import common
import demo_probes as probes
import numpy as np

SIZES = (10**5, 10**6, 10**7)
SEEDS = (0, 1, 2)
WORLDS = {"site": "demo_stream", "shop": "demo_shop_stream"}
ROUNDS = {10**5: 5, 10**6: 3, 10**7: 1}
_USERS, _ITEMS = 10_000, 1_000  # of the memory's worlds: these take memory, events do not
_STREAM = (
    "import resource\n"
    "from tfrecs import datasets\n"
    "rows = sum(b.num_rows for b in datasets.{stream}({sizes}, {events}))\n"
    "assert rows == {events}\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
)


def rates(sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Returns events a second of both worlds at each size."""
    from tfrecs import datasets

    rows = []
    for events in sizes:
        runs = {
            name: lambda stream=stream, events=events: sum(
                batch.num_rows for batch in getattr(datasets, stream)(num_events=events)
            )
            for name, stream in WORLDS.items()
        }
        rounds = ROUNDS.get(events, 3)
        seconds = common.alternate(runs, rounds)
        for name in WORLDS:
            against = {"peer": "site", "ratio": seconds["site"] / seconds[name]}
            rows.append(
                common.row(
                    f"{events:,} events",
                    f"streamed, median of {rounds}, in turn",
                    name,
                    "rate",
                    events / seconds[name],
                    unit="events/s",
                    **(against if name != "site" else {}),
                )
            )
    return rows


def memory(counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """Returns the peak memory of a fresh process that streams each world, at each size."""
    rows = []
    for events in counts:
        for name, stream in WORLDS.items():
            sizes = f"{_USERS}, {_ITEMS}"
            code = _STREAM.format(stream=stream, sizes=sizes, events=events)
            made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
            peak = int(made.stdout.split()[-1]) / 1024
            protocol = (
                f"a fresh process streams {_USERS:,} users and {_ITEMS:,} items; with imports"
            )
            data = f"{events:,} events"
            rows.append(common.row(data, protocol, name, "peak memory", peak, unit="MiB"))
    return rows


def signals() -> list[dict[str, Any]]:
    """Returns the five orders of the shop's signals, over three seeds."""
    from tfrecs.datasets import demo_shop

    found: dict[tuple[str, str, str], list[float]] = {}
    for seed in SEEDS:
        tables = demo_shop(seed=seed)
        for name, value in probes.orderings(tables).items():
            found.setdefault(("next click among all items", name, "found"), []).append(value)
        for name, value in probes.example_age(tables).items():
            found.setdefault(("next click on a new item", name, "found"), []).append(value)
        for name, value in probes.moods(tables).items():
            horizon, profile = name.split(": ")
            found.setdefault((f"topic, {horizon}", profile, "hit rate"), []).append(value)
    told = {"found": "share of items below the clicked one", "hit rate": "of one topic of 24"}
    return [
        common.row(
            f"shop, {len(SEEDS)} seeds: {task}",
            told[metric],
            name,
            metric,
            np.mean(values),
            stderr=np.std(values, ddof=1) / len(values) ** 0.5,
        )
        for (task, name, metric), values in found.items()
    ]


def main() -> None:
    """Measures and writes results/demo.json."""
    import demo_oracles

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("rates", "memory", "oracles", "signals"))
    parser.add_argument("--events", type=int, help="one size instead of 1e5, 1e6 and 1e7")
    asked = parser.parse_args()
    sizes = (asked.events,) if asked.events else SIZES
    parts = {
        "rates": lambda: rates(sizes),
        "memory": lambda: memory(sizes),
        "oracles": lambda: demo_oracles.rows(SEEDS),
        "signals": signals,
    }
    rows = [row for name, part in parts.items() if asked.only in (None, name) for row in part()]
    packages = ("numpy", "scipy", "pyarrow")
    common.write("demo", rows, seed=0, packages=packages, keep=bool(asked.only or asked.events))


if __name__ == "__main__":
    main()
