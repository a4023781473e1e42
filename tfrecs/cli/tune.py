"""`tfrecs tune`: the search of a model's arguments."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tfrecs.cli.options import Data, Training, console, shares


@shares(data=Data, training=Training)
def tune(
    data: Data,
    training: Training,
    model: Annotated[str, typer.Option(help="See `tfrecs models`")] = "two_tower",
    trials: Annotated[int, typer.Option(help="Number of trainings")] = 20,
    output: Annotated[
        Path, typer.Option(help="Folder of the run of the best arguments; replaced")
    ] = Path("runs/tuned"),
) -> None:
    """Search a model's arguments on held-out training events, then train with the best."""
    from tfrecs import show, tuning
    from tfrecs.files import check_replaceable

    check_replaceable("--output", output, "run.json")
    given = training.options(model)
    tables = data.read(model)
    split = show.split(console, tables, data.protocol, given)

    def told(trial: tuning.Trial) -> None:
        values = ", ".join(f"{name} {value:.4g}" for name, value in trial.values.items())
        score = trial.state if trial.score is None else f"{trial.score:.4f}"
        why = f" ({escape(trial.error)})" if trial.error else ""
        console.print(f"  {score:>10}  {values}  {trial.seconds:.1f} s{why}", highlight=False)

    tuned = tuning.tune(
        model,
        tables,
        split,
        trials=trials,
        protocol=data.protocol,
        on_trial=told,
        **training.given(),
    )
    found = tuned.table()
    table = Table(*found.columns, box=None, header_style="bold")
    for row in found.rows:
        table.add_row(*row, style="bold" if row[0].endswith("*") else "")
    console.print(table)
    for line in tuned.remarks():
        console.print(f"  {line}", highlight=False)
    run = show.train_on(console, tables, split, tuned.options, output)
    (run.folder / "tuning.svg").write_text(tuned.plot(), encoding="utf-8")
    console.print(f"Kept in [bold]{run.folder}[/], the plot in tuning.svg.")
    console.print(f"Next: tfrecs evaluate {run.folder}")
