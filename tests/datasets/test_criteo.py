import pytest

from tfrecs.datasets import criteo, criteo_spec, criteo_to_parquet, read_criteo, stream_criteo
from tfrecs.features import FeatureTransform, from_parquet


def line(label="1", count="5", category="68fd1e64"):
    return "\t".join([label, count, *[""] * 12, category, *["a73ee510"] * 24, ""])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("\n".join([line(), line("0", "", ""), line("0", "2")]) + "\n")
    return path


def test_empty_cells_are_null(file):
    table = read_criteo(file)
    assert table["label"].to_pylist() == [1, 0, 0]
    assert table["I1"].to_pylist() == [5, None, 2]
    assert table["C1"].to_pylist() == ["68fd1e64", None, "68fd1e64"]
    assert table["C26"].null_count == 3
    assert table.num_columns == 40


def test_a_stream_and_parquet_hold_the_same_rows(file, tmp_path):
    (table,) = stream_criteo(file)
    assert table.equals(read_criteo(file))
    path = criteo_to_parquet(file, tmp_path / "train.parquet")
    (batch,) = from_parquet(path, 8, spec=criteo_spec())
    assert batch["C1"].numpy().tolist() == [b"68fd1e64", b"", b"68fd1e64"]


def test_the_preset_bins_counts_and_forgets_rare_categories(file):
    transform = FeatureTransform(criteo_spec(min_count=3)).adapt(read_criteo(file))
    arrays = transform.encode(read_criteo(file))
    # bins: below -1, -1, 0, 1, 2 are ids 2 to 6; floor(ln(5)^2) = 2 is id 9; missing is 0
    assert arrays["I1"].tolist() == [9, 0, 6]
    assert arrays["C1"].tolist() == [1, 0, 1]  # seen twice
    assert arrays["C2"].tolist() == [2, 2, 2]  # seen three times


@pytest.mark.parametrize("read", [read_criteo, lambda path: list(stream_criteo(path))])
@pytest.mark.parametrize(
    "bad, message",
    [
        (line("2"), r"must have labels 0 and 1\. Received: 2 in line 2"),
        (line("0") + "\tmore", r"line.*2: Expected 40 columns, got 41"),
        (line(count="many"), r"I1|column #1.*line 2.*float"),
    ],
)
def test_a_bad_line_is_named(tmp_path, read, bad, message):
    path = tmp_path / "train.txt"
    path.write_text(f"{line()}\n{bad}\n")
    with pytest.raises(ValueError, match=message):
        read(path)


def test_a_category_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes(line().encode() + b"\n" + line(category="caf").encode() + b"\n")
    path.write_bytes(path.read_bytes().replace(b"caf", b"caf\xe9"))
    for read in (read_criteo, lambda path: list(stream_criteo(path))):
        with pytest.raises(ValueError, match=r"column #14.*line 2.*invalid UTF8"):
            read(path)


def test_the_real_rows_read(tfrecs_data):
    table = read_criteo(tfrecs_data / "criteo-sample" / "criteo8k_test.tsv.gz")
    assert table.num_rows == 391
    assert table["label"].to_numpy().mean() == pytest.approx(0.220, abs=1e-3)


def test_a_folder_of_files_becomes_tables_without_users_and_items(file):
    (file.parent / "notes.md").write_text("not read")
    (file.parent / "more.tsv").write_text(line() + "\n")
    tables = criteo(file.parent)
    assert (tables.events.num_rows, dict(tables.spec.ids)) == (4, {})
    assert tables.spec["C1"].min_count == 10


def test_a_folder_without_files_of_the_format_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"`data_dir` must be a folder of files \*\.txt or"):
        criteo(tmp_path)
