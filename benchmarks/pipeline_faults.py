"""What must not break a pipeline: damage, lost files, full disks, kills, clocks, bombs, buckets.

    python benchmarks/pipeline_faults.py [FAULT ...]

A fault is survived where the run goes on with right results, or ends with a message that names what
is at fault, and the run after it is right. Faults that are not named keep their rows. Those of full
and read-only disks mount file systems in memory, as root on Linux alone can.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import common
import numpy as np
import pipeline_faults_outside as outside
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecs.components import local, worker
from tfrecs.components.pipeline import load
from tfrecs.components.store import FILE, Store

SMALL = Path(__file__).parent / "pipeline_small.py"
RUN = (
    "import sys\n"
    "from tfrecs.components import local, pipeline\n"
    "if __name__ == '__main__':\n"
    "    loaded = pipeline.load(sys.argv[1], source=sys.argv[3], served=sys.argv[4])\n"
    "    local.run(loaded, sys.argv[2], processes=0)\n"
)
Harm = Callable[[Path], None]


class World:
    """A folder with events, and runs of the small pipeline over them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.served = folder, folder / "root", folder / "served"
        rng = np.random.default_rng(0)
        table = {"user_id": rng.integers(0, 50, 2_000), "price": rng.random(2_000)}
        pq.write_table(pa.table(table), folder / "events.parquet")

    def run(self, **parameters: object) -> local.Run:
        given = {"source": str(self.folder / "events.parquet"), "served": str(self.served)}
        return local.run(load(SMALL, **(given | parameters)), self.root, processes=0)

    def command(self) -> list[str]:
        places = [SMALL, self.root, self.folder / "events.parquet", self.served]
        return [sys.executable, "-c", RUN, *map(str, places)]


def digests(run: local.Run) -> dict[str, str]:
    return {
        f"{node}.{name}": made.digest
        for node, outputs in run.outputs.items()
        for name, made in outputs.items()
        if node != "Pusher"  # names its folder
    }


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    about = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def add(path: Path) -> None:
    shutil.copy(path, path.with_name("data_tfrecord-00001-of-00001.gz"))


def in_cache(pattern: str, harm: Harm, node: str) -> Callable[[World], None]:
    """Returns a fault of a file of the cache: it must be named and made again."""

    def fault(world: World) -> None:
        before = world.run()
        path = next(iter(sorted((world.root / "artifacts").glob(pattern))))
        harm(path)
        after = world.run()
        assert after.states[node] == "done", after.states
        assert str(path.parent) in after.notes[node], after.notes
        assert digests(after) == digests(before)
        assert set(world.run().states.values()) == {"cached"}

    return fault


def bless(path: Path) -> None:
    path.write_text(path.read_text().replace('"blessed": 0', '"blessed": 1'))


def forged_blessing(world: World) -> None:
    assert world.run(least=9_999).states["Pusher"] == "not pushed"
    (path,) = (world.root / "artifacts").glob("Bless/*/blessing/artifact.json")
    bless(path)
    assert world.run(least=9_999).states["Pusher"] == "not pushed"
    assert not world.served.exists()


def in_lineage(harm: Harm) -> Callable[[World], None]:
    """Returns a fault of the database: it must be made anew, with all that it knew."""

    def fault(world: World) -> None:
        uri = world.run().outputs["Pusher"]["pushed"].uri
        known = Store(world.root).lineage(uri)
        harm(world.root / FILE)
        assert Store(world.root).lineage(uri) == known
        assert len(Store(world.root).runs()) == 1
        assert set(world.run().states.values()) == {"cached"}

    return fault


def scramble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + os.urandom(path.stat().st_size - 4096))


def locked_lineage(world: World) -> None:
    world.run()
    connect = sqlite3.connect
    with contextlib.closing(connect(world.root / FILE)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        told = ""
        with mock.patch("sqlite3.connect", lambda path, timeout: connect(path, timeout=0)):
            try:
                world.run()
            except OSError as error:
                told = str(error)
        assert f"{FILE}: database is locked" in told, told
    assert set(world.run().states.values()) == {"cached"}


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disk_full(world: World) -> None:
    with mounted(world.root, "size=300k"):
        told = outside.told_by(world.run)
        assert "space" in told, told
        left = [*(world.root / "artifacts").glob("*/.*"), *(world.root / "artifacts").glob("*/*")]
        assert all(not worker.damage(path) for path in left), left
        subprocess.run(["mount", "-o", "remount,size=64m", str(world.root)], check=True)
        assert set(world.run().states.values()) <= {"done", "cached"}


def destination_full(world: World) -> None:
    with mounted(world.served, "size=100k"):
        told = outside.told_by(world.run)
        assert "space" in told, told
        assert str(world.served) in told, told
        assert not list(world.served.glob("*/*")), list(world.served.rglob("*"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(world.served)], check=True)
        assert world.run().states["Pusher"] == "done"


def destination_read_only(world: World) -> None:
    with mounted(world.served, "ro"):
        told = outside.told_by(world.run)
        assert str(world.served) in told, told
        assert "Read-only" in told, told
    assert world.run().states["Pusher"] == "done"


def root_read_only(world: World) -> None:
    with mounted(world.root, "size=64m"):
        world.run()
        subprocess.run(["mount", "-o", "remount,ro", str(world.root)], check=True)
        told = outside.told_by(world.run)
        assert str(world.root) in told, told


def killed(world: World, rounds: int = 8) -> None:
    """Kills runs at random moments; what is left is whole, and the last run is undisturbed's."""
    expected = digests(world.run())
    version = [path.name for path in (world.served / "small_stock").iterdir()]
    draw = random.Random(0)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    for _ in range(rounds):
        shutil.rmtree(world.root)
        process = subprocess.Popen(world.command(), env=environment, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not (world.root / "runs").exists() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for folder in (world.root / "artifacts").glob("*/[!.]*"):
            assert not worker.damage(folder), worker.damage(folder)
        assert digests(world.run()) == expected
        assert [path.name for path in (world.served / "small_stock").iterdir()] == version


def two_runs(world: World) -> None:
    world.run()
    with local._locked(world.root):
        told = outside.told_by(world.run)
    assert str(world.root) in told, told
    assert "under way" in told, told


def clock(jump: float) -> Callable[[World], None]:
    """Returns a jump of the clock: order, cache and durations are as without it."""

    def fault(world: World) -> None:
        world.run()
        now = time.time
        with mock.patch("time.time", side_effect=lambda: now() + jump):
            second = world.run(factor=3.0)
            assert set(world.run(factor=3.0).states.values()) == {"cached"}
        third = world.run(factor=4.0)
        runs = Store(world.root).runs()
        assert [runs[0]["id"], runs[2]["id"]] == [third.folder.name, second.folder.name]
        for run in runs:
            assert all(0 <= step["seconds"] < 60 for step in Store(world.root).steps(run["id"]))

    return fault


FAULTS: dict[str, Callable[[World], None]] = {
    "one bit of a TFRecord": in_cache("ExampleGen/*/examples/Split-train/*.gz", flip, "ExampleGen"),
    "half of a TFRecord": in_cache("ExampleGen/*/examples/Split-train/*.gz", cut, "ExampleGen"),
    "an empty TFRecord": in_cache("ExampleGen/*/examples/Split-train/*.gz", empty, "ExampleGen"),
    "a TFRecord gone": in_cache("ExampleGen/*/examples/Split-train/*.gz", os.remove, "ExampleGen"),
    "a TFRecord too many": in_cache("ExampleGen/*/examples/Split-train/*.gz", add, "ExampleGen"),
    "one bit of statistics": in_cache("StatisticsGen/*/*/*/FeatureStats.pb", flip, "StatisticsGen"),
    "half of a schema": in_cache("SchemaGen/*/schema/schema.pbtxt", cut, "SchemaGen"),
    "one bit of a model": in_cache("Export/*/index/serving/*/1/variables/*data*", flip, "Export"),
    "half of artifact.json": in_cache("Export/*/index/artifact.json", cut, "Export"),
    "half of execution.json": in_cache("Export/*/execution.json", cut, "Export"),
    "execution.json gone": in_cache("Export/*/execution.json", os.remove, "Export"),
    "a blessing forged in the cache": forged_blessing,
    "pages of the lineage overwritten": in_lineage(scramble),
    "half of the lineage": in_lineage(cut),
    "an empty lineage": in_lineage(empty),
    "the lineage gone": in_lineage(os.remove),
    "the lineage locked by another program": locked_lineage,
    "the disk of the artifacts full": disk_full,
    "the disk of the destination full": destination_full,
    "a destination that is read-only": destination_read_only,
    "a root that is read-only": root_read_only,
    "kill -9, 8 times at random": killed,
    "two runs in one root": two_runs,
    "the clock a day back": clock(-86_400.0),
    "the clock a day ahead": clock(86_400.0),
    **outside.FAULTS,
}


def main() -> None:
    """Tries the faults that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", default=[], metavar="FAULT")
    chosen = parser.parse_args().faults or list(FAULTS)
    rows = []
    for name in chosen:
        survived = 1
        with tempfile.TemporaryDirectory(prefix="tfrecs-") as folder:
            try:
                FAULTS[name](World(Path(folder)))
            except Exception:
                traceback.print_exc()
                survived = 0
        print(f"{survived}  {name}", flush=True)
        rows.append(common.row("faults", name, "pipeline", "survived (1 is yes)", survived))
    packages = ("tensorflow", "pyarrow", "moto", "duckdb")
    common.write("pipeline_faults", rows, seed=0, packages=packages, keep=True)
    sys.exit(any(row["value"] == 0 for row in rows))


if __name__ == "__main__":
    main()
