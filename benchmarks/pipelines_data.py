"""Events for the benchmark of pipelines: days of the demo world, poisoned ones, ten million."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def poisoned(table: pa.Table, poison: str) -> pa.Table:
    """Returns a day of events with a defect."""
    rng = np.random.default_rng(0)
    place = {name: number for number, name in enumerate(table.column_names)}
    if poison == "shifted column":
        shifted = pa.array(table["dwell_seconds"].to_numpy() * 3 + 60, pa.float32())
        return table.set_column(place["dwell_seconds"], "dwell_seconds", shifted)
    if poison == "nulls":
        holes = pa.array(table["dwell_seconds"].to_numpy(), mask=rng.random(len(table)) < 0.3)
        return table.set_column(place["dwell_seconds"], "dwell_seconds", holes)
    if poison == "new categories":
        values = np.array(table["reaction"].to_pylist(), object)
        values[rng.random(len(table)) < 0.2] = "wow"
        return table.set_column(place["reaction"], "reaction", pa.array(values, pa.string()))
    swapped = pa.array(1 - table["clicked"].to_numpy())
    return table.set_column(place["clicked"], "clicked", swapped)


def write_days(folder: Path, days: int, num_events: int = 20_000) -> None:
    """Writes the demo world's events as files of days, its users and items beside them."""
    from tfrecs import datasets

    tables = datasets.demo(num_events=num_events * days)
    order = np.argsort(tables.events["timestamp"].to_numpy(), kind="stable")
    for number, rows in enumerate(np.array_split(order, days), 1):
        path = folder / f"day-{number}" / "events.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(tables.events.take(rows), path)
    pq.write_table(tables.queries, folder / "users.parquet")
    pq.write_table(tables.candidates, folder / "items.parquet")


def write_events(folder: Path, num_events: int, rows: int = 500_000) -> None:
    """Writes events of 200,000 users and 20,000 items, a Parquet file for each half million."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    users, items = (
        pa.array([f"{letter}_{i:06d}" for i in range(count)])
        for letter, count in (("u", 200_000), ("i", 20_000))
    )
    popularity = np.cumsum(np.arange(1, len(items) + 1) ** -0.8)
    for number in range(num_events // rows):
        drawn = rng.random(rows) * popularity[-1]
        table = {
            "user_id": users.take(pa.array(rng.integers(0, len(users), rows))),
            "item_id": items.take(pa.array(np.searchsorted(popularity, drawn))),
            "timestamp": 1_700_000_000 + 86_400 * number + np.sort(rng.integers(0, 86_400, rows)),
            "clicked": (rng.random(rows) < 0.1).astype(np.int64),
        }
        pq.write_table(pa.table(table), folder / f"events-{number:02d}.parquet")
