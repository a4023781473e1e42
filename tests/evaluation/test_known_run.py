"""A run keeps what is known of its users."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import run, show
from tfrecs.datasets import Tables
from tfrecs.evaluation import splits
from tfrecs.recipes import recipe
from tfrecs.spec import Categorical, FeatureSpec, Numeric, Timestamp


def test_a_run_that_was_read_again_knows_validation_test_and_dislikes(tmp_path):
    rows = [(f"u{u}", f"i{(u + s) % 9}", s, 1.0) for u in range(9) for s in range(5)]
    rows.append(("u0", "i7", 9, -1.0))
    users, items, times, stars = zip(*rows, strict=True)
    spec = FeatureSpec(
        (
            Categorical("user", "query", is_id=True),
            Categorical("item", "candidate", is_id=True),
            Numeric("stars", "label"),
            Timestamp("at"),
        )
    )
    events = pa.table({"user": users, "item": items, "stars": stars, "at": times})
    ids = [pa.table({n: sorted(set(events[n].to_pylist()))}) for n in ("user", "item")]
    tables = Tables("nine", events, *ids, spec, positive=pc.field("stars") > 0)
    split = splits.leave_last_out(tables.positives, spec, validation=True)
    options = recipe("two_tower").options(epochs=1, embedding_dim=4, batch_size=8)
    run.train(tables, split, tmp_path / "run", options)
    again = run.Run.load(tmp_path / "run")
    assert again.split.validation.num_rows == 9
    assert again.split.disliked.to_pylist() == [{"user": "u0", "item": "i7"}]
    known = show.known_items(again, pa.chunked_array([["u0"]])).indices
    named = again.tables.candidates["item"].take(np.sort(known)).to_pylist()
    assert named == ["i0", "i1", "i2", "i3", "i4", "i7"]
    results = again.judge(ks=(1,))
    assert "training and validation pairs masked" in results.protocol
