"""MIND, the Microsoft News data set, from its owner's files.

https://msnews.github.io (non-commercial research; Wu et al. 2020, MIND: A Large-scale Dataset for
News Recommendation, ACL)
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets import columns
from tfrecs.datasets.impressions import LOG_SCHEMA, Impressions, flat, lists_of
from tfrecs.datasets.readers import find_file, read_bytes, read_delimited

BEHAVIORS, NEWS = "behaviors.tsv", "news.tsv"
TIME = "%m/%d/%Y %I:%M:%S %p"  # 11/9/2019 9:05:58 AM
_BEHAVIORS = ("impression_id", "user_id", "time", "history", "candidates")
_NEWS = ("news_id", "category", "subcategory", "title", "body", "url", "entities", "in_body")


def mind(data_dir: str | Path, name: str = "MIND") -> Impressions:
    """Reads MIND's files, small or large: news and the impressions of one split.

    The body is what `news.tsv` has of it, the abstract; an empty one is null. Entities are the
    Wikidata ids of title and abstract; `read_word_vectors` reads `entity_embedding.vec`. The test
    set of the leaderboard has no labels: its `clicked` are null.

    Args:
        data_dir: Folder with `behaviors.tsv` and `news.tsv`, each also as `.gz`.
        name: What reports call the data. Defaults to "MIND".

    Raises:
        ValueError: A malformed row; the message names the file and the line.
        OSError: A file cannot be opened.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "news.tsv").write_text(
    ...     "N1\\tsports\\tgolf\\tA title\\tA body\\turl\\t[]\\t[]\\n")
    >>> _ = (folder / "behaviors.tsv").write_text(
    ...     "1\\tU1\\t11/9/2019 9:05:58 AM\\tN1 N7\\tN1-1 N8-0\\n")
    >>> data = mind(folder)
    >>> data.log["clicked"].to_pylist(), data.absent
    ([[1, 0]], {'history': 1, 'candidates': 1})
    """
    news, behaviors = (find_file(data_dir, (name,), file, "MIND") for file in (NEWS, BEHAVIORS))
    return Impressions.of(name, _read_news(news), _read_log(behaviors))


def write_mind(data: Impressions, folder: str | Path) -> None:
    """Writes impressions as MIND's two files, to be read by `mind` and by other programs.

    Entities are written as objects with a "WikidataId", all of them as those of the title.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NEWS).open("w", encoding="utf-8") as file:
        for row in data.news.to_pylist():
            entities = json.dumps([{"WikidataId": entity} for entity in row["entities"] or []])
            texts = [row[name] or "" for name in _NEWS[:5]]
            file.write("\t".join([*texts, "", entities, "[]"]) + "\n")
    log = data.log
    times = log["time"].cast(pa.timestamp("s"))
    times = pc.strftime(times, "%m/%d/%Y %I:%M:%S %p").to_pylist()
    with (folder / BEHAVIORS).open("w", encoding="utf-8") as file:
        rows = zip(times, *(log[name].to_pylist() for name in LOG_SCHEMA.names), strict=True)
        for at, number, user, _, history, shown, clicked in rows:
            if clicked is not None:
                shown = [f"{i}-{c}" for i, c in zip(shown, clicked, strict=True)]
            fields = (str(number), user, at, " ".join(history or []), " ".join(shown))
            file.write("\t".join(fields) + "\n")


def _read_news(path: Path) -> pa.Table:
    table = _read(path, _NEWS)
    _refuse(path, pc.equal(table["news_id"], ""), "a news id", table["news_id"])
    columns.check_distinct(path.name, table["news_id"], "news_id")
    sides = [_entities(path, table[name]) for name in ("entities", "in_body")]
    entities = [list(dict.fromkeys([*a, *b])) for a, b in zip(*sides, strict=True)]
    texts = {name: pc.if_else(pc.equal(table[name], ""), None, table[name]) for name in _NEWS[1:5]}
    made = pa.array(entities, pa.list_(pa.string()))
    return pa.table({"news_id": table["news_id"], **texts, "entities": made})


def _entities(path: Path, column: pa.ChunkedArray) -> list[list[str]]:
    """Returns the Wikidata ids of JSON lists."""
    found = []
    for line, text in enumerate(column.to_pylist(), 1):
        try:
            found.append([entity["WikidataId"] for entity in json.loads(text or "[]")])
        except (ValueError, TypeError, KeyError):
            expectation = 'a JSON list of objects with a "WikidataId"'
            raise ValueError(_wrong(path, expectation, text, line)) from None
    return found


def _read_log(path: Path) -> pa.Table:
    table = _read(path, _BEHAVIORS)
    number = table["impression_id"]
    whole = pc.match_substring_regex(number, "^[0-9]{1,18}$")
    _refuse(path, pc.invert(whole), "an impression id, an integer,", number)
    time = pc.strptime(table["time"], TIME, "s", error_is_null=True)
    _refuse(path, time.is_null(), "a time such as 11/9/2019 9:05:58 AM", table["time"])
    history, past = _split(table["history"])
    shown, sizes = _split(table["candidates"])
    _refuse(path, pa.array(sizes == 0), "a candidate or more", table["candidates"])
    labelled = pc.match_substring_regex(shown, "-[01]$")
    clicked: Any = pa.nulls(len(sizes), pa.list_(pa.int8()))
    if pc.any(labelled).as_py():
        row = pa.array(np.repeat(np.arange(len(sizes)), sizes))
        wrong = np.zeros(len(sizes), bool)
        wrong[row.filter(pc.invert(labelled)).to_numpy()] = True
        _refuse(path, pa.array(wrong), "candidates as N1-1 N2-0", table["candidates"])
        labels = pc.utf8_slice_codeunits(shown, -1).cast(pa.int8())
        clicked = lists_of(labels, sizes)
        shown = pc.utf8_slice_codeunits(shown, 0, -2)
    return pa.table(
        {
            "impression_id": number.cast(pa.int64()),
            "user_id": table["user_id"],
            "time": time.cast(pa.int64()),
            "history": lists_of(history, past),
            "candidates": lists_of(shown, sizes),
            "clicked": clicked,
        }
    )


def _read(path: Path, names: tuple[str, ...]) -> pa.Table:
    types = dict.fromkeys(names, pa.string())
    return read_delimited(path, read_bytes(path), "\t", types=types, quoted=False)


def _split(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Returns the words of all rows, and how many each row has."""
    lists = pc.split_pattern(column, " ").combine_chunks()
    words = flat(lists)
    row = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy(False))
    kept = pc.not_equal(words, "")
    lengths = np.bincount(row[kept.to_numpy(False)], minlength=len(lists))
    return words.filter(kept), lengths


def _refuse(path: Path, wrong: Any, expectation: str, column: pa.ChunkedArray) -> None:
    """Raises ValueError with the line of the first row that is wrong."""
    rows = np.flatnonzero(wrong.to_numpy(zero_copy_only=False))
    if len(rows):
        row = int(rows[0])
        raise ValueError(_wrong(path, expectation, column[row].as_py(), row + 1))


def _wrong(path: Path, expectation: str, value: str, line: int) -> str:
    value = value if len(value) < 60 else value[:57] + "..."
    return f"{path} must have {expectation} in line {line}. Received: {value!r}."
