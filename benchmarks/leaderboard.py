"""The leaderboards: models down, data sets and speed across, best first, out of benchmarks/results.

`benchmarks/tables.py` writes one between `<!-- leaderboard: NAME -->` and `<!-- /leaderboard -->`.
"""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
RISING = ("auc", "ndcg", "recall", "mrr", "hr", "examples", "events", "samples", "queries")


@dataclass(frozen=True)
class Column:
    """The rows of a result file that make a column.

    `data`, `protocol` and `without` are patterns, as of file names; the last one of models.
    """

    subject: str
    data: str
    protocol: str
    metric: str
    heading: str
    without: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """Returns the column's rows, with the file's origin where they tell none of their own."""
        document = json.loads((RESULTS / f"{self.subject}.json").read_text())
        origin = {name: document[name] for name in ("command", "date", "machine")}
        found = [
            {**origin, **{name: value for name, value in row.items() if value is not None}}
            for row in document["rows"]
            if row["metric"] == self.metric
            and fnmatchcase(row["data"], self.data)
            and fnmatchcase(row["protocol"], self.protocol)
            and not fnmatchcase(row["model"], self.without)
        ]
        if not found:
            raise ValueError(f"benchmarks/results/{self.subject}.json has no rows of {self}.")
        return found


PUBLISHED = "all of Criteo, as published"
SPEED = "fit, batch 4096, 1,000,000 rows x 16, 26 features, in turn"
OPTIMIZERS = "*, * epochs"  # one model by several optimizers: docs/benchmarks.md compares them
BLOOM = "*Bloom embedding*"  # one model by several compressions: likewise
RANKED = "all items ranked for every event but the first, ties standard"
SEEDS = RANKED + "*"  # of one seed, or the mean of three
GLOBO, DRAWN = "globo-clicks, last 99,999 events", RANKED + ", 20,000 test events drawn"
FRESH = DRAWN + ", items first seen under*"
BOARDS = {
    "implicit": (
        Column("implicit", "ml-1m", "ratings of 4 and 5*", "ndcg@100", "ml-1m, ratings of 4 and 5"),
        Column("implicit", "ml-1m", "ratings of 4 and 5*", "fit_s", "its training, s"),
        Column("implicit", "ml-1m", "80/20*", "ndcg@100", "ml-1m, all ratings"),
        Column("implicit", "lastfm", "80/20*", "ndcg@100", "Last.fm"),
        Column("implicit", "citeulike", "80/20*", "ndcg@100", "CiteULike-a"),
    ),
    "clicks": (
        Column("ctr", "ml-1m", "random 80/10/10*", "auc", "ml-1m, AUC", OPTIMIZERS),
        Column("ctr", "ml-1m", "random 80/10/10*", "log_loss", "log loss", OPTIMIZERS),
        Column("ctr", "criteo 8k", "five folds*", "auc", "Criteo, 8 thousand rows, AUC"),
        Column("ctr", "criteo 8k", "five folds*", "log_loss", "log loss"),
        Column("ctr", "criteo", "published*", "auc", PUBLISHED + ", AUC"),
        Column("ctr", "criteo", "published*", "log_loss", "log loss"),
    ),
    "click_speed": (Column("ctr_speed", "made up", SPEED, "examples_per_s", "examples a second"),),
    "ratings": (
        Column("factorization", "ml-1m", "random 90/10*", "rmse", "ml-1m, RMSE"),
        Column("factorization", "ml-1m", "random 90/10*", "fit_s", "its training, s"),
        Column("factorization", "ml-100k", "official*", "rmse", "ml-100k, RMSE"),
        Column("factorization", "ml-100k", "official*", "fit_s", "its training, s"),
    ),
    "sessions": (
        Column("sessions", "rsc15-100k*", SEEDS, "recall@20", "RSC15, recall@20", BLOOM),
        Column("sessions", "rsc15-100k*", SEEDS, "mrr@20", "MRR@20", BLOOM),
        Column("sessions", GLOBO, DRAWN, "recall@10", "Globo, recall@10"),
        Column("sessions", GLOBO, FRESH, "recall@10", "of items under 12 h old"),
    ),
    "feed": (
        Column("iki", "demo world (generated, seed 0)", "last 20 %*", "nDCG@10", "demo world"),
        Column("iki", "hetrec-lastfm", "600 users*", "nDCG@10", "HetRec Last.fm"),
        Column("iki", "citeulike-a", "600 users*", "nDCG@10", "CiteULike-a"),
    ),
}


def board(name: str) -> str:
    """Returns a leaderboard as a Markdown table with commands, dates and machines below."""
    columns = BOARDS[name]
    rows = [{row["model"]: row for row in column.rows()} for column in columns]
    models = dict.fromkeys(model for found in rows for model in found)

    def place(model: str) -> list[tuple[bool, float]]:
        signs = [-1 if c.metric.lower().startswith(RISING) else 1 for c in columns]
        return [
            (model not in found, sign * found.get(model, {"value": 0.0})["value"])
            for found, sign in zip(rows, signs, strict=True)
        ]

    lines = [
        "| " + " | ".join(["model", *(column.heading for column in columns)]) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for model in sorted(models, key=place):
        cells = [_cell(found.get(model)) for found in rows]
        lines.append("| " + " | ".join([model, *cells]) + " |")
    origins: dict[str, dict[str, None]] = {}
    for row in (row for found in rows for row in found.values()):
        origins.setdefault(f"{row['date']}, {row['machine']}", {})[f"`{row['command']}`"] = None
    told = [f"{'; '.join(commands)}: {when}." for when, commands in origins.items()]
    return "\n".join([*lines, "", *told]) + "\n"


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    value = row["value"]
    text = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
    return text + (f" ± {row['stderr']:.1g}" if row.get("stderr") else "")
