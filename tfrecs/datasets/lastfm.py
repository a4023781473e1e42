"""HetRec 2011 Last.fm from its owner's files: listening counts of artists, with tags.

https://grouplens.org/datasets/hetrec-2011/ (non-commercial use; Cantador, Brusilovsky, Kuflik, 2nd
Workshop on Information Heterogeneity and Fusion in Recommender Systems, RecSys 2011)
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets.readers import find_file, read_bytes, read_delimited
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Numeric, Text

_FOLDERS = ("hetrec-lastfm-2k", "hetrec2011-lastfm-2k")
_TAGS = 10  # of an artist, the most frequent


def hetrec_lastfm(data_dir: str | Path) -> Tables:
    """Reads HetRec 2011 Last.fm: how often 1,892 users listened to 17,632 artists.

    Args:
        data_dir: Folder with the owner's `user_artists.dat`, `artists.dat`,
            `user_taggedartists.dat` and `tags.dat`, each also as `.gz`, or a folder
            `hetrec-lastfm-2k` or `hetrec2011-lastfm-2k` in it.

    Returns:
        The tables: ids int64; the weight of an event is the number of plays; an artist's title is
        its name, its tags the ten that most users gave. There are no times.

    Raises:
        FileNotFoundError: A file is not in the folder.
        ValueError: A file is malformed; the message names the line.
    """
    plays = _read(data_dir, "user_artists.dat")
    events = pa.table(
        {
            "user_id": plays["userID"].cast(pa.int64()),
            "item_id": plays["artistID"].cast(pa.int64()),
            "plays": plays["weight"].cast(pa.float32()),
        }
    )
    artists = _read(data_dir, "artists.dat")
    candidates = pa.table(
        {"item_id": artists["id"].cast(pa.int64()), "title": artists["name"].cast(pa.string())}
    )
    tags = _tags(_read(data_dir, "user_taggedartists.dat"), _read(data_dir, "tags.dat", "latin-1"))
    rows = pc.index_in(candidates["item_id"], value_set=tags["item_id"])
    candidates = candidates.append_column("tags", tags["tags"].take(rows))
    queries = pa.table({"user_id": pc.unique(events["user_id"]).sort()})
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", "int64", is_id=True),
            Categorical("item_id", "candidate", "int64", is_id=True),
            Text("title", "candidate", max_length=16),
            MultiCategorical("tags", "candidate"),
            Numeric("plays", "weight"),
        )
    )
    return Tables("hetrec-lastfm", events, queries, candidates, spec)


def _read(data_dir: str | Path, name: str, encoding: str = "utf-8") -> pa.Table:
    path = find_file(data_dir, _FOLDERS, name, "HetRec 2011 Last.fm")
    data = read_bytes(path).decode(encoding).encode()
    return read_delimited(path, data, "\t", quoted=False)


def _tags(given: pa.Table, names: pa.Table) -> pa.Table:
    """Returns item_id and its tags, those of most users first."""
    counts = given.group_by(["artistID", "tagID"]).aggregate([("userID", "count")])
    named = counts.join(names, "tagID", join_type="inner")
    keys = [("artistID", "ascending"), ("userID_count", "descending"), ("tagID", "ascending")]
    listed = named.sort_by(keys).group_by("artistID", use_threads=False)
    lists = listed.aggregate([("tagValue", "list")])
    first = pc.list_slice(lists["tagValue_list"].combine_chunks(), 0, _TAGS)
    return pa.table({"item_id": lists["artistID"].cast(pa.int64()), "tags": first})
