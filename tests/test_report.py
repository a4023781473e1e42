import math

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorboard.plugins.projector import projector_config_pb2

from tfrecs import report
from tfrecs.evaluation import map_items
from tfrecs.report import tensorboard_logs, write_projector
from tfrecs.spec import Categorical, FeatureSpec


class Catalogue:
    """Four items on a line, of two categories and one of none."""

    spec = FeatureSpec(
        (Categorical("item", "candidate", is_id=True), Categorical("kind", "candidate"))
    )
    candidates = pa.table({"item": ["a", "b", "c", "d"], "kind": ["x", "y", "x", None]})
    vectors = np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [6.0, 8.0, 0.0], [9.0, 12.0, 0.0]])


def test_items_on_a_line_keep_their_distances():
    found = map_items(Catalogue.vectors, Catalogue)
    assert found.column == "kind"
    assert found.groups == ["x", "y", "x", ""]
    assert found.share == pytest.approx(1.0)
    steps = np.diff(found.points, axis=0)  # 5 = sqrt(3^2 + 4^2)
    np.testing.assert_allclose([math.hypot(*step) for step in steps], 5.0)


def test_of_many_items_some_are_drawn_and_the_frequent_groups_named():
    found = map_items(Catalogue.vectors, Catalogue, max_points=3, max_groups=1)
    assert found.points.shape == (3, 2)
    assert set(found.groups) <= {"x", "y", ""}
    assert len(set(found.groups) - {""}) == 1


def test_vectors_of_other_items_are_refused():
    with pytest.raises(ValueError, match="`vectors` must be a row for each of 4 candidates"):
        map_items(Catalogue.vectors[:3], Catalogue)


def test_the_projector_is_told_where_vectors_and_titles_are(tmp_path):
    items = pa.table({"item": [1, 2], "title": ["a\tb", "c\nd"], "tags": [["x"], []]})
    write_projector(tmp_path, np.array([[0.5, 1.0], [2.0, -1.0]]), items)
    text = (tmp_path / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, projector_config_pb2.ProjectorConfig())
    (embedding,) = config.embeddings
    lines = (tmp_path / embedding.metadata_path).read_text().splitlines()
    assert lines == ["item\ttitle", "1\ta b", "2\tc d"]
    np.testing.assert_array_equal(
        np.loadtxt(tmp_path / embedding.tensor_path), [[0.5, 1.0], [2.0, -1.0]]
    )


def test_one_column_has_no_line_of_names_and_many_items_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MOST_POINTS", 2)
    write_projector(tmp_path, np.eye(3), pa.table({"item": ["a", "b", "c"]}))
    names = (tmp_path / "items.tsv").read_text().split()
    assert len(names) == 2
    rows = [["a", "b", "c"].index(name) for name in names]
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "vectors.tsv"), np.eye(3)[rows])


def test_a_training_that_fails_leaves_no_logs(tmp_path):
    def train():
        with tensorboard_logs(tmp_path / "run") as logs:
            (logs / "events").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert list(tmp_path.iterdir()) == []
