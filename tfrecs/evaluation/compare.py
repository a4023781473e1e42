"""Is one recommender better than another? Two results of one protocol, on the same users."""

from dataclasses import dataclass

import numpy as np

from tfrecs import checks
from tfrecs.evaluation.bootstrap import Estimate
from tfrecs.evaluation.results import LOWER_IS_BETTER, Results, Table

UNDECIDED = "not decided"


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Args:
        names: The first recommender and the second.
        values: By metric, the value of each.
        differences: By metric, second minus first, with its 95 % interval over users.
        line: The protocol and who was judged.
        num_resamples: Resamples that the intervals are of.
    """

    names: tuple[str, str]
    values: dict[str, tuple[float, float]]
    differences: dict[str, Estimate]
    line: str
    num_resamples: int

    def verdict(self, metric: str) -> str:
        """Returns the name that is better, or "not decided" where the interval holds 0 or is NaN.

        Example:

        >>> Comparison(("a", "b"), {}, {"ndcg@10": Estimate(0.1, 0.05, 0.2)}, "", 200).verdict(
        ...     "ndcg@10")
        'b'
        """
        found = self.differences[metric]
        if found.low is None or found.high is None or not (found.low > 0 or found.high < 0):
            return UNDECIDED
        return self.names[(found.value > 0) != (metric.partition("@")[0] in LOWER_IS_BETTER)]

    def table(self) -> Table:
        """Returns a row a metric: both values, the difference with its interval, who is better."""
        first, second = self.names
        rows = []
        for metric, (one, other) in self.values.items():
            found = self.differences[metric]
            interval = "" if found.low is None else f"{found.low:+.4f} to {found.high:+.4f}"
            numbers = [f"{one:.4f}", f"{other:.4f}", f"{found.value:+.4f}", interval]
            rows.append([metric, *numbers, self.verdict(metric)])
        return Table(["", first, second, "difference", "95 % interval", "better"], rows)


def compare(
    first: Results, second: Results, recommenders: tuple[str, str], names: tuple[str, str]
) -> Comparison:
    """Compares two recommenders that were judged apart, user by user.

    `d_r = mean over drawn users of (second - first)`: the paired bootstrap. Both results drew the
    same users for each resample r, since they have the same seed and number of users; the interval
    is that of the 2.5 % and 97.5 % quantiles of d.

    Args:
        first: Results, just judged: those that were read from a file have no resamples.
        second: Others of the same setting, resampled as often and by the same seed.
        recommenders: Names of the two in their results.
        names: What to call them.

    Returns:
        The comparison, metrics with an interval alone.

    Raises:
        ValueError: If data, protocol, or numbers of users or candidates differ, or there are no
            resamples to compare.

    Reference:
        Smucker et al. 2007, A comparison of statistical significance tests for information
        retrieval evaluation, CIKM.
    """
    for part in ("data", "protocol", "num_users", "num_candidates"):
        one, other = getattr(first.setting, part), getattr(second.setting, part)
        if one != other:
            raise ValueError(
                f"Results of different {part} cannot be compared: {one!r} and {other!r}. "
                "Judge both by the same protocol."
            )
    drawn = []
    for results, recommender in zip((first, second), recommenders, strict=True):
        checks.one_of("recommender", recommender, results.scores)
        drawn.append(results.resampled.get(recommender, np.zeros((0, 0))))
    metrics = list(first.scores[recommenders[0]])[: drawn[0].shape[1]]
    if len(drawn[0]) < 2 or drawn[0].shape != drawn[1].shape:
        shapes = tuple(array.shape for array in drawn)
        remedy = "Judge both with the same num_bootstrap above 1."
        raise ValueError(checks.expected("resamples", "as many of both", shapes, remedy))
    values = {m: (first[recommenders[0], m], second[recommenders[1], m]) for m in metrics}
    differences = {
        metric: Estimate.of(other - one, drawn[1][:, column] - drawn[0][:, column])
        for column, (metric, (one, other)) in enumerate(values.items())
    }
    line = f"{first.setting.data}, {first.protocol}; {first.setting.counted}"
    return Comparison(names, values, differences, line, len(drawn[0]))
