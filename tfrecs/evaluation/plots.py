"""Plots of a report, as SVG text that takes the page's colours and width."""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tfrecs.evaluation.results import LOWER_IS_BETTER, Results
from tfrecs.evaluation.summary import ItemMap
from tfrecs.retrieval import Point

_INK = "#010203"  # stands for the page's text colour
_COLORS = {"model": "#3b7ddd", "baseline": "#8d99a8", "ceiling": "#d39b2a"}
_LINES = ("#3b7ddd", "#d1495b", "#2a9d8f", "#8d6cab", "#d39b2a", "#d774b0")
_SETTINGS = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a name may hold a dollar
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#808080",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def activity(user_events: np.ndarray) -> str:
    """Draws how many users have how many training events."""
    with _figure("users") as (figure, save):
        axes = figure.subplots()
        high = max(int(user_events.max(initial=1)), 2)
        edges = np.unique(np.round(np.geomspace(1, high + 1, 24)).astype(int))
        axes.hist(user_events, bins=edges, color=_LINES[0], alpha=0.85, rwidth=0.94)
        axes.set_xscale("log")
        _plain_ticks(axes.xaxis)
        axes.set_xlabel("training events of a user")
        axes.set_ylabel("users")
        axes.grid(axis="x", visible=False)
        return save()


def long_tail(item_events: np.ndarray) -> str:
    """Draws the training events of each item, the most popular first."""
    with _figure("items") as (figure, save):
        axes = figure.subplots()
        counts = np.sort(item_events)[::-1]
        keep = np.unique(np.linspace(0, len(counts) - 1, min(len(counts), 300)).astype(int))
        share = 100 * (keep + 1) / len(counts)
        axes.fill_between(share, counts[keep], 0, color=_LINES[2], alpha=0.25, linewidth=0)
        axes.plot(share, counts[keep], color=_LINES[2], linewidth=1.6)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
        _plain_ticks(axes.yaxis)
        axes.set_xlim(0, 100)
        axes.set_xlabel("items, % of the catalogue, most popular first")
        axes.set_ylabel("training events")
        return save()


def training(history: Mapping[str, Sequence[float]]) -> str:
    """Draws the curves of a training, one panel for each quantity."""
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history))[:4]
    with _figure("training", height=3.0 * len(names)) as (figure, save):
        panels = figure.subplots(len(names), 1, squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=True):
            for color, key, label in (
                (_LINES[0], name, "training"),
                (_LINES[1], f"val_{name}", "validation"),
            ):
                values = history.get(key, [])
                epochs = np.arange(1, len(values) + 1)
                marker = "o" if len(values) < 30 else None
                axes.plot(epochs, values, color=color, marker=marker, markersize=3, label=label)
            axes.set_ylabel(name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            if f"val_{name}" in history:
                axes.legend()
        panels[-1].set_xlabel("epoch")
        return save()


def leaderboard(results: Results, metric: str) -> str:
    """Draws a bar for each recommender, with its 95 % interval."""
    names = [name for name in results.scores if metric in results.scores[name]][::-1]
    with _figure("leaderboard", height=0.7 + 0.42 * len(names)) as (figure, save):
        axes = figure.subplots()
        for row, name in enumerate(names):
            found = results.scores[name][metric]
            color = _COLORS[results.kinds[name]]
            axes.barh(row, found.value, height=0.66, color=color, alpha=0.9)
            end = found.value
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [row, row], color=_INK, linewidth=1.4)
                axes.plot([found.low, found.high], [row, row], "|", color=_INK, markersize=7)
                end = found.high
            axes.annotate(
                f"{found.value:.3f}",
                (end, row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
            )
        axes.set_yticks(range(len(names)), [_cut(name) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.14)
        axes.set_xlim(left=0)
        axes.set_xlabel(metric)
        return save()


def popularity(results: Results) -> str:
    """Draws which tenths of the catalogue recommendations go to, beside what users took."""
    with _figure("popularity") as (figure, save):
        axes = figure.subplots()
        places = np.arange(1, 11)
        axes.bar(places, 100 * np.array(results.exposure["test"]), color="#808080", alpha=0.35)
        shown = [name for name in results.exposure if name != "test"]
        for index, name in enumerate(shown):
            style = "-" if results.kinds.get(name) == "model" else "--"
            axes.plot(
                places,
                100 * np.array(results.exposure[name]),
                style,
                color=_LINES[index % len(_LINES)],
                marker="o",
                markersize=3,
                label=_cut(name),
            )
        axes.plot([], [], color="#808080", alpha=0.35, linewidth=7, label="what users took")
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, 130)
        axes.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        axes.yaxis.minorticks_off()
        axes.set_xticks(places)
        axes.set_xlabel("tenth of the catalogue, most popular first")
        axes.set_ylabel("% of recommendations")
        axes.legend(fontsize=9, ncols=2)
        return save()


def calibration(curves: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Draws observed over predicted rates: by model, `(bins, 2)` of `metrics.calibration_curve`."""
    with _figure("calibration") as (figure, save):
        axes = figure.subplots()
        high = max(np.max(curve) for curve in curves.values())
        axes.plot([0, high], [0, high], color="#808080", linewidth=0.8)
        for index, (name, curve) in enumerate(curves.items()):
            color = _LINES[index % len(_LINES)]
            axes.plot(*np.transpose(curve), color=color, marker="o", markersize=3, label=_cut(name))
        axes.set_xlabel("predicted rate")
        axes.set_ylabel("observed rate")
        axes.legend()
        return save()


def recall(curve: Sequence[Point]) -> str:
    """Draws recall against latency: ScaNN's choices as a line, other indexes as points."""
    from matplotlib.ticker import LogLocator

    with _figure("recall") as (figure, save):
        axes = figure.subplots()
        line = sorted((p for p in curve if p.plan), key=lambda p: (p.milliseconds, p.recall))
        wanted = [p for p in line if not p.chosen]
        times, recalls = [p.milliseconds for p in wanted], [p.recall for p in wanted]
        axes.plot(times, recalls, color=_LINES[0], marker="o", markersize=4, label="ScaNN, wanted")
        for point in wanted:
            text = _cut(point.label.removeprefix("wanted "))
            place = (point.milliseconds, point.recall)
            axes.annotate(text, place, xytext=(5, -12), textcoords="offset points", fontsize=8)
        for point in (p for p in line if p.chosen):
            place = (point.milliseconds, point.recall)
            axes.plot(
                *place, "o", markersize=11, color=_LINES[1], fillstyle="none", label="as built"
            )
        others = [p for p in curve if not p.plan]
        for point, color in zip(others, _LINES[2:] * len(others), strict=False):
            name = _cut(point.label)
            axes.plot(point.milliseconds, point.recall, "D", markersize=6, color=color, label=name)
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.set_ylim(min(0.9, *(p.recall - 0.03 for p in curve)), 1.01)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.set_xlabel("ms for one query")
        axes.set_ylabel("recall against exact search")
        axes.legend(fontsize=9, loc="lower right")
        return save()


def item_map(found: ItemMap) -> str:
    """Draws items by their vectors in two dimensions, coloured by group."""
    with _figure("items-map", height=3.8) as (figure, save):
        axes = figure.subplots()
        groups = np.array(found.groups)
        for color, group in zip(
            ("#8d99a8", *_LINES * len(groups)), ["", *sorted(set(groups) - {""})], strict=False
        ):
            points = found.points[groups == group].T
            label = _cut(group) if group else None
            axes.plot(*points, "o", color=color, markersize=2.5, alpha=0.7, label=label)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.margins(0.02)
        if found.column:
            figure.legend(loc="outside lower center", ncols=3, fontsize=9, markerscale=2)
        return save()


def search(scores: Sequence[float | None], metric: str) -> str:
    """Draws the score of each trial of a search, `None` for one that was broken off."""
    with _figure("search") as (figure, save):
        axes = figure.subplots()
        done = [(number, score) for number, score in enumerate(scores) if score is not None]
        axes.plot(*zip(*done, strict=True), "o", color=_LINES[0], label="trial")
        best = min if metric in LOWER_IS_BETTER else max
        so_far = [best(score for _, score in done[: place + 1]) for place in range(len(done))]
        places = [number for number, _ in done]
        axes.step(places, so_far, where="post", color=_LINES[1], label="best so far")
        axes.set_xlabel("trial")
        axes.set_ylabel(metric)
        axes.legend()
        return save()


@contextmanager
def _figure(name: str, height: float = 3.2) -> Iterator[tuple[Any, Callable[[], str]]]:
    """Gives a figure of the page's look and what turns it into SVG text."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        # a name in a script that the font lacks is drawn by the browser's fonts
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(5.6, height))  # not pyplot's: nothing to close, no backend
        FigureCanvasSVG(figure)

        def save() -> str:
            text = io.StringIO()
            figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
            return _fit(text.getvalue(), name)

        yield figure, save


def _fit(svg: str, name: str) -> str:
    """Makes an SVG file part of a page: its ids its own, its width and ink the page's."""
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    opening = re.sub(r' (width|height)="[^"]*"', "", svg[: svg.index(">")])
    return opening + svg[svg.index(">") :]


def _plain_ticks(axis: Any) -> None:
    """Writes 1, 10, 1,000 and not powers."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def _cut(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"
