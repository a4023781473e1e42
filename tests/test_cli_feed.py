import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.command_line import run
from tfrecs import cli
from tfrecs.datasets import demo
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.export.check import ask
from tfrecs.recipes.feed import feedback
from tfrecs.run import Run

SMALL = ["--epochs", 1, "--min-interactions", 60, "--argument", "hidden=[16]"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The demo world as files of a user's own, and a list of skills."""
    folder = tmp_path_factory.mktemp("site")
    tables = demo(num_users=150, num_items=240, num_events=6_000)
    items = tables.candidates.select(["item_id", "title", "tags"])
    # a tag whose item nobody met
    new = pa.table({"item_id": ["i_new"], "title": ["New"], "tags": [["unmet"]]})
    events = feedback(tables).select(["user_id", "item_id", "timestamp", "feedback"])
    pq.write_table(events, folder / "events.parquet")
    pq.write_table(pa.concat_tables([items, new.cast(items.schema)]), folder / "items.parquet")
    users = tables.queries.select(["user_id", "cv"])
    pq.write_table(users, folder / "users.parquet")
    listed = sorted({skill for topic in TOPICS for skill in topic.skills})
    (folder / "skills.txt").write_text("\n".join(listed) + "\n\n")
    return folder


@pytest.fixture(scope="module")
def trained(files):
    """A run of the ranker with rankers of tags, and skills out of CVs."""
    given = [a for n in ("events", "items", "users") for a in (f"--{n}", files / f"{n}.parquet")]
    arguments = ["train", "--model", "iki", "--per-tag", *given, "--output", files / "run", *SMALL]
    arguments += ["--label-column", "feedback", "--skills", files / "skills.txt"]
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    assert stop.value.code == 0
    return files / "run"


def test_per_tag_trains_rankers_of_tags_in_the_same_run(trained):
    kept = Run.load(trained)
    assert kept.model.instances[0].shape[0] > 5  # the global weights, and those of tags
    assert kept.options.model == "iki"
    assert list((trained / "tensorboard").rglob("events.out.*"))


@pytest.mark.parametrize("users", [["u_000001"], ["u_000001", "u_000002"]])
def test_recommend_prints_the_feed_of_users_on_a_tag_with_reasons(trained, capsys, users):
    given = [argument for user in users for argument in ("--user", user)]
    code, out, err = run(["recommend", trained, *given, "--tag", "baking", "-k", 3], capsys)
    assert code == 0, err
    assert out.count("on baking") == len(users)
    assert out.count("i_") >= 3
    assert any(source in out for source in ("popular", "users", "neighbours"))


def test_a_user_without_any_history_gets_a_feed_and_it_is_said(trained, capsys):
    code, out, _ = run(["recommend", trained, "--user", "nobody", "--tag", "baking"], capsys)
    assert code == 0
    assert "unknown user: no history" in out
    assert "popular" in out


def test_a_tag_whose_items_nobody_met_shows_them(trained, capsys):
    code, out, _ = run(["recommend", trained, "--user", "nobody", "--tag", "unmet"], capsys)
    assert code == 0
    assert "i_new" in out


def test_an_unknown_tag_is_an_error_that_names_near_ones(trained, capsys):
    code, _, err = run(["recommend", trained, "--user", "u_000001", "--tag", "bakin"], capsys)
    assert code == 1
    assert "tag" in err
    assert "baking" in err


def test_a_tag_of_another_model_and_options_of_another_model_are_refused(files, capsys):
    options = (["--per-tag"], ["--skills", files / "skills.txt"])
    for option in options:
        code, _, err = run(["train", "--model", "two_tower", *option], capsys)
        assert code == 1
        assert f"{option[0]} is for --model iki" in err


def test_an_empty_list_of_skills_is_refused(files, tmp_path, capsys):
    empty = tmp_path / "none.txt"
    empty.write_text("\n \n")
    given = [a for n in ("events", "items") for a in (f"--{n}", files / f"{n}.parquet")]
    arguments = ["train", "--model", "iki", *given, "--output", tmp_path / "run"]
    code, _, err = run([*arguments, "--skills", empty], capsys)
    assert code == 1
    assert "`--skills` must be a file of one skill a line" in err
    code, _, err = run([*arguments, "--skills", files / "skills.txt"], capsys)
    assert code == 1
    assert "`users` must be with 'cv'" in err


@pytest.mark.slow
def test_export_writes_the_feed_and_the_skills_extractor(trained, tmp_path, capsys):
    code, out, err = run(["export", trained, "--saved-models", tmp_path, "--name", "feed"], capsys)
    assert code == 0, err
    body = {"liked": [["i_000001"]], "disliked": [[""]], "viewed": [[""]], "user_tags": [[""]]}
    body |= {"skills": [[""]], "cv": ["Trained in latte art."], "tag": ["baking"]}
    request = {"signature_name": "serving_default", "inputs": body}
    answer = ask(tmp_path / "feed" / "1", [request])[0]
    assert len(answer["item_id"][0]) == 10
    skills = tmp_path / "feed_skills" / "1"
    found = ask(skills, [{"signature_name": "serving_default", "inputs": {"text": ["", "a b"]}}])
    assert len(found[0]["phrase"]) == 2
    card = json.loads((skills / "card.json").read_text())
    assert card["data"]
    assert "skills" in out
