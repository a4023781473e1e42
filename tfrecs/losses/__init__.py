"""Losses over candidate lists: labels 1, 0, -1 (ignore), or the ids of the positives."""

from tfrecs.losses.base import ListLoss as ListLoss
from tfrecs.losses.bpr import BPR as BPR
from tfrecs.losses.pairs import InBatch as InBatch
from tfrecs.losses.pairs import Sampled as Sampled
from tfrecs.losses.sigmoid import Sigmoid as Sigmoid
from tfrecs.losses.softmax import Softmax as Softmax
