import gzip

import pytest

from tfrecs.datasets import gtzan

LINES = ["filename,length,tempo,mfcc1_mean,label", "a.au,10,120.5,-3,blues", "b.au,20,90,1.5,pop"]


def write(folder, lines=LINES):
    (folder / "gtzan-features").mkdir(exist_ok=True)
    data = gzip.compress("\n".join(lines).encode())
    (folder / "gtzan-features" / "features_30_sec.csv.gz").write_bytes(data)
    return folder


def test_features_are_one_vector_a_track_and_keep_their_names(tmp_path):
    tracks = gtzan(write(tmp_path))
    assert tracks["item_id"].to_pylist() == ["a.au", "b.au"]
    assert tracks["genre"].to_pylist() == ["blues", "pop"]
    assert tracks["num_samples"].to_pylist() == [10, 20]
    assert tracks["features"].to_pylist() == [[120.5, -3.0], [90.0, 1.5]]
    assert tracks.schema.field("features").metadata[b"names"] == b"tempo\nmfcc1_mean"


@pytest.mark.parametrize(
    "lines, message",
    [
        (["filename,tempo,label", "a.au,1,blues"], r"features_30_sec.*Lacks: \['length'\]"),
        (["filename,length,label", "a.au,1,blues"], "must have the columns .* and features"),
        ([*LINES, "c.au,3,fast,1,pop"], "must hold numbers alone in column tempo"),
        ([*LINES, "c.au,3,,1,pop"], "must hold numbers alone in column tempo"),
        ([*LINES, "c.au,3"], r"features_30_sec.csv.gz is malformed: .*line 4"),
        ([""], "is empty"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        gtzan(write(tmp_path, lines))


def test_a_truncated_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no features_30_sec.csv of GTZAN"):
        gtzan(tmp_path)
    path = write(tmp_path) / "gtzan-features" / "features_30_sec.csv.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="is truncated or not gzip"):
        gtzan(tmp_path)


def test_the_real_data_are_whole(tfrecs_data):
    tracks = gtzan(tfrecs_data)
    counts = tracks["genre"].value_counts().to_pylist()
    assert [count["counts"] for count in counts] == [100] * 10
    assert tracks.schema.field("features").type.list_size == 57
    assert tracks["features"][0].as_py()[0] == pytest.approx(0.35008812)
