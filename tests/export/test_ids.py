"""Ids are text exactly as written: in a file, in a table, in the answer of a SavedModel."""

import csv

import pytest

from tfrecs import datasets, quickstart, recipes, run

USERS = ["007", "7", "7.0", "1e3", "ä", "🎻", 'quo"te', "com,ma", "ta\tb", "-1", "0x1F", "a b"]
ITEMS = [
    "0012",
    "12",
    "12E4",
    "123.0",
    "9" * 30,
    "日本",
    "é",
    "e\u0301",
    "\u202e",
    "no",
    "NULL1",
    "x;y",
]


@pytest.mark.slow
def test_any_text_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "events.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        for step in range(6):
            for number, user in enumerate(USERS):
                writer.writerow([user, ITEMS[(number + step) % len(ITEMS)], 1_700_000_000 + step])
    tables = datasets.read_tables(path).tables
    assert set(tables.queries["user_id"].to_pylist()) == set(USERS)
    assert set(tables.candidates["item_id"].to_pylist()) == set(ITEMS)
    recipe = recipes.recipe("two_tower")
    options = recipe.options(epochs=1, embedding_dim=4, batch_size=16)
    made = run.train(tables, recipe.task.split(tables), tmp_path / "run", options)
    loaded = run.Run.load(tmp_path / "run")
    exported = quickstart.export_run(
        loaded, quickstart.build_index(made, small=True), tmp_path / "models", "ids"
    )
    answers = {}
    for user in USERS:
        inputs = {"user_id": [user], "k": 12, "exclude": [["no", "日本"]]}
        answer = quickstart.ask(exported.paths["stock"], inputs, "recommend")
        answers[user] = answer["score"][0]
        assert set(filter(None, answer["item_id"][0])) == set(ITEMS) - {"no", "日本"}
    assert len({tuple(scores) for scores in answers.values()}) == len(USERS)  # none are merged
