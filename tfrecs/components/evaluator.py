"""Evaluator: is the model good enough, overall and by slice, beside baselines and the last one?"""

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.components.artifacts import Model, ModelBlessing, ModelEvaluation
from tfrecs.components.component import Component, Output
from tfrecs.components.pages import write_slices_page
from tfrecs.evaluation import Results, summarize, write_report
from tfrecs.evaluation.results import LOWER_IS_BETTER
from tfrecs.evaluation.truth import query_positions
from tfrecs.run import Run

BLESSED = "last blessed"
_VALUES = 8  # of a column by which is sliced, the frequent ones


def evaluator(
    model: Model,
    evaluation: Output[ModelEvaluation],
    blessing: Output[ModelBlessing],
    baseline_model: Model | None = None,
    *,
    thresholds: dict[str, float] = {},  # noqa: B006 read alone
    above_baseline: float | None = 0.0,
    above_blessed: float | None = -0.02,
    slices: list[str] = [],  # noqa: B006
    slice_thresholds: dict[str, float] = {},  # noqa: B006
    seed: int = 0,
) -> None:
    """Is the model good enough, overall and by slice, beside baselines and the last one?

    Judged on the split "eval" as the task of its recipe says, baselines and, in a generated world,
    the oracle beside it. A model that is not blessed is not pushed; the reasons are in
    blessing.json.

    Args:
        model: The trained model.
        evaluation: metrics.json, report.html and slices.html.
        blessing: The property `blessed`, and blessing.json.
        baseline_model: The last blessed model, judged on the same events; `None` for none.
        thresholds: Least value by metric; the greatest for RMSE and MAE.
        above_baseline: Relative gain of the main metric over the best baseline that is required;
            `None` for none. Defaults to 0.
        above_blessed: The same over `baseline_model`. Defaults to -0.02: two percent worse at
            most.
        slices: Columns of users or of events, for each of whose 8 most frequent values metrics
            are taken.
        slice_thresholds: As `thresholds`, for every slice.
        seed: Of the random baseline and of the intervals. Defaults to 0.
    """
    run = Run.load(model.path)
    name = run.options.model
    results = run.judge(seed=seed)
    values = {one: _values(results, one) for one in results.scores}
    if baseline_model is not None:
        values[BLESSED] = _values(_judge_as(run, baseline_model, seed), name)
    found: dict[str, dict[str, dict[str, float]]] = {"overall": values}
    for column in slices:
        found |= _by_value(run, column, seed)
    metric = results.metrics[0]
    reasons = _too_low("overall", values[name], thresholds)
    for slice_name, own in found.items():
        if slice_name != "overall":
            reasons += _too_low(slice_name, own[name], slice_thresholds)
    reference = results.reference
    for other, gain in ((reference, above_baseline), (BLESSED, above_blessed)):
        if gain is not None and other in values:
            reasons += _not_above(metric, values[name][metric], other, values[other][metric], gain)
    _write(run, results, found, evaluation, metric)
    blessing.path.mkdir(exist_ok=True)
    said = {"blessed": not reasons, "reasons": reasons}
    (blessing.path / "blessing.json").write_text(json.dumps(said, indent=1, ensure_ascii=False))
    blessing.properties |= {"blessed": int(not reasons), "reasons": reasons}
    span = model.properties.get("span")
    evaluation.properties |= {"metric": metric, "value": values[name][metric], "span": span}


Evaluator = Component(evaluator)


def _values(results: Results, name: str) -> dict[str, float]:
    return {metric: found.value for metric, found in results.scores[name].items()}


def _judge_as(run: Run, other: Model, seed: int) -> Results:
    """Judges another model of the same kind on the events of this run."""
    loaded = Run.load(other.path)
    as_mine = replace(run, model=loaded.model, transform=loaded.transform)
    return as_mine.judge(seed=seed)


def _by_value(run: Run, column: str, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Judges the test events of each value of a column apart."""
    test, queries = run.split.test, run.tables.queries
    checks.one_of("slices", column, [*queries.column_names, *test.column_names])
    if column in queries.column_names:
        values = queries[column].take(pa.array(query_positions(test, run.tables)))
    else:
        values = test[column]
    values = values.combine_chunks()
    counts = sorted(
        pc.value_counts(values.drop_null()).to_pylist(),
        key=lambda entry: (-entry["counts"], str(entry["values"])),
    )
    found = {}
    for value in [entry["values"] for entry in counts][:_VALUES]:
        split = replace(run.split, test=test.filter(pc.equal(values, value)))
        results = replace(run, split=split).judge(seed=seed)
        found[f"{column} = {value}"] = {one: _values(results, one) for one in results.scores}
    return found


def _too_low(where: str, values: dict[str, float], thresholds: dict[str, float]) -> list[str]:
    reasons = []
    for metric, limit in thresholds.items():
        checks.one_of("metric", metric, values)
        lower = metric in LOWER_IS_BETTER
        if (values[metric] > limit) if lower else (values[metric] < limit):
            wanted = "at most" if lower else "at least"
            reasons.append(f"{where}: {metric} is {values[metric]:.4f}, {wanted} {limit:g} wanted")
    return reasons


def _not_above(metric: str, value: float, other: str, base: float, gain: float) -> list[str]:
    lower = metric in LOWER_IS_BETTER
    limit = base * (1 - gain if lower else 1 + gain)
    if (value <= limit) if lower else (value >= limit):
        return []
    wanted = "at most" if lower else "at least"
    return [f"{metric} is {value:.4f}, {wanted} {limit:.4f} wanted: {other} has {base:.4f}"]


def _write(
    run: Run, results: Results, found: dict[str, Any], evaluation: ModelEvaluation, metric: str
) -> None:
    evaluation.path.mkdir(exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (evaluation.path / "metrics.json").write_text(text)
    write_report(
        evaluation.path / "report.html",
        title=f"{run.options.model} on {run.dataset}",
        summary=summarize(run.tables, run.split),
        results=results,
        history=run.history,
    )
    write_slices_page(evaluation.path / "slices.html", found, metric)
