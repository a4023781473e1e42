"""Pipelines: MovieLens-1M end to end, kills, poisoned data, 10 M events, Kubeflow.

    TFRECS_DATA=DIR python benchmarks/pipelines.py [movielens kills poison scale kubeflow]

Parts not named keep the rows that they have. Every measured run is a process of its own.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import common
import pipelines_data as data_of
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
RUN = (
    "import sys, json\n"
    "from tfrecs.components import local, pipeline\n"
    "if __name__ == '__main__':\n"
    "    loaded = pipeline.load(sys.argv[1], **json.loads(sys.argv[3]))\n"
    "    done = local.run(loaded, sys.argv[2], processes=int(sys.argv[4]))\n"
    "    print(json.dumps(done.states))\n"
)
STAGE = (
    "import sys, json, time, resource\n"
    "from tfrecs.components.artifacts import Examples, ExampleStatistics\n"
    "from tfrecs.components.example_gen import example_gen\n"
    "from tfrecs.components.statistics_gen import statistics_gen\n"
    "if __name__ == '__main__':\n"
    "    stage, source, folder, runner = sys.argv[1:]\n"
    "    start = time.perf_counter()\n"
    "    examples = Examples(folder + '/examples')\n"
    "    if stage == 'examples':\n"
    "        example_gen(examples, source=source, runner=runner)\n"
    "    else:\n"
    "        statistics_gen(examples, ExampleStatistics(folder + '/statistics'), runner=runner)\n"
    "    seconds = time.perf_counter() - start\n"
    "    peak = [resource.getrusage(who).ru_maxrss for who in\n"
    "            (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
    "    print(json.dumps({'seconds': seconds, 'peak': max(peak) / 1e6}))\n"
)
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def last_line(text: str) -> Any:
    """Returns the last line of an output as JSON."""
    return json.loads(text.strip().splitlines()[-1])


def command(file: str, root: Path, parameters: dict[str, Any], processes: int) -> list[str]:
    """Returns the command of a run."""
    path = str(ROOT / "pipelines" / file)
    given = json.dumps(parameters)
    return [sys.executable, "-c", RUN, path, str(root), given, str(processes)]


def timed(arguments: list[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Runs a process and returns its seconds, its start included."""
    start = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    return time.perf_counter() - start, done


def movielens(folder: Path) -> list[dict[str, Any]]:
    """The MovieLens-1M pipeline: first, again, and with one parameter changed."""
    data, protocol = "movielens-1m", "12 components, 2 processes, start of Python included"
    parameters = {
        "data_dir": str(Path(os.environ["TFRECS_DATA"]) / "ml-1m"),
        "saved_models": str(folder / "saved_models"),
    }
    rows = []
    changed = {**parameters, "least_ndcg": 0.11}  # of the Evaluator: it and the Pusher
    for metric, given in (
        ("first run", parameters),
        ("second run", parameters),
        ("third", changed),
    ):
        seconds, done = timed(command("movielens_two_tower.py", folder / "root", given, 2))
        if done.returncode:
            sys.exit(done.stderr)
        states = last_line(done.stdout)
        again = [node for node, state in states.items() if state == "done"]
        if metric == "third":
            print("changed least_ndcg reruns", again)
            rows.append(
                common.row(data, protocol, "local", "nodes rerun by one parameter", len(again))
            )
            metric = "run with one parameter changed"
        else:
            rows.append(common.row(data, protocol, "local", f"nodes run, {metric}", len(again)))
        rows.append(common.row(data, protocol, "local", metric, seconds, unit="s"))
    versions = sorted(p.parent.name for p in (folder / "saved_models").glob("*/*/saved_model.pb"))
    print("pushed", versions)
    metrics = sorted((folder / "root/artifacts/Evaluator").glob("*/evaluation/metrics.json"))
    for model, found in json.loads(metrics[0].read_text())["overall"].items():
        row = common.row(data, "random tenth, full ranking", model, "ndcg@10", found["ndcg@10"])
        rows.append(row)
    return rows


def outcome(root: Path, served: Path) -> dict[str, str]:
    """Returns the digests of all artifacts by component, and the pushed versions."""
    from tfrecs.components.artifacts import digest

    found = {}
    for path in sorted((root / "artifacts").glob("*/*/*/artifact.json")):
        name = f"{path.parents[2].name}/{path.parents[1].name}/{path.parent.name}"
        if path.parents[2].name == "Pusher":
            continue  # its file names the folder
        digested = digest(path.parent)
        if digested != json.loads(path.read_text())["digest"]:
            sys.exit(f"{path} is not whole")
        found[name.split("/")[0] + "/" + name.split("/")[2]] = digested
    for path in sorted(served.glob("*/[!.]*")):
        found[f"served/{path.parent.name}/{path.name}"] = digest(path)
    return found


def kills(folder: Path, count: int = 10) -> list[dict[str, Any]]:
    """Kills a pipeline at random moments; each rerun must end as an undisturbed run does."""
    parameters = {"num_events": 3000, "epochs": 1, "above_baseline": -1.0}

    def arguments(name: str) -> list[str]:
        given = {**parameters, "saved_models": str(folder / name / "served")}
        return command("quickstart.py", folder / name / "root", given, 2)

    seconds, done = timed(arguments("undisturbed"))
    if done.returncode:
        sys.exit(done.stderr)
    expected = outcome(folder / "undisturbed/root", folder / "undisturbed/served")
    draw = random.Random(0)

    def killed(number: int, moment: float) -> tuple[bool, int]:
        name = f"kill-{number}"
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(arguments(name), **silent, env=ENVIRONMENT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)  # came to its end before it could be killed
            shutil.rmtree(folder / name)
            return killed(number, moment / 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        artifacts = folder / name / "root" / "artifacts"
        whole = list(artifacts.glob("*/[!.]*"))
        partial = sum(not (path / "execution.json").is_file() for path in whole)
        _, done = timed(arguments(name))
        if done.returncode:
            print(name, done.stderr[-2000:], flush=True)
            return False, partial
        found = outcome(folder / name / "root", folder / name / "served")
        differ = sorted(k for k in {**found, **expected} if found.get(k) != expected.get(k))
        again = [node for node, state in last_line(done.stdout).items() if state == "done"]
        print(f"{name} at {moment:.1f} s: {len(whole)} whole, again {again}, differ {differ}")
        return not differ, partial

    with ThreadPoolExecutor(2) as pool:  # two at a time, a core each
        moments = [draw.uniform(0.1, 0.95) * seconds for _ in range(count)]
        ends = list(pool.map(killed, range(count), moments))
    same, partial = (sum(side) for side in zip(*ends, strict=True))
    data, protocol = "demo, 3,000 events", f"kill -9 at {count} random moments, then run again"
    return [
        common.row(data, protocol, "local", "runs that end with identical outputs", same),
        common.row(data, protocol, "local", "partial artifacts", partial),
    ]


def poison(folder: Path) -> list[dict[str, Any]]:
    """Poisons a second day in four ways; each must be stopped before the Pusher."""
    data_of.write_days(folder / "data", 2)
    clean = pq.read_table(folder / "data/day-2/events.parquet")
    rows = []
    for kind in ("none", "shifted column", "nulls", "new categories", "swapped labels"):
        bad = clean if kind == "none" else data_of.poisoned(clean, kind)
        pq.write_table(bad, folder / "data/day-2/events.parquet")
        given = {
            "events": str(folder / "data/day-{SPAN}/events.parquet"),
            "users": str(folder / "data/users.parquet"),
            "items": str(folder / "data/items.parquet"),
            "saved_models": str(folder / "served"),
            "span": 2,
            "epochs": 1,
        }
        _, done = timed(command("daily_two_tower.py", folder / "root", given, 2))
        message = next(
            (line for line in done.stderr.splitlines() if "failed: The data" in line), ""
        )
        stopped = bool(done.returncode and message)
        print(kind, "|", message or done.stderr[-300:], flush=True)
        pushes = len(list((folder / "served").glob("*/*/saved_model.pb")))
        protocol = "day 2 of 20,000 events, stopped before the Pusher (1 is yes)"
        rows.append(common.row("demo", protocol, "local", f"poison: {kind}", stopped))
        print("pushed so far", pushes)
    return rows


def scale(folder: Path, num_events: int = 10_000_000) -> list[dict[str, Any]]:
    """10 M events through ExampleGen and StatisticsGen, by the local driver and by Beam."""
    data_of.write_events(folder / "source", num_events)
    data = f"{num_events:,} events of 4 columns"
    protocol = "2 processes, their start included; Parquet to TFRecord.gz"
    rows, seconds = [], {"local": 0.0, "beam": 0.0}
    for runner, place in ((name, folder / name) for name in seconds):
        place.mkdir()
        for stage, name in (("examples", "ExampleGen"), ("statistics", "StatisticsGen")):
            arguments = [sys.executable, "-c", STAGE, stage, str(folder / "source"), str(place)]
            _, done = timed([*arguments, runner])
            if done.returncode:
                print(runner, name, "failed:", done.stderr[-3000:])
                return rows
            said = last_line(done.stdout)
            print(runner, name, said, flush=True)
            seconds[runner] += said["seconds"]
            speed = num_events / said["seconds"]
            rows.append(common.row(data, protocol, runner, name, speed, unit="rows/s"))
            metric = f"{name}, peak memory of a process"
            rows.append(common.row(data, protocol, runner, metric, said["peak"], unit="GB"))
        both, speed = "both, one after another", num_events / seconds[runner]
        rows.append(common.row(data, protocol, runner, both, speed, unit="rows/s"))
        shutil.rmtree(place)
    ratio = seconds["beam"] / seconds["local"]
    rows.append(common.row(data, protocol, "beam", "time against local", ratio, unit="x"))
    return rows


def kubeflow(folder: Path) -> list[dict[str, Any]]:
    """Compiles a pipeline and runs what was compiled by `kfp.local`."""
    from tfrecs.components import kubeflow as kfp
    from tfrecs.components import pipeline

    given = {"num_events": 3000, "epochs": 1, "saved_models": str(folder / "served")}
    loaded = pipeline.load(ROOT / "pipelines/quickstart.py", **given)
    path = kfp.compile(loaded, folder / "quickstart.yaml")
    start = time.perf_counter()
    kfp.run_local(loaded, folder / "root")
    seconds = time.perf_counter() - start
    data, protocol = "demo, 3,000 events", "compiled to KFP IR, kfp.local, a process a node"
    return [
        common.row(data, protocol, "kfp", "IR YAML", path.stat().st_size / 1000, unit="KB"),
        common.row(data, protocol, "kfp", "run", seconds, unit="s"),
    ]


PARTS = {f.__name__: f for f in (movielens, kills, poison, scale, kubeflow)}


def main() -> None:
    """Measures the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], metavar="PART", help=", ".join(PARTS))
    chosen = parser.parse_args().parts or list(PARTS)
    for part in chosen:
        with tempfile.TemporaryDirectory(prefix="tfrecs-") as folder:
            rows = PARTS[part](Path(folder))
        packages = ("tensorflow", "keras", "pyarrow", "apache-beam", "kfp")
        common.write("pipelines", rows, seed=0, packages=packages, keep=True)


if __name__ == "__main__":
    main()
