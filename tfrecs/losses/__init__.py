"""Losses over candidate lists: labels 1, 0, -1 (ignore), or the ids of the positives."""

from tfrecs.losses.base import ListLoss as ListLoss
from tfrecs.losses.bpr import BPR as BPR
from tfrecs.losses.ccl import CCL as CCL
from tfrecs.losses.gbce import GBCE as GBCE
from tfrecs.losses.hardest import Hardest as Hardest
from tfrecs.losses.log_loss import LogLoss as LogLoss
from tfrecs.losses.pairs import InBatch as InBatch
from tfrecs.losses.pairs import Sampled as Sampled
from tfrecs.losses.sessions import TOP1 as TOP1
from tfrecs.losses.sessions import BPRMax as BPRMax
from tfrecs.losses.sessions import TOP1Max as TOP1Max
from tfrecs.losses.shared import SharedNegatives as SharedNegatives
from tfrecs.losses.sigmoid import Sigmoid as Sigmoid
from tfrecs.losses.softmax import Softmax as Softmax
from tfrecs.losses.triplet import Triplet as Triplet
from tfrecs.losses.warp import WARP as WARP
