"""Impressions: what users were shown at once, what they clicked, and the items' texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import columns

NEWS_SCHEMA = pa.schema(
    {
        "news_id": pa.string(),
        "category": pa.string(),
        "subcategory": pa.string(),
        "title": pa.string(),
        "body": pa.string(),
        "entities": pa.list_(pa.string()),
    }
)
LOG_SCHEMA = pa.schema(
    {
        "impression_id": pa.int64(),
        "user_id": pa.string(),
        "time": pa.int64(),
        "history": pa.list_(pa.string()),
        "candidates": pa.list_(pa.string()),
        "clicked": pa.list_(pa.int8()),
    }
)


@dataclass(frozen=True)
class Impressions:
    """News and a log of impressions, one row for each list of news that a user was shown.

    Args:
        name: What reports call the data set.
        news: A row for each news, of the columns of `NEWS_SCHEMA`; texts may be null.
        log: A row for each impression, of the columns of `LOG_SCHEMA`: `history` is what the user
            clicked before, oldest first; `clicked` says of each candidate 1 or 0, null for an
            impression without labels; `time` is in seconds since 1970.
        truth: What is known of a generated world; `None` for real data.

    Raises:
        ValueError: A column is missing or of another type, a news id is there twice, or an
            impression has other numbers of labels and candidates.

    Example:

    >>> news = pa.table({"news_id": ["N1", "N2"], "title": ["One", "Two"]})
    >>> log = pa.table({"user_id": ["U1"], "history": [["N9"]], "candidates": [["N1", "N2"]],
    ...                 "clicked": [[1, 0]]})
    >>> data = Impressions.of("two news", news, log)
    >>> data.absent
    {'history': 1, 'candidates': 0}
    """

    name: str
    news: pa.Table
    log: pa.Table
    truth: Any = None

    def __post_init__(self) -> None:
        for argument, table, schema in (
            ("news", self.news, NEWS_SCHEMA),
            ("log", self.log, LOG_SCHEMA),
        ):
            if table.schema.names != schema.names or table.schema.types != schema.types:
                wanted = ", ".join(f"{field.name} {field.type}" for field in schema)
                remedy = "Impressions.of(...) fills in missing columns."
                raise ValueError(
                    checks.expected(
                        argument, f"of the columns {wanted}", table.schema.names, remedy
                    )
                )
        columns.check_distinct("news", self.news["news_id"], "news_id")
        sizes, labels = (pc.list_value_length(self.log[n]) for n in ("candidates", "clicked"))
        wrong = pc.fill_null(pc.not_equal(sizes, labels), False).to_numpy()
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                checks.expected(
                    "log",
                    f"of as many labels as candidates ({sizes[row]} in row {row})",
                    labels[row].as_py(),
                )
            )

    @classmethod
    def of(cls, name: str, news: pa.Table, log: pa.Table, truth: Any = None) -> "Impressions":
        """Returns impressions of tables that may lack columns: those are null, ids count from 1."""
        if "impression_id" not in log.column_names:
            log = log.append_column("impression_id", pa.array(np.arange(1, log.num_rows + 1)))
        return cls(name, _filled(news, NEWS_SCHEMA), _filled(log, LOG_SCHEMA), truth)

    @property
    def absent(self) -> dict[str, int]:
        """How many ids of the histories and of the candidates have no row in `news`."""
        return {
            name: int((columns.positions(flat(self.log[name]), self.news["news_id"]) < 0).sum())
            for name in ("history", "candidates")
        }

    def with_all_ids(self) -> "Impressions":
        """Returns the same with a row, all null but the id, for each id that `news` lacks.

        So models of ids alone can learn from a log whose news are not all there.
        """
        seen = pa.chunked_array([flat(self.log[name]) for name in ("history", "candidates")])
        seen = seen.unique()
        new = seen.filter(pa.array(columns.positions(seen, self.news["news_id"]) < 0))
        rows = _filled(pa.table({"news_id": new}), NEWS_SCHEMA)
        return replace(self, news=pa.concat_tables([self.news, rows]))

    def split(self, fraction: float = 0.2) -> tuple["Impressions", "Impressions"]:
        """Returns the earlier impressions and the last `fraction` of them, by time."""
        if not 0 < fraction < 1:
            raise ValueError(checks.expected("fraction", "between 0 and 1", fraction))
        order = np.argsort(self.log["time"].to_numpy(), kind="stable")
        cut = round(len(order) * (1 - fraction))
        return self.take(np.sort(order[:cut])), self.take(np.sort(order[cut:]))

    def take(self, rows: Any) -> "Impressions":
        """Returns the impressions of the given rows."""
        return replace(self, log=self.log.take(pa.array(rows)))

    def describe(self) -> dict[str, str]:
        """Summarises the data in plain values, to be printed line by line."""
        log, absent = self.log, self.absent
        shown, clicked = flat(log["candidates"]), flat(log["clicked"])
        history = pc.list_value_length(log["history"]).to_numpy(zero_copy_only=False)
        users = pc.count_distinct(log["user_id"]).as_py()
        return {
            "impressions": f"{log.num_rows:,} by {users:,} users",
            "news": f"{self.news.num_rows:,}, {self.news['body'].null_count:,} without body",
            "candidates": f"{len(shown):,}, {pc.sum(clicked).as_py() or 0:,} clicked",
            "history": f"{history.mean():.1f} on average, {(history == 0).sum():,} empty",
            "absent from news": ", ".join(f"{n:,} of {name}" for name, n in absent.items()),
        }


def flat(lists: pa.ChunkedArray) -> pa.Array:
    """Returns the values of all lists, one after the other."""
    values = pc.list_flatten(lists)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def lists_of(values: pa.Array, lengths: np.ndarray) -> pa.ListArray:
    """Returns lists of the given lengths of values that stand one after the other."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Returns the table with the columns of a schema, null where it lacks one."""
    made: Sequence[Any] = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(dict(zip(schema.names, made, strict=True)), schema=schema)
