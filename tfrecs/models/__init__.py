"""Models, one file each."""

from tfrecs.models.base import Ranker as Ranker
from tfrecs.models.base import RecModel as RecModel
from tfrecs.models.base import Retriever as Retriever
from tfrecs.models.bert4rec import BERT4Rec as BERT4Rec
from tfrecs.models.cnn_3d import CNN3D as CNN3D
from tfrecs.models.contextual_gru4rec import ContextualGRU4Rec as ContextualGRU4Rec
from tfrecs.models.dcn_v2 import DCNv2 as DCNv2
from tfrecs.models.deepfm import DeepFM as DeepFM
from tfrecs.models.dlrm import DLRM as DLRM
from tfrecs.models.factorization_machine import FactorizationMachine as FactorizationMachine
from tfrecs.models.fm_dnn import FMDNN as FMDNN
from tfrecs.models.fnn import FNN as FNN
from tfrecs.models.gru4rec import GRU4Rec as GRU4Rec
from tfrecs.models.ials import IALS as IALS
from tfrecs.models.iki import IkiRanker as IkiRanker
from tfrecs.models.ipnn import IPNN as IPNN
from tfrecs.models.logistic_regression import LogisticRegression as LogisticRegression
from tfrecs.models.matrix_factorization import MatrixFactorization as MatrixFactorization
from tfrecs.models.nrms import NRMS as NRMS
from tfrecs.models.opnn import OPNN as OPNN
from tfrecs.models.perceiver_two_tower import PerceiverTwoTower as PerceiverTwoTower
from tfrecs.models.pnn_star import PNNStar as PNNStar
from tfrecs.models.sasrec import SASRec as SASRec
from tfrecs.models.two_tower import TwoTower as TwoTower
from tfrecs.models.wide_deep import WideDeep as WideDeep
from tfrecs.models.wrmf import WRMF as WRMF
