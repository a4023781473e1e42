"""Adapting a stream takes the memory of what it keeps, not of the rows."""

import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
import pyarrow as pa
from tfrecs.features import FeatureTransform
from tfrecs.spec import Categorical, FeatureSpec, Numeric

ROWS, BATCHES = 200_000, 60  # 12 M rows: 430 MB of values

def stream():
    rng = np.random.default_rng(0)
    for _ in range(BATCHES):
        yield {
            "user": rng.integers(0, 50_000, ROWS),
            "item": rng.integers(0, 2**60, ROWS),  # all different: hashed
            "price": rng.normal(size=ROWS),
            "age": rng.normal(size=ROWS).astype(np.float32),
        }

spec = FeatureSpec((
    Categorical("user", dtype="int64"),
    Categorical("item", dtype="int64", hash_bins=1_000),
    Numeric("price", normalize="quantile"),
    Numeric("age", normalize="standard"),
))
FeatureTransform(spec).adapt(next(stream()))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
transform = FeatureTransform(spec).adapt(stream())
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert transform.counts("user").sum() == ROWS * BATCHES
print((after - before) // 1024)
"""


@pytest.mark.slow
def test_adapting_twelve_million_rows_takes_less_than_a_hundred_megabytes_more():
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 100
