"""What was damaged, lost or taken away is named and made again; nothing of it goes on."""

import json
import os
import shutil
import time

import pytest
from typer.testing import CliRunner

from tests.components import toys
from tfrecs.cli.pipelines import pipeline_app
from tfrecs.components import artifacts, local, worker
from tfrecs.components import examples as io
from tfrecs.components.schema_gen import read_schema
from tfrecs.components.statistics_gen import read_statistics
from tfrecs.components.store import FILE, Store


def run(root, **parameters):
    return local.run(toys.pipeline(**parameters), root, processes=0)


def execution_of(result, node):
    return next(iter(result.outputs[node].values())).path.parent


def flip(path):
    """Changes one bit of a file, and neither its size nor its time."""
    about, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def cut(path):
    path.write_bytes(path.read_bytes()[:3])


def add(path):
    path.with_name("data_tfrecord-00001-of-00001.gz").write_text("more")


def empty(path):
    path.write_bytes(b"")


HARMS = [(harm, "model/text") for harm in (flip, cut, add, empty, os.remove)]
HARMS += [(flip, "model/artifact.json"), (cut, "execution.json"), (os.remove, "execution.json")]


@pytest.mark.parametrize(("harm", "name"), HARMS)
def test_what_the_cache_holds_is_taken_only_as_it_was_written(name, harm, tmp_path):
    before = run(tmp_path)
    path = execution_of(before, "Repeat") / name
    harm(path)
    after = run(tmp_path)
    assert after.states == {
        "Make": "cached",
        "Repeat": "done",
        "Other": "cached",
        "Judge": "cached",
    }
    named = path.with_name("data_tfrecord-00001-of-00001.gz") if harm is add else path
    assert str(named) in after.notes["Repeat"]
    assert after.notes["Repeat"].endswith("made again")
    assert (after.outputs["Repeat"]["model"].path / "text").read_text() == "abab"
    assert str(named) in (after.folder / "run.html").read_text()
    assert set(run(tmp_path).states.values()) == {"cached"}


def test_properties_are_not_believed_where_they_were_changed(tmp_path):
    blessing = run(tmp_path, least=99).outputs["Judge"]["blessing"].path / artifacts.FILE
    blessing.write_text(blessing.read_text().replace('"blessed": 0', '"blessed": 1'))
    again = run(tmp_path, least=99)
    assert again.states["Judge"] == "done"
    assert again.outputs["Judge"]["blessing"].properties["blessed"] == 0


def test_an_execution_that_says_something_else_is_damaged(tmp_path):
    folder = execution_of(run(tmp_path), "Repeat")
    file = folder / worker.EXECUTION
    file.write_text(file.read_text().replace('"times": 2', '"times": 3'))
    with pytest.raises(ValueError, match="is damaged: it is not what its execution wrote"):
        worker.execution(folder)


def test_an_artifact_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / artifacts.FILE).write_text('{"type": "Model"')
    with pytest.raises(ValueError, match=rf"{tmp_path}/artifact\.json is damaged"):
        artifacts.load(tmp_path)


@pytest.mark.parametrize("harm", [flip, empty, os.remove], ids=lambda harm: harm.__name__)
def test_a_lineage_that_is_damaged_or_lost_is_made_anew(harm, tmp_path, caplog):
    first = run(tmp_path, times=3)
    with pytest.raises(local.PipelineError):
        run(tmp_path, text="!")
    store = Store(tmp_path)
    expected = store.runs(), [store.steps(entry["id"]) for entry in store.runs()]
    uri = first.outputs["Judge"]["blessing"].uri
    lineage = store.lineage(uri)
    path = tmp_path / FILE
    if harm is flip:
        path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))
    else:
        harm(path)
    store = Store(tmp_path)
    assert store.lineage(uri) == lineage
    found = store.runs(), [store.steps(entry["id"]) for entry in store.runs()]
    for mine, theirs in zip(found[0], expected[0], strict=True):
        times = [mine.pop(n) - theirs.pop(n) for n in ("started", "finished")]
        assert max(map(abs, times)) < 5
        assert mine == theirs
    assert found[1] == expected[1]
    assert "made anew of 7 executions and 2 runs" in caplog.text
    assert str(path) in caplog.text
    kept = list(tmp_path.glob(f"{FILE}.damaged-*"))
    assert len(kept) == (0 if harm in (os.remove, empty) else 1)
    assert set(run(tmp_path, times=3).states.values()) == {"cached"}


def test_a_lost_lineage_still_knows_the_last_blessed_model(tmp_path):
    run(tmp_path)
    (tmp_path / FILE).unlink()
    after = run(tmp_path, times=3)
    text = (after.outputs["Judge"]["blessing"].path / "text").read_text()
    assert text == "ababab beside abab"


def test_a_damaged_blessed_model_is_passed_over_and_named(tmp_path):
    run(tmp_path)
    second = run(tmp_path, times=3)
    flip(second.outputs["Repeat"]["model"].path / "text")
    third = run(tmp_path, times=4)
    text = (third.outputs["Judge"]["blessing"].path / "text").read_text()
    assert text == "abababab beside abab"
    assert "is passed over" in third.notes["Judge"]
    assert second.outputs["Repeat"]["model"].uri in third.notes["Judge"]


def test_a_lineage_that_cannot_be_opened_is_named_and_kept(tmp_path):
    import sqlite3

    run(tmp_path)
    holder = sqlite3.connect(tmp_path / FILE)
    holder.execute("BEGIN EXCLUSIVE")
    locked = rf"{FILE}: database is locked\. It is the lineage of these runs"
    store = Store.__new__(Store)
    store.path = tmp_path / FILE
    with pytest.MonkeyPatch.context() as patch:
        connect = sqlite3.connect
        patch.setattr(sqlite3, "connect", lambda path, timeout: connect(path, timeout=0))
        with pytest.raises(OSError, match=locked):
            store.runs()
        with pytest.raises(OSError, match=locked):
            Store(tmp_path)
    holder.close()
    assert len(Store(tmp_path).runs()) == 1


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_changes_neither_order_nor_cache(jump, tmp_path, monkeypatch):
    run(tmp_path)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    second = run(tmp_path, times=3)
    assert set(run(tmp_path, times=3).states.values()) == {"cached"}
    monkeypatch.undo()
    third = run(tmp_path, times=4)  # the last blessed one is the second, whatever its time
    text = (third.outputs["Judge"]["blessing"].path / "text").read_text()
    assert text == "abababab beside ababab"
    runs = Store(tmp_path).runs()
    assert runs[0]["id"] == third.folder.name
    steps = Store(tmp_path).steps(second.folder.name)
    assert all(0 <= step["seconds"] < 60 for step in steps)
    assert 0 <= worker.execution(execution_of(second, "Repeat"))["seconds"] < 60


def test_an_effect_that_was_undone_is_done_again(tmp_path):
    def push():
        pipeline = toys.pushing(str(tmp_path / "pushed"))
        return local.run(pipeline, tmp_path / "root", processes=0)

    assert push().states["Push"] == "done"
    assert push().states["Push"] == "cached"
    (tmp_path / "pushed").unlink()
    again = push()
    assert again.states["Push"] == "done"
    assert again.notes["Push"] == f"{tmp_path}/pushed is gone: made again"
    assert (tmp_path / "pushed").read_text() == "pushed"


@pytest.mark.parametrize("strict", [False, True])
def test_not_pushed_is_a_result_of_its_own(strict, tmp_path):
    file = tmp_path / "toy.py"
    file.write_text(
        "from tests.components import toys\n"
        "def pipeline(least: int = 99):\n"
        f"    return toys.pushing({str(tmp_path / 'pushed')!r}, least)\n"
    )
    options = ["run", str(file), "--root", str(tmp_path), "--processes", "0"]
    for states in ("4 done, 0 cached, 1 not pushed", "0 done, 4 cached, 1 not pushed"):
        said = CliRunner().invoke(pipeline_app, options + ["--strict"] * strict)
        assert said.exit_code == (3 if strict else 0), said.output
        assert states in " ".join(said.output.split())
        assert "Not pushed by Push: the text is too short" in said.output
    (entry, _) = Store(tmp_path / "pushing").runs()
    assert entry["state"] == "not pushed"
    page = (tmp_path / "pushing" / "runs" / entry["id"] / "run.html").read_text()
    assert '<span class="not pushed">not pushed</span></small></h1>' in page
    assert "Not pushed: the text is too short" in page
    said = json.loads((tmp_path / "pushing" / "runs" / entry["id"] / "run.json").read_text())
    assert said["state"] == "not pushed"
    shown = CliRunner().invoke(pipeline_app, ["show", str(tmp_path / "pushing")])
    assert "not pushed" in shown.output.splitlines()[0]
    assert "the text is too short" in shown.output
    blessed = CliRunner().invoke(pipeline_app, [*options, "--strict", "--set", "least=1"])
    assert blessed.exit_code == 0, blessed.output
    assert "not pushed" not in blessed.output


def test_a_source_that_is_gone_fails_its_node_and_no_other(tmp_path):
    made = toys.Make(source=str(tmp_path / "gone"))
    other = toys.Make(id="Here")
    with pytest.raises(local.PipelineError, match=r"Make failed: .*gone"):
        local.run(toys.Pipeline("two", (made, other)), tmp_path / "root", processes=0)
    (entry,) = Store(tmp_path / "root").runs()
    states = {step["node"]: step["state"] for step in Store(tmp_path / "root").steps(entry["id"])}
    assert states == {"Make": "failed", "Here": "done"}


def test_a_root_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=str(tmp_path / "file")):
        run(tmp_path / "file" / "root")
    shutil.rmtree(tmp_path)


def test_damaged_files_of_artifacts_are_named(events, generate, infer_schema):
    examples, statistics = generate(events)
    schema = infer_schema(statistics)
    shard = io.shards(examples, "train")[0]
    for path, read in (
        (shard, lambda: io.read_table(examples, "train")),
        (examples.path / "columns.json", lambda: io.read_columns(examples)),
        (schema.path / "schema.pbtxt", lambda: read_schema(schema)),
        (
            statistics.path / "Split-train" / "FeatureStats.pb",
            lambda: read_statistics(statistics, "train"),
        ),
    ):
        path.write_bytes(path.read_bytes()[:-9][::-1])
        with pytest.raises(ValueError, match=f"{path} is damaged"):
            read()
