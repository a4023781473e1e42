"""Judging recommenders: splits, protocols, results, report."""

from tfrecs.evaluation import splits as splits
from tfrecs.evaluation.bootstrap import Estimate as Estimate
from tfrecs.evaluation.predictor import ModelPredictor as ModelPredictor
from tfrecs.evaluation.protocols import full_ranking as full_ranking
from tfrecs.evaluation.ratings import rating_errors as rating_errors
from tfrecs.evaluation.recommender import ModelRecommender as ModelRecommender
from tfrecs.evaluation.results import Results as Results
from tfrecs.evaluation.results import Setting as Setting
from tfrecs.evaluation.sampled import sampled_ranking as sampled_ranking
from tfrecs.evaluation.splits import Split as Split
