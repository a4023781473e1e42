import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrecs.components import local
from tfrecs.components.pipeline import load
from tfrecs.quickstart import ask

FILE = Path(__file__).parents[2] / "pipelines" / "sessions_gru4rec.py"


def write_sessions(path, number=600, items=30):
    """Sessions of five clicks, each two items further than the last, one in ten anywhere."""
    rng = np.random.default_rng(0)
    steps = np.arange(5)
    clicks = (rng.integers(0, items, (number, 1)) + 2 * steps) % items
    astray = rng.random(clicks.shape) < 0.1
    clicks[astray] = rng.integers(0, items, astray.sum())
    times = 1_700_000_000 + 1_000 * np.arange(number)[:, None] + 10 * steps
    table = {
        "session_id": np.repeat([f"s{i:04d}" for i in range(number)], 5),
        "item_id": [f"i{i:02d}" for i in clicks.ravel()],
        "timestamp": times.ravel(),
    }
    pq.write_table(pa.table(table), path)


@pytest.mark.slow
def test_generated_sessions_come_to_a_model_that_answers(tmp_path):
    write_sessions(tmp_path / "clicks.parquet")
    options = {"units": 16, "epochs": 15, "above_baseline": -0.5}
    data = {"events": str(tmp_path / "clicks.parquet"), "saved_models": str(tmp_path / "served")}
    done = local.run(load(FILE, **data, **options), tmp_path / "root", processes=0)
    metrics = done.outputs["Evaluator"]["evaluation"].path / "metrics.json"
    found = json.loads(metrics.read_text())["overall"]
    assert found["gru4rec"]["mrr@20"] > 2 * found["popularity"]["mrr@20"]
    pushed = done.outputs["Pusher"]["pushed"].properties
    assert pushed["pushed"] == 1, pushed
    (folder,) = pushed["paths"].values()
    answer = ask(folder, {"history": [["i03", "i05"]]})
    assert "i07" in answer["item_id"][0][:3]
