import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tfrecs.features import Epoch, from_arrow, from_parquet, from_tfrecord, write_tfrecord
from tfrecs.spec import (
    Categorical,
    Cross,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Timestamp,
    Vector,
)

SPEC = FeatureSpec(
    (
        Categorical("user"),
        Categorical("item", "candidate", "int64"),
        MultiCategorical("tags", "candidate"),
        Sequence("history", "query", "int64"),
        Sequence("scores", "query", "float32"),
        Numeric("price", "candidate"),
        Vector("image", "candidate", dim=2),
        Timestamp("time", "time", "ms"),
        Cross("both", "context", ("user", "item")),
    )
)


def world(rows=100):
    """A table of every kind of column; a value tells its row, every fifth is missing."""

    def some(values):
        return [None if i % 5 == 0 else v for i, v in enumerate(values)]

    number = range(rows)
    return pa.table(
        {
            "user": some(f"u{i}" for i in number),
            "item": pa.array(number, pa.int32()),
            "tags": some([f"t{i}"] * (i % 3) for i in number),
            "history": some([i, i + 1] for i in number),
            "scores": some([i / 2] for i in number),
            "price": some(number),
            "image": pa.array([[i, -i] for i in number], pa.list_(pa.float32(), 2)),
            "time": pa.array(some(number), pa.timestamp("ms")),
        }
    )


def rows(dataset):
    """All rows as dicts, batch after batch; NaN as None, so that rows compare."""
    found = []
    for batch in dataset:
        columns = {
            name: c.to_list() if isinstance(c, tf.RaggedTensor) else c.numpy().tolist()
            for name, c in batch.items()
        }
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            found.append({k: None if v != v or v == [None, None] else v for k, v in row.items()})
    return [{k: None if str(v) == "[nan, nan]" else v for k, v in row.items()} for row in found]


def items(dataset):
    return [row["item"] for row in rows(dataset)]


def write(folder, kind, table=None, shards=3):
    """Writes a table as files of row groups of 7, or as TFRecord shards; returns a reader."""
    table = world() if table is None else table
    if kind == "parquet":
        size = -(-table.num_rows // shards)
        for shard in range(shards):
            path = folder / f"part-{shard}.parquet"
            pq.write_table(table.slice(shard * size, size), path, row_group_size=7)
        return lambda *args, **kwargs: from_parquet(folder, *args, spec=SPEC, **kwargs)
    write_tfrecord(table, folder / "part.tfrecord", shards, spec=SPEC)
    return lambda *args, **kwargs: from_tfrecord(folder, SPEC, *args, **kwargs)


@pytest.fixture(params=["parquet", "tfrecord"])
def read(request, tmp_path):
    return write(tmp_path, request.param)


def test_files_give_what_the_table_in_memory_gives(read):
    expected = rows(from_arrow(world(), 16, spec=SPEC))
    assert rows(read(16)) == expected
    assert expected[6]["user"] == b"u6"
    assert expected[5]["user"] == b""  # missing
    assert expected[5]["price"] is None
    assert expected[5]["history"] == []
    assert expected[5]["time"] == -1


def test_batches_are_full_across_files_and_groups(read):
    sizes = [len(batch["item"]) for batch in read(16)]
    assert sizes == [16] * 6 + [4]  # 100 = 6 * 16 + 4
    assert [len(batch["item"]) for batch in read(16, drop_remainder=True)] == [16] * 6


def test_a_shuffled_epoch_has_every_row_once_and_columns_stay_aligned(read):
    given = {row["item"]: row for row in rows(read(16))}
    found = rows(read(16, shuffle=True))
    assert sorted(row["item"] for row in found) == list(range(100))
    assert [row["item"] for row in found] != list(range(100))
    assert all(row == given[row["item"]] for row in found)


def test_every_epoch_has_another_order_and_the_same_seed_the_same(read):
    data = read(16, shuffle=True, seed=3)
    first, second = items(data), items(data)
    assert first != second
    data = read(16, shuffle=True, seed=3)
    assert [items(data), items(data)] == [first, second]
    assert items(read(16, shuffle=True, seed=4)) != first


def test_an_epoch_ties_the_order_to_its_number(read):
    orders = []
    for _ in range(2):
        epoch = Epoch()
        data = read(16, shuffle=True, epoch=epoch)
        epoch.on_epoch_begin(7)
        orders.append(items(data))
    assert orders[0] == orders[1]


def test_parquet_tells_the_number_of_batches(tmp_path):
    read = write(tmp_path, "parquet")
    assert read(16).cardinality() == 7
    assert read(16, shuffle=True, drop_remainder=True).cardinality() == 6


def test_parquet_reads_the_columns_wanted(tmp_path):
    write(tmp_path, "parquet")
    data = from_parquet(tmp_path / "part-*.parquet", 50, columns=["price", "item"])
    assert list(data.element_spec) == ["price", "item"]
    assert data.element_spec["price"].dtype == tf.int64  # as Arrow says, without a spec
    assert next(iter(data))["price"].numpy()[:2].tolist() == [-1, 1]


def test_groups_of_many_rows_are_mixed(tmp_path):
    pq.write_table(pa.table({"item": range(80_000)}), tmp_path / "a.parquet", row_group_size=10_000)
    first = next(iter(from_parquet(tmp_path, 1000, shuffle=True)))["item"].numpy()
    # 65,536 rows = 7 groups of 10,000 are read at once; a batch of 1,000 meets all of them
    assert len(set(first // 10_000)) == 7


def test_shards_split_the_rows_evenly(tmp_path):
    files = write_tfrecord(world(10), tmp_path / "a.tfrecord", 3)
    assert [file.name for file in files] == [f"a.tfrecord-0000{i}-of-00003" for i in range(3)]
    counts = [sum(1 for _ in tf.data.TFRecordDataset(str(file))) for file in files]
    assert counts == [3, 3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name for file in files]


def test_an_example_is_readable_by_others(tmp_path):
    (file,) = write_tfrecord(world(3).slice(2), tmp_path / "a.tfrecord")
    (record,) = tf.data.TFRecordDataset(str(file))
    feature = tf.train.Example.FromString(record.numpy()).features.feature
    assert feature["user"].bytes_list.value == [b"u2"]
    assert feature["tags"].bytes_list.value == [b"t2", b"t2"]
    assert feature["history"].int64_list.value == [2, 3]
    assert feature["image"].float_list.value == [2.0, -2.0]


def test_what_an_example_lacks_is_missing(tmp_path):
    write_tfrecord(world(2).select(["item"]), tmp_path / "a.tfrecord")
    (first, _) = rows(from_tfrecord(tmp_path, SPEC, 2))
    assert first["user"] == b""
    assert first["price"] is None
    assert first["tags"] == []


def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch):
    def full(self, record):
        raise OSError("No space left on device")

    monkeypatch.setattr(tf.io.TFRecordWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_tfrecord(world(), tmp_path / "a.tfrecord", 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [1, 4, 20, 500])
def test_a_truncated_tfrecord_file_is_named(tmp_path, cut):
    write_tfrecord(world(50), tmp_path / "a.tfrecord", 2)
    bad = tmp_path / "a.tfrecord-00001-of-00002"
    bad.write_bytes(bad.read_bytes()[:-cut])
    with pytest.raises(
        ValueError, match=r"a\.tfrecord-00001-of-00002 is truncated or not TFRecord"
    ):
        from_tfrecord(tmp_path, SPEC, 8)


def test_a_last_record_larger_than_the_window_is_found(tmp_path):
    long = pa.table({"user": ["a", "b" * 3_000_000]})
    write_tfrecord(long, tmp_path / "a.tfrecord")
    assert len(rows(from_tfrecord(tmp_path, SPEC.select("user"), 2))) == 2


def test_an_empty_tfrecord_file_is_named(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.tfrecord is empty"):
        from_tfrecord(tmp_path, SPEC, 8)


def test_damage_inside_a_tfrecord_file_is_found_when_it_is_read(tmp_path):
    (file,) = write_tfrecord(world(), tmp_path / "a.tfrecord")
    data = bytearray(file.read_bytes())
    data[40] ^= 255
    file.write_bytes(data)
    with pytest.raises(tf.errors.DataLossError, match="corrupted record at"):
        rows(from_tfrecord(file, SPEC, 8))


def test_a_truncated_parquet_file_is_named(tmp_path):
    write(tmp_path, "parquet")
    bad = tmp_path / "part-1.parquet"
    bad.write_bytes(bad.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"part-1\.parquet is truncated or not Parquet"):
        from_parquet(tmp_path, 8)


def test_damage_inside_a_parquet_file_is_named_when_it_is_read(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"x": np.random.default_rng(0).normal(size=10_000)})
    pq.write_table(table, path, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[100:2000] = b"\xff" * 1900
    path.write_bytes(data)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"a\.parquet, row group 0, cannot be read"
    ):
        rows(from_parquet(path, 8))


def test_files_of_different_columns_are_refused(tmp_path):
    pq.write_table(pa.table({"item": [1], "price": [1.0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"item": ["x"], "price": [1.0]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"Column `item` must be of one type.*string in .*b\.parq"):
        from_parquet(tmp_path, 1)
    pq.write_table(pa.table({"items": [1], "price": [1.0]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"columns of .*b\.parquet.*Did you mean 'items'"):
        from_parquet(tmp_path, 1)


def test_a_missing_column_a_missing_file_and_no_rows_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`paths` must be files.*nothing-\*"):
        from_parquet(tmp_path / "nothing-*", 1)
    with pytest.raises(
        FileNotFoundError, match=r"`paths` must be files, a folder of .parquet files"
    ):
        from_parquet(tmp_path, 1)
    with pytest.raises(FileNotFoundError, match="`paths` must be one file or more"):
        from_parquet([], 1)
    with pytest.raises(FileNotFoundError, match=r"\.tfrecord files"):
        from_tfrecord(tmp_path, SPEC, 1)
    pq.write_table(pa.table({"item": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet must hold one row or more"):
        from_parquet(tmp_path, 1)
    with pytest.raises(ValueError, match=r"'itme'.*Did you mean 'item'"):
        from_parquet(tmp_path, 1, columns=["itme"])


def test_more_shards_than_rows_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"as many rows as shards \(4\)"):
        write_tfrecord(world(3), tmp_path / "a.tfrecord", 4)
    with pytest.raises(ValueError, match="`num_shards` must be greater than 0"):
        write_tfrecord(world(3), tmp_path / "a.tfrecord", 0)
