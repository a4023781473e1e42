"""Lineage in SQLite: which data, code and parameters made an artifact, and in which run."""

import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfrecs.components import worker
from tfrecs.components.artifacts import FILE as ARTIFACT
from tfrecs.components.artifacts import Artifact, Model, ModelBlessing, load

logger = logging.getLogger("tfrecs")
FILE = "lineage.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, pipeline TEXT, started REAL, finished REAL, state TEXT);
CREATE TABLE IF NOT EXISTS executions (
    key TEXT PRIMARY KEY, node TEXT, component TEXT, code TEXT, parameters TEXT,
    started REAL, seconds REAL);
CREATE TABLE IF NOT EXISTS steps (
    run TEXT, node TEXT, key TEXT, state TEXT, seconds REAL, message TEXT,
    PRIMARY KEY (run, node));
CREATE TABLE IF NOT EXISTS artifacts (
    uri TEXT PRIMARY KEY, type TEXT, digest TEXT, properties TEXT);
CREATE TABLE IF NOT EXISTS links (
    key TEXT, direction TEXT, name TEXT, uri TEXT, PRIMARY KEY (key, direction, name));
"""


class Store:
    """The lineage of all runs of a folder. Every write is a transaction.

    A database that is damaged is put aside, and one that is damaged or lost is made anew of what
    executions and runs left in their folders.

    Args:
        root: The folder of the pipeline's runs.

    Raises:
        OSError: The database cannot be read or written; the message names it.
    """

    def __init__(self, root: str | Path) -> None:
        self.path = Path(root).absolute() / FILE
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lost = not self.path.exists() or self.path.stat().st_size == 0
        damage = "" if lost else self._damage()
        if damage:
            aside = self.path.with_name(f"{FILE}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
            self.path.rename(aside)
            logger.warning("%s is damaged (%s): kept as %s.", self.path, damage, aside.name)
        with self._open() as rows:
            rows.executescript(_SCHEMA)
        if lost or damage:
            self._restore()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = None
        try:
            connection = sqlite3.connect(self.path, timeout=30)
            connection.row_factory = sqlite3.Row
            with connection:
                yield connection
        except sqlite3.Error as error:
            raise OSError(f"{self.path}: {error}. It is the lineage of these runs.") from error
        finally:
            if connection is not None:
                connection.close()

    def _damage(self) -> str:
        """Returns what is wrong with the file, or ""."""
        try:
            connection = sqlite3.connect(self.path, timeout=30)
            try:
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            finally:
                connection.close()
        except sqlite3.OperationalError as error:  # locked, not to be read: not damaged
            raise OSError(f"{self.path}: {error}. It is the lineage of these runs.") from error
        except sqlite3.DatabaseError as error:
            return str(error)
        return "" if found == "ok" else str(found)

    def _restore(self) -> None:
        """Notes again what the folders of executions and runs say."""
        root = self.path.parent
        found = []
        for file in (root / "artifacts").glob(f"*/[!.]*/{worker.EXECUTION}"):
            try:
                said = worker.execution(file.parent)
                made = {
                    path.parent.name: load(path.parent)
                    for path in file.parent.glob(f"*/{ARTIFACT}")
                }
                found.append((said, made))
            except (OSError, ValueError) as error:
                logger.warning("Left out of the lineage: %s", error)
        known = {made.uri: made for _, outputs in found for made in outputs.values()}
        for said, outputs in sorted(found, key=lambda pair: float(pair[0]["started"])):
            inputs = {name: known[uri] for name, uri in said["inputs"].items() if uri in known}
            self.add_execution(said, inputs, outputs)
        runs = sorted(path for path in (root / "runs").glob("[!.]*") if path.is_dir())
        for folder in runs:
            self._restore_run(folder)
        if found or runs:
            logger.warning(
                "%s: made anew of %d executions and %d runs.", self.path, len(found), len(runs)
            )

    def _restore_run(self, folder: Path) -> None:
        try:
            said = json.loads((folder / "run.json").read_text())
            values = [folder.name, *(said[n] for n in ("pipeline", "started", "finished", "state"))]
            steps = [[folder.name, *step] for step in said["steps"]]
        except (OSError, ValueError, KeyError, TypeError):  # it never ended
            values, steps = [folder.name, "", None, None, "killed"], []
        with self._open() as rows:
            rows.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", values)
            rows.executemany("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?)", steps)

    def start_run(self, run: str, pipeline: str) -> None:
        """Notes that a run began; runs that never ended are `killed`."""
        with self._open() as rows:
            rows.execute("UPDATE runs SET state = 'killed' WHERE state = 'running'")
            values = (run, pipeline, time.time(), None, "running")
            rows.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", values)

    def end_run(self, run: str, state: str) -> None:
        """Notes how a run ended."""
        with self._open() as rows:
            statement = "UPDATE runs SET finished = ?, state = ? WHERE id = ?"
            rows.execute(statement, (time.time(), state, run))

    def add_step(
        self, run: str, node: str, key: str, state: str, seconds: float, message: str = ""
    ) -> None:
        """Notes what became of a node in a run."""
        with self._open() as rows:
            values = (run, node, key, state, seconds, message)
            rows.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?)", values)

    def add_execution(
        self,
        execution: dict[str, Any],
        inputs: dict[str, Artifact],
        outputs: dict[str, Artifact],
    ) -> None:
        """Notes an execution with what went in and came out; a known one is left as it is."""
        with self._open() as rows:
            names = ("key", "node", "component", "code", "parameters", "started", "seconds")
            values = [execution[name] for name in names]
            values[4] = json.dumps(values[4])
            rows.execute("INSERT OR IGNORE INTO executions VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            for direction, artifacts in (("in", inputs), ("out", outputs)):
                for name, made in artifacts.items():
                    about = (made.uri, type(made).__name__, made.digest)
                    values = [*about, json.dumps(made.properties)]
                    rows.execute("INSERT OR IGNORE INTO artifacts VALUES (?, ?, ?, ?)", values)
                    link = (execution["key"], direction, name, made.uri)
                    rows.execute("INSERT OR IGNORE INTO links VALUES (?, ?, ?, ?)", link)

    def runs(self) -> list[dict[str, Any]]:
        """Returns all runs, the last first."""
        with self._open() as rows:
            # in the order of their beginning, whatever the clock said
            return [dict(row) for row in rows.execute("SELECT * FROM runs ORDER BY rowid DESC")]

    def steps(self, run: str) -> list[dict[str, Any]]:
        """Returns the nodes of a run."""
        query = "SELECT * FROM steps WHERE run = ? ORDER BY rowid"
        with self._open() as rows:
            return [dict(row) for row in rows.execute(query, (run,))]

    def links(self, key: str, direction: str) -> dict[str, dict[str, Any]]:
        """Returns the inputs ("in") or outputs ("out") of an execution, by name."""
        query = (
            "SELECT links.name, artifacts.* FROM links JOIN artifacts USING (uri) "
            "WHERE key = ? AND direction = ?"
        )
        with self._open() as rows:
            found = [dict(row) for row in rows.execute(query, (key, direction))]
        return {
            row.pop("name"): row | {"properties": json.loads(row["properties"])} for row in found
        }

    def made(self, uri: str) -> dict[str, Any] | None:
        """Returns the execution that made an artifact, or `None`."""
        query = (
            "SELECT executions.* FROM links JOIN executions USING (key) "
            "WHERE uri = ? AND direction = 'out'"
        )
        with self._open() as rows:
            row = rows.execute(query, (uri,)).fetchone()
        return None if row is None else dict(row) | {"parameters": json.loads(row["parameters"])}

    def lineage(self, uri: str) -> list[dict[str, Any]]:
        """Returns the executions that an artifact descends from, the last first."""
        found: dict[str, dict[str, Any]] = {}
        waiting = [uri]
        while waiting:
            made = self.made(waiting.pop(0))
            if made is None or made["key"] in found:
                continue
            found[made["key"]] = made
            waiting += [row["uri"] for row in self.links(made["key"], "in").values()]
        return list(found.values())

    def blessed(self, before_span: int | None, other_than: str | None) -> list[Model]:
        """Returns the models that an Evaluator blessed and that are there, the last first.

        Args:
            before_span: Only models of an earlier span; `None` for any.
            other_than: Digest of a model that does not count.
        """
        query = (
            "SELECT m.* FROM links b JOIN artifacts a ON a.uri = b.uri "
            "JOIN links i ON i.key = b.key AND i.direction = 'in' AND i.name = 'model' "
            "JOIN artifacts m ON m.uri = i.uri JOIN executions e ON e.key = b.key "
            "WHERE b.direction = 'out' AND a.type = ? "
            "AND json_extract(a.properties, '$.blessed') = 1 ORDER BY e.rowid DESC"
        )
        found = []
        with self._open() as rows:
            for row in rows.execute(query, (ModelBlessing.__name__,)):
                properties = json.loads(row["properties"])
                span = properties.get("span")
                early = before_span is None or (span is not None and span < before_span)
                if early and row["digest"] != other_than and Path(row["uri"]).is_dir():
                    found.append(Model(row["uri"], properties, row["digest"]))
        return found
