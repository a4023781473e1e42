"""Faults of what a pipeline reads from and pushes to; see pipeline_faults.py."""

import contextlib
import gzip
import logging
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecs import datasets
from tfrecs.components import local, storage
from tfrecs.components.artifacts import Examples
from tfrecs.components.example_gen import example_gen
from tfrecs.features import read_word_vectors

STRICT = ["pipeline", "run", str(Path(__file__).parent / "pipeline_small.py"), "--strict"]
READ = (
    "import sys, resource\n"
    "from tfrecs.components.artifacts import Examples\n"
    "from tfrecs.components.example_gen import example_gen\n"
    "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    "example_gen(Examples(sys.argv[2]), source=sys.argv[1])\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
)


def told_by(call: Callable[[], object]) -> str:
    """Returns the message of what must fail."""
    try:
        call()
    except (local.PipelineError, OSError, ValueError, RuntimeError) as error:
        return str(error)
    raise AssertionError("nothing was told")


def versions(world: Any) -> list[str]:
    return sorted(path.name for path in (world.served / "small_stock").iterdir())


def destination_gone(world: Any) -> None:
    world.run()
    shutil.rmtree(world.served)
    again = world.run()
    assert again.states["Pusher"] == "done"
    assert str(world.served) in again.notes["Pusher"]
    assert versions(world) == ["1"]


def pushed_damaged(world: Any) -> None:
    world.run()
    (path,) = world.served.glob("small_stock/1/variables/*data*")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    again = world.run()
    assert path.name in again.notes["Pusher"], again.notes
    assert versions(world) == ["1", "2"]


def newer_there(world: Any) -> None:
    world.run()
    world.run(factor=3.0)
    assert world.run().states["Pusher"] == "done"  # what is served is what ran last
    assert versions(world) == ["1", "2", "3"]
    assert world.run().states["Pusher"] == "cached"


def strange_folders(world: Any) -> None:
    for name in ("²", "1.bak", "4"):
        (world.served / "small_stock" / name).mkdir(parents=True)
        (world.served / "small_stock" / name / "mine").write_text("")
    assert world.run().states["Pusher"] == "done"
    assert "5" in versions(world)
    assert (world.served / "small_stock" / "4" / "mine").exists()


def refused(place: str, wanted: str) -> Callable[[Any], None]:
    """Returns a destination that must be refused by what to type instead."""

    def fault(world: Any) -> None:
        told = told_by(lambda: world.run(served=place))
        assert wanted in told, told
        assert "secret" not in told, told
        assert not [*Path().glob("*:"), *world.folder.glob("*:")]

    return fault


@contextlib.contextmanager
def bucket() -> Iterator[Callable[[str], str]]:
    """Gives what makes URIs in an S3 of this machine."""
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    secrets = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    with mock.patch.dict(os.environ, {**secrets, "AWS_EC2_METADATA_DISABLED": "true"}):
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        options = f"?region=us-east-1&scheme=http&endpoint_override={host}:{port}"
        system, path = fs.FileSystem.from_uri(f"s3://bucket{options}&allow_bucket_creation=true")
        system.create_dir(path)
        try:
            yield lambda name: f"s3://{name}{options}"
        finally:
            server.stop()


def upload_broken_off(world: Any) -> None:
    with bucket() as uri:
        assert world.run(served=uri("bucket/served")).states["Pusher"] == "done"
        system, path = storage.opened(uri("bucket/served/small_stock/1/saved_model.pb"))
        system.delete_file(path)
        again = world.run(served=uri("bucket/served"))
        assert again.states["Pusher"] == "done"
        assert "saved_model.pb" in again.notes["Pusher"]
        assert "1/saved_model.pb" in storage.within(uri("bucket/served/small_stock"))
        assert world.run(served=uri("bucket/served")).states["Pusher"] == "cached"


def bucket_gone(world: Any) -> None:
    with bucket() as uri:
        told = told_by(lambda: world.run(served=uri("none/served")))
        assert "s3://none" in told, told


def store_unreachable(world: Any) -> None:
    options = "?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:9"
    told = told_by(lambda: world.run(served=f"s3://b/served{options}"))
    assert "s3://b/served" in told, told


def not_pushed(world: Any) -> None:
    given = {"source": world.folder / "events.parquet", "served": world.served, "least": 9_999}
    settings = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
    main = "from tfrecs.cli import main\nif __name__ == '__main__':\n    main()\n"
    command = [sys.executable, "-c", main, *STRICT, "--root", str(world.root), *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done
    assert "1 not pushed" in done.stdout, done.stdout
    assert "2000 examples, 9999 wanted" in done.stdout, done.stdout
    (page,) = (world.root / "small" / "runs").glob("*/run.html")
    assert "Not pushed: 2000 examples" in page.read_text()


def zeros(path: Path, head: bytes, line: bytes, megabytes: int) -> Path:
    """Writes lines, or one without an end, that grow a thousandfold."""
    block = line * ((1 << 20) // len(line))
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(head)
        for _ in range(megabytes):
            file.write(block)
    return path


def endless(name: str, head: bytes) -> Callable[[Any], None]:
    """Returns a bomb of one line: it must be refused within little memory."""

    def fault(world: Any) -> None:
        path = zeros(world.folder / name, head, b"0", 1_024)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        told = told_by(lambda: example_gen(Examples(str(world.folder / "e")), source=str(path)))
        assert name in told, told
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB

    return fault


def many_rows(world: Any) -> None:
    path = zeros(world.folder / "rows.csv.gz", b"a,b\n", b"1,2\n", 256)
    command = [sys.executable, "-c", READ, str(path), str(world.folder / "e")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500_000, done.stdout  # KB, of 67 million rows


def table_bomb(world: Any) -> None:
    path = zeros(world.folder / "events.csv.gz", b"user_id,item_id\n", b"0", 1_024)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = told_by(lambda: datasets.read_tables(path))
    assert "decompress it" in told, told
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 800_000  # KB


def zip_bomb(world: Any) -> None:
    block = b"0" * (1 << 20)
    with zipfile.ZipFile(world.folder / "ml-1m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("ml-1m/ratings.dat", "w", force_zip64=True) as file:
            for _ in range(1_024):
                file.write(block)
        for name in ("movies.dat", "users.dat"):
            archive.writestr(f"ml-1m/{name}", b"")
    told = told_by(lambda: datasets.movielens("1m", world.folder))
    assert "ml-1m.zip" in told, told
    assert "decompress it" in told, told


def words_bomb(world: Any) -> None:
    path = zeros(world.folder / "vectors.txt.gz", b"", b"0", 1_024)
    assert "line 1 of more than 1 MB" in told_by(lambda: read_word_vectors(path, ["word"]))


def damaged_source(name: str) -> Callable[[Any], None]:
    """Returns a source of which half is there: it must be named, and no Examples left."""

    def fault(world: Any) -> None:
        path = world.folder / name
        if name.endswith(".parquet"):
            pq.write_table(pa.table({"a": np.arange(10_000)}), path)
        elif name.endswith(".db"):
            with contextlib.closing(sqlite3.connect(path)) as rows:
                rows.execute("CREATE TABLE e (a)")
                rows.executemany("INSERT INTO e VALUES (?)", [(n,) for n in range(10_000)])
                rows.commit()
        else:
            text = "a,b\n" + "".join(f"{n},{n * 7919 % 10_007}\n" for n in range(100_000))
            path.write_bytes(gzip.compress(text.encode()))
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        source, query = str(path), None
        if name.endswith(".db"):
            source, query = f"sqlite:///{path}", "SELECT a FROM e"
        examples = Examples(str(world.folder / "e"))
        assert name in told_by(lambda: example_gen(examples, source=source, query=query))

    return fault


def writing_query(world: Any) -> None:
    path = world.folder / "events.db"
    with contextlib.closing(sqlite3.connect(path)) as rows:
        rows.execute("CREATE TABLE e (a)")
        rows.execute("INSERT INTO e VALUES (1)")
        rows.commit()
    examples = Examples(str(world.folder / "e"))
    drop = "DROP TABLE e"
    told = told_by(lambda: example_gen(examples, source=f"sqlite:///{path}", query=drop))
    assert "readonly" in told, told
    with contextlib.closing(sqlite3.connect(path)) as rows:
        assert rows.execute("SELECT a FROM e").fetchall() == [(1,)]


def source_gone(world: Any) -> None:
    told = told_by(lambda: world.run(source=str(world.folder / "none.parquet")))
    assert "none.parquet" in told, told
    assert world.run().states["Pusher"] == "done"


FAULTS: dict[str, Callable[[Any], None]] = {
    "the destination deleted": destination_gone,
    "a pushed model damaged": pushed_damaged,
    "another version pushed since": newer_there,
    "folders ² and 4 at the destination": strange_folders,
    "a destination gs:/bucket": refused("gs:/bucket/x", "As gs://NAME/FOLDER."),
    "a destination of another scheme": refused("ftp://host/x", "Mount it"),
    "a destination with a password": refused("s3://key:secret@b/x", "without credentials"),
    "an upload to S3 broken off": upload_broken_off,
    "a bucket that is not there": bucket_gone,
    "a store that nobody answers for": store_unreachable,
    "a model that is not blessed, --strict": not_pushed,
    "a bomb of one line, .csv.gz": endless("bomb.csv.gz", b"a,b\n1,2\n"),
    "a bomb of one line, .jsonl.gz": endless("bomb.jsonl.gz", b'{"a": 1}\n{"a": '),
    "a bomb of 67 million rows": many_rows,
    "a bomb in a table of events": table_bomb,
    "a bomb in MovieLens's zip file": zip_bomb,
    "a bomb of word vectors": words_bomb,
    "half of a Parquet file": damaged_source("e.parquet"),
    "half of a .csv.gz": damaged_source("e.csv.gz"),
    "half of a SQLite file": damaged_source("e.db"),
    "a query that drops its table": writing_query,
    "a source that is gone": source_gone,
}
