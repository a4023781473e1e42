import pyarrow.parquet as pq
import pytest

from tests.components import toys
from tests.test_cli_pipelines import run as command
from tfrecs import files
from tfrecs.cli.pipelines import component_app, pipeline_app
from tfrecs.components import examples as io
from tfrecs.components import local, spans, storage
from tfrecs.components.artifacts import Examples, ExampleStatistics
from tfrecs.components.dataset_example_gen import dataset_example_gen
from tfrecs.components.example_gen import ExampleGen, example_gen
from tfrecs.components.pusher import pusher


@pytest.mark.parametrize(
    ("place", "next_"),
    [
        ("gcs://bucket/x", "Write gs://."),
        ("s3a://bucket/x", "Write s3://."),
        ("gs:bucket/x", "As gs://NAME/FOLDER."),
        ("gs:/bucket/x", "As gs://NAME/FOLDER."),
        ("s3:///x", "As s3://NAME/FOLDER."),
        ("file:/x", "Write it as file:///FOLDER."),
        ("ftp://host/x", "Mount it, and name the folder of the mount."),
    ],
)
def test_a_uri_that_cannot_be_opened_is_refused_with_what_to_type(place, next_, tmp_path):
    for give in (
        lambda: pusher(None, None, destination=place),
        lambda: example_gen(Examples(str(tmp_path / "e")), source=place),
        lambda: example_gen(Examples(str(tmp_path / "e")), source=f"{place}/{{SPAN}}/a.csv"),
    ):
        with pytest.raises(ValueError, match="must be a path, or a URI of file://, gs://") as told:
            give()
        assert str(told.value).endswith(next_)


def test_secrets_do_not_go_into_uris():
    with pytest.raises(ValueError, match="without credentials") as told:
        storage.check("destination", "s3://key:secret@bucket/x")
    assert "secret@" not in str(told.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(told.value)


def test_what_lies_on_this_machine_takes_no_uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").mkdir()
    ExampleStatistics("s").seal()
    given = ("--input", "statistics=s")
    for argument, give in (
        ("path", lambda: files.written_aside("gs://bucket/run").__enter__()),
        ("out", lambda: files.check_writable("out", "s3://bucket/run")),
        ("root", lambda: local.run(toys.pipeline(), "gs://bucket/runs", processes=0)),
        (
            "events",
            lambda: dataset_example_gen(None, None, None, dataset="files", events="gs://b/e"),
        ),
        (
            "path",
            lambda: command(component_app, "run", "SchemaGen", "--output", "gs://b/x", *given),
        ),
        ("root", lambda: command(pipeline_app, "run", toys.__file__, "--root", "gs://b/x")),
    ):
        with pytest.raises(ValueError, match=f"`{argument}` must be a path on this machine.*Mount"):
            give()
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_bucket_is_listed_read_and_known_by_its_changes(bucket):
    for name in ("a/1.txt", "a/b/2.txt", "c.txt"):
        system, path = storage.opened(bucket(f"listing/{name}"))
        with system.open_output_stream(path) as file:
            file.write(name.encode())
    assert storage.within(bucket("listing")) == {"a/1.txt": 7, "a/b/2.txt": 9, "c.txt": 5}
    assert storage.find(bucket("listing/*/*.txt")) == [bucket("listing/a/1.txt")]
    assert storage.find(bucket("listing/*")) == [bucket("listing/a"), bucket("listing/c.txt")]
    assert [storage.kind(bucket(f"listing/{n}")) for n in ("a", "c.txt", "d")] == [
        "folder",
        "file",
        "nothing",
    ]
    before = storage.fingerprint(bucket("listing/c.txt"))
    assert storage.fingerprint(bucket("listing/c.txt")) == before
    with system.open_output_stream(path) as file:
        file.write(b"longer than before")
    assert storage.fingerprint(bucket("listing/c.txt")) != before
    assert storage.split(bucket("listing/a/1.txt")) == (bucket("listing/a"), "1.txt")
    with pytest.raises(OSError, match=r"s3://nobody/x"), storage.named("s3://nobody/x"):
        raise OSError("no such host")


def test_examples_are_generated_from_a_bucket(events, bucket, tmp_path):
    for day in (1, 2):
        system, path = storage.opened(bucket(f"log/day-{day}"))
        pq.write_table(events.slice(0, 500 * day), f"{path}/events.parquet", filesystem=system)
    source = bucket("log/day-{SPAN}/*.parquet")
    examples = Examples(str(tmp_path / "examples"))
    example_gen(examples, source=source, splits={"all": 1})
    assert io.read_table(examples, "all").num_rows == 1_000
    assert examples.properties["span"] == 2
    assert spans.resolve_span(source, 1)[0] == bucket("log/day-1/*.parquet")
    given = ExampleGen(source=source).parameters
    assert ExampleGen.files(given) == [bucket("log/day-2/events.parquet")]
    with pytest.raises(FileNotFoundError, match="a file, a folder with files"):
        example_gen(examples, source=bucket("nothing"))


def test_a_path_by_the_scheme_of_files_is_a_path(events, tmp_path):
    pq.write_table(events, tmp_path / "e.parquet")
    examples = Examples(str(tmp_path / "examples"))
    example_gen(examples, source=f"file://{tmp_path}/e.parquet", splits={"all": 1})
    assert io.read_table(examples, "all").num_rows == events.num_rows
