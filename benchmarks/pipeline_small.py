"""A small pipeline of real components, of seconds a run: what pipeline_faults.py breaks."""

import time
from pathlib import Path

import tensorflow as tf

from tfrecs import components as c
from tfrecs.components import artifacts


def export(
    examples: artifacts.Examples,
    index: c.Output[artifacts.RetrievalIndex],
    *,
    factor: float = 2.0,
    seconds: float = 0.0,
) -> None:
    """A SavedModel that multiplies.

    Args:
        examples: Their number goes into the model.
        index: The SavedModel.
        factor: What it multiplies by.
        seconds: How long it takes.
    """
    module = tf.Module()
    module.factor = tf.Variable([factor, float(sum(examples.properties["num_examples"].values()))])
    module.noise = tf.Variable(tf.random.stateless_normal([50_000], (0, 0)))
    module.score = tf.function(
        lambda x: x * module.factor[0], input_signature=[tf.TensorSpec([None], tf.float32)]
    )
    folder = index.path / "serving" / "small_stock" / "1"
    tf.saved_model.save(module, str(folder), signatures={"score": module.score})
    time.sleep(seconds)
    index.properties |= {"name": "small", "variants": {"stock": "serving/small_stock/1"}}


def bless(
    examples: artifacts.Examples,
    blessing: c.Output[artifacts.ModelBlessing],
    *,
    least: int = 1,
) -> None:
    """Blesses where there are enough examples.

    Args:
        examples: They are counted.
        blessing: Whether there are enough.
        least: How many are enough.
    """
    blessing.path.mkdir()
    (blessing.path / "blessing.json").write_text("{}")
    found = sum(examples.properties["num_examples"].values())
    reasons = [] if found >= least else [f"{found} examples, {least} wanted"]
    blessing.properties |= {"blessed": int(not reasons), "reasons": reasons}


Export = c.Component(export)
Bless = c.Component(bless)


def pipeline(
    source: str = "events.parquet",
    served: str = str(Path("saved_models")),
    factor: float = 2.0,
    seconds: float = 0.0,
    least: int = 1,
) -> c.Pipeline:
    """Returns the pipeline."""
    gen = c.ExampleGen(source=source)
    statistics = c.StatisticsGen(examples=gen["examples"])
    schema = c.SchemaGen(statistics=statistics["statistics"])
    index = Export(examples=gen["examples"], factor=factor, seconds=seconds)
    blessing = Bless(examples=gen["examples"], least=least)
    pusher = c.Pusher(index=index["index"], blessing=blessing["blessing"], destination=served)
    return c.Pipeline("small", (gen, statistics, schema, index, blessing, pusher))
