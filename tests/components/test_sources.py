import contextlib
import datetime
import gzip
import json
import sqlite3
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrecs.components import examples as io
from tfrecs.components import sources
from tfrecs.components.artifacts import Examples
from tfrecs.components.example_gen import ExampleGen, example_gen

ROWS = [("a", 1, 2.5, None), ("b", 2, None, "x"), ("c", 3, 0.5, "y")] * 5
QUERY = "SELECT user_id, item, price, tag FROM events WHERE item < 3 ORDER BY rowid"


def generated(tmp_path, source, **parameters):
    examples = Examples(tempfile.mkdtemp(dir=tmp_path))
    example_gen(examples, source=str(source), splits={"all": 1}, **parameters)
    return io.read_table(examples, "all")


@pytest.fixture(params=["sqlite", "duckdb"])
def database(request, tmp_path):
    """The address of a database with a table of events."""
    path = tmp_path / f"events.{request.param}"
    if request.param == "sqlite":
        connection = contextlib.closing(sqlite3.connect(path))
    else:
        connection = pytest.importorskip("duckdb").connect(str(path))
    with connection as rows:
        rows.execute("CREATE TABLE events (user_id TEXT, item BIGINT, price DOUBLE, tag TEXT)")
        rows.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", ROWS)
        rows.commit()
    return f"{request.param}:///{path}"


def test_a_query_gives_examples(database, tmp_path):
    table = generated(tmp_path, database, query=QUERY)
    assert [tuple(row.values()) for row in table.to_pylist()] == [r for r in ROWS if r[1] < 3]
    assert table.schema.field("item").type == pa.int64()
    assert table.schema.field("price").type == pa.float32()
    given = ExampleGen(source=database, query=QUERY).parameters
    assert ExampleGen.files(given) == [database.split("///")[1]]


def test_a_query_that_fails_names_its_database(database, tmp_path):
    for query, why in (("SELECT nothing FROM events", "nothing"), ("DROP TABLE events", "")):
        with pytest.raises(ValueError, match=rf"(?s)events\..*{why}.* The query was: ") as told:
            generated(tmp_path, database, query=query)
        assert query in str(told.value)
    with pytest.raises(ValueError, match="`source` must be with rows"):
        generated(tmp_path, database, query="SELECT * FROM events WHERE item = 9")
    with pytest.raises(ValueError, match="`query` must be given with a database"):
        generated(tmp_path, database)
    with pytest.raises(FileNotFoundError, match="a database that is there"):
        generated(tmp_path, database + ".old", query=QUERY)
    with pytest.raises(ValueError, match=r"column of the query \(prices\)"):
        generated(tmp_path, database, query=QUERY, columns={"prices": "float32"})


def test_types_are_given_where_the_first_rows_mislead(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "e.db")) as rows:
        rows.execute("CREATE TABLE e (n)")
        rows.executemany("INSERT INTO e VALUES (?)", [(1,)] * 10 + [(0.5,)] * 10)
        rows.commit()
    source = f"sqlite:///{tmp_path}/e.db"
    blocks = [*sources.Piece(source, "sql", query="SELECT n FROM e").read(20)]
    assert blocks[0].schema.field("n").type == pa.float64()
    with pytest.raises(ValueError, match=r"not of the first rows' types.*columns="):
        list(sources.Piece(source, "sql", query="SELECT n FROM e").read(10))
    typed = sources.Piece(source, "sql", query="SELECT n FROM e", columns={"n": "float32"})
    assert sum(table.num_rows for table in typed.read(10)) == 20


def test_duckdb_is_told_where_it_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    (tmp_path / "e.duckdb").write_text("")
    with pytest.raises(ImportError, match="duckdb:/// needs DuckDB: pip install duckdb"):
        generated(tmp_path, f"duckdb:///{tmp_path}/e.duckdb", query="SELECT 1")


def test_a_query_of_duckdb_reads_nothing_outside_its_file(tmp_path):
    pytest.importorskip("duckdb").connect(str(tmp_path / "e.duckdb")).close()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    query = f"SELECT * FROM read_csv('{tmp_path}/secret.csv')"
    with pytest.raises(ValueError, match=r"e\.duckdb: Permission Error"):
        generated(tmp_path, f"duckdb:///{tmp_path}/e.duckdb", query=query)


def test_a_folder_of_parquet_is_read_with_what_its_folders_are_named(events, tmp_path):
    for day, country, rows in ((1, "de", 30), (2, "fr", 20), (10, "__HIVE_DEFAULT_PARTITION__", 5)):
        folder = tmp_path / "log" / f"day={day}" / f"country={country}"
        folder.mkdir(parents=True)
        pq.write_table(events.slice(0, rows), folder / "part-0.parquet")
        (folder / "_SUCCESS").write_text("")
        (folder / ".part-0.parquet.crc").write_text("")
    table = generated(tmp_path, tmp_path / "log")
    counts = table.group_by(["day", "country"]).aggregate([("item_id", "count")]).to_pylist()
    assert {(row["day"], row["country"]): row["item_id_count"] for row in counts} == {
        (1, "de"): 30,
        (2, "fr"): 20,
        (10, None): 5,
    }
    assert table.schema.field("day").type == pa.int64()
    some = generated(tmp_path, tmp_path / "log" / "day=*" / "country=??" / "*.parquet")
    assert set(some["day"].to_pylist()) == {1, 2}
    one = generated(tmp_path, tmp_path / "log" / "day=2")
    assert "day" not in one.column_names
    assert set(one["country"].to_pylist()) == {"fr"}
    pq.write_table(events, tmp_path / "log" / "stray.parquet")
    with pytest.raises(ValueError, match=r"in folders of the columns \['day', 'country'\].*stray"):
        generated(tmp_path, tmp_path / "log")


@pytest.mark.parametrize("name", ["e.parquet", "e.csv", "e.jsonl", "e.csv.gz"])
def test_a_damaged_source_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(b'a,b\n1\n{"a": ' + bytes(range(256)))
    with pytest.raises((ValueError, OSError), match=name.replace(".", r"\.")):
        generated(tmp_path, tmp_path / name)


def test_a_bomb_of_one_line_is_refused_not_held(tmp_path):
    with gzip.open(tmp_path / "bomb.csv.gz", "wb", compresslevel=9) as file:
        file.write(b"a,b\n1,2\n")
        for _ in range(64):
            file.write(b"0" * (1 << 20))
    assert (tmp_path / "bomb.csv.gz").stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"bomb\.csv\.gz.*"):
        generated(tmp_path, tmp_path / "bomb.csv.gz")


def test_a_prepared_data_set_of_tfds_is_known_by_its_descriptions(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")

    class Builder:
        data_path = str(tmp_path)

    monkeypatch.setattr(tfds, "builder", lambda name: Builder)
    assert sources.inputs("tfds://mine") == []
    (tmp_path / "dataset_info.json").write_text(json.dumps({"at": str(datetime.date.today())}))
    assert sources.inputs("tfds://mine") == [str(tmp_path / "dataset_info.json")]
