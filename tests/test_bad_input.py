"""Bad input as an unfriendly user tries it: a message, exit code not 0, nothing half-written."""

import contextlib
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tfrecs import cli, losses
from tfrecs.features import FeatureTransform, from_parquet, from_tfrecord, write_tfrecord
from tfrecs.models import TwoTower
from tfrecs.retrieval import Exact
from tfrecs.spec import Categorical, FeatureSpec, Numeric

EVENTS = "user,item,ts,rating\n" + "".join(  # 12 users with 4 of 15 items each, 48 rows
    f"u{u},i{(3 * u + i) % 15},{1_700_000_000 + 10 * u + i},{1 + (u + i) % 5}\n"
    for u in range(12)
    for i in range(4)
)
ITEMS = "item,title,price\n" + "".join(f"i{i},Thing {i},{i}.5\n" for i in range(15))
SMALL = ["--epochs", 1, "--batch-size", 8, "--embedding-dim", 8]
RATED = ["--model", "matrix_factorization"]
SPEC = FeatureSpec(
    (
        Categorical("user", "query", is_id=True),
        Categorical("item", "candidate", is_id=True),
        Numeric("price", "candidate"),
    )
)


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def listed(folder):
    """Returns all files and folders under `folder`, with what files hold."""
    return {p.relative_to(folder): p.is_file() and p.read_bytes() for p in folder.rglob("*")}


@pytest.fixture
def fails(capsys):
    """Runs the command line, which must fail without a traceback; returns what it says."""

    def run(*arguments, code=1):
        cli.console.width = cli.errors.width = 2000
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert stop.value.code == code, out + err
        assert "Traceback" not in out + err
        assert "defect of tfrecs" not in err
        return err

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on the events above."""
    folder = tmp_path_factory.mktemp("trained")
    events, items = write(folder / "e.csv", EVENTS), write(folder / "i.csv", ITEMS)
    arguments = ["train", "--events", events, "--items", items, "--output", folder / "run", *SMALL]
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    assert stop.value.code == 0
    return folder / "run"


@contextlib.contextmanager
def disk_of(size):
    """Lets no file grow over `size` bytes: writing on is EFBIG, where a full disk is ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)


BAD_EVENTS = {
    "no item": ("user,thing\na,x\n", [], ["e.csv looks like the item id", "--item-column"]),
    "unknown column": (EVENTS, ["--label-column", "ratin"], ["e.csv", "Did you mean 'rating'?"]),
    "text as label": (
        EVENTS + "u1,i1,1700000000,many\n",
        ["--label-column", "rating"],
        ["`label` must be a column of numbers or of yes and no", "--positive", "'many' in row 48"],
    ),
    "text as time": (
        EVENTS + "u1,i1,soon,3\n",
        ["--time-column", "ts"],
        ["`time` must be a column of numbers or dates", "'soon' in row 48", "e.csv", "'ts'"],
    ),
    "one column twice": (EVENTS, ["--label-column", "ts"], ["another column than the time", "ts"]),
    "a name twice": ("user,item,item\na,x,y\n", [], ["e.csv must name each column once", "item"]),
    "nothing": ("", [], ["e.csv is empty"]),
    "no rows": ("user,item\n", [], ["e.csv has no rows"]),
    "a cell too many": (EVENTS + "u1,i1,1,1,1\n", [], ["e.csv", "line 50", "4 columns, got 5"]),
    "no id": (EVENTS + ",i1,1700000000,3\n", [], ["`user` of", "no value in row 48", "e.csv"]),
    "NaN label": (EVENTS + "u1,i1,1,nan\n", RATED, ["`rating`", "row 48", "e.csv", "Drop"]),
    "infinite label": (EVENTS + "u1,i1,1,-inf\n", RATED, ["`rating`", "-inf in row 48", "e.csv"]),
    "label over float32": (EVENTS + "u1,i1,1,1e99\n", RATED, ["`rating`", "row 48", "e.csv"]),
    "label whose square is over float32": (
        EVENTS.replace(",5\n", ",-1e30\n"),
        RATED,
        ["`rating` must hold labels of at most 1e+15", "-1e+30 in row"],
    ),
    "no positive label": (
        "user,item,rating\na,x,-1\nb,y,0\n",
        [],
        ["None of the 2 events is positive: (rating > 0)", "--label-column"],
    ),
    "NaN time": (EVENTS + "u1,i1,nan,3\n", [], ["`ts`", "no value in row 48", "e.csv"]),
    "infinite time": (EVENTS + "u1,i1,inf,3\n", [], ["`ts`", "inf in row 48", "e.csv"]),
    "time over int64": (EVENTS + "u1,i1,1e99,3\n", [], ["`ts`", "1e+99 in row 48", "e.csv"]),
    "Latin-1 id": (EVENTS.encode() + b"\xe9,i1,1,3\n", [], ["e.csv", "'user', row 48", "iconv"]),
    "Latin-1 name": (b"us\xe9r,item\na,b\n", [], ["e.csv must be UTF-8", "in line 1", "iconv"]),
    "UTF-16": (EVENTS.encode("utf-16"), [], ["e.csv must be UTF-8", "iconv -f utf-16"]),
    "Parquet": (b"PAR1\0\1", [], ["e.csv must be text", "Rename the file to .parquet"]),
    "one event": ("user,item\na,x\n", [], ["leaves no event for train"]),
    "no rate": (EVENTS, ["--learning-rate", "nan"], ["`learning_rate` must be greater than 0"]),
    "a rate too great": (EVENTS, ["--learning-rate", "inf"], ["Try --learning-rate 0.05"]),
}


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_bad_events_end_with_a_message(case, fails, tmp_path):
    text, options, said = BAD_EVENTS[case]
    before = listed(write(tmp_path / "e.csv", text).parent)
    arguments = ["--events", tmp_path / "e.csv", "--output", tmp_path / "run", *SMALL, *options]
    err = fails("train", *arguments)
    for part in said:
        assert part in err
    assert listed(tmp_path) == before


@pytest.mark.parametrize(
    "text, said",
    [
        ("item,title\n", ["i.csv has no rows"]),
        ("sku,title\nx,X\n", ["No item of the events is in", "i.csv", "--item-column"]),
        (
            ITEMS.replace("i", "j").replace("jtem", "item"),
            ["item 'i0' there, 'j0' in 'item' here", "i.csv", "--item-id"],
        ),
        (ITEMS + "i3,Again,1\n", ["distinct ids. Received: 'i3' in rows 3, 15", "i.csv", "Keep"]),
        (ITEMS + "i15,New,inf\n", ["`price`", "inf in row 15", "i.csv", "Replace them by null"]),
        (ITEMS.encode() + b"i15,\xff,1\n", ["i.csv must be UTF-8", "'title', row 15", "iconv"]),
    ],
    ids=["no rows", "no id", "all unknown", "an id twice", "infinite", "not UTF-8"],
)
def test_bad_items_end_with_a_message(text, said, fails, tmp_path):
    events, items = write(tmp_path / "e.csv", EVENTS), write(tmp_path / "i.csv", text)
    err = fails("train", "--events", events, "--items", items, "--output", tmp_path / "run")
    for part in said:
        assert part in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kept", [-30, 200, 4, 0])
def test_a_cut_parquet_file_is_named(kept, fails, tmp_path):
    path = tmp_path / "e.parquet"
    pq.write_table(pa.table({"user": ["a", "b"] * 50, "item": ["x", "y"] * 50}), path)
    write(path, path.read_bytes()[:kept])
    err = fails("train", "--events", path, "--output", tmp_path / "run")
    assert f"{path} is " in err
    with pytest.raises(ValueError, match=r"e\.parquet is truncated or not Parquet"):
        from_parquet(path, 10)


def test_files_that_are_no_tables_are_named(fails, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    said = fails("train", "--events", tmp_path / "folder.csv")
    assert "folder.csv must be a file. Received: a folder." in said
    assert "extensions .csv, .tsv, .parquet" in fails("train", "--events", "e.tfrecord")
    assert "No such file or directory: 'e.csv'. Check" in fails("train", "--events", "e.csv")
    array = write(tmp_path / "e.json", '[{"user": 1, "item": 2}]')
    assert "Write one object a line: jq" in fails("train", "--events", array)


def test_a_cut_tfrecord_file_is_named(tmp_path):
    table = pa.table({"user": [f"u{i}" for i in range(100)], "item": ["x"] * 100})
    files = write_tfrecord(table, tmp_path / "e.tfrecord", num_shards=2)
    write(files[1], files[1].read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"e\.tfrecord-00001-of-00002 is truncated.*Write it ag"):
        from_tfrecord(files, SPEC, 10)


@pytest.mark.parametrize("place", ["file", "file/run", "/proc/nowhere/run", "/sys/run"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(place, trained, fails, tmp_path):
    events = write(tmp_path / "e.csv", EVENTS)
    write(tmp_path / "file", "in the way")
    before, path = listed(tmp_path), tmp_path / place
    told = f"must be a folder that can be written. Received: '{path}'"
    endless = ["--epochs", 10**9]
    assert told in fails("train", "--events", events, "--output", path, *endless)
    assert told in fails("quickstart", "--events", events, "--saved-models", path, *endless)
    assert told in fails("export", trained, "--saved-models", path)
    assert listed(tmp_path) == before


@pytest.mark.parametrize("place", [".", "mine"])
def test_a_folder_that_is_no_run_is_never_replaced(place, fails, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "thesis.tex", "ten years")
    events = write(tmp_path / "e.csv", EVENTS)
    monkeypatch.chdir(tmp_path)
    err = fails("train", "--events", events, "--output", place, *SMALL)
    assert f"Received: '{place}'. Name another folder." in err
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "ten years"


def test_a_full_disk_leaves_the_old_run_whole(trained, fails, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    before = listed(tmp_path)
    with disk_of(10_000):
        events = trained.parent / "e.csv"
        err = fails("train", "--events", events, "--output", tmp_path / "run", *SMALL)
    assert f"{tmp_path / 'run'} cannot be written: File too large. Free some space" in err
    assert listed(tmp_path) == before


def test_a_full_disk_publishes_nothing(trained, fails, tmp_path):
    with disk_of(10_000):
        err = fails("export", trained, "--saved-models", tmp_path)
    assert f"The export to {tmp_path} failed and nothing was published" in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.name == "1"]


def test_a_full_disk_leaves_no_half_of_other_files(trained, fails, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    write(tmp_path / "run" / "report.html", "the old one")
    before = listed(tmp_path)
    index = Exact().index(np.eye(100, dtype="float32"), np.arange(100))
    table = pa.table({"user": [f"user number {i}" for i in range(10_000)]})
    transform = FeatureTransform(SPEC.select("user")).adapt(table)
    with disk_of(10_000):
        assert "report.html" in fails("evaluate", tmp_path / "run")
        with pytest.raises(OSError, match=r"e\.tfrecord cannot be written"):
            write_tfrecord(table, tmp_path / "e.tfrecord")
        with pytest.raises(OSError, match="index cannot be written"):
            index.save(tmp_path / "index")
        with pytest.raises(OSError, match="features cannot be written"):
            transform.save(tmp_path / "features")
        with pytest.raises(OSError, match=r"user\.txt cannot be written: File too large. Free"):
            FeatureTransform(SPEC.select("user")).adapt(table)
    assert listed(tmp_path) == before


@pytest.mark.parametrize(
    "name",
    [
        *("run.json", "spec.json", "model.keras", "tables/train.parquet"),
        *("features/item.txt", "features/numbers.npz", "features/spec.json"),
    ],
)
def test_a_damaged_run_names_its_file(name, trained, fails, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / name
    write(path, path.read_bytes()[:-50])
    err = fails("recommend", tmp_path / "run", "--user", "u1")
    assert "`run` must be a whole folder written by `tfrecs train`." in err
    assert path.name in err
    assert f"tfrecs train --output {tmp_path / 'run'}" in err
    path.unlink()
    err = fails("recommend", tmp_path / "run", "--user", "u1")
    assert "`run` must be a " in err
    assert f"--output {tmp_path / 'run'}" in err


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["recommend", "--user", "u1", "-k", 0], 1, "`k` must be from 1 to the number of cand"),
        (["recommend", "--user", "u1", "-k", 99], 1, "candidates (15). Received: 99"),
        (["export", "--name", "../up"], 1, "`name` must be letters"),
        (["export", "--recall", 2], 1, "`recall` must be above 0 and at most 1"),
        (["recommend"], 1, "one of --user ID, --history ID,ID and --users FILE"),
        (["recommend", "-k", "many"], 2, ""),
    ],
)
def test_options_out_of_range_are_named(arguments, code, said, trained, fails, tmp_path):
    to = ["--saved-models", tmp_path / "served"] if arguments[0] == "export" else []
    assert said in fails(*arguments, trained, *to, code=code)
    assert listed(tmp_path) == {}


@pytest.mark.parametrize(
    "error", [MemoryError("no 4 TB"), tf.errors.ResourceExhaustedError(None, None, "no 4 TB")]
)
def test_no_memory_is_told_with_what_takes_less(error, fails, monkeypatch):
    def read(data, model=None):
        raise error

    monkeypatch.setattr(cli.Data, "read", read)
    err = fails("train")
    assert "Not enough memory: no 4 TB" in err
    assert "smaller --embedding-dim or --batch-size" in err


def test_ctrl_c_while_an_object_is_deleted_is_not_lost(fails, monkeypatch):
    class Deleted:
        def __del__(self):
            raise KeyboardInterrupt

    def read(data, model=None):
        Deleted()
        time.sleep(30)

    monkeypatch.setattr(cli.Data, "read", read)
    start = time.monotonic()
    assert "Stopped" in fails("train", code=130)
    assert time.monotonic() - start < 30


def test_ctrl_c_while_exporting_publishes_nothing(trained, tmp_path):
    command = [
        sys.executable,
        "-m",
        "tfrecs.cli",
        "export",
        str(trained),
        "--saved-models",
        str(tmp_path),
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a process started in the background ignores Ctrl-C; this one is to heed it
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while not list(tmp_path.glob("*/.*.tmp-*/saved_model.pb")) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130, printed
    assert "Stopped" in printed
    assert "Traceback" not in printed
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.name == "1"]


def test_ids_that_are_all_unknown_are_scored_as_unknown():
    tables = pa.table({"user": ["a", "b"]}), pa.table({"item": ["x", "y"], "price": [1.0, 2.0]})
    transform = FeatureTransform(SPEC).adapt(*tables)
    raw = {"user": np.array(["who", "?"]), "item": np.array(["what", "nothing"])}
    batch = transform(raw, ["user", "item"])
    assert batch["user"].numpy().tolist() == batch["item"].numpy().tolist() == [1, 1]
    model = TwoTower(transform.spec, 4)
    assert np.isfinite(model(batch).numpy()).all()
    with pytest.raises(ValueError, match=r"`batch` must be a dict with 'item'.*Add it"):
        model.candidate({"user": batch["user"]})


def test_numbers_that_are_not_finite_are_refused_or_missing():
    users, price = pa.table({"user": ["a"]}), [float("nan"), 2.0, None]
    items = pa.table({"item": ["x", "y", "z"], "price": price})
    transform = FeatureTransform(SPEC).adapt(users, items)  # NaN is missing, as null is
    assert transform.encode(items, ["price"])["price"].tolist() == [0.0, 2.0, 0.0]
    infinite = items.set_column(1, "price", [[1.0, float("inf"), 2.0]])
    with pytest.raises(ValueError, match=r"row 1 of column price.*finite.*Received: inf"):
        FeatureTransform(SPEC).adapt(users, infinite)


@pytest.mark.parametrize("label", [2.0, 0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("loss", [losses.Softmax(), losses.BPR(), losses.Sigmoid()])
def test_labels_outside_a_loss_are_refused(label, loss):
    labels, scores = tf.constant([[1.0, 0.0], [label, 0.0]]), tf.zeros((2, 2))
    with pytest.raises(ValueError, match=r"1 \(positive\), 0 .*It stands at \(1, 0\)"):
        loss(labels, scores)
    assert np.isnan(tf.function(loss)(labels, scores))  # in a graph no value can be told
