"""`tfrecs spec`: the features that are guessed of one's own tables, to be edited by hand."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tfrecs.cli.options import Data, errors, shares


@shares(data=Data)
def spec(
    data: Data, file: Annotated[Path, typer.Argument(metavar="EVENTS", help="Your events")]
) -> None:
    """Write the guessed features as JSON to standard output: edit, then --spec FILE."""
    from tfrecs import show

    read = dataclasses.replace(data, events=file).own()
    show.columns(errors, read)
    typer.echo(read.tables.spec.to_json())
