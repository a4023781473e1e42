import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tfrecs.components import examples as io
from tfrecs.components import spans
from tfrecs.components.artifacts import Examples
from tfrecs.components.example_gen import ExampleGen, example_gen


def generate(tmp_path, source, **parameters):
    examples = Examples(str(tmp_path / "examples"))
    example_gen(examples, source=str(source), **parameters)
    return examples


def all_rows(examples):
    tables = [io.read_table(examples, split) for split in io.splits(examples)]
    return pa.concat_tables(tables)


def ordered(table):
    return table.sort_by("timestamp").to_pylist()


@pytest.mark.parametrize("format", ["parquet", "csv", "tsv", "jsonl"])
def test_every_format_gives_its_rows_back(format, events, tmp_path):
    table = events.drop_columns("tags") if format in ("csv", "tsv") else events
    path = tmp_path / f"events.{format}"
    if format == "parquet":
        pq.write_table(table, path, row_group_size=300)
    elif format == "jsonl":
        path.write_text("\n".join(map(json.dumps, table.to_pylist())))
    else:
        options = pa.csv.WriteOptions(delimiter="\t" if format == "tsv" else ",")
        pa.csv.write_csv(table, path, options)
    examples = generate(tmp_path, path, rows_per_shard=500)
    found, given = ordered(all_rows(examples)), ordered(table)
    for mine, theirs in zip(found, given, strict=True):
        assert mine.pop("price") == pytest.approx(theirs.pop("price"))
        assert mine == theirs


def test_a_compressed_file_without_a_line_of_names_is_read_by_the_types_given(tmp_path):
    text = "1\t5\tabc\n0\t\t007\n0\t2\t\n" * 20
    with gzip.open(tmp_path / "train.txt.gz", "wt") as file:
        file.write(text)
    columns = {"label": "int64", "I1": "float32", "C1": "string"}
    examples = generate(tmp_path, tmp_path / "train.txt.gz", columns=columns, splits={"all": 1})
    found = io.read_table(examples, "all").slice(0, 3).to_pydict()
    assert found == {"label": [1, 0, 0], "I1": [5.0, None, 2.0], "C1": ["abc", "007", None]}
    with pytest.raises(ValueError, match=r"`columns\['label'\]` must be a type such as"):
        generate(tmp_path, tmp_path / "train.txt.gz", columns={"label": "number"})


def test_nulls_come_back_as_nulls(tmp_path):
    table = pa.table({"a": ["x", None] * 20, "b": pa.array([None, 1] * 20, pa.int64())})
    pq.write_table(table, tmp_path / "t.parquet")
    examples = generate(tmp_path, tmp_path / "t.parquet", splits={"all": 1})
    assert io.read_table(examples, "all").to_pylist() == table.to_pylist()


def test_any_reader_of_tf_example_reads_them(events, tmp_path):
    pq.write_table(events, tmp_path / "e.parquet")
    examples = generate(tmp_path, tmp_path / "e.parquet", splits={"all": 1})
    (path,) = io.shards(examples, "all")
    assert path.name == "data_tfrecord-00000-of-00001.gz"
    record = next(iter(tf.data.TFRecordDataset(str(path), "GZIP")))
    features = tf.train.Example.FromString(record.numpy()).features.feature
    assert features["user_id"].bytes_list.value[0].decode() == events["user_id"][0].as_py()
    assert features["price"].float_list.value[0] == events["price"][0].as_py()


def test_splits_have_their_shares_and_no_row_twice(events, generate):
    examples, _ = generate(events)
    rows = examples.properties["num_examples"]
    assert rows["train"] + rows["eval"] == 2_000
    assert 1_720 < rows["train"] < 1_880  # 1,800 +- 6 standard deviations of a binomial


def test_a_partition_keeps_a_user_together(events, generate):
    examples, _ = generate(events, partition="user_id", splits={"train": 2, "eval": 1})
    users = [set(io.read_table(examples, s)["user_id"].to_pylist()) for s in ("train", "eval")]
    assert not users[0] & users[1]


def test_time_cuts_the_oldest_first(events, generate):
    examples, _ = generate(events, time="timestamp", splits={"train": 3, "eval": 1})
    train, late = (io.read_table(examples, s)["timestamp"].to_numpy() for s in ("train", "eval"))
    assert train.max() < late.min()
    assert (len(train), len(late)) == (1_500, 500)


def test_time_and_partition_cut_whole_groups_by_their_first_time(tmp_path):
    table = pa.table({"session": ["b", "a", "b", "c", "d"], "at": [5, 1, 9, 6, 7]})
    pq.write_table(table, tmp_path / "e.parquet")
    how = {"partition": "session", "time": "at", "splits": {"train": 1, "eval": 1}}
    examples = generate(tmp_path, tmp_path / "e.parquet", **how)
    # in order of their first times a, b, c, d: the first half is a and b, with the event at 9
    found = {s: sorted(io.read_table(examples, s)["at"].to_pylist()) for s in ("train", "eval")}
    assert found == {"train": [1, 5, 9], "eval": [6, 7]}


def test_the_same_rows_give_the_same_bytes(events, tmp_path):
    pq.write_table(events, tmp_path / "e.parquet", row_group_size=300)
    digests = []
    for name in ("a", "b"):
        examples = generate(tmp_path / name, tmp_path / "e.parquet", rows_per_shard=600)
        examples.seal()
        digests.append(examples.digest)
    assert digests[0] == digests[1]
    assert len(io.shards(examples, "train")) == 4


def test_the_greatest_version_of_the_wanted_span_is_read(events, tmp_path):
    for span, version, rows in ((1, 1, 100), (2, 1, 200), (2, 2, 300), (10, 1, 400)):
        folder = tmp_path / f"day-{span}" / f"v{version}"
        folder.mkdir(parents=True)
        pq.write_table(events.slice(0, rows), folder / "events.parquet")
    source = f"{tmp_path}/day-{{SPAN}}/v{{VERSION}}/events.parquet"
    examples = generate(tmp_path / "two", source, span=2, splits={"all": 1})
    assert examples.properties["num_examples"] == {"all": 300}
    assert (examples.properties["span"], examples.properties["version"]) == (2, 2)
    last = generate(tmp_path / "last", source, splits={"all": 1})
    assert (last.properties["span"], last.properties["num_examples"]) == (10, {"all": 400})
    with pytest.raises(FileNotFoundError, match=r"one of the spans .*\[1, 2, 10\]"):
        generate(tmp_path / "none", source, span=3)


def test_a_span_can_be_a_date(tmp_path):
    (tmp_path / "1970-01-03").mkdir()
    found = spans.resolve_span(f"{tmp_path}/{{YYYY}}-{{MM}}-{{DD}}/*.csv", None)
    assert found == (f"{tmp_path}/1970-01-03/*.csv", 2, None)


def test_the_cache_knows_the_files_that_are_read(events, tmp_path):
    pq.write_table(events, tmp_path / "e.parquet")
    node = ExampleGen(source=str(tmp_path / "*.parquet"))
    assert node.component.files(node.parameters) == [str(tmp_path / "e.parquet")]


def test_beam_writes_what_the_local_driver_writes(events, tmp_path):
    pytest.importorskip("apache_beam")
    pq.write_table(events, tmp_path / "e.parquet", row_group_size=300)
    digests = []
    for runner in ("local", "beam"):
        options = ["--direct_num_workers=1", "--direct_running_mode=in_memory"]
        examples = generate(
            tmp_path / runner,
            tmp_path / "e.parquet",
            rows_per_shard=600,
            runner=runner,
            beam_options=options,
        )
        examples.seal()
        digests.append(examples.digest)
    assert digests[0] == digests[1]


def test_bad_arguments_are_told(events, tmp_path):
    pq.write_table(events, tmp_path / "e.parquet")
    path = tmp_path / "e.parquet"
    with pytest.raises(FileNotFoundError, match="a file, a folder with files"):
        generate(tmp_path, tmp_path / "none.csv")
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(ValueError, match=r"`extension of notes.md` must be one of"):
        generate(tmp_path, tmp_path / "notes.md")
    with pytest.raises(ValueError, match=r"`column` must be one of .*'user'"):
        generate(tmp_path, path, partition="user")
    with pytest.raises(ValueError, match=r"`splits\['eval'\]` must be an integer of 1 or more"):
        generate(tmp_path, path, splits={"train": 1, "eval": 0})
    with pytest.raises(ValueError, match="with rows in 'eval'"):
        generate(tmp_path, path, splits={"train": 10**9, "eval": 1})
    with pytest.raises(ValueError, match="`runner` must be one of 'local', 'beam'"):
        generate(tmp_path / "x", path, runner="spark")


def test_files_of_one_source_have_the_same_columns(events, tmp_path):
    pq.write_table(events, tmp_path / "a.parquet")
    pq.write_table(events.drop_columns("price"), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b.parquet lacks the columns \['price'\]"):
        generate(tmp_path, tmp_path / "*.parquet")


def test_tensorflow_datasets_are_read(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    rows = {"user_id": np.array([b"1", b"2", b"3"], object), "rating": np.array([4.0, 1.0, 5.0])}
    data = tf.data.Dataset.from_tensor_slices({k: v.tolist() for k, v in rows.items()})
    monkeypatch.setattr(tfds, "load", lambda name, split, shuffle_files: data)
    examples = generate(tmp_path, "tfds://ratings", splits={"all": 1})
    found = io.read_table(examples, "all").to_pydict()
    assert found == {"user_id": ["1", "2", "3"], "rating": [4.0, 1.0, 5.0]}
