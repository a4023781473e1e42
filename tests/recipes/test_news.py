import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from tfrecs import datasets, recipes, run
from tfrecs.spec import Categorical, FeatureSpec, Text, Timestamp

CLASSES = ("sport", "music", "food")


@pytest.fixture(scope="module")
def tables():
    """60 users who each read 6 of 18 articles, all of one class; a title names the class."""
    rng = np.random.default_rng(0)
    articles = [f"a{n}" for n in range(18)]
    titles = [f"{CLASSES[n % 3]} story {n}" for n in range(18)]
    read = [3 * rng.permutation(6) + user % 3 for user in range(60)]
    events = pa.table(
        {
            "user": np.repeat([f"u{n}" for n in range(60)], 6),
            "article": np.array(articles)[np.concatenate(read)],
            "time": np.arange(360),
        }
    )
    spec = FeatureSpec(
        (
            Categorical("user", "query", is_id=True),
            Categorical("article", "candidate", is_id=True),
            Text("title", max_length=4),
            Timestamp("time"),
        )
    )
    queries = pa.table({"user": events["user"].unique()})
    candidates = pa.table({"article": articles, "title": titles})
    return datasets.Tables("articles", events, queries, candidates, spec)


@pytest.mark.parametrize("model", ["nrms", "perceiver_two_tower"])
def test_a_model_is_trained_judged_and_kept(tables, tmp_path, model):
    chosen = recipes.recipe(model)
    split = chosen.task.split(tables)
    options = chosen.options(epochs=6, embedding_dim=16, batch_size=16, learning_rate=0.01)
    trained = run.train(tables, split, tmp_path / "run", options)
    results = run.Run.load(trained.folder).judge(ks=(6,))
    # six of 18 articles are of the class: a third by chance, all for who knows each user's class
    assert results[model, "recall@6"] > 0.6


def test_texts_and_categories_are_read_and_ids_where_there_are_none(tables):
    chosen, split = recipes.recipe("nrms"), recipes.recipe("nrms").task.split(tables)
    prepared = chosen.prepare(tables, split)
    assert chosen.features(prepared.spec).names == ("article", "title", "history")
    bare = dataclasses.replace(tables, spec=tables.spec.select("user", "article", "time"))
    prepared = chosen.prepare(bare, split)
    assert chosen.features(prepared.spec).names == ("article", "history")
