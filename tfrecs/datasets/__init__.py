"""Data sets: `Tables` of events, queries and candidates, and where they come from."""

from tfrecs.datasets.citeulike import citeulike as citeulike
from tfrecs.datasets.demo import demo as demo
from tfrecs.datasets.demo import demo_stream as demo_stream
from tfrecs.datasets.files import OwnTables as OwnTables
from tfrecs.datasets.files import read_tables as read_tables
from tfrecs.datasets.known import KNOWN as KNOWN
from tfrecs.datasets.known import read_known as read_known
from tfrecs.datasets.lastfm import hetrec_lastfm as hetrec_lastfm
from tfrecs.datasets.movielens import movielens as movielens
from tfrecs.datasets.movielens import movielens_folds as movielens_folds
from tfrecs.datasets.movielens import ncf_leave_one_out as ncf_leave_one_out
from tfrecs.datasets.session_files import UserSequences as UserSequences
from tfrecs.datasets.session_files import diginetica as diginetica
from tfrecs.datasets.session_files import globo as globo
from tfrecs.datasets.session_files import session_folder as session_folder
from tfrecs.datasets.session_files import user_sequences as user_sequences
from tfrecs.datasets.sessions import Sessions as Sessions
from tfrecs.datasets.sessions import make_sessions as make_sessions
from tfrecs.datasets.sessions import read_session_file as read_session_file
from tfrecs.datasets.sessions import split_sessions as split_sessions
from tfrecs.datasets.tables import Tables as Tables
