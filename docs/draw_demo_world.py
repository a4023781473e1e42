"""Draws the pictures of docs/demo-world.md, from the demo shop itself and benchmarks/results.

python docs/draw_demo_world.py [FOLDER]     docs without a name
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow.compute as pc

mpl.use("Agg")
import matplotlib.pyplot as plt

from tfrecs.datasets import demo_shop
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_shop_tables import FIELDS
from tfrecs.datasets.demo_sounds import RATE
from tfrecs.datasets.demo_topics import TOPICS

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 5.2  # inches: a phone shows it nearly as large as a desk does
GREY = "#808080"  # is read on white and on black
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756")
STYLE = {
    "font.size": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "tfrecs",
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
MONTHS = ("Jan", "Mar", "May", "Jul", "Sep", "Nov")
ACTIONS = {"click": ("o", 9), "save": ("s", 22), "cart": ("^", 36), "purchase": ("*", 90)}
# the causes: a short name, what is written, h for hidden or v for visible
CAUSES = (
    ("interests", "interests, drifting", "h"),
    ("moment", "topic of the moment", "h"),
    ("season", "season of topics", "h"),
    ("style", "taste and style", "h"),
    ("vibe", "taste and vibe", "h"),
    ("appeal", "appeal, quality", "h"),
    ("weight", "weight of the item", "h"),
    ("kit", "kit", "h"),
    ("age", "age of the item", "v"),
    ("position", "position, device", "v"),
    ("language", "language, country", "v"),
    ("surface", "surface", "v"),
    ("price", "price", "v"),
    ("duration", "duration", "v"),
)
EVENTS = {
    "shown": "interests moment season weight age surface",
    "click": "interests moment season style vibe appeal position language surface",
    "seconds": "interests season style vibe appeal language position duration",
    "save, cart": "interests season style vibe appeal language surface",
    "purchase": "interests season style vibe appeal language surface price",
    "hide": "interests season style vibe appeal language surface",
    "search": "interests moment season",
    "plays": "interests season style vibe appeal language",
    "companion": "kit weight age",
    "query leads to": "style vibe weight",
}


def years(tables: Any) -> Any:
    """Draws the year of four users: interests as areas, actions as marks."""
    counts = np.zeros(tables.queries.num_rows)
    user = _rows(tables.events["user_id"], tables.queries["user_id"])
    np.add.at(counts, user, 1)
    users = tables.truth.users
    # of those with many events and four different topics, the four whose interests move most
    differ = np.array([len(set(topics)) == 4 for topics in users.topics.tolist()])
    moved = np.abs(users.end - users.start).max(axis=1) * ((counts > 180) & differ)
    chosen = np.argsort(-moved)[:4]
    figure, axes = plt.subplots(4, 1, figsize=(WIDTH, 7.6), sharex=True)
    days = np.arange(0, 366, 5.0)
    clicks = tables.positives
    owner = _rows(clicks["user_id"], tables.queries["user_id"])
    item = _rows(clicks["item_id"], tables.candidates["item_id"])
    when = (clicks["timestamp"].to_numpy() - world.START) / world.SECONDS_PER_DAY
    action = np.array(clicks["action"].to_pylist())
    for axis, row in zip(axes, chosen, strict=True):
        shares = users.shares(np.full(len(days), row), days)
        axis.stackplot(days, shares.T, colors=COLOURS, alpha=0.45, linewidth=0)
        mine = owner == row
        topics = users.topics[row]
        bottom = np.cumsum(shares, axis=1) - shares / 2
        for name, (marker, size) in ACTIONS.items():
            for number, topic in enumerate(topics):
                here = mine & (action == name) & (tables.truth.items.topic[item] == topic)
                height = np.interp(when[here], days, bottom[:, number])
                style = {"marker": marker, "edgecolors": "white", "linewidths": 0.5}
                axis.scatter(when[here], height, size, COLOURS[number], **style)
        for number, topic in enumerate(topics):
            day, side = (-1, "right") if number == 3 else (0, "left")
            if shares[day, number] > 0.1:
                label = {"ha": side, "va": "center", "weight": "bold", "color": "black"}
                box = {"facecolor": "white", "alpha": 0.55, "lw": 0, "pad": 1.5}
                axis.text(days[day], bottom[day, number], TOPICS[topic].name, bbox=box, **label)
        axis.set(xlim=(0, 365), ylim=(0, 1), yticks=[])
        place = tables.queries["country"][int(row)].as_py()
        age = tables.queries["age_band"][int(row)].as_py()
        axis.set_title(f"{tables.queries['user_id'][int(row)]}, {place}, {age}", loc="left", size=9)
    axes[-1].set_xticks(np.arange(6) * 61, MONTHS)
    marks = [
        plt.Line2D([], [], color=GREY, marker=m, ls="", ms=s**0.5, label=name)
        for name, (m, s) in ACTIONS.items()
    ]
    figure.legend(handles=marks, loc="lower center", ncols=4, handletextpad=0.1)
    figure.tight_layout(rect=(0, 0.04, 1, 1), h_pad=0.6)
    return figure


def causes() -> Any:
    """Draws which cause drives which kind of event, and which causes no model sees."""
    figure, axis = plt.subplots(figsize=(WIDTH, 4.9))
    for column, words in enumerate(EVENTS.values()):
        for row, (cause, _, kind) in enumerate(CAUSES):
            acts = cause in words.split()
            colour = COLOURS[0 if kind == "h" else 1]
            axis.scatter(column, row, 95 if acts else 3, colour if acts else GREY, linewidths=0)
    axis.set_yticks(range(len(CAUSES)), [told for _, told, _ in CAUSES])
    for label, (_, _, kind) in zip(axis.get_yticklabels(), CAUSES, strict=True):
        label.set_color(COLOURS[0 if kind == "h" else 1])
    axis.set_xticks(
        range(len(EVENTS)), list(EVENTS), rotation=45, ha="left", rotation_mode="anchor"
    )
    axis.xaxis.tick_top()
    axis.invert_yaxis()
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    marks = [
        plt.Line2D([], [], color=COLOURS[n], marker="o", ls="", ms=8, label=name)
        for n, name in enumerate(("hidden: the truth alone", "visible: columns tell it"))
    ]
    figure.legend(handles=marks, loc="lower center", ncols=2)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


def peaks(tables: Any) -> Any:
    """Draws how three new items rise and fall: what is shown by the truth, and the clicks."""
    items = tables.truth.items
    weights = world.day_weights(items)
    born = np.flatnonzero((items.published > 20) & (items.published < 250))
    number = np.bincount(
        _rows(tables.positives["item_id"], tables.candidates["item_id"]), minlength=len(items.topic)
    )
    chosen = born[np.argsort(-number[born])][:3]
    figure, axes = plt.subplots(3, 1, figsize=(WIDTH, 4.4), sharex=True)
    clicks = tables.positives
    item = _rows(clicks["item_id"], tables.candidates["item_id"])
    when = (clicks["timestamp"].to_numpy() - world.START) / world.SECONDS_PER_DAY
    for axis, row, colour in zip(axes, chosen, COLOURS, strict=False):
        axis.hist(when[item == row], np.arange(0, 366, 5), color=colour, alpha=0.45)
        curve = axis.twinx()
        shown = np.where(weights[:, row] > 0, weights[:, row], np.nan)
        curve.plot(np.arange(365), shown, color=colour, lw=1.8)
        curve.set(yticks=[], ylim=(0, None))
        curve.spines["right"].set_visible(False)
        title = tables.candidates["title"][int(row)].as_py()
        axis.set_title(title if len(title) < 58 else title[:55] + "...", loc="left", size=9)
        axis.set(xlim=(0, 365), ylabel="clicks")
    axes[-1].set_xticks(np.arange(6) * 61, MONTHS)
    figure.tight_layout(h_pad=0.6)
    return figure


def sounds(tables: Any) -> Any:
    """Draws the spectrograms of two items each of four topics."""
    topics = [12, 4, 20, 9]
    figure, axes = plt.subplots(4, 2, figsize=(WIDTH, 5.6), sharex=True, sharey=True)
    for pair, topic in zip(axes, topics, strict=True):
        rows = np.flatnonzero(tables.truth.items.topic == topic)[:2]
        for axis, wave in zip(pair, tables.waveforms(rows), strict=True):
            frames = np.lib.stride_tricks.sliding_window_view(wave[: 3 * RATE], 512)[::200]
            power = np.abs(np.fft.rfft(frames * np.hanning(512), axis=1))[:, :90]
            look = {"origin": "lower", "aspect": "auto", "cmap": "magma", "interpolation": "none"}
            extent = (0, 3, 0, 90 * RATE / 512_000)
            loud = np.round(2 * np.log(power.T + 2.0))  # few levels: a small file
            axis.imshow(loud, extent=extent, **look)
        pair[0].set_title(TOPICS[topic].name, loc="left", size=9)
        pair[0].set_ylabel("kHz")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    figure.tight_layout(h_pad=0.5)
    return figure


def bars() -> Any:
    """Draws each task's oracle beside popularity and neighbours, out of results/demo.json."""
    rows = json.loads((ROOT / "benchmarks" / "results" / "demo.json").read_text())["rows"]
    tasks: dict[str, dict[str, tuple[float, float]]] = {}
    for row in rows:
        if row["metric"] == "ndcg@10":
            task = tasks.setdefault(row["data"].split(": ")[1], {})
            task[row["model"]] = row["value"], row["stderr"]
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    place, ticks = 0.0, []
    for found in tasks.values():
        ticks.append(place + 1)
        for number, (name, (value, error)) in enumerate(found.items()):
            axis.barh(place, value, 0.86, color=COLOURS[number], alpha=0.8, xerr=error, ecolor=GREY)
            axis.text(value + error + 0.01, place, f"{name} {value:.2f}", va="center", size=8)
            place += 1
        place += 0.8
    axis.set_yticks(ticks, [task.replace(" ", "\n", 1) for task in tasks])
    axis.set(xlim=(0, 0.78), xlabel="nDCG@10, mean of three seeds and its standard error")
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0)
    figure.tight_layout()
    return figure


def _rows(ids: Any, known: Any) -> np.ndarray:
    found = pc.index_in(ids.combine_chunks(), value_set=known.combine_chunks())
    rows: np.ndarray = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return rows


def main() -> None:
    """Draws all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    tables = demo_shop(fields=FIELDS)
    with mpl.rc_context(STYLE):
        pictures = {
            "years": years(tables),
            "causes": causes(),
            "peaks": peaks(tables),
            "sounds": sounds(tables),
            "oracles": bars(),
        }
        for name, figure in pictures.items():
            path = folder / f"demo-world-{name}.svg"
            figure.savefig(path, transparent=True, metadata={"Date": None})
            if len(sys.argv) > 1:
                figure.savefig(path.with_suffix(".png"), facecolor="white", dpi=110)


if __name__ == "__main__":
    main()
