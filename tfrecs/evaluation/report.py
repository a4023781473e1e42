"""The report: one self-contained HTML page."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfrecs.evaluation import plots
from tfrecs.evaluation.bootstrap import Estimate
from tfrecs.evaluation.guards import best_of
from tfrecs.evaluation.results import LOWER_IS_BETTER, Results
from tfrecs.evaluation.summary import Example, ItemMap, Summary
from tfrecs.files import written_aside
from tfrecs.retrieval import Point

_PACKAGES = ("tfrecs", "tensorflow", "keras", "scann", "numpy", "pyarrow")


def write_report(
    path: str | Path,
    *,
    title: str,
    summary: Summary,
    results: Results,
    history: Mapping[str, Sequence[float]] | None = None,
    examples: Sequence[Example] = (),
    index: Mapping[str, Any] | None = None,
    recall_curve: Sequence[Point] = (),
    item_map: ItemMap | None = None,
    environment: Mapping[str, Any] | None = None,
    export: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a page that shows what was learned from what, and how well.

    The page needs no network and no script, and reads on a phone. It is written aside and renamed.

    Args:
        path: File to write.
        title: Heading of the page.
        summary: The data, from `summarize`.
        results: The leaderboard.
        history: Training curves by name, as `fit` returns them; `None` for none.
        examples: Users with recommendations, from `find_examples`. Defaults to none.
        index: Facts of the index, by name; `None` for none.
        recall_curve: Of `retrieval.recall_curve`. Defaults to none.
        item_map: The items in two dimensions, from `map_items`; `None` for none.
        environment: Facts of how it was made; `None` for `describe_environment()`.
        export: Facts of the exported model, by name; `None` for none.

    Returns:
        The path.

    Raises:
        OSError: If the file cannot be written.
    """
    import jinja2

    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    facts = {"Index": index, "Exported model": export}
    page = pages.get_template("report.html").render(
        title=title,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        tiles=_tiles(results, index),
        results=results,
        columns=results.metrics,
        headline=results.headline(),
        rows=_rows(results),
        differences=_differences(results),
        summary=_texts(summary.facts),
        examples=examples,
        facts={name: _texts(values) for name, values in facts.items() if values},
        environment=_texts(describe_environment() if environment is None else environment),
        item_map=item_map,
        plots=_plots(results, summary, history, recall_curve, item_map),
    )
    path = Path(path)
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    return path


def describe_environment() -> dict[str, str]:
    """Returns versions of the packages and the machine."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    found["machine"] = f"{platform.system()} {platform.machine()}"
    return found


def _plots(
    results: Results,
    summary: Summary,
    history: Mapping[str, Sequence[float]] | None,
    recall_curve: Sequence[Point],
    item_map: ItemMap | None,
) -> dict[str, Any]:
    """Draws the plots by name, marked as safe; empty where there is nothing to draw."""
    from markupsafe import Markup

    drawn = {
        "leaderboard": plots.leaderboard(results, results.metrics[0]),
        "activity": plots.activity(summary.user_events) if len(summary.user_events) else "",
        "long_tail": plots.long_tail(summary.item_events) if len(summary.item_events) else "",
        "popularity": plots.popularity(results) if "test" in results.exposure else "",
        "calibration": plots.calibration(results.calibration) if results.calibration else "",
        "training": plots.training(history) if history else "",
        "item_map": plots.item_map(item_map) if item_map else "",
        "recall": plots.recall(recall_curve) if recall_curve else "",
    }
    return {name: Markup(svg) for name, svg in drawn.items()}


def _tiles(results: Results, index: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Returns the page's headline numbers: the best model beside baseline and ceiling."""
    metric = results.metrics[0]
    values = {name: results[name, metric] for name in results.scores}
    models = [name for name in values if results.kinds[name] == "model"]
    best = best_of(models, values, metric in LOWER_IS_BETTER)
    if best is None:
        return []
    value = results[best, metric]
    tiles = [(f"{metric} of {best}", f"{value:.3f}")]
    if results.reference is not None and results[results.reference, metric]:
        times = value / results[results.reference, metric]
        tiles.append((f"against {results.reference}, the best baseline", f"{times:.2f} ×"))
    tiles += [
        (f"of the {name}, the ceiling", f"{value / results[name, metric]:.0%}")
        for name, kind in results.kinds.items()
        if kind == "ceiling" and results[name, metric]
    ]
    for name, fact in (index or {}).items():
        if name.startswith("recall@"):
            tiles.append((f"{name} of the index", f"{float(fact):.3f}"))
    return tiles


def _rows(results: Results) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "kind": results.kinds[name],
            "cells": {metric: _number(metric, scores.get(metric)) for metric in results.metrics},
        }
        for name, scores in results.scores.items()
    ]


def _differences(results: Results) -> list[tuple[str, str, str, str]]:
    """Returns model, metric, difference with interval, and "better", "worse" or "" (unsure)."""
    lines = []
    for name, differences in results.differences.items():
        if results.kinds[name] != "model":
            continue
        for metric in results.headline():
            found = differences.get(metric)
            if found is None or found.low is None or found.high is None:
                continue
            text = f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
            sure = found.low > 0 or found.high < 0
            good = (found.value > 0) != (metric in LOWER_IS_BETTER)
            lines.append((name, metric, text, ("better" if good else "worse") if sure else ""))
    return lines


def _number(metric: str, found: Estimate | None) -> dict[str, str]:
    """Returns a value and half the width of its interval, as text."""
    if found is None:
        return {"value": "", "half": ""}
    if metric.startswith("average_popularity"):
        return {"value": f"{found.value:,.1f}", "half": ""}
    if found.low is None or found.high is None:
        return {"value": f"{found.value:.4f}", "half": ""}
    return {"value": f"{found.value:.4f}", "half": f"± {(found.high - found.low) / 2:.4f}"}


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Returns facts as text: numbers grouped, what is nested as JSON."""

    def text(value: Any) -> str:
        if isinstance(value, bool) or value is None:
            return str(value)
        if isinstance(value, int):
            return f"{value:,}"
        if isinstance(value, float):
            return f"{value:,.4g}"
        if isinstance(value, Mapping | list | tuple):
            return json.dumps(value, indent=1, ensure_ascii=False, default=str)
        return str(value)

    return {str(name): text(value) for name, value in facts.items()}
