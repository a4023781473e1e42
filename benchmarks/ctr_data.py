"""The data of ctr.py: MovieLens 1M as clicks, Criteo's rows, and made-up batches."""

import os
from pathlib import Path
from typing import Any

import numpy as np

SEED = 0


def data(*parts: str) -> Path:
    """Returns a path in the folder of real data."""
    if "TFRECS_DATA" not in os.environ:
        raise SystemExit("Set TFRECS_DATA to the folder of real data.")
    return Path(os.environ["TFRECS_DATA"], *parts)


def ml_1m() -> tuple[Any, list[dict[str, np.ndarray]]]:
    """Returns the spec and the arrays of training, validation and test: 80, 10 and 10 %, random.

    A click is a rating of 4 or 5. Crosses are for Wide & Deep, which the paper gives some by hand.
    """
    import pyarrow as pa

    from tfrecs.datasets import movielens
    from tfrecs.evaluation.predictor import join_events
    from tfrecs.features import FeatureTransform
    from tfrecs.spec import Categorical, Cross, FeatureSpec, MultiCategorical, Numeric

    tables = movielens("1m", data("ml-1m"))
    rows = join_events(tables.events, tables)
    clicks = np.asarray(rows["rating"]) >= 4
    rows = rows.append_column("click", pa.array(clicks.astype(np.float32)))
    rows = rows.set_column(rows.column_names.index("age"), "age", rows["age"].cast(pa.int64()))
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", "int64", is_id=True),
            Categorical("gender", "query"),
            Categorical("age", "query", "int64"),
            Categorical("occupation", "query"),
            Categorical("zip_code", "query", min_count=100),
            Categorical("item_id", "candidate", "int64", is_id=True),
            MultiCategorical("genres", "candidate"),
            Numeric("year", "candidate", normalize="quantile", num_bins=20),
            Cross("gender_item", "context", ("gender", "item_id"), hash_bins=20_000),
            Cross("age_item", "context", ("age", "item_id"), hash_bins=50_000),
            Cross("occupation_item", "context", ("occupation", "item_id"), hash_bins=100_000),
            Numeric("click", "label"),
        )
    )
    order = np.random.default_rng(42).permutation(len(rows))
    cuts = [int(0.8 * len(rows)), int(0.9 * len(rows))]
    parts = [rows.take(pa.array(part)) for part in np.split(order, cuts)]
    transform = FeatureTransform(spec).adapt(parts[0])
    return transform.spec, [transform.encode(part) for part in parts]


def criteo() -> tuple[Any, dict[str, np.ndarray]]:
    """Returns the spec and the arrays of the 7,991 pooled rows, counts binned, min_count 4."""
    import pyarrow as pa

    from tfrecs.datasets import criteo_spec, read_criteo
    from tfrecs.features import FeatureTransform

    names = ("train", "dev", "test")
    files = [data("criteo-sample", f"criteo8k_{name}.tsv.gz") for name in names]
    table = pa.concat_tables([read_criteo(file) for file in files])
    transform = FeatureTransform(criteo_spec(min_count=4)).adapt(table)
    return transform.spec, transform.encode(table)


def sizes(total: int) -> np.ndarray:
    """Returns the rows of 26 features, `total` in all; four large ones hold most, as in Criteo."""
    weights = np.array([200, 180, 160, 120] + [40] * 5 + [8] * 5 + [1.0] * 6 + [0.1] * 6)
    found = np.maximum(4, np.floor(weights / weights.sum() * total)).astype(int)
    found[0] += total - found.sum()
    return found


def made_up(num_rows: int, total: int, seed: int = SEED) -> dict[str, np.ndarray]:
    """Returns ids from 2 on, `C0` to `C25`, popular ones often (Zipf 1.05), and `label`."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for number, size in enumerate(sizes(total)):
        share = rng.random(num_rows)
        ids = (1 + share * ((size + 1) ** -0.05 - 1)) ** -20
        arrays[f"C{number}"] = np.clip(ids.astype(np.int64) - 1, 0, size - 1).astype(np.int32) + 2
    arrays["label"] = (rng.random(num_rows) < 0.25).astype(np.float32)
    return arrays


def made_up_spec(total: int) -> Any:
    """Returns the spec of `made_up`."""
    from tfrecs.spec import Categorical, FeatureSpec

    return FeatureSpec(
        tuple(
            Categorical(f"C{number}", "context", size=int(size) + 2)
            for number, size in enumerate(sizes(total))
        )
    )
