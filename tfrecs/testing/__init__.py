"""The public contract: what every model, loss, metric and index promises, as named checks."""

from tfrecs.testing.case import Check as Check
from tfrecs.testing.case import ContractError as ContractError
from tfrecs.testing.case import ModelCase as ModelCase
from tfrecs.testing.clicks import CLICKS as CLICKS
from tfrecs.testing.clicks import FEW as FEW
from tfrecs.testing.clicks import click_case as click_case
from tfrecs.testing.data import checkerboard as checkerboard
from tfrecs.testing.data import markov_sequences as markov_sequences
from tfrecs.testing.data import random_table as random_table
from tfrecs.testing.indexes import check_index as check_index
from tfrecs.testing.losses import check_loss as check_loss
from tfrecs.testing.metrics import check_metric as check_metric
from tfrecs.testing.models import check_model as check_model
