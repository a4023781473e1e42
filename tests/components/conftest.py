import logging
import os
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrecs.components.artifacts import Examples, ExampleStatistics, Schema
from tfrecs.components.example_gen import example_gen
from tfrecs.components.schema_gen import schema_gen
from tfrecs.components.statistics_gen import statistics_gen


@pytest.fixture(scope="session")
def bucket():
    """Returns what gives the URI of a path in an empty bucket, of an S3 on this machine."""
    from tests.components import buckets

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    secrets = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    with mock.patch.dict(os.environ, {**secrets, "AWS_EC2_METADATA_DISABLED": "true"}):
        server, options = buckets.serve()
        yield lambda path: f"s3://bucket/{path}{options}"
        server.stop()


@pytest.fixture
def events():
    """Events of 40 users: a label, a time, a price with a hole, a device of three values."""
    rng = np.random.default_rng(0)
    number = 2_000
    return pa.table(
        {
            "user_id": [f"u_{i:03d}" for i in rng.integers(0, 40, number)],
            "item_id": pa.array(rng.integers(0, 60, number)),
            "clicked": pa.array(rng.random(number) < 0.2).cast(pa.int64()),
            "timestamp": pa.array(1_600_000_000 + np.arange(number) * 60),
            "price": pa.array(rng.gamma(2.0, 3.0, number).astype("float32")),
            "device": pa.array(rng.choice(["phone", "tablet", "desk"], number, p=[0.6, 0.3, 0.1])),
            "tags": pa.array([["a", "b"][: n % 3] for n in range(number)], pa.list_(pa.string())),
        }
    )


@pytest.fixture
def generate(tmp_path):
    """Returns what writes a table, runs ExampleGen and StatisticsGen, and gives both."""
    made = []

    def run(table, **parameters):
        folder = tmp_path / f"generated-{len(made)}"
        made.append(folder)
        folder.mkdir()
        pq.write_table(table, folder / "events.parquet", row_group_size=400)
        examples = Examples(str(folder / "examples"))
        example_gen(examples, source=str(folder / "events.parquet"), **parameters)
        statistics = ExampleStatistics(str(folder / "statistics"))
        statistics_gen(examples, statistics)
        return examples, statistics

    return run


@pytest.fixture
def infer_schema(tmp_path):
    """Returns what runs SchemaGen."""

    def run(statistics, **given):
        schema = Schema(str(tmp_path / f"schema-{len(list(tmp_path.iterdir()))}"))
        schema_gen(statistics, schema, **given)
        return schema

    return run
