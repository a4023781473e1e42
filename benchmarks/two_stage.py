"""What the second stage costs: one SavedModel of retriever, index and ranker, against its first.

    python benchmarks/two_stage.py     # export and timing in one run, 3 minutes

Data: `mixed-100k` of benchmarks/retrieval.py, whose `build` comes first; its ScaNN index. The
ranker is DeepFM with embeddings of 16 and hidden layers of 64 and 32, untrained: its speed is
that of a trained one. Both signatures fetch 100 candidates; `recommend` ranks them for 10.
"""

import tempfile
from pathlib import Path
from typing import Any

import common
import numpy as np

DATA, POOL, K = "mixed-100k", 100, 10
BATCHES = (1, 32)


def main() -> None:
    import pyarrow as pa
    import retrieval as indexes

    from tfrecs.export.two_stage import Stage, export_two_stage
    from tfrecs.features import FeatureTransform
    from tfrecs.models import DeepFM, TwoTower
    from tfrecs.retrieval import ScaNN
    from tfrecs.serving import Session
    from tfrecs.spec import Categorical, FeatureSpec

    vectors, queries = indexes.vectors(DATA)
    count = len(vectors)
    users = pa.table({"user_id": np.arange(len(queries)), "country": np.arange(len(queries)) % 50})
    items = pa.table({"item_id": np.arange(count), "category": np.arange(count) % 100})
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", is_id=True, dtype="int64"),
            Categorical("country", "query", dtype="int64"),
            Categorical("item_id", "candidate", is_id=True, dtype="int64"),
            Categorical("category", "candidate", dtype="int64"),
        )
    )
    towers = FeatureTransform(spec.select("user_id", "item_id")).adapt(users, items)
    retriever = TwoTower(towers.spec, embedding_dim=vectors.shape[1])
    set_vectors(retriever.query, towers, users, "user_id", queries, retriever)
    set_vectors(retriever.candidate, towers, items, "item_id", vectors, retriever)
    features = FeatureTransform(spec).adapt(users, items)
    ranker = DeepFM(features.spec, embedding_dim=16, hidden=(64, 32))
    index = ScaNN.load(Path(tempfile.gettempdir()) / "tfrecs-retrieval" / DATA / "index" / "scann")
    rows: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        done = export_two_stage(
            *(Stage(retriever, towers), index, Stage(ranker, features), items, users, folder),
            name="two",
            k=K,
            pool=POOL,
            display=(),
            check=False,
        )
        session = Session(done.paths["scann"])
        for batch in BATCHES:
            user = {"user_id": np.arange(batch), "exclude": np.zeros((batch, 0), np.int64)}
            first = user | {"k": np.array(POOL, np.int32)}
            both = user | {"k": np.array(K, np.int32), "country": np.arange(batch) % 50}
            seconds = common.alternate(
                {
                    "retriever and index": lambda first=first: session.run_arrays(
                        "retrieve", first
                    ),
                    "two stages": lambda both=both: session.run_arrays("recommend", both),
                },
                rounds=101,
            )
            protocol = f"pool {POOL}, k={K}, batch {batch}, C++ session, 2 cores, median of 101"
            one, two = seconds.values()
            rows.append(
                common.row(DATA, protocol, "retriever and index", "request", one * 1e3, unit="ms")
            )
            rows.append(
                common.row(
                    *(DATA, protocol, "two stages", "request", two * 1e3),
                    unit="ms",
                    peer="retriever and index",
                    ratio=two / one,
                )
            )
    common.write("two_stage", rows, seed=0)


def set_vectors(
    tower: Any, transform: Any, table: Any, name: str, vectors: np.ndarray, model: Any
) -> None:
    """Makes a tower of ids answer with given vectors."""
    tower(transform.encode(table.slice(0, 1), [name]))  # makes the weights
    places = np.asarray(transform.encode(table, [name])[name])
    [weight] = [w for w in model.weights if w.shape == (places.max() + 1, vectors.shape[1])]
    values = np.zeros(weight.shape, np.float32)
    values[places] = vectors
    weight.assign(values)


if __name__ == "__main__":
    main()
