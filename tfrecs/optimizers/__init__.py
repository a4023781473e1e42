"""Optimizers whose step costs what the batch costs, however large the tables."""

from tfrecs.optimizers.adagrad_momentum import AdagradMomentum as AdagradMomentum
from tfrecs.optimizers.lazy_adam import LazyAdam as LazyAdam
from tfrecs.optimizers.sparse_adagrad import SparseAdagrad as SparseAdagrad
from tfrecs.optimizers.sparse_ftrl import SparseFTRL as SparseFTRL
