"""`tfrecs compare`: is one run better than another, or is it chance?"""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tfrecs import checks
from tfrecs.cli.options import console


def compare(
    first: Annotated[Path, typer.Argument(help="A folder written by `tfrecs train`")],
    second: Annotated[Path, typer.Argument(help="Another, trained on the same split")],
) -> None:
    """Judge two runs on the same users: differences with intervals by the paired bootstrap."""
    from tfrecs.evaluation.compare import compare as compared
    from tfrecs.run import Run

    runs = [Run.load(folder) for folder in (first, second)]
    check_same(*runs)
    names = ("first", "second") if first.name == second.name else (first.name, second.name)
    results = []
    for run, name in zip(runs, names, strict=True):
        with console.status(f"  judging {name}"):
            results.append(run.judge())
    models = runs[0].options.model, runs[1].options.model
    found = compared(results[0], results[1], models, names)
    columns, rows = found.table()
    table = Table(box=None, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    remarks = [w for judged in results for w in judged.warnings if "NaN" in w]
    drawn = f"{found.num_resamples} resamples of the same users for both"
    for line in (found.line, f"difference: {names[1]} minus {names[0]}; {drawn}", *remarks):
        console.print(f"  {line}", highlight=False, markup=False)


def check_same(first: Any, second: Any) -> None:
    """Raises ValueError unless two runs can be judged on the same users by the same protocol."""
    for what, one, other in (
        ("data set", first.dataset, second.dataset),
        ("protocol", first.protocol, second.protocol),
        ("test events", _events(first, "test"), _events(second, "test")),
        ("training events", _events(first, "train"), _events(second, "train")),
        ("users", *(_ids(run.tables, "query", "queries") for run in (first, second))),
        ("items", *(_ids(run.tables, "candidate", "candidates") for run in (first, second))),
    ):
        if one != other:
            told = (one, other) if isinstance(one, str) else "different ones"
            remedy = "Train both from the same tables with the same --protocol and --seed."
            raise ValueError(checks.expected("second", f"a run of the same {what}", told, remedy))


def _events(run: Any, part: str) -> Any:
    names = [feature.name for feature in run.tables.spec.ids.values()]
    return getattr(run.split, part).select(names).to_pydict()


def _ids(tables: Any, role: str, table: str) -> Any:
    feature = tables.spec.ids.get(role)
    return None if feature is None else getattr(tables, table)[feature.name].to_pylist()
