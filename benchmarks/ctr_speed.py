"""How fast DeepFM trains on big tables, in turn with its peers, and what memory it takes.

    python benchmarks/ctr_speed.py [--only speed,tables,memory,stream] [--deepctr PYTHON]

Sections: `speed` (examples/s by `fit` against the peers of ctr_peers.py; `--deepctr` names the
Python of a venv that has DeepCTR), `tables` (step time by table size), `memory`, `stream` (rows of
Criteo's format from Parquet through the feature layer). Peers and own take turns in one run.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import alternate, row, write
from ctr_data import SEED, made_up, made_up_spec

SECTIONS = ("speed", "tables", "memory", "stream")


def ours(total: int, batch: int, given: Any) -> Any:
    """Returns a function that trains DeepFM by `fit` for one pass over 32 batches."""
    from tfrecs.features import from_arrays
    from tfrecs.losses import LogLoss
    from tfrecs.models import DeepFM

    data = from_arrays(made_up(32 * batch, total), batch, label="label", drop_remainder=True)
    model = DeepFM(made_up_spec(total), 16)
    model.compile(given, LogLoss(), steps_per_execution=16)
    return lambda: model.fit(data, shuffle=False, verbose=0)


def gradient_alone(total: int, batch: int) -> Any:
    """Returns a function that computes DeepFM's loss and gradients of 32 batches, and no more."""
    import tensorflow as tf

    from tfrecs.features import from_arrays
    from tfrecs.losses import LogLoss
    from tfrecs.models import DeepFM

    model, loss = DeepFM(made_up_spec(total), 16), LogLoss()
    batches = list(from_arrays(made_up(32 * batch, total), batch, label="label"))

    @tf.function(autograph=False)
    def step(features: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(labels, model(features, training=True))
        found = tape.gradient(value, [v.value for v in model.trainable_variables])
        return [value, *(getattr(gradient, "values", gradient) for gradient in found)]

    def run() -> None:
        for one in batches:
            last = step(*one)
        last[0].numpy()

    return run


def speed(arguments: Any) -> list[dict[str, Any]]:
    """Examples a second by `fit`, in turn with the peers: 26 features x 16, three layers of 400."""
    import keras

    rows = []
    cases = ((1_000_000, 4096, 16), (1_000_000, 1024, 16), (10_000_000, 4096, 2))
    for number in arguments.sizes.split(","):
        rows += in_turn(*cases[int(number)], arguments)
        keras.utils.clear_session()
        gc.collect()
    return rows


def in_turn(total: int, batch: int, few: int, arguments: Any) -> list[dict[str, Any]]:
    """Times own and peers' `fit` of one size; the peers train `few` steps at a time."""
    from ctr_peers import BATCHES, batches, plain_keras

    from tfrecs.optimizers import LazyAdam, SparseAdagrad

    plain = plain_keras(total)
    fed = batches(made_up(BATCHES * batch, total), batch)
    runs: dict[str, Any] = {
        "tfrecs DeepFM, LazyAdam": (32, ours(total, batch, LazyAdam(1e-3))),
        "tfrecs DeepFM, SparseAdagrad": (32, ours(total, batch, SparseAdagrad(0.01))),
        "tfrecs DeepFM, no optimizer": (32, gradient_alone(total, batch)),
        "plain Keras DeepFM, Adam": (
            few,
            lambda: plain.fit(fed, steps_per_epoch=few, shuffle=False, verbose=0),
        ),
    }
    peer = None
    if arguments.deepctr:
        script = str(Path(__file__).with_name("ctr_peers.py"))
        peer = subprocess.Popen(
            [arguments.deepctr, script, str(total), str(batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        runs["DeepCTR DeepFM, Adam (legacy Keras)"] = (few, lambda: ask(peer, few))
    seconds = alternate({name: run for name, (_, run) in runs.items()}, rounds=arguments.rounds)
    if peer is not None:
        peer.kill()
        peer.wait()
    rates = {name: steps * batch / seconds[name] for name, (steps, _) in runs.items()}
    protocol = f"fit, batch {batch}, {total:,} rows x 16, 26 features, in turn"
    rows = []
    for name, rate in rates.items():
        own = None if name.startswith("tfrecs") else name
        rows.append(row("made up", protocol, name, "examples_per_s", rate, unit="1/s", peer=own))
    for name in list(rates)[:2]:
        for other in list(rates)[2:]:
            ratio = rates[name] / rates[other]
            metric = f"speed against {other}"
            rows.append(row("made up", protocol, name, metric, ratio, unit="x"))
    return rows


def ask(peer: Any, steps: int) -> None:
    """Lets the peer's process train some steps, and waits until it says the seconds."""
    peer.stdin.write(f"{steps}\n")
    peer.stdin.flush()
    for line in peer.stdout:
        if line.strip().replace(".", "", 1).isdigit():  # its libraries print lines of their own
            return
    raise SystemExit("The peer's process ended: try its command, benchmarks/ctr_peers.py.")


def tables(arguments: Any) -> list[dict[str, Any]]:
    """Milliseconds of a step by the number of rows of the table, in turn."""
    from tfrecs.optimizers import LazyAdam, SparseAdagrad

    rows = []
    for make in (LazyAdam, SparseAdagrad):
        runs = {total: ours(total, 4096, make(1e-3)) for total in (10_000, 1_000_000, 10_000_000)}
        seconds = alternate(
            {str(total): run for total, run in runs.items()}, rounds=arguments.rounds
        )
        for total, value in seconds.items():
            name = f"tfrecs DeepFM, {make.__name__}, batch 4096, {int(total):,} rows x 16"
            rows.append(
                row("made up", "fit, in turn", name, "step_ms", value / 32 * 1000, unit="ms")
            )
        del runs
    return rows


MEMORY = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import ctr_speed as ctr
from tfrecs.optimizers import LazyAdam, SparseAdagrad

def now():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize()

ctr.ours(10_000, 4096, LazyAdam(1e-3))()
start = now()
make = {"LazyAdam": LazyAdam, "SparseAdagrad": SparseAdagrad}[sys.argv[2]]
run = ctr.ours(10_000_000, 4096, make(1e-3))
run(); run()
print(now() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - start)
"""


def memory(arguments: Any) -> list[dict[str, Any]]:
    """Resident memory that DeepFM of 10 M rows adds while it trains, over its table and slots."""
    rows = []
    for name, slots in (("LazyAdam", 2), ("SparseAdagrad", 1)):
        command = [sys.executable, "-c", MEMORY, str(Path(__file__).parent), name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        table = 4 * 17 * 10_000_052 * (1 + slots)
        label = f"tfrecs DeepFM, {name}, 10,000,000 rows x 16"
        for kind, value in zip(("resident", "peak"), done.stdout.split()[-2:], strict=True):
            metric, more = f"{kind}, above table and slots", (int(value) - table) / 1e6
            rows.append(row("made up", "fit", label, metric, more, unit="MB"))
    return rows


def stream(arguments: Any) -> list[dict[str, Any]]:
    """Examples a second of a pass over Parquet rows of Criteo's format, and over arrays."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tfrecs.datasets import criteo_spec
    from tfrecs.features import FeatureTransform, from_arrays, from_parquet
    from tfrecs.losses import LogLoss
    from tfrecs.models import DeepFM
    from tfrecs.optimizers import LazyAdam

    batch = 4096
    steps = arguments.stream_rows // batch
    with tempfile.TemporaryDirectory() as folder:
        path = Path(arguments.stream_file or Path(folder, "criteo.parquet"))
        if not path.exists():
            write_criteo(path, arguments.stream_rows)
        transform = FeatureTransform(criteo_spec(min_count=10))
        with pq.ParquetFile(path) as opened:
            transform.adapt(pa.Table.from_batches(opened.iter_batches(row_groups=[0, 1, 2, 3])))
            held = transform.encode(opened.read_row_group(0).slice(0, 32 * batch))

        raw = from_parquet(path, batch, spec=criteo_spec(), drop_remainder=True)
        encoded = raw.map(lambda rows: (transform(rows), rows["label"]), num_parallel_calls=2)
        arrays = from_arrays(held, batch, label="label", drop_remainder=True).repeat()
        sources = {"from arrays": arrays.take(steps), "from Parquet": encoded.prefetch(8)}
        seconds = {}
        for name, source in sources.items():
            model = DeepFM(transform.spec, 16)
            model.compile(LazyAdam(1e-3), LogLoss(), steps_per_execution=20)
            model.fit(source.take(20), shuffle=False, verbose=0)
            start = time.perf_counter()
            model.fit(source, shuffle=False, verbose=0)
            seconds[name] = time.perf_counter() - start
    rates = {name: steps * batch / value for name, value in seconds.items()}
    protocol = f"fit, batch {batch}, {arguments.stream_rows:,} rows of Criteo's format"
    name = "tfrecs DeepFM, LazyAdam, 13 counts binned"
    rows = [
        row("made up", protocol, f"{name}, {source}", "examples_per_s", rate, unit="1/s")
        for source, rate in rates.items()
    ]
    share = rates["from Parquet"] / rates["from arrays"]
    return [*rows, row("made up", protocol, name, "Parquet against arrays", share, unit="x")]


def write_criteo(path: Path, num_rows: int) -> None:
    """Writes made-up rows of Criteo's format in row groups of 131,072."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, group, writer = np.random.default_rng(SEED), 131_072, None
    for start in range(0, num_rows, group):
        size = min(group, num_rows - start)
        ids = made_up(size, 1_000_000, seed=start)
        columns = {"label": pa.array(ids.pop("label").astype(np.int8))}
        for number in range(1, 14):
            counts = np.floor(np.exp(rng.normal(1, 1.5, size))).astype(np.float32)
            columns[f"I{number}"] = pa.array(counts, mask=rng.random(size) < 0.2)
        for number in range(26):
            values, places = np.unique(ids[f"C{number}"], return_inverse=True)
            texts = pa.array([f"{value:08x}" for value in values])
            columns[f"C{number + 1}"] = pa.DictionaryArray.from_arrays(
                pa.array(places.astype(np.int32)), texts
            ).cast(pa.string())
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def main() -> None:
    """Runs the sections and writes results/ctr_speed.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas")
    parser.add_argument("--deepctr", help="Python of a venv with deepctr, for `speed`")
    parser.add_argument("--sizes", default="0,1,2", help="cases of `speed`, by commas")
    parser.add_argument("--rounds", type=int, default=5, help="of alternating timings")
    parser.add_argument("--stream-rows", type=int, default=5_000_000, help="for `stream`")
    parser.add_argument("--stream-file", help="Parquet file of such rows, to be used again")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sections = {"speed": speed, "tables": tables, "memory": memory, "stream": stream}
    for name in arguments.only.split(","):
        write("ctr_speed", sections[name](arguments), seed=SEED, keep=True)


if __name__ == "__main__":
    main()
