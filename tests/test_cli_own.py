"""Own tables at the command line: what is asked, what is answered, what is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.command_line import run
from tfrecs import cli
from tfrecs.run import Run
from tfrecs.spec import Categorical, FeatureSpec

SMALL = ["--epochs", 1, "--embedding-dim", 8, "--batch-size", 64, "--no-tensorboard"]


def write(path, text):
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """40 users in four camps of 10 items, ids with zeros in front, and a device of each event."""
    folder = tmp_path_factory.mktemp("own")
    lines = ["userId,movieId,rating,timestamp,device"]
    for user in range(40):
        for step in range(10):
            item = (user % 4) * 10 + (user * 3 + step * 7) % 10
            told = [f"{user:03d}", f"0{item}", 1 + (user + step) % 5, 1_700_000_000 + 60 * step]
            lines.append(",".join(map(str, [*told, ["phone", "tv"][step % 2]])))
    write(folder / "events.csv", "\n".join(lines))
    rows = [{"sku": f"0{item}", "title": f"Film {item}"} for item in range(40)]
    write(folder / "items.jsonl", "\n".join(map(json.dumps, rows)))
    rng = np.random.default_rng(0)
    rows = [f"{int(rng.random() < 0.3)},{n},{'abcde'[n % 5]},{n:08x}" for n in range(300)]
    write(folder / "clicks.csv", "\n".join(["label,I1,C1,C2", *rows]))
    rows = [{"history": [f"0{b}1", f"0{b}2"], "target": f"0{b}3"} for b in (1, 2, 3)]
    write(folder / "trials.jsonl", "\n".join(map(json.dumps, rows)))
    return folder


def train(folder, model, *more):
    arguments = ["train", "--model", model, "--output", folder / model, *SMALL, *more]
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    assert stop.value.code == 0
    return folder / model


def tables(own):
    return ["--events", own / "events.csv", "--items", own / "items.jsonl"]


@pytest.fixture(scope="module")
def sasrec(own):
    return train(own, "sasrec", *tables(own))


@pytest.fixture(scope="module")
def deepfm(own):
    return train(own, "deepfm", *tables(own), "--positive", "rating >= 3")


@pytest.fixture(scope="module")
def clicks(own):
    return train(own / "c", "deepfm", "--events", own / "clicks.csv")


def answered(path):
    table = pq.read_table(path)
    return {user: table.filter(pa.compute.equal(table[0], user)) for user in table[0].to_pylist()}


def test_a_visitor_is_answered_by_history_without_it(sasrec, capsys, tmp_path):
    asked = ["--history", "010,017", "--history", "020", "-k", 40]
    code, out, err = run(["recommend", sasrec, *asked], capsys)
    assert code == 0, err
    first, second = out.split("visitor 2")
    assert "Film 12" in first
    assert "Film 10 " not in first
    assert "Film 17 " not in first
    assert "Film 20 " not in second
    assert "Film 10 " in second


def test_many_users_are_answered_in_a_file(sasrec, capsys, tmp_path):
    users = write(tmp_path / "u.csv", "userId\n003\n007\nnew\n")
    told = tmp_path / "a.parquet"
    code, out, err = run(["recommend", sasrec, "--users", users, "-k", 3, "--output", told], capsys)
    assert code == 0, err
    assert "3 answered in" in out
    rows = pq.read_table(told)
    assert rows.schema.remove_metadata() == pa.schema(
        [("userId", "string"), ("rank", "int32"), ("movieId", "string"), ("score", "float")]
    )
    assert rows["userId"].to_pylist() == ["003"] * 3 + ["007"] * 3 + ["new"] * 3
    assert rows["rank"].to_pylist() == [1, 2, 3] * 3
    assert set(rows["movieId"].to_pylist()) <= {f"0{item}" for item in range(40)}
    loaded = Run.load(sasrec)
    events = pa.concat_tables([loaded.split.train, loaded.split.test])
    known = set(zip(events["userId"].to_pylist(), events["movieId"].to_pylist(), strict=True))
    assert not known & set(zip(rows[0].to_pylist(), rows[2].to_pylist(), strict=True))
    scores = np.asarray(rows["score"]).reshape(3, 3)
    assert (np.diff(scores) <= 0).all()


def test_many_visitors_are_answered_as_one_by_one(sasrec, capsys, tmp_path):
    histories = write(tmp_path / "h.csv", 'history\n"010,017"\n020\n')
    asked = ["--history", "010,017", "--history", "020", "-k", 2]
    one = run(["recommend", sasrec, *asked], capsys)[1]
    assert one == run(["recommend", sasrec, "--users", histories, "-k", 2], capsys)[1]


@pytest.mark.parametrize(
    "asked, said",
    [
        (["--history", "010,zz"], "`history` must be of items of the run, by 'movieId'"),
        (["--user", "003", "--context", "device=tv"], "`context` must be left out: sasrec reads"),
        (["--user", "003", "--output", "a.csv"], "`output` must be a file that ends with .parquet"),
        (["--user", "003", "--history", "010"], "Received: --user, --history"),
        ([], "must be given one of --user ID, --history ID,ID and --users FILE"),
    ],
)
def test_what_cannot_be_answered_is_refused(asked, said, sasrec, capsys):
    code, _, err = run(["recommend", sasrec, *asked], capsys)
    assert code == 1
    assert said in " ".join(err.split())


def test_a_file_of_neither_users_nor_histories_is_refused(sasrec, capsys, tmp_path):
    path = write(tmp_path / "x.csv", "x\n1\n")
    code, _, err = run(["recommend", sasrec, "--users", path], capsys)
    assert code == 1
    assert "`users` must be a file with a column 'userId' or 'history'" in " ".join(err.split())


def test_a_catalogue_is_ranked_with_contexts_given(deepfm, capsys, tmp_path):
    asked = ["recommend", deepfm, "-k", 3]
    code, _, err = run([*asked, "--user", "003"], capsys)
    assert code == 1
    assert "reads device of an event: a catalogue can be ranked only" in " ".join(err.split())
    tv = run([*asked, "--user", "003", "--context", "device=tv"], capsys)
    assert tv[0] == 0, tv[2]
    users = write(tmp_path / "u.csv", "userId,device\n003,tv\n007,phone\n")
    both = run([*asked, "--users", users], capsys)[1]
    assert both.startswith(tv[1])
    phone = run([*asked, "--user", "003", "--context", "device=phone"], capsys)[1]
    assert phone != tv[1]
    for context, said in {
        "device": "`context` must be NAME=VALUE",
        "devise=tv": "Did you mean 'device'?",
    }.items():
        code, _, err = run([*asked, "--user", "003", "--context", context], capsys)
        assert code == 1
        assert said in " ".join(err.split())
    code, _, err = run([*asked, "--history", "010"], capsys)
    assert code == 1
    assert "deepfm knows users by their ids, not by a history" in " ".join(err.split())


def test_a_model_that_reads_contexts_is_judged_on_the_impressions(deepfm, capsys):
    code, out, err = run(["evaluate", deepfm], capsys)
    assert code == 0, err
    assert "log_loss" in out
    assert "device: " in (deepfm / "report.html").read_text()


def test_the_columns_are_shown_before_the_training(own, capsys, tmp_path):
    arguments = ["train", "--model", "two_tower", *tables(own), *SMALL, "--output", tmp_path / "r"]
    code, out, err = run(arguments, capsys)
    assert code == 0, err
    rows = [line.split(maxsplit=2) for line in out.splitlines()]
    told = {row[1]: row[2].strip() for row in rows if len(row) == 3}
    assert told["userId"].startswith("user id")
    assert told["userId"].endswith("yes")
    assert told["rating"].startswith("label")
    assert "which events are positive" in told["rating"]
    assert "for the split and the order" in told["timestamp"]
    assert "no, two_tower reads nothing of the event alone" in told["device"]
    assert "no, two_tower reads no Text" in told["title"]
    assert "'sku' of" in out
    assert "100 % of their items" in out
    assert "All 400 events are positive: (rating > 0)" in out
    assert "--positive 'rating >= 4'" in out


def test_a_spec_is_written_edited_and_read_back(own, capsys, tmp_path):
    code, out, err = run(["spec", own / "events.csv", "--items", own / "items.jsonl"], capsys)
    assert code == 0
    assert "user id" in err  # the columns, beside what goes to the file
    spec = FeatureSpec.from_json(out)
    assert spec["device"] == Categorical("device", "context")
    kept = write(tmp_path / "spec.json", spec.select("userId", "movieId", "title").to_json())
    code, out, err = run(["spec", own / "events.csv", *tables(own)[2:], "--spec", kept], capsys)
    assert code == 0, err
    read = FeatureSpec.from_json(out).names  # with the label and the time of the events
    assert set(read) == {"userId", "movieId", "title", "rating", "timestamp"}
    assert "not in --spec" in err


def test_clicks_without_ids_train_evaluate_and_export(clicks, own, capsys, tmp_path):
    code, out, err = run(["evaluate", clicks], capsys)
    assert code == 0, err
    assert "log_loss" in out
    assert (clicks / "report.html").is_file()
    code, _, err = run(["export", clicks, "--saved-models", tmp_path / "saved"], capsys)
    assert code == 0, err
    assert list((tmp_path / "saved").glob("*/1/saved_model.pb"))
    code, _, err = run(["recommend", clicks, "--user", "1"], capsys)
    assert code == 1
    assert "impressions without a user and an item id: there are no" in " ".join(err.split())
    code, _, err = run(["train", "--model", "two_tower", "--events", own / "clicks.csv"], capsys)
    assert code == 1
    assert "`tables` must be events with a user id and an item id" in " ".join(err.split())
    assert "--user-column, --item-column" in " ".join(err.split())


@pytest.mark.slow  # over 5 seconds: train, evaluate, export
def test_histories_and_targets_of_their_own_file_are_judged(own, capsys, tmp_path):
    trial = ["--test-events", own / "trials.jsonl", "--positive", "rating >= 3"]
    path = train(tmp_path, "sasrec", *tables(own), *trial)
    out = capsys.readouterr()[0]
    assert "6 events of 'history' are given, 3 of 'target' are to be found" in out
    assert "240 positive events are learned from" in " ".join(out.split())
    split = Run.load(path).split
    assert [t.num_rows for t in (split.train, split.given, split.test)] == [240, 6, 3]
    assert split.given["movieId"].to_pylist() == ["011", "012", "021", "022", "031", "032"]
    assert split.protocol == "test events of their own file"
    times = [np.asarray(t["timestamp"]) for t in (split.train, split.given, split.test)]
    assert times[1].tolist() == [times[0].max() + 1, times[0].max() + 2] * 3
    assert times[2].tolist() == [times[0].max() + 3] * 3
    code, out, err = run(["evaluate", path], capsys)
    assert code == 0, err
    assert "3 users, 40 candidates" in out
    code, _, err = run(["export", path, "--saved-models", tmp_path / "saved"], capsys)
    assert code == 0, err


@pytest.mark.slow
def test_tune_keeps_the_test_events_of_their_own_file(own, capsys, tmp_path):
    trial = ["--test-events", own / "trials.jsonl", "--positive", "rating >= 3"]
    more = ["--model", "sasrec", "--trials", 1, "--epochs", 1, "--output", tmp_path / "run"]
    code, out, err = run(["tune", *more, *tables(own), *trial], capsys)
    assert code == 0, err + out
    split = Run.load(tmp_path / "run").split
    assert [t.num_rows for t in (split.train, split.given, split.test)] == [240, 6, 3]


def test_users_with_two_histories_in_one_file_are_refused(own, capsys, tmp_path):
    rows = [{"userId": "a", "history": ["010"], "target": "011"}] * 2
    path = write(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows)))
    code, _, err = run(["spec", own / "events.csv", "--test-events", path], capsys)
    assert code == 1
    assert "`test_events` must be one row a user in 'userId'" in " ".join(err.split())
