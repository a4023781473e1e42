"""Amazon Industrial and Scientific in UniSRec's split: sequences, texts of items, their vectors.

Reviews of Ni, Li, McAuley, Justifying recommendations using distantly-labeled reviews, EMNLP 2019,
as split for Hou et al. 2022, arXiv:2206.05941 (UniSRec), and kept in
https://github.com/ysh-1998/CoWPiRec; no licence is stated. The vectors are those that
all-MiniLM-L6-v2 (Reimers and Gurevych 2019, arXiv:1908.10084; MIT in its wheel) makes of the texts.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tfrecs.datasets.readers import find_file, read_bytes
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Attributes, Categorical, Feature, FeatureSpec, Text, Timestamp, Vector

_FOLDERS = ("amazon-scientific-text",)
_VECTORS = ("scientific-minilm", *_FOLDERS)
_NAME = "Amazon Scientific"
_PARTS = ("title", "categories", "brand")


def scientific(data_dir: str | Path, *, vectors: bool = True) -> Tables:
    """Reads Amazon Scientific: 59,427 interactions of 8,442 users with 4,385 items of known text.

    Args:
        data_dir: Folder with `Scientific.train.inter`, `.valid.inter`, `.test.inter`, `.text` and
            `.item2index`, each also as `.gz`, and `text_vectors.npy`; or folders
            `amazon-scientific-text` and `scientific-minilm` in it.
        vectors: Whether to read the vectors too. Defaults to `True`.

    Returns:
        The tables: ids int64 from 0; of an item its title, categories, brand, the three as
        attributes, and `vector`, 384 numbers. There are no times: `place` is that of an event in
        its user's sequence, so that leaving each user's last event out is the published split.

    Raises:
        FileNotFoundError: A file is not in the folder.
        ValueError: A file is malformed, or two of them do not fit; the message names the line.
    """
    users, items, places = _sequences(data_dir)
    candidates = _items(data_dir)
    if items.max() >= candidates.num_rows:
        told = f"item {items.max()} of {candidates.num_rows}"
        raise ValueError(f"Scientific.item2index must name every item. Received: {told}.")
    more: tuple[Feature, ...] = ()
    if vectors:
        path = find_file(data_dir, _VECTORS, "text_vectors.npy", _NAME)
        found = _vectors(path, candidates.num_rows)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), found.shape[1])
        candidates = candidates.append_column("vector", flat)
        more = (Vector("vector", dim=found.shape[1]),)
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", "int64", is_id=True),
            Categorical("item_id", "candidate", "int64", is_id=True),
            Text("title"),
            Text("categories"),
            Categorical("brand", "candidate"),
            Attributes("attributes", max_count=len(_PARTS), keys=_PARTS),
            *more,
            Timestamp("place", "time"),
        )
    )
    return Tables(
        name="amazon-scientific",
        events=pa.table({"user_id": users, "item_id": items, "place": places}),
        queries=pa.table({"user_id": np.unique(users)}),
        candidates=candidates,
        spec=spec,
    )


def _sequences(data_dir: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the user, the item and the place of every event, user by user.

    The training rows of a user are all prefixes, the longest first, and their next items; those of
    the other two files one each, the last and the last but one.
    """
    read = {part: _rows(data_dir, part) for part in ("train", "valid", "test")}
    targets: dict[int, list[int]] = {}
    first: dict[int, int] = {}
    for part, rows in read.items():
        for user, history, target in reversed(rows) if part == "train" else rows:
            targets.setdefault(user, []).append(target)
            first.setdefault(user, history[0])
    last = {user: history for user, history, _ in read["test"]}
    sequences = {user: [first[user], *targets[user]] for user in sorted(targets)}
    for user, sequence in sequences.items():
        history = last.get(user, [])
        if not history or sequence[:-1][-len(history) :] != history:
            told = "the history in Scientific.test.inter is not that of the other two files"
            raise ValueError(f"The events of user {user} do not fit: {told}.")
    lengths = [len(sequence) for sequence in sequences.values()]
    users = np.repeat(np.fromiter(sequences, np.int64), lengths)
    return (
        users,
        np.concatenate(list(sequences.values())),
        np.concatenate([np.arange(n) for n in lengths]),
    )


def _rows(data_dir: str | Path, part: str) -> list[tuple[int, list[int], int]]:
    """Reads lines of user, history and target."""
    path = find_file(data_dir, _FOLDERS, f"Scientific.{part}.inter", _NAME)
    rows = []
    for number, line in enumerate(read_bytes(path).decode().splitlines()[1:], 2):
        cells = line.split("\t")
        try:
            user, history, target = int(cells[0]), [int(i) for i in cells[1].split()], int(cells[2])
        except (ValueError, IndexError) as error:
            told = "a user, a history and an item, numbers separated by tabs"
            raise ValueError(f"{path}, line {number} must be {told}.") from error
        if not history:
            raise ValueError(f"{path}, line {number} has no history.")
        rows.append((user, history, target))
    return rows


def _items(data_dir: str | Path) -> pa.Table:
    """Reads what is known of each item, in the order of their numbers."""
    path = find_file(data_dir, _FOLDERS, "Scientific.item2index", _NAME)
    numbers = [line.split("\t") for line in read_bytes(path).decode().splitlines()]
    for place, cells in enumerate(numbers):
        if len(cells) != 2 or cells[1] != str(place):
            raise ValueError(f"{path}, line {place + 1} must be an ASIN and the number {place}.")
    path = find_file(data_dir, _FOLDERS, "Scientific.text", _NAME)
    texts: dict[str, list[str]] = {}
    for number, line in enumerate(read_bytes(path).decode().splitlines()[1:], 2):
        asin, _, text = line.partition("\t")
        parts = text.strip().removesuffix(".").rsplit(". ", 2)
        if len(parts) != len(_PARTS):
            told = "an ASIN, a tab and a text of title, categories and brand"
            raise ValueError(f"{path}, line {number} must be {told}.")
        texts[asin] = parts
    lacking = [asin for asin, _ in numbers if asin not in texts]
    if lacking:
        raise ValueError(f"{path} lacks the text of {lacking[0]} ({len(lacking)} such items).")
    rows = [[part.strip() or None for part in texts[asin]] for asin, _ in numbers]
    columns = {
        name: pa.array([row[place] for row in rows], pa.string())
        for place, name in enumerate(_PARTS)
    }
    pairs = [list(zip(_PARTS, row, strict=True)) for row in rows]
    return pa.table(
        {
            "item_id": np.arange(len(numbers)),
            "asin": [asin for asin, _ in numbers],
            **columns,
            "attributes": pa.array(pairs, pa.map_(pa.string(), pa.string())),
        }
    )


def _vectors(path: Path, rows: int) -> np.ndarray:
    try:
        found = np.load(path)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is damaged or no NumPy array: {error}") from error
    if found.ndim != 2 or len(found) != rows or not np.isfinite(found).all():
        expectation = f"finite numbers of shape ({rows}, E)"
        raise ValueError(f"{path} must hold {expectation}. Received: {found.shape}.")
    return np.asarray(found, np.float32)
