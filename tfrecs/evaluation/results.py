"""What an evaluation found: numbers that carry the protocol they were measured by."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from tfrecs import checks
from tfrecs.evaluation.bootstrap import Estimate

Scores = Mapping[str, Mapping[str, Estimate]]  # recommender -> metric -> estimate
LOWER_IS_BETTER = ("rmse", "mae", "log_loss", "normalized_entropy")


@dataclass(frozen=True)
class Setting:
    """What was measured on what; results of different settings are not comparable.

    Args:
        data: Name of the data set.
        protocol: Split, candidates ranked, what was masked, ties: one line.
        num_users: Users (test events, where each is judged apart) evaluated.
        num_candidates: Candidates ranked for each; 0 where none are ranked.
        left_out: Test events left out, by reason.
    """

    data: str
    protocol: str
    num_users: int
    num_candidates: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def counted(self) -> str:
        """Users and candidates in words."""
        if not self.num_candidates:
            return f"{self.num_users:,} test events"
        return f"{self.num_users:,} users, {self.num_candidates:,} candidates"


class Table(NamedTuple):
    """Columns and rows of text, for any printer."""

    columns: list[str]
    rows: list[list[str]]

    def __str__(self) -> str:
        cells = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        lines = []
        for row in cells:
            first, *rest = (text.rjust(w) for text, w in zip(row, widths, strict=True))
            lines.append("  ".join([row[0].ljust(len(first)), *rest]))
        return "\n".join(lines)


@dataclass(frozen=True)
class Results:
    """The leaderboard of an evaluation.

    Args:
        setting: What was measured on what.
        scores: Estimates by recommender and metric, in order.
        kinds: "baseline", "model" or "ceiling" by recommender.
        reference: The baseline that the others are compared with, the best one; `None` for none.
        differences: Paired differences to the reference, by recommender and metric.
        exposure: By recommender, the share of its recommendations that go to each tenth of the
            catalogue, the most popular tenth first; "test" is what users took.
        groups: The main metrics by the activity of "users" and the popularity of "items".
        calibration: By model of clicks, predicted and observed rate of each bin.
        warnings: What a reader should know before believing a number.
        seconds: Time each recommender took.
    """

    setting: Setting
    scores: Scores
    kinds: Mapping[str, str]
    reference: str | None = None
    differences: Scores = field(default_factory=dict)
    exposure: Mapping[str, Sequence[float]] = field(default_factory=dict)
    groups: Mapping[str, Table] = field(default_factory=dict)
    calibration: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    resampled: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def protocol(self) -> str:
        """The protocol, in one line."""
        return self.setting.protocol

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, the main one first."""
        return list(dict.fromkeys(name for scores in self.scores.values() for name in scores))

    def __repr__(self) -> str:
        """The leaderboard and the protocol that it was measured by."""
        told = f"{self.setting.data}: {self.protocol}; {self.setting.counted}"
        return "\n".join([f"Results on {told}", str(self.table()), *self.warnings])

    def __getitem__(self, key: tuple[str, str]) -> float:
        """Returns the value of a recommender and a metric: `results["two_tower", "ndcg@10"]`."""
        name, metric = key
        checks.one_of("recommender", name, self.scores)
        checks.one_of("metric", metric, self.scores[name])
        return self.scores[name][metric].value

    def table(self, metrics: Sequence[str] | None = None) -> Table:
        """Returns the leaderboard as text, with half the width of each interval.

        Args:
            metrics: The columns; `None` for those that say most in one screen's width.

        Example:

        >>> setting = Setting("demo", "random 10 %", num_users=2, num_candidates=9)
        >>> scores = {"popularity": {"ndcg@10": Estimate(0.25, 0.2, 0.3)}}
        >>> print(Results(setting, scores, {"popularity": "baseline"}).table())
                        ndcg@10
        popularity  0.250 ±0.050
        """
        if metrics is None:  # average popularity has another unit: it is for the report
            metrics = [m for m in self.headline() if not m.startswith("average")]
        rows = []
        for name, scores in self.scores.items():
            rows.append([name, *(_cell(metric, scores.get(metric)) for metric in metrics)])
        return Table(["", *metrics], rows)

    def headline(self) -> list[str]:
        """Returns the metrics that say most: the first cut-off's, the recall of the last."""
        names = self.metrics
        first = names[0].partition("@")[2] if names else ""
        wanted = [f"{name}@{first}" for name in ("ndcg", "recall", "hr", "mrr")]
        wanted += [name for name in names if name.startswith("recall@")][-1:]
        wanted += [f"coverage@{first}", f"average_popularity@{first}", "rmse", "mae"]
        wanted += ["auc", "log_loss", "gauc", "normalized_entropy", "calibration"]
        return [name for name in dict.fromkeys(wanted) if name in names]

    def remarks(self) -> list[str]:
        """Returns what belongs under the leaderboard, line by line: protocol, comparison, warnings.

        Example:

        >>> setting = Setting("demo", "random 10 %", 2, 9, {"item unknown": 1})
        >>> Results(setting, {}, {}).remarks()
        ['random 10 %', '2 users, 9 candidates; test events left out: 1 item unknown']
        """
        counted = self.setting.counted
        if self.setting.left_out:
            reasons = (f"{count:,} {reason}" for reason, count in self.setting.left_out.items())
            counted += f"; test events left out: {', '.join(reasons)}"
        lines = [self.protocol, counted]
        for name, differences in self.differences.items():
            if self.kinds[name] == "model":
                main = next(iter(differences))
                found = differences[main]
                line = f"{name} against {self.reference}: {main} {found.value:+.4f}"
                if found.low is not None:
                    line += f", 95 % interval {found.low:+.4f} to {found.high:+.4f}"
                lines.append(line)
        return [*lines, *(f"Warning: {warning}" for warning in self.warnings)]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row a number, as the files of `benchmarks/results` hold them."""
        return [
            {
                "data": self.setting.data,
                "protocol": self.protocol,
                "model": name,
                "metric": metric,
                "value": estimate.value,
                "stderr": estimate.stderr,
                "unit": "",
                "peer": None,
                "ratio": None,
            }
            for name, scores in self.scores.items()
            for metric, estimate in scores.items()
        ]

    def merge(self, other: "Results") -> "Results":
        """Returns one leaderboard of two of the same setting.

        Differences are kept where both have the same reference.

        Raises:
            ValueError: If data, protocol, users or candidates differ, or a name is in both.
        """
        for name in ("data", "protocol", "num_users", "num_candidates"):
            ours, theirs = getattr(self.setting, name), getattr(other.setting, name)
            if ours != theirs:
                raise ValueError(
                    f"Results of different {name} cannot be compared: {ours!r} and {theirs!r}. "
                    "Evaluate both by the same protocol."
                )
        both = sorted(set(self.scores) & set(other.scores))
        if both:
            raise ValueError(checks.expected("other", "of other recommenders", both))
        same = self.reference == other.reference
        return Results(
            setting=self.setting,
            scores={**self.scores, **other.scores},
            kinds={**self.kinds, **other.kinds},
            reference=self.reference if same else None,
            differences={**self.differences, **other.differences} if same else {},
            exposure={**self.exposure, **other.exposure},
            groups={
                name: Table(table.columns, [*table.rows, *other.groups[name].rows[1:]])
                for name, table in self.groups.items()
                if name in other.groups
            },
            warnings=[*self.warnings, *other.warnings],
            seconds={**self.seconds, **other.seconds},
            resampled={**self.resampled, **other.resampled},
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the results as primitives."""
        groups = {name: list(table) for name, table in self.groups.items()}
        fields = asdict(replace(self, resampled={})) | {"groups": groups}
        del fields["resampled"]
        return fields

    def to_json(self) -> str:
        """Returns the results as JSON text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Results":
        """Rebuilds results from `to_dict`."""
        fields = dict(values)
        fields["setting"] = Setting(**fields["setting"])
        for part in ("scores", "differences"):
            fields[part] = {
                name: {metric: Estimate(**estimate) for metric, estimate in scores.items()}
                for name, scores in fields[part].items()
            }
        groups = fields.get("groups", {})  # runs of before have none
        fields["groups"] = {name: Table(*table) for name, table in groups.items()}
        return cls(**fields)

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Rebuilds results from `to_json`."""
        return cls.from_dict(json.loads(text))


def _cell(metric: str, estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    fine = (*LOWER_IS_BETTER, "auc", "gauc")
    digits = 1 if metric.startswith("average_popularity") else 4 if metric in fine else 3
    text = f"{estimate.value:,.{digits}f}"
    if estimate.low is None or estimate.high is None or np.isnan(estimate.value):
        return text
    return f"{text} ±{(estimate.high - estimate.low) / 2:.{digits}f}"
