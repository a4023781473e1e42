"""Metrics: Keras metrics of (labels, scores), and NumPy functions of full rankings."""

from tfrecs.metrics.catalogue import average_popularity as average_popularity
from tfrecs.metrics.catalogue import coverage as coverage
from tfrecs.metrics.catalogue import gini as gini
from tfrecs.metrics.clicks import Calibration as Calibration
from tfrecs.metrics.clicks import NormalizedEntropy as NormalizedEntropy
from tfrecs.metrics.clicks import auc as auc
from tfrecs.metrics.clicks import calibration as calibration
from tfrecs.metrics.clicks import calibration_curve as calibration_curve
from tfrecs.metrics.clicks import grouped_auc as grouped_auc
from tfrecs.metrics.clicks import log_loss as log_loss
from tfrecs.metrics.clicks import normalized_entropy as normalized_entropy
from tfrecs.metrics.lists import MAP as MAP
from tfrecs.metrics.lists import MRR as MRR
from tfrecs.metrics.lists import NDCG as NDCG
from tfrecs.metrics.lists import HitRate as HitRate
from tfrecs.metrics.lists import Precision as Precision
from tfrecs.metrics.lists import Recall as Recall
from tfrecs.metrics.points import AUC as AUC
from tfrecs.metrics.points import MAE as MAE
from tfrecs.metrics.points import RMSE as RMSE
from tfrecs.metrics.points import LogLoss as LogLoss
from tfrecs.metrics.ranking import per_user as per_user
