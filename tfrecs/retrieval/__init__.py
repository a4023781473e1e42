"""Indexes: from query vectors to the best candidates, exact or approximate."""

from tfrecs.retrieval.base import Index as Index
from tfrecs.retrieval.exact import Exact as Exact
