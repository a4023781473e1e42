import json
import re
import runpy
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tests.command_line import run
from tfrecs import cli


@pytest.fixture(scope="module")
def own_tables(tmp_path_factory):
    """Events and items as a user would bring them: 60 users in two camps, 24 items."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(60), 8)
    items = np.concatenate([rng.choice(12, 8, replace=False) * 2 + u % 2 for u in range(60)])
    events = {
        "userId": [f"u{u}" for u in users],
        "sku": [f"s{i}" for i in items],
        "ts": np.arange(len(users)) + 1_700_000_000,
    }
    pq.write_table(pa.table(events), folder / "events.parquet")
    catalogue = {"sku": [f"s{i}" for i in range(24)], "title": [f"Thing {i}" for i in range(24)]}
    pacsv.write_csv(pa.table(catalogue), folder / "items.csv")
    return folder


@pytest.fixture(scope="module")
def trained(own_tables):
    """A run trained on the own tables."""
    folder = own_tables / "run"
    events, items = own_tables / "events.parquet", own_tables / "items.csv"
    arguments = ["train", "--events", events, "--items", items, "--output", folder]
    arguments += ["--epochs", 30, "--batch-size", 60, "--embedding-dim", 16]
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    assert stop.value.code == 0
    return folder


def test_help_lists_every_command(capsys):
    code, out, _ = run(["--help"], capsys)
    assert code == 0
    for command in (
        *("quickstart", "train", "tune", "evaluate", "report", "recommend", "export", "serve"),
        "compare",
        *("datasets", "models", "pipeline", "component"),
    ):
        assert command in out


@pytest.mark.parametrize("command", ["quickstart", "train", "evaluate", "recommend", "export"])
def test_every_command_explains_itself(command, capsys):
    code, out, _ = run([command, "--help"], capsys)
    assert code == 0
    assert "Usage:" in out


def test_datasets_and_models_are_listed(capsys):
    assert "movielens-1m" in run(["datasets"], capsys)[1]
    code, out, _ = run(["models"], capsys)
    assert code == 0
    assert "two_tower" in out
    assert "matrix_factorization" in out


def test_train_shows_the_columns_it_guessed_and_keeps_a_whole_run(own_tables, capsys):
    arguments = ["train", "--events", own_tables / "events.parquet", "--epochs", 1]
    code, out, _ = run([*arguments, "--output", own_tables / "r1"], capsys)
    assert code == 0
    assert re.search(r"user = userId", out)
    assert re.search(r"item = sku", out)
    assert re.search(r"time = ts", out)
    said = json.loads((own_tables / "r1" / "run.json").read_text())
    assert said["options"]["epochs"] == 1
    assert len(said["history"]["loss"]) == 1


def test_evaluate_ranks_the_model_with_the_baselines_and_writes_a_report(trained, capsys):
    code, out, _ = run(["evaluate", trained], capsys)
    assert code == 0
    for name in ("random", "popularity", "item-kNN", "two_tower", "ndcg@10"):
        assert name in out
    assert (trained / "report.html").stat().st_size > 10_000


def test_the_report_shows_the_items_and_tensorboard_gets_curves_and_vectors(trained, capsys):
    code, out, _ = run(["report", trained], capsys)
    assert code == 0
    assert "Report:" in out
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert "What was learned of items" in page
    assert "recall@24 of the index" in page
    logs = trained / "tensorboard"
    assert len(list((logs / "1").glob("events.out.tfevents.*"))) == 1
    assert (logs / "items.tsv").read_text().splitlines()[:2] == ["sku\ttitle", "s0\tThing 0"]
    assert np.loadtxt(logs / "vectors.tsv").shape == (24, 16)
    assert [path.name for path in trained.parent.iterdir() if path.name.startswith(".")] == []


def test_tensorboard_can_be_left_out(own_tables, capsys):
    arguments = ["train", "--events", own_tables / "events.parquet", "--epochs", 1]
    arguments += ["--no-tensorboard", "--output", own_tables / "r3"]
    assert run(arguments, capsys)[0] == 0
    assert not (own_tables / "r3" / "tensorboard").exists()


def test_a_savedmodel_of_any_origin_is_proved(tmp_path, capsys):
    module = tf.Module()
    doubled = tf.function(lambda x: {"y": 2 * x})
    one = doubled.get_concrete_function(tf.TensorSpec([None], tf.float32, name="x"))
    broken = tf.function(lambda x: {"y": tf.reshape(x, [7])})
    two = broken.get_concrete_function(tf.TensorSpec([None], tf.float32, name="x"))
    tf.saved_model.save(module, str(tmp_path / "1"), {"double": one})
    code, out, err = run(["export", "--check", tmp_path], capsys)
    assert code == 0, err
    assert "double: answers" in out
    assert "stock alone" in out
    tf.saved_model.save(module, str(tmp_path / "2"), {"double": one, "seven": two})
    code, out, err = run(["export", "--check", tmp_path], capsys)
    assert code == 1
    assert "seven: FAILED" in out
    assert "failed: seven" in err


def test_tune_keeps_the_run_of_the_best_arguments(own_tables, capsys):
    arguments = ["tune", "--events", own_tables / "events.parquet", "--model", "ials"]
    arguments += ["--trials", 2, "--epochs", 2, "--output", own_tables / "tuned"]
    code, out, err = run(arguments, capsys)
    assert code == 0, err
    assert "unobserved_weight" in out
    said = json.loads((own_tables / "tuned" / "run.json").read_text())
    assert set(said["options"]["arguments"]) == {"unobserved_weight", "l2"}
    assert (own_tables / "tuned" / "tuning.svg").read_text().lstrip().startswith("<")


def test_own_events_become_a_savedmodel_in_one_command(own_tables, capsys):
    from tfrecs.quickstart import ask

    arguments = ["train", "--events", own_tables / "events.parquet", "--model", "ials"]
    arguments += ["--epochs", 3, "--output", own_tables / "r3"]
    code, _, err = run([*arguments, "--saved-models", own_tables / "one"], capsys)
    assert code == 0, err
    (path,) = (own_tables / "one").glob("ials*/1")
    said = ask(path, {"userId": ["u0"], "k": 3, "exclude": [[]]}, "recommend")
    assert all(int(item.removeprefix("s")) % 2 == 0 for item in said["sku"][0])  # its own camp


@pytest.mark.parametrize("command", ["pipeline", "component"])
def test_commands_of_pipelines_explain_themselves(command, capsys):
    code, out, _ = run([command, "--help"], capsys)
    assert code == 0
    assert "run" in out


def test_recommend_prints_items_the_user_does_not_know(trained, capsys):
    code, out, _ = run(["recommend", trained, "--user", "u0", "-k", 3], capsys)
    assert code == 0
    found = re.findall(r"\bs(\d+)\b", out)
    assert len(found) == 3
    known = pq.read_table(trained / "tables" / "train.parquet").to_pylist()
    assert not {f"s{i}" for i in found} & {e["sku"] for e in known if e["userId"] == "u0"}
    assert all(int(i) % 2 == 0 for i in found)  # the user's own camp


def test_recommend_says_when_a_user_is_unknown(trained, capsys):
    code, out, _ = run(["recommend", trained, "--user", "nobody"], capsys)
    assert code == 0
    assert "unknown user" in out


def test_export_answers_from_another_process(trained, capsys):
    from tfrecs.quickstart import ask

    code, out, err = run(["export", trained, "--saved-models", trained.parent / "served"], capsys)
    assert code == 0, err
    version = trained.parent / "served" / "two_tower" / "1"
    stock = version if version.exists() else trained.parent / "served" / "two_tower_stock" / "1"
    assert str(stock.name) in out
    answer = ask(stock, {"userId": ["u1"]})
    assert all(int(item[1:]) % 2 == 1 for item in answer["sku"][0][:4])


def test_export_says_where_an_index_has_no_page(trained, capsys):
    served, page = trained.parent / "paged", trained.parent / "index.html"
    code, out, err = run(
        ["export", trained, "--saved-models", served, "--index-page", page], capsys
    )
    assert code == 0, err
    assert "there is no ScaNN to choose for" in " ".join(out.split())  # 24 items are few
    assert not page.exists()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["train", "--dataset", "movielens-2m"], "Did you mean 'movielens-1m'"),
        (["train", "--model", "two_towers"], "Did you mean 'two_tower'"),
        (["train", "--epochs", "0"], "`epochs` must be greater than 0"),
        (["train", "--items", "items.csv"], "--items need --events FILE"),
        (["train", "--events", "missing.csv"], "missing.csv"),
        (["train", "--protocol", "tomorrow"], "`protocol` must be one of"),
        (["evaluate", "no-such-run"], "Train one: tfrecs train"),
    ],
)
def test_bad_input_ends_with_a_message_and_no_traceback(arguments, said, capsys, tmp_path):
    if arguments[0] == "train":
        arguments = [*arguments, "--output", tmp_path / "run"]
    code, out, err = run(arguments, capsys)
    assert code == 1
    assert said in " ".join(err.split())  # lines are wrapped
    assert "Traceback" not in out + err
    assert not (tmp_path / "run").exists()


def test_a_wrong_column_name_lists_the_columns(own_tables, capsys):
    arguments = ["train", "--events", own_tables / "events.parquet", "--user-column", "userid"]
    code, _, err = run(arguments, capsys)
    assert code == 1
    assert "userId" in err


def test_a_model_of_ratings_needs_their_column(own_tables, capsys, tmp_path):
    arguments = ["train", "--events", own_tables / "events.parquet", "--output", tmp_path / "run"]
    code, _, err = run([*arguments, "--model", "matrix_factorization"], capsys)
    assert code == 1
    assert "--label-column" in err


def test_a_process_of_the_command_does_not_run_the_command_again():
    script = Path(__file__).parent.parent / "bin" / "tfrecs"
    assert "main" in runpy.run_path(str(script), run_name="__mp_main__")


def test_a_usage_error_exits_with_2(capsys):
    assert run(["train", "--epochs", "many"], capsys)[0] == 2


def test_debug_shows_the_traceback(capsys):
    code, out, err = run(["--debug", "evaluate", "no-such-run"], capsys)
    assert code == 1
    assert "Traceback" in out + err


def test_an_unwritable_output_is_an_error_and_leaves_nothing(own_tables, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    arguments = ["train", "--events", own_tables / "events.parquet", "--epochs", 1]
    code, _, err = run([*arguments, "--output", tmp_path / "file" / "run"], capsys)
    assert code == 1
    assert "file" in err
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_ctrl_c_while_training_leaves_the_old_run_whole(own_tables, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "tfrecs.cli", "train", "--epochs", "1000000"]
    command += ["--events", str(own_tables / "events.parquet"), "--output", str(folder)]
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a process started in the background ignores Ctrl-C; this one is to heed it
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            printed = ""
            while "test events" not in printed:
                line = process.stdout.readline()
                assert line, printed
                printed += line
            time.sleep(4)
            for _ in range(3):  # one that comes inside a library's clean-up is lost; press again
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    printed += process.communicate(timeout=30)[0]
                    break
        finally:
            process.kill()
    assert process.returncode == 130, printed
    assert "Stopped" in printed
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert [p.name for p in folder.iterdir()] == ["run.json"]


@pytest.mark.parametrize("argument", ["temperature", "=1"])
def test_an_argument_without_name_or_value_is_an_error(argument, own_tables, capsys):
    arguments = ["train", "--events", own_tables / "events.parquet", "--argument", argument]
    code, _, err = run(arguments, capsys)
    assert code == 1
    assert "must be NAME=VALUE" in err
    assert "--argument temperature=0.1" in err


def test_an_argument_reaches_the_model(own_tables, capsys):
    arguments = ["train", "--events", own_tables / "events.parquet", "--epochs", 1]
    arguments += ["--argument", "temperature=0.5", "--output", own_tables / "r2"]
    assert run(arguments, capsys)[0] == 0
    said = json.loads((own_tables / "r2" / "run.json").read_text())
    assert said["options"]["arguments"] == {"temperature": 0.5}


def test_compare_tells_which_run_is_better_on_the_same_users(trained, own_tables, capsys):
    files = ["--events", own_tables / "events.parquet", "--items", own_tables / "items.csv"]
    other = own_tables / "short"
    given = ["--epochs", 1, "--batch-size", 60, "--embedding-dim", 2, "--output", other]
    assert run(["train", *files, *given], capsys)[0] == 0
    code, out, _ = run(["compare", trained, other], capsys)
    assert code == 0
    assert re.search(r"ndcg@10 +0\.\d{4} +0\.\d{4} +[-+]0\.\d{4}", out)
    assert "difference: short minus run; 200 resamples of the same users" in " ".join(out.split())
    assert "60 users" in out


def test_runs_of_other_events_are_not_compared(trained, own_tables, capsys):
    files = ["--events", own_tables / "events.parquet", "--items", own_tables / "items.csv"]
    other = own_tables / "random"
    given = ["--epochs", 1, "--protocol", "random", "--output", other]
    assert run(["train", *files, *given], capsys)[0] == 0
    code, _, err = run(["compare", trained, other], capsys)
    assert code == 1
    assert "`second` must be a run of the same protocol" in " ".join(err.split())
