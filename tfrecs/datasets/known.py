"""The data sets that have a name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tfrecs import checks
from tfrecs.datasets.avazu import avazu
from tfrecs.datasets.citeulike import citeulike
from tfrecs.datasets.criteo import criteo
from tfrecs.datasets.demo import demo
from tfrecs.datasets.demo_shop import demo_shop
from tfrecs.datasets.grocery import grocery
from tfrecs.datasets.histories import session_tables
from tfrecs.datasets.lastfm import hetrec_lastfm
from tfrecs.datasets.movielens import movielens
from tfrecs.datasets.scientific import scientific
from tfrecs.datasets.session_files import diginetica, globo, session_folder
from tfrecs.datasets.tables import Tables


@dataclass(frozen=True)
class Known:
    """A data set with a name.

    Args:
        about: What it is, in a line.
        read: Given the folder of the owner's files, or `None` to download them, returns it.
        local: Whether there is no download, so that the folder is needed.
    """

    about: str
    read: Callable[[Path | None], Tables]
    local: bool = False


KNOWN = {
    "demo": Known(
        "a generated content site with a known truth; nothing to download",
        lambda data_dir: demo(),
    ),
    "demo-shop": Known(
        "a generated year of a content shop with a known truth; nothing to download",
        lambda data_dir: demo_shop(),
    ),
    "movielens-100k": Known(
        "100,000 ratings of 1,682 films by 943 users (grouplens.org)",
        partial(movielens, "100k"),
    ),
    "movielens-1m": Known(
        "1,000,209 ratings of 3,706 films by 6,040 users (grouplens.org)",
        partial(movielens, "1m"),
    ),
    "hetrec-lastfm": Known(
        "92,834 listening counts of 17,632 artists by 1,892 users (grouplens.org)",
        lambda data_dir: hetrec_lastfm(data_dir or ""),
        local=True,
    ),
    "session-files": Known(
        "a folder with *_train_full.txt and *_test.txt of SessionId, ItemId, Time, as RSC15",
        lambda data_dir: session_tables(session_folder(data_dir or "")),
        local=True,
    ),
    "diginetica": Known(
        "sessions of a shop, in the split of SR-GNN",
        lambda data_dir: session_tables(diginetica(data_dir or "")),
        local=True,
    ),
    "globo": Known(
        "clicks on news of Globo.com, with contexts",
        lambda data_dir: session_tables(globo(data_dir or "")),
        local=True,
    ),
    "citeulike-a": Known(
        "204,986 articles in the libraries of 5,551 users",
        lambda data_dir: citeulike(data_dir or ""),
        local=True,
    ),
    "amazon-scientific": Known(
        "59,427 interactions of 8,442 users with 4,385 items of known text, UniSRec's split",
        lambda data_dir: scientific(data_dir or ""),
        local=True,
    ),
    "amazon-grocery": Known(
        "121,892 interactions of 14,681 users with 8,713 items, as ReChorus keeps them",
        lambda data_dir: grocery(data_dir or ""),
        local=True,
    ),
    "criteo": Known(
        "clicks on ads, 13 counts and 26 categories; any rows of Criteo's format",
        lambda data_dir: criteo(data_dir or ""),
        local=True,
    ),
    "avazu": Known(
        "clicks on ads, categories of site, app and device; any rows of Avazu's format",
        lambda data_dir: avazu(data_dir or ""),
        local=True,
    ),
}


def read_known(name: str, data_dir: str | Path | None = None) -> Tables:
    """Reads a data set by its name.

    Args:
        name: One of `KNOWN`.
        data_dir: Folder of the owner's files; `None`, the default, to download them.

    Raises:
        ValueError: If the name is not known, or a folder is needed and none is given.

    Example:

    >>> read_known("demo").candidates.num_rows
    1000
    """
    checks.one_of("dataset", name, KNOWN)
    known = KNOWN[name]
    if known.local and data_dir is None:
        remedy = f"It has no download of ours. Add --data-dir DIR, the folder of {name}'s files."
        raise ValueError(checks.expected("data_dir", f"a folder for {name!r}", None, remedy))
    return known.read(None if data_dir is None else Path(data_dir))
