"""Optimizers whose step costs what the batch costs, however large the tables."""

from tfrecs.optimizers.lazy_adam import LazyAdam as LazyAdam
from tfrecs.optimizers.sparse_adagrad import SparseAdagrad as SparseAdagrad
