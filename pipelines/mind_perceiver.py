"""MIND at full size: the Perceiver two-tower of the published platform, and NRMS beside it.

    tfrecs pipeline run pipelines/mind_perceiver.py --set train=DIR --set dev=DIR \\
        --set vectors=glove.840B.300d.txt
    tfrecs pipeline run pipelines/mind_perceiver.py     # generated news, small, in minutes

NOT RUN by this project: MIND and GloVe are downloaded from their owners, and a run takes hours on a
GPU. The hyper-parameters are those of the authors' code; published are, for MIND-large's
validation set, an AUC of 0.726 over all candidates together (`flat_auc` here) of the Perceiver,
and for MIND-large's test set AUC 0.6776, MRR 0.3305, nDCG@5 0.3594, nDCG@10 0.4163 of NRMS, means
over impressions. Without folders the same steps run on generated news in a small size.
"""

import json
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa

from tfrecs import components as c
from tfrecs import datasets, evaluation, features, losses, models, optimizers
from tfrecs.components import artifacts
from tfrecs.spec import Categorical, FeatureSpec, Sequence, Text

FULL = {
    "title": 30,
    "body": 128,
    "history": 50,
    "words": 300,  # GloVe
    "latents": (500, 32),
    "layers": (2, 2),
    "output": 500,
    "batch": 32,  # 8 rows, 4 steps accumulated
    "accumulate": 4,
    "epochs": 3,
    "rate": 1e-4,
}
DEMO = FULL | {
    "title": 12,
    "body": 16,
    "history": 20,
    "words": 32,
    "latents": (8, 32),
    "layers": (1, 1),
    "output": 32,
    "epochs": 2,
    "rate": 2e-3,
    "accumulate": 1,
}


def vocabulary(news: pa.Table) -> tuple[str, ...]:
    """Returns the words of titles and bodies, one list for both."""
    texts = [features.tokenize(news[name].fill_null("").to_pylist()) for name in ("title", "body")]
    words = np.concatenate([text.flat_values.numpy() for text in texts])
    return tuple(word.decode() for word in dict.fromkeys(words.tolist()))


def transform_of(news: pa.Table, log: pa.Table, sizes: dict[str, Any]) -> features.FeatureTransform:
    """Returns the adapted features."""
    words = vocabulary(news)
    spec = FeatureSpec(
        (
            Categorical("news_id", "candidate", is_id=True),
            Text("title", max_length=sizes["title"], vocabulary=words),
            Text("body", max_length=sizes["body"], vocabulary=words),
            Categorical("category", "candidate"),
            Categorical("subcategory", "candidate"),
            Sequence("history", shared_with="news_id", max_length=sizes["history"]),
        )
    )
    return features.FeatureTransform(spec).adapt(news, log.select(["history"]))


def build(name: str, spec: FeatureSpec, sizes: dict[str, Any]) -> tuple[Any, Any]:
    """Returns a model and its loss."""
    if name == "nrms":
        spec = spec.select("news_id", "title", "history")
        return models.NRMS(spec, sizes["words"]), losses.Softmax()
    perceiver = models.PerceiverTwoTower(
        spec,
        sizes["words"],
        latents=sizes["latents"],
        layers=sizes["layers"],
        output_dim=sizes["output"],
        distance="euclidean",
    )
    return perceiver, losses.Triplet(margin=0.1)


def train(
    name: str,
    data: datasets.Impressions,
    transform: features.FeatureTransform,
    items: dict[str, np.ndarray],
    sizes: dict[str, Any],
    vectors: Path | None,
) -> Any:
    """Returns a trained model."""
    model, loss = build(name, transform.spec, sizes)
    model.set_catalogue(items)
    if vectors is not None:
        title: Any = transform.spec["title"]
        found = features.read_word_vectors(vectors, title.vocabulary)
        logging.info("%.1f %% of the words have vectors", 100 * found.coverage)
        model.tokens.table("title").embeddings.assign(found.table)
    size = transform.spec.candidate_id.size
    rows = features.from_impressions(
        features.encode_impressions(data.log, transform),
        sizes["batch"] // sizes["accumulate"],
        max_length=sizes["history"],
        num_tokens=np.full(size, max(sizes["title"], sizes["body"])),
        widths=(max(sizes["title"], sizes["body"]),),
        with_history=name == "nrms",
    )
    optimizer: Any = optimizers.LazyAdam(sizes["rate"])
    if sizes["accumulate"] > 1:
        steps = sizes["accumulate"]
        optimizer = keras.optimizers.Adam(sizes["rate"], gradient_accumulation_steps=steps)
    model.compile(optimizer, loss, jit_compile=False)
    model.fit(rows, epochs=sizes["epochs"], shuffle=False, verbose=2)
    return model


def train_and_judge(
    quality: c.Output[artifacts.ModelEvaluation],
    *,
    model: str,
    train_dir: str,
    dev_dir: str,
    vectors: str,
) -> None:
    """Trains on one split and judges on the other; writes metrics.json and prediction.txt."""
    if train_dir:
        (data, dev), sizes = (datasets.mind(folder) for folder in (train_dir, dev_dir)), FULL
    else:
        (data, dev), sizes = datasets.demo_impressions().split(0.2), DEMO
    news = pa.concat_tables([data.news, dev.news])
    first = np.unique(np.asarray(news["news_id"]), return_index=True)[1]
    news = news.take(pa.array(np.sort(first)))
    transform = transform_of(news, data.log, sizes)
    names = ["news_id", "title", "body", "category", "subcategory"]
    items = transform.encode(news, names)
    path = Path(vectors) if vectors else None
    trained = train(model, data, transform, items, sizes, path)
    log = features.encode_impressions(dev.log, transform)
    histories = features.from_histories(log, 64, max_length=sizes["history"])
    scores = evaluation.score_impressions(trained, items, histories, log)
    folder = Path(quality.uri)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = dev.log["impression_id"].to_pylist()
    evaluation.write_predictions(folder / "prediction.txt", numbers, scores, log.lengths)
    found = evaluation.impression_quality(log.labels, scores, log.lengths)
    (folder / "metrics.json").write_text(json.dumps(found.means, indent=1))
    quality.properties.update(found.means)


PLACES = ("train_dir", "dev_dir", "vectors")
TrainAndJudge = c.Component(
    train_and_judge,
    files=lambda given: [given[name] for name in PLACES if given[name]],
    places=PLACES,
)


def pipeline(train: str = "", dev: str = "", vectors: str = "") -> c.Pipeline:
    """Returns the pipeline."""
    given = {"train_dir": train, "dev_dir": dev, "vectors": vectors}
    nodes = [TrainAndJudge(id=name, model=name, **given) for name in ("perceiver", "nrms")]
    return c.Pipeline("mind_perceiver", tuple(nodes))
