"""What the command line prints: the steps of the main job with progress, tables and answers."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tfrecs import quickstart as job
from tfrecs.answers import known_items as known_items
from tfrecs.answers import titles as titles
from tfrecs.datasets import Tables
from tfrecs.evaluation import Results, Split
from tfrecs.evaluation.index_page import write_index_page
from tfrecs.files import check_replaceable, check_writable
from tfrecs.models import Retriever
from tfrecs.recipes import TrainingOptions, recipe
from tfrecs.report import Curves, tensorboard_logs, write_page
from tfrecs.run import Run
from tfrecs.run import train as train_run
from tfrecs.told import columns as columns
from tfrecs.told import reading as reading


class TrainingProgress(keras.callbacks.Callback):
    """A progress bar over epochs, with the loss of the last one."""

    def __init__(self, console: Console, steps: int):
        super().__init__()
        self.steps = steps
        self.bar = Progress(
            TextColumn("  training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs  loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=console,
        )

    def on_train_begin(self, logs: Any = None) -> None:
        self.bar.start()
        self.task = self.bar.add_task("", total=self.params["epochs"], loss="...")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.bar.update(self.task, advance=1, loss=f"{(logs or {}).get('loss', np.nan):.4f}")

    def on_train_end(self, logs: Any = None) -> None:
        self.bar.stop()


def step(console: Console, number: int, title: str) -> None:
    """Prints the heading of a step."""
    console.print(f"\n[bold]{number}. {title}[/]")


def summary(console: Console, tables: Tables) -> None:
    """Prints what a data set holds."""
    table = Table(box=None, show_header=False)
    for name, value in tables.describe().items():
        table.add_row(f"  {name}", f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)


def split(console: Console, tables: Tables, protocol: str, options: TrainingOptions) -> Split:
    """Splits the events that the model learns from, and prints how."""
    found = recipe(options.model).task.split(tables, protocol, options.seed)
    console.print(
        f"  {found.train.num_rows:,} training and {found.test.num_rows:,} test events "
        f"({found.protocol})"
    )
    return found


def train(
    console: Console,
    tables: Tables,
    protocol: str,
    options: TrainingOptions,
    folder: Path,
    logs: bool = True,
) -> Run:
    """Splits and trains with a progress bar."""
    check_replaceable("--output", folder, "run.json")
    events = split(console, tables, protocol, options)
    return train_on(console, tables, events, options, folder, logs)


def train_on(
    console: Console,
    tables: Tables,
    events: Split,
    options: TrainingOptions,
    folder: Path,
    logs: bool = True,
) -> Run:
    """Trains with a progress bar and, unless told otherwise, with TensorBoard's logs."""
    bars: list[TrainingProgress] = []
    with ExitStack() as stack:
        place = stack.enter_context(tensorboard_logs(folder)) if logs else None

        def callbacks(steps: int) -> list[keras.callbacks.Callback]:
            bars.append(TrainingProgress(console, steps))
            stack.callback(bars[-1].bar.stop)
            written = [] if place is None else [Curves(place / str(len(bars)))]
            return [bars[-1], *written]

        run = train_run(tables, events, folder, options, callbacks)
    count = events.train.num_rows * options.epochs
    console.print(f"  {options.model} trained in {run.seconds:.1f} s ({count:,} examples)")
    return run


def results_table(console: Console, results: Results) -> None:
    """Prints the leaderboard, one row a recommender; the main metric with its interval."""
    metrics = results.headline()[:6]  # what 80 characters hold; the report has the others
    main = results.table(metrics[:1]).rows
    table = Table(box=None, header_style="bold")
    for number, column in enumerate(["", *metrics]):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for (name, best), scores in zip(main, results.scores.values(), strict=True):
        others = (
            f"{scores[metric].value:.3f}" if metric in scores else "" for metric in metrics[1:]
        )
        style = "bold" if results.kinds[name] == "model" else ""
        table.add_row(name, best, *others, style=style)
    console.print(table)
    for line in results.remarks():
        console.print(f"  {line}", highlight=False)


def judge(console: Console, run: Run) -> Results:
    """Judges a run."""
    with console.status("  judging the model and the baselines"):
        return run.judge()


def evaluate(console: Console, run: Run) -> None:
    """Evaluates a run, prints the leaderboard and writes the report."""
    results = judge(console, run)
    results_table(console, results)
    for found in results.groups.values():
        console.print(f"\n{found}", highlight=False, markup=False)
    path = write_page(run, results)
    console.print(f"Report: [bold]{path}[/]")


def report(console: Console, run: Run) -> None:
    """Judges a run, measures its index, and writes the report."""
    results = judge(console, run)
    indexed = None
    if isinstance(run.model, Retriever):
        indexed = index(console, run, small=True, curve=True)
    with console.status("  writing the page"):
        page = write_page(run, results, indexed)
    console.print(f"Report: [bold]{page}[/]")


def export(
    console: Console,
    run: Run,
    directory: Path,
    name: str,
    recall: float = 0.98,
    index_page: Path | None = None,
) -> Any:
    """Builds the index of a Retriever, exports, and prints where."""
    check_writable("--saved-models", directory)
    indexed = None
    if isinstance(run.model, Retriever):
        indexed = index(console, run, recall, curve=index_page is not None)
    curve = indexed.curve if indexed is not None else ()
    if index_page is not None and curve:
        page = write_index_page(index_page, f"Index of {name}", curve)
        console.print(f"  recall against latency: [bold]{page}[/]")
    elif index_page is not None:
        console.print(f"  {index_page} is not written: there is no ScaNN to choose for")
    with console.status("  writing, and asking what was written"):
        exported = job.export_run(run, indexed, directory, name)
    for variant, path in exported.paths.items():
        console.print(f"  {variant:>5}: [bold]{path}[/]")
    return exported


def index(
    console: Console, run: Run, recall: float = 0.98, small: bool = False, curve: bool = False
) -> job.Indexed:
    """Builds the index and prints its kind and recall."""
    start = time.perf_counter()
    with console.status("  building and measuring"):
        indexed = job.build_index(run, recall=recall, small=small, curve=curve)
    console.print(
        f"  {indexed.kind} over {run.tables.candidates.num_rows:,} items, recall@{indexed.k} "
        f"{indexed.recall:.4f} against exact ({time.perf_counter() - start:.1f} s)"
    )
    if indexed.why:
        console.print(f"  Exact search, because {indexed.why}", highlight=False)
    return indexed


def quickstart(
    console: Console,
    tables: Tables,
    protocol: str,
    options: TrainingOptions,
    folder: Path,
    saved_models: Path,
    logs: bool = True,
) -> None:
    """Runs the whole job from read tables on; see `tfrecs quickstart`."""
    check_writable("--saved-models", saved_models)
    summary(console, tables)
    step(console, 2, "Training")
    run = train(console, tables, protocol, options, folder, logs)
    step(console, 3, "Leaderboard: all items ranked for every test user, known ones left out")
    results = judge(console, run)
    results_table(console, results)
    step(console, 4, "Index")
    indexed = index(console, run, small=True, curve=True)
    step(console, 5, "SavedModel")
    with console.status("  writing, and asking what was written"):
        exported = job.export_run(run, indexed, saved_models, "quickstart", results)
    for variant, path in exported.paths.items():
        console.print(f"  {variant:>5}: [bold]{path}[/]")
    step(console, 6, "An answer, from a process without tfrecs and without TensorFlow's Python")
    answer(console, run, exported)
    step(console, 7, "Report")
    console.print(f"  [bold]{write_page(run, results, indexed, exported).resolve()}[/]")


def answer(console: Console, run: Run, exported: Any) -> None:
    """Asks the SavedModel for one test user, known items excluded, and prints what comes back."""
    query, item = run.tables.spec.query_id.name, run.tables.spec.candidate_id.name
    users = run.split.test[query].slice(0, 1)
    known = known_items(run, users).indices
    path = exported.paths.get("scann", exported.paths["stock"])
    ids = run.tables.candidates[item].take(known).to_pylist()
    inputs = {
        query: users.to_pylist(),
        "k": min(10, run.tables.candidates.num_rows),
        "exclude": [ids],
    }
    start = time.perf_counter()
    said = job.ask(path, inputs, "recommend")
    seconds = time.perf_counter() - start
    console.print(f"  {query} = {users[0]}, who knows {len(known)} items, among them")
    console.print(titles(run, known[-3:]))
    console.print(f"  is recommended ({seconds:.1f} s, the start of the process included)")
    table = Table(box=None, show_header=False)
    texts = said["title"][0] if "title" in said else [""] * len(said[item][0])
    for identity, text, score in zip(said[item][0], texts, said["score"][0], strict=True):
        table.add_row(f"  {score:6.3f}", str(identity), text)
    console.print(table)
