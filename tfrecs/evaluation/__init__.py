"""Judging recommenders: splits, protocols, results, report."""

from tfrecs.evaluation import splits as splits
from tfrecs.evaluation.bootstrap import Estimate as Estimate
from tfrecs.evaluation.predictor import ModelPredictor as ModelPredictor
from tfrecs.evaluation.protocols import full_ranking as full_ranking
from tfrecs.evaluation.ratings import rating_errors as rating_errors
from tfrecs.evaluation.recommender import ModelRecommender as ModelRecommender
from tfrecs.evaluation.report import describe_environment as describe_environment
from tfrecs.evaluation.report import write_report as write_report
from tfrecs.evaluation.results import Results as Results
from tfrecs.evaluation.results import Setting as Setting
from tfrecs.evaluation.sampled import sampled_ranking as sampled_ranking
from tfrecs.evaluation.splits import Split as Split
from tfrecs.evaluation.summary import Example as Example
from tfrecs.evaluation.summary import Summary as Summary
from tfrecs.evaluation.summary import find_examples as find_examples
from tfrecs.evaluation.summary import summarize as summarize
