"""Models, one file each."""

from tfrecs.models.base import Ranker as Ranker
from tfrecs.models.base import RecModel as RecModel
from tfrecs.models.base import Retriever as Retriever
from tfrecs.models.matrix_factorization import MatrixFactorization as MatrixFactorization
from tfrecs.models.two_tower import TwoTower as TwoTower
