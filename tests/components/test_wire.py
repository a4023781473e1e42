import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.components import wire


def parsed(table, dtypes, tmp_path):
    path = tmp_path / "rows.tfrecord"
    path.write_bytes(wire.tfrecords(table, dtypes).tobytes())
    found = []
    for record in tf.data.TFRecordDataset(str(path)):  # checks every CRC
        features = tf.train.Example.FromString(record.numpy()).features.feature
        row = {}
        for name, feature in features.items():
            values = getattr(feature, feature.WhichOneof("kind")).value
            row[name] = list(values)
        found.append(row)
    return found


def test_every_type_and_null_is_what_protobuf_reads(tmp_path):
    table = pa.table(
        {
            "text": ["x", None, "é" * 100, ""],
            "number": pa.array([1.5, None, -2.0, 3.0], pa.float32()),
            "id": [0, -7, None, 2**40],
            "ids": [[1, 2], [], None, [300]],
            "words": [["p", "quite long " * 20], None, [], ["z"]],
            "vector": pa.array([[1.0, 2.0]] * 4, pa.list_(pa.float32(), 2)),
        }
    )
    dtypes = {
        "text": "string",
        "number": "float32",
        "id": "int64",
        "ids": "int64",
        "words": "string",
        "vector": "float32",
    }
    rows = parsed(table, dtypes, tmp_path)
    assert rows[0] == {
        "text": [b"x"],
        "number": [1.5],
        "id": [0],
        "ids": [1, 2],
        "words": [b"p", b"quite long " * 20],
        "vector": [1.0, 2.0],
    }
    assert rows[1] == {"id": [-7], "ids": [], "vector": [1.0, 2.0]}
    assert rows[2]["text"] == ["é".encode() * 100]
    assert "ids" not in rows[2]
    assert rows[3]["id"] == [2**40]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 8, 9, 200])
def test_the_checksum_is_that_of_tensorflow(size, tmp_path):
    rng = np.random.default_rng(size)
    texts = [rng.bytes(size + extra) for extra in (0, 3, 1)]
    table = pa.table({"t": pa.array(texts, pa.binary())})
    rows = parsed(table, {"t": "string"}, tmp_path)
    assert [row["t"][0] for row in rows] == texts


def test_a_slice_is_encoded_as_a_table_of_its_own(tmp_path):
    table = pa.table({"t": ["a", "bb", "ccc"], "l": [[1], [2, 3], []]})
    dtypes = {"t": "string", "l": "int64"}
    rows = parsed(table.slice(1, 2), dtypes, tmp_path)
    assert rows == [{"t": [b"bb"], "l": [2, 3]}, {"t": [b"ccc"], "l": []}]


def test_varints_of_zero_and_of_seven_bits():
    part = wire.varints(np.array([0, 127, 128, 300]))
    assert part.flat().tolist() == [0, 127, 0x80, 1, 0xAC, 2]
    assert part.sizes.tolist() == [1, 1, 2, 2]
