"""Data sets: `Tables` of events, queries and candidates, and where they come from."""

from tfrecs.datasets.demo import demo as demo
from tfrecs.datasets.demo import demo_stream as demo_stream
from tfrecs.datasets.tables import Tables as Tables
