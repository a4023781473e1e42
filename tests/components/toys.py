"""Components that do little, quickly, and the pipeline that the tests of the runner run."""

import time
from pathlib import Path
from typing import Any

from tfrecs.components import Component, LatestBlessed, Output, Pipeline
from tfrecs.components.artifacts import Examples, Model, ModelBlessing, PushedModel


def make(examples: Output[Examples], *, text: str = "a", source: str | None = None) -> None:
    """Writes a text."""
    examples.path.mkdir()
    found = Path(source).read_text() if source else ""
    (examples.path / "text").write_text(text + found)
    examples.properties["letters"] = len(text)


def repeat(
    examples: Examples,
    model: Output[Model],
    base: Model | None = None,
    *,
    times: int = 2,
    seconds: float = 0.0,
    span: int | None = None,
) -> None:
    """Repeats a text."""
    model.path.mkdir()
    (model.path / "first").write_text("half")
    time.sleep(seconds)
    before = (base.path / "text").read_text() + "+" if base is not None else ""
    text = before + (examples.path / "text").read_text() * times
    (model.path / "text").write_text(text)
    (model.path / "notes.html").write_text("x")
    model.properties["span"] = span


def judge(
    model: Model, blessing: Output[ModelBlessing], baseline: Model | None = None, *, least: int = 1
) -> None:
    """Blesses long texts."""
    blessing.path.mkdir()
    text = (model.path / "text").read_text()
    if "!" in text:
        raise ValueError("`text` must be quiet.")
    other = None if baseline is None else (baseline.path / "text").read_text()
    (blessing.path / "text").write_text(f"{text} beside {other}")
    blessing.properties |= {"blessed": int(len(text) >= least), "reasons": []}


Make = Component(make, files=lambda given: [Path(given["source"])] if given["source"] else [])
Repeat = Component(repeat)
Judge = Component(judge)


def pipeline(
    text: str = "ab", times: int = 2, least: int = 1, seconds: float = 0.0, source: str = ""
) -> Pipeline:
    """Two texts of which one is judged."""
    made = Make(text=text, source=source or None)
    model = Repeat(examples=made["examples"], times=times, seconds=seconds)
    other = Repeat(id="Other", examples=made["examples"], times=5, seconds=seconds)
    judged = Judge(
        model=model["model"], baseline=LatestBlessed(other_than=model["model"]), least=least
    )
    return Pipeline("toys", (judged, other, model, made))


def push(blessing: ModelBlessing, pushed: Output[PushedModel], *, destination: str) -> None:
    """Writes a file where it is told, of what is blessed."""
    pushed.path.mkdir()
    (pushed.path / "pushed.json").write_text("")
    blessed = blessing.properties["blessed"]
    if blessed:
        Path(destination).write_text("pushed")
    reasons = [] if blessed else ["the text is too short"]
    pushed.properties |= {"pushed": blessed, "reasons": reasons, "at": destination}


def _stands(outputs: dict[str, Any]) -> str:
    said = outputs["pushed"].properties
    gone = said["pushed"] and not Path(said["at"]).is_file()
    return f"{said['at']} is gone" if gone else ""


Push = Component(push, places=("destination",), stands=_stands)


def pushing(destination: str, least: int = 1) -> Pipeline:
    """A pipeline whose last node has an effect outside it."""
    nodes = {node.id: node for node in pipeline(least=least).nodes}
    pushed = Push(blessing=nodes["Judge"]["blessing"], destination=destination)
    return Pipeline("pushing", (*nodes.values(), pushed))
