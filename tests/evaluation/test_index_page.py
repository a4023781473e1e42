import xml.etree.ElementTree as ElementTree

from tfrecs.evaluation import plots
from tfrecs.evaluation.index_page import write_index_page
from tfrecs.retrieval import Point
from tfrecs.retrieval.tuning import Plan

CURVE = [
    Point("as built", 0.981, 0.5, Plan(10_000, 256, 12, 200, 100), chosen=True),
    Point("wanted 0.9", 0.91, 0.2, Plan(10_000, 256, 4, 120, 100)),
    Point("wanted 0.99", 0.99, 0.9, Plan(10_000, 256, 20, 400, 100)),
    Point("exact <b>", 1.0, 4.0),
]


def test_the_plot_names_what_was_wanted_and_what_is_exact():
    svg = plots.recall(CURVE)
    ElementTree.fromstring(svg)
    for text in (">0.9<", ">0.99<", "as built", "exact &lt;b&gt;", "ms for one query"):
        assert text in svg


def test_the_page_tells_the_parameters_that_were_chosen(tmp_path):
    page = write_index_page(tmp_path / "index.html", "Index of news", CURVE).read_text("utf-8")
    assert "<svg" in page
    rows = " ".join(page.split())
    assert '<tr class="chosen"> <td>as built</td><td>0.9810</td> <td>0.500</td>' in rows
    assert "<td>12 of 256</td> <td>200</td>" in rows
    assert "exact &lt;b&gt;" in rows
    assert "<script" not in page
    assert "src=" not in page  # no network
