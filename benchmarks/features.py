"""Rows a second of the feature layer and of reading, beside plain tf.data and Keras FeatureSpace.

    python benchmarks/features.py          about 3 minutes on 2 cores

Table: 5 categorical columns of text (10 to 100,000 values, Zipf) and 2 numbers. Everything runs in
one process, since it shares one library with its peers; runs alternate and the median counts.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import common
import keras
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import tensorflow as tf

from tfrecs.features import (
    FeatureTransform,
    from_arrays,
    from_arrow,
    from_parquet,
    from_tfrecord,
    write_tfrecord,
)
from tfrecs.spec import Categorical, FeatureSpec, Numeric

SIZES = (10, 100, 1_000, 10_000, 100_000)
NUMBERS = ("price", "age")
SPEC = FeatureSpec(
    (
        *(Categorical(f"c{size}", "context") for size in SIZES),
        *(Numeric(name, "context", normalize="standard") for name in NUMBERS),
    )
)
TABLE = "5 categorical + 2 numeric columns"
TRIPLES = "user_id, item_id, label"
PEER_TF, PEER_SPACE, PEER_CSV = "tf.data", "keras FeatureSpace", "tf.data make_csv_dataset"


def table_of(rows: int, seed: int) -> pa.Table:
    """Returns the table: Zipf-distributed text and normal numbers."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for size in SIZES:
        shares = 1 / np.arange(1, size + 1)
        ids = rng.choice(size, rows, p=shares / shares.sum())
        values = pa.array([f"value_{i}" for i in range(size)])
        columns[f"c{size}"] = values.take(pa.array(ids))
    for name in NUMBERS:
        columns[name] = rng.normal(size=rows).astype(np.float32)
    return pa.table(columns)


def triples(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Returns what a factorization reads: two ids and a label."""
    rng = np.random.default_rng(seed)
    return {
        "user_id": rng.integers(0, 1_000_000, rows, np.int32),
        "item_id": rng.integers(0, 100_000, rows, np.int32),
        "label": rng.random(rows, np.float32),
    }


def drain(dataset: tf.data.Dataset) -> None:
    """Reads a dataset to its end in one graph, as a training loop does."""
    dataset.reduce(np.int64(0), lambda count, batch: count + 1)


def rates(
    rows: int, runs: dict[str, tuple[Callable[[], Any], int]], rounds: int
) -> dict[str, float]:
    """Returns the rows a second of each run; a run is a callable and how many rows it does."""
    seconds = common.alternate({name: run for name, (run, _) in runs.items()}, rounds)
    return {name: runs[name][1] / seconds[name] for name in runs}


def feature_layer(table: pa.Table, rounds: int) -> list[dict[str, Any]]:
    """Adapting, encoding and transforming, beside FeatureSpace."""
    rows, batch = table.num_rows, 8192
    transform = FeatureTransform(SPEC).adapt(table)
    raw = from_arrow(table, batch, spec=SPEC).cache()
    drain(raw)
    few = table.slice(0, max(batch, rows // 10))  # it is slow: fewer rows
    few_raw = from_arrow(few, batch, spec=SPEC).cache()
    drain(few_raw)

    def space() -> Any:
        categorical = keras.utils.FeatureSpace.string_categorical
        features = {f"c{size}": categorical(output_mode="int") for size in SIZES}
        features |= {name: keras.utils.FeatureSpace.float_normalized() for name in NUMBERS}
        adapted = keras.utils.FeatureSpace(features, output_mode="dict")
        adapted.adapt(few_raw)
        return adapted

    adapted = space()
    found = rates(
        rows,
        {
            "adapt": (lambda: FeatureTransform(SPEC).adapt(table), rows),
            "encode": (lambda: transform.encode(table), rows),
            "transform": (lambda: drain(raw.map(transform, tf.data.AUTOTUNE)), rows),
            "peer adapt": (space, few.num_rows),
            "peer transform": (
                lambda: drain(few_raw.map(adapted, tf.data.AUTOTUNE)),
                few.num_rows,
            ),
        },
        rounds,
    )
    done = []
    for protocol in ("adapt", "encode", "transform"):
        peer = found.get(f"peer {protocol}")
        ratio = found[protocol] / peer if peer else None
        done.append(
            _row(TABLE, protocol, "tfrecs", found[protocol], PEER_SPACE if peer else None, ratio)
        )
        if peer:
            done.append(_row(TABLE, protocol, PEER_SPACE, peer, PEER_SPACE))
    return done


def reading(arrays: dict[str, np.ndarray], folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Reading from memory and files, beside plain tf.data."""
    rows, batch = len(arrays["label"]), 8192
    table = pa.table(arrays)
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", "int64"),
            Categorical("item_id", "candidate", "int64"),
            Numeric("label", "label"),
        )
    )
    pa.parquet.write_table(table, folder / "a.parquet", row_group_size=131_072)
    recorded = table.slice(0, rows // 4)
    shards = write_tfrecord(recorded, folder / "a.tfrecord", 8, spec=spec)
    few = table.slice(0, rows // 20)
    pa.csv.write_csv(few, folder / "a.csv")
    small = {name: column[: rows // 4] for name, column in arrays.items()}

    def plain() -> None:
        data = tf.data.Dataset.from_tensor_slices(small).shuffle(100_000)
        drain(data.batch(batch).prefetch(2))

    def csv() -> None:
        drain(
            tf.data.experimental.make_csv_dataset(
                str(folder / "a.csv"), batch, num_epochs=1, shuffle_buffer_size=100_000
            )
        )

    memory = from_arrays(arrays, batch, shuffle=True)
    parquet = from_parquet(folder, batch, shuffle=True)
    record = from_tfrecord(shards, spec, batch, shuffle=True)
    found = rates(
        rows,
        {
            "memory": (lambda: drain(memory), rows),
            "Parquet": (lambda: drain(parquet), rows),
            "TFRecord": (lambda: drain(record), recorded.num_rows),
            PEER_TF: (plain, len(small["label"])),
            PEER_CSV: (csv, few.num_rows),
        },
        rounds,
    )
    protocol = f"read shuffled, batch {batch}"
    peer = found[PEER_TF]
    ours = [
        _row(TRIPLES, f"{protocol}", f"tfrecs {name}", found[name], PEER_TF, found[name] / peer)
        for name in ("memory", "Parquet", "TFRecord")
    ]
    theirs = [_row(TRIPLES, protocol, name, found[name], name) for name in (PEER_TF, PEER_CSV)]
    return ours + theirs


def _row(
    data: str, protocol: str, model: str, value: float, peer: str | None, ratio: float | None = None
) -> dict[str, Any]:
    return common.row(
        data, protocol, model, "examples_per_s", value, unit="1/s", peer=peer, ratio=ratio
    )


def main() -> None:
    """Measures and writes results/features.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the tables")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = feature_layer(table_of(arguments.rows, arguments.seed), arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        arrays = triples(arguments.rows, arguments.seed)
        rows += reading(arrays, Path(folder), arguments.rounds)
    common.write("features", rows, seed=arguments.seed)


if __name__ == "__main__":
    main()
