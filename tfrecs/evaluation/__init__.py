"""Judging recommenders: splits, protocols, results, report."""

from tfrecs.evaluation import splits as splits
from tfrecs.evaluation.splits import Split as Split
