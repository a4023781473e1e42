"""Data sets: `Tables` of events, queries and candidates, and where they come from."""

from tfrecs.datasets.demo import demo as demo
from tfrecs.datasets.demo import demo_stream as demo_stream
from tfrecs.datasets.files import OwnTables as OwnTables
from tfrecs.datasets.files import read_tables as read_tables
from tfrecs.datasets.movielens import movielens as movielens
from tfrecs.datasets.movielens import movielens_folds as movielens_folds
from tfrecs.datasets.movielens import ncf_leave_one_out as ncf_leave_one_out
from tfrecs.datasets.tables import Tables as Tables
