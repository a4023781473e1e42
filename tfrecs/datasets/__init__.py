"""Data sets: `Tables` of events, queries and candidates, and where they come from."""

from tfrecs.datasets.tables import Tables as Tables
