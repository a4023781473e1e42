"""Rows of a query: a SQLite file by Python's own module, or a DuckDB file where that is installed.

    sqlite:///data/events.db    sqlite:////var/data/events.db    duckdb:///events.duckdb

Addresses are as SQLAlchemy writes them: three slashes and a path, relative or absolute. The file is
opened for reading alone, and a query reads nothing outside it, so that the cache knows all that
counts. Of a warehouse such as BigQuery, export the query's result as Parquet into a bucket, and
name that folder as the source.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from tfrecs import checks

_SCHEMES = ("sqlite:///", "duckdb:///")


def is_database(source: str) -> bool:
    """Returns whether a source is a database."""
    return source.startswith(_SCHEMES)


def inputs(source: str) -> list[str]:
    """Returns the files of a database: itself, and what was written and not yet taken over.

    Raises:
        FileNotFoundError: It is not there.
    """
    path = _path(source)
    if not path.is_file():
        raise FileNotFoundError(checks.expected("source", "a database that is there", source))
    beside = (path.with_name(path.name + end) for end in ("-wal", ".wal"))
    return [str(path), *(str(found) for found in beside if found.is_file())]


def tables(
    source: str, query: str, types: dict[str, pa.DataType], batch_size: int
) -> Iterator[pa.Table]:
    """Yields the rows of a query, as they come.

    Args:
        source: The database.
        query: A SELECT. `ORDER BY` keeps splits by row number the same from run to run.
        types: Types of columns that are not to be inferred from the first rows.
        batch_size: Rows of a table, at most.

    Raises:
        FileNotFoundError: The database is not there.
        ValueError: The query fails; the message names the database and gives the query.
    """
    path = Path(inputs(source)[0])
    rows = _sqlite if source.startswith("sqlite") else _duckdb
    schema: pa.Schema | None = None
    for table in rows(path, query, types, batch_size):
        for name in types:
            checks.one_of(f"column of the query ({name})", name, table.column_names)
        if schema is None:
            fields = [field.with_type(types.get(field.name, field.type)) for field in table.schema]
            schema = pa.schema(fields)
        yield _as(table, schema, source)


def _path(source: str) -> Path:
    return Path(source.split("///", 1)[1])


def _as(table: pa.Table, schema: pa.Schema, source: str) -> pa.Table:
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(
            f"{source}: later rows of the query are not of the first rows' types: {error} "
            "Give the types of such columns: columns={'price': 'float32'}."
        ) from error


def _failed(source: Path, query: str, error: Exception) -> ValueError:
    return ValueError(f"{source}: {error}. The query was: {query}")


def _sqlite(
    path: Path, query: str, types: dict[str, pa.DataType], batch_size: int
) -> Iterator[pa.Table]:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    try:
        cursor = connection.execute(query)
        if cursor.description is None:
            raise ValueError(checks.expected("query", "a SELECT", query))
        names = [column[0] for column in cursor.description]
        while rows := cursor.fetchmany(batch_size):
            columns = zip(names, zip(*rows, strict=True), strict=True)
            yield pa.table({name: pa.array(v, types.get(name)) for name, v in columns})
    except (sqlite3.Error, pa.ArrowException) as error:
        raise _failed(path, query, error) from error
    finally:
        connection.close()


def _duckdb(
    path: Path, query: str, types: dict[str, pa.DataType], batch_size: int
) -> Iterator[pa.Table]:
    del types  # a query of DuckDB has types
    try:
        import duckdb
    except ImportError as error:
        raise ImportError("duckdb:/// needs DuckDB: pip install duckdb") from error
    settings: dict[str, Any] = {"enable_external_access": "false"}
    try:
        with duckdb.connect(str(path), read_only=True, config=settings) as connection:
            answer = connection.sql(query)
            if answer is None:
                raise ValueError(checks.expected("query", "a SELECT", query))
            for batch in pa.RecordBatchReader.from_stream(answer):
                table = pa.Table.from_batches([batch])
                for start in range(0, table.num_rows, batch_size):
                    yield table.slice(start, batch_size)
    except duckdb.Error as error:
        raise _failed(path, query, error) from error
