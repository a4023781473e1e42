"""What recall costs: ScaNN's parameters chosen for several recalls, exact and quantised search.

    python benchmarks/recall.py --data mixed-100k      # a quiet machine: a minute
    python benchmarks/recall.py --data clustered-1m --no-quantized

The index, the vectors and the queries are those of benchmarks/retrieval.py, whose `build` comes
first. Parameters are chosen on half of the queries and recall is measured on the other half; times
are medians of one query in this process, each way in turn. Adds its rows to results/recall.json
and draws docs/recall-<data>.svg.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import common
import retrieval as indexes

DOCS = Path(__file__).resolve().parent.parent / "docs"


def measure(data: str, quantized: bool) -> list[Any]:
    """Returns the points of a data set's curve."""
    from tfrecs.retrieval import Quantized, ScaNN, recall_curve

    vectors, queries = indexes.vectors(data)
    cache = Path(tempfile.gettempdir()) / "tfrecs-retrieval"
    index = ScaNN.load(cache / data / "index" / "scann")
    others = {
        dtype: Quantized(k=indexes.K, table_dtype=dtype).index(vectors, index.ids)
        for dtype in (("int8", "bfloat16") if quantized else ())
    }
    return recall_curve(index, queries, others=others)


def rows_of(data: str, curve: list[Any]) -> list[dict[str, Any]]:
    """Returns recall and latency of each point; the latency's ratio is to exact search's."""
    [exact] = [point.milliseconds for point in curve if point.label == "exact"]
    rows = []
    for point in curve:
        name = point.label
        if point.plan:
            plan = point.plan
            searched = f"{plan.leaves_to_search} of {plan.num_leaves} partitions"
            name = f"ScaNN {point.label}: {searched}, {plan.reorder} reordered"
        protocol = f"k={indexes.K}, {indexes.TEST} queries against exact"
        rows.append(common.row(data, protocol, name, f"recall@{indexes.K}", point.recall))
        against = {} if name == "exact" else {"peer": "exact", "ratio": point.milliseconds / exact}
        protocol = f"k={indexes.K}, one query, {indexes.THREADS} cores, median of 84"
        row = common.row(data, protocol, name, "latency", point.milliseconds, unit="ms", **against)
        rows.append(row)
    return rows


def main() -> None:
    from tfrecs.evaluation import plots

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mixed-100k", choices=indexes.DATA)
    parser.add_argument("--quantized", default=True, action=argparse.BooleanOptionalAction)
    given = parser.parse_args()
    data, curve = given.data, measure(given.data, given.quantized)
    svg = plots.recall(curve).replace("<svg ", '<svg style="background:#fff;color:#222" ', 1)
    (DOCS / f"recall-{data}.svg").write_text(svg)
    common.write("recall", rows_of(data, curve), seed=indexes.SEED, keep=True)


if __name__ == "__main__":
    main()
