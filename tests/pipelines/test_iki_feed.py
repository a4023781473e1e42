import json
from pathlib import Path

import pytest

from tfrecs import cli
from tfrecs.components import local
from tfrecs.components.pipeline import load
from tfrecs.quickstart import ask

FILE = Path(__file__).parents[2] / "pipelines" / "iki_feed.py"


def test_it_is_listed_with_what_it_does(capsys):
    cli.console.width = 200
    with pytest.raises(SystemExit) as stop:
        cli.main(["pipeline", "list", str(FILE.parent)])
    assert stop.value.code == 0
    assert "The iki feed, from tables to a pushed SavedModel" in capsys.readouterr().out


def test_its_steps_follow_on_each_other():
    nodes = {node.id: node for node in load(FILE).nodes}
    assert nodes["TrainTags"].parents == ["ExtractSkills", "Trainer"]
    assert "ExtractSkills" in nodes["Transform"].parents
    assert nodes["Pusher"].parents == ["Evaluator", "IndexBuilder", "InfraValidator"]


@pytest.mark.slow
def test_the_demo_world_comes_to_a_feed_that_answers(tmp_path):
    given = {"saved_models": str(tmp_path / "served"), "num_events": 20_000}
    done = local.run(load(FILE, **given), tmp_path / "root", processes=0)
    metrics = done.outputs["Evaluator"]["evaluation"].path / "metrics.json"
    assert json.loads(metrics.read_text())["overall"]["iki"]["rmse"] < 1
    assert done.outputs["TrainTags"]["trained"].properties["tags"] > 5
    pushed = done.outputs["Pusher"]["pushed"].properties
    assert pushed["pushed"] == 1, pushed
    assert set(pushed["paths"]) == {"stock", "skills"}
    body = {"liked": [["i_000001"]], "disliked": [[""]], "viewed": [[""]], "user_tags": [[""]]}
    body |= {"skills": [[""]], "cv": ["Trained in latte art."], "tag": ["baking"]}
    answer = ask(pushed["paths"]["stock"], body)
    assert sum(item != "" for item in answer["item_id"][0]) == 10
    assert "phrase" in ask(pushed["paths"]["skills"], {"text": ["Trained in latte art."]})
