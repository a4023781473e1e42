import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrecs.features import write_tfrecord
from tfrecs.spec import FeatureSpec, Vector

ROWS, DIM = 400_000, 192  # 400,000 * 192 * 4 bytes = 307 MB
CAP = 200  # MB that reading may add, two thirds of the data

READ = """
import resource
import sys
import tensorflow as tf
from tfrecs.features import from_parquet, from_tfrecord
from tfrecs.spec import FeatureSpec, Vector

kind, folder = sys.argv[1], sys.argv[2]
list(tf.data.Dataset.range(8).map(lambda x: x + 1).batch(2))  # what TensorFlow takes once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
spec = FeatureSpec((Vector("v", dim=192),))
if kind == "parquet":
    data = from_parquet(folder, 4096, spec=spec, shuffle=True)
else:
    data = from_tfrecord(folder, spec, 4096, shuffle=True)
rows = sum(int(tf.shape(batch["v"])[0]) for batch in data)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
print(rows, grown)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "tfrecord"])
def test_data_larger_than_memory_streams(tmp_path, kind):
    rng = np.random.default_rng(0)
    slices = []
    for shard in range(8):
        values = rng.integers(0, 2**24, (ROWS // 8 * DIM)).astype(np.float32)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(values), DIM)
        table = pa.table({"v": vectors})
        if kind == "parquet":
            pq.write_table(table, tmp_path / f"{shard}.parquet", row_group_size=5_000)
        else:
            write_tfrecord(
                table, tmp_path / f"{shard}.tfrecord", spec=FeatureSpec((Vector("v", dim=DIM),))
            )
        slices.append(table.nbytes)
    assert sum(slices) > 300e6
    command = [sys.executable, "-c", READ, kind, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, grown = map(int, done.stdout.split())
    assert rows == ROWS
    assert grown < CAP, f"reading 307 MB took {grown} MB more"
