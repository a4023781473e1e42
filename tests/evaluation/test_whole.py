import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tfrecs import baselines, losses, models, optimizers, retrieval
from tfrecs.datasets import demo
from tfrecs.evaluation import (
    ModelRecommender,
    find_examples,
    full_ranking,
    splits,
    summarize,
    write_report,
)
from tfrecs.features import FeatureTransform


@pytest.fixture(scope="module")
def trained():
    tables = demo(num_users=300, num_items=120, num_events=8_000)
    split = splits.leave_last_out(tables.positives, tables.spec)
    spec = tables.spec.select("user_id", "item_id")
    transform = FeatureTransform(spec).adapt(tables.queries, tables.candidates, split.train)
    model = models.TwoTower(transform.spec, 16, log_q=False)
    arrays = transform.encode(split.train)
    model.compile(optimizers.LazyAdam(0.02), losses.InBatch(losses.Softmax()))
    history = model.fit(arrays, arrays["item_id"], batch_size=256, epochs=12, verbose=0).history
    return tables, split, transform, model, history


def test_a_trained_model_goes_from_tables_to_a_page(trained, tmp_path):
    tables, split, transform, model, history = trained
    recommenders = {"random": baselines.Random(), "popularity": baselines.Popularity()}
    recommenders["oracle"] = baselines.Oracle(tables.truth.click_probability)
    for recommender in recommenders.values():
        recommender.fit(split.train, tables.candidates, tables.spec)
    recommenders["two_tower"] = ModelRecommender(model, transform, tables.candidates)
    results = full_ranking(recommenders, split, tables, ks=(10, 50), num_bootstrap=50)
    scores = {name: results[name, "ndcg@10"] for name in recommenders}
    assert scores["random"] < scores["two_tower"] < scores["oracle"]
    page = write_report(
        tmp_path / "report.html",
        title="Demo",
        summary=summarize(tables, split),
        results=results,
        history=history,
        examples=find_examples(recommenders["two_tower"], split, tables),
    )
    assert "What users get" in page.read_text()


def test_a_trained_model_ranks_as_its_call_scores(trained):
    tables, _, transform, model, _ = trained
    recommender = ModelRecommender(model, transform, tables.candidates, batch_size=64)
    scores, positions = recommender.recommend(tables.queries, 20)
    batch = transform.encode(tables.queries, ["user_id"])
    candidates = transform.encode(tables.candidates, ["item_id"])["item_id"]
    batch["item_id"] = np.tile(candidates, (tables.queries.num_rows, 1))
    every = np.asarray(model(batch))  # (B, C)
    np.testing.assert_allclose(
        scores, np.take_along_axis(every, positions, axis=1), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(scores[:, 0], every.max(axis=1), rtol=1e-5, atol=1e-5)


def test_an_approximate_index_ranks_nearly_the_same(trained):
    tables, _, transform, model, _ = trained
    exact = ModelRecommender(model, transform, tables.candidates)
    batch = transform.encode(tables.candidates, ["item_id"])
    vectors = np.asarray(model.candidate(batch))
    ids = tables.candidates["item_id"].to_numpy()
    index = retrieval.build(vectors, ids, k=10)
    through = ModelRecommender(model, transform, tables.candidates, index=index)
    one, two = (r.recommend(tables.queries, 10)[1] for r in (exact, through))
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(one, two, strict=True)])
    assert shared > 0.95


SCRIPT = """
    import resource, numpy as np, pyarrow as pa, scipy.sparse as sp
    from tfrecs.evaluation import ModelRecommender
    from tfrecs.metrics.ranking import find_hits
    from tfrecs.models import TwoTower
    from tfrecs.spec import Categorical, FeatureSpec
    users, items = 10_000, 1_000_000
    spec = FeatureSpec((
        Categorical("user", "query", dtype="int64", is_id=True, size=users),
        Categorical("item", "candidate", dtype="int64", is_id=True, size=items),
    ))
    class RawIds:
        def __init__(self): self.spec = spec
        def encode(self, table, names):
            return {name: table[name].to_numpy().astype("int32") for name in names}
    model = TwoTower(spec, 64)
    model({"user": np.zeros(2, "int32"), "item": np.zeros(2, "int32")})
    candidates, queries = pa.table({"item": np.arange(items)}), pa.table({"user": np.arange(users)})
    recommender = ModelRecommender(model, RawIds(), candidates)
    rng = np.random.default_rng(0)
    met = (rng.integers(0, users, 100_000), rng.integers(0, items, 100_000))
    seen = sp.csr_matrix((np.ones(100_000, "float32"), met), shape=(users, items))
    _, positions = recommender.recommend(queries, 100, seen)
    assert positions.min() >= 0
    assert not find_hits(positions, seen)[0].any()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_ten_thousand_users_and_a_million_items_fit_in_three_gigabytes():
    # all scores at once would be 40 GB; TensorFlow and the model are in the three
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 3 * 1024, f"{done.stdout} MiB"
