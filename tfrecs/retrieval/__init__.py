"""Indexes: from query vectors to the best candidates, exact or approximate."""

from tfrecs.retrieval.base import Index as Index
from tfrecs.retrieval.build import build as build
from tfrecs.retrieval.build import load as load
from tfrecs.retrieval.curve import Point as Point
from tfrecs.retrieval.curve import recall_curve as recall_curve
from tfrecs.retrieval.diverse import farthest_points as farthest_points
from tfrecs.retrieval.exact import Exact as Exact
from tfrecs.retrieval.exact import nearest as nearest
from tfrecs.retrieval.lifecycle import updated as updated
from tfrecs.retrieval.quantized import Quantized as Quantized
from tfrecs.retrieval.scann import ScaNN as ScaNN
from tfrecs.retrieval.scann_ops import op_library as op_library
from tfrecs.retrieval.tag_candidates import CandidateOptions as CandidateOptions
from tfrecs.retrieval.tag_candidates import TagCandidates as TagCandidates
from tfrecs.retrieval.tuning import recall_at_k as recall_at_k
