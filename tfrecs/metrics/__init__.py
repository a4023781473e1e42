"""Metrics: Keras metrics of (labels, scores), and NumPy functions of full rankings."""

from tfrecs.metrics.catalogue import average_popularity as average_popularity
from tfrecs.metrics.catalogue import coverage as coverage
from tfrecs.metrics.catalogue import gini as gini
from tfrecs.metrics.ranking import per_user as per_user
