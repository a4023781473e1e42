"""Recommenders without a network, with one face: `fit`, then `recommend`."""

from tfrecs.baselines.association_rules import AssociationRules as AssociationRules
from tfrecs.baselines.base import Baseline as Baseline
from tfrecs.baselines.base import interaction_matrix as interaction_matrix
from tfrecs.baselines.chance import Random as Random
from tfrecs.baselines.ease import EASE as EASE
from tfrecs.baselines.item_knn import ItemKNN as ItemKNN
from tfrecs.baselines.markov import Markov as Markov
from tfrecs.baselines.nmf import NMF as NMF
from tfrecs.baselines.oracle import Oracle as Oracle
from tfrecs.baselines.popularity import Popularity as Popularity
from tfrecs.baselines.sequential_rules import SequentialRules as SequentialRules
from tfrecs.baselines.session_popularity import SessionPopularity as SessionPopularity
from tfrecs.baselines.svd import SVD as SVD
from tfrecs.baselines.svd import truncated_svd as truncated_svd
from tfrecs.baselines.user_knn import UserKNN as UserKNN
from tfrecs.baselines.vsknn import VSKNN as VSKNN
