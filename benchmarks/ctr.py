"""Click models: DeepFM's Table 2 on MovieLens 1M, and on the few rows of Criteo at hand.

    TFRECS_DATA=DIR python benchmarks/ctr.py [--only quality,lazy,criteo] [--models DeepFM,FNN]

Sections: `quality` (AUC and log loss of every row of Table 2, ml-1m with user and movie features,
the paper's figures on Criteo beside), `lazy` (row-sparse against dense optimizers), `criteo` (five
folds over 7,991 rows, a check and no ranking). Speed is in ctr_speed.py.
"""

import argparse
import json
import os
from typing import Any

import numpy as np
from common import RESULTS, row, write
from ctr_data import SEED, criteo, ml_1m

SECTIONS = ("quality", "lazy", "criteo")
# Table 2 of arXiv:1703.04247: AUC and log loss on the full Criteo data
PUBLISHED = {
    "LR": ("LogisticRegression", 0.7686, 0.47762),
    "FM": ("FactorizationMachine", 0.7892, 0.46077),
    "FNN": ("FNN", 0.7963, 0.45738),
    "IPNN": ("IPNN", 0.7972, 0.45323),
    "OPNN": ("OPNN", 0.7982, 0.45256),
    "PNN*": ("PNNStar", 0.7987, 0.45214),
    "LR & DNN": ("WideDeep", 0.7981, 0.46772),
    "FM & DNN": ("FMDNN", 0.7850, 0.45382),
    "DeepFM": ("DeepFM", 0.8007, 0.45083),
    "DCN-v2": ("DCNv2", None, None),
    "DLRM": ("DLRM", None, None),
}
# One budget for all: the weight of L2 and the number of epochs are chosen on the validation part
# with the first seed; width, layers, batch and learning rate are the same for all.
SETTING = {"embedding_dim": 8, "hidden": (64, 64), "batch": 4096, "rate": 1e-2, "epochs": 4}
L2 = (1e-3, 1e-2)
SEEDS = (0, 1, 2)


def build(name: str, spec: Any, l2: float, seed: int) -> Any:
    """Returns a model of the benchmark's size; crosses are for Wide & Deep alone."""
    from tfrecs import models

    cls = getattr(models, name)
    if name != "WideDeep":
        spec = spec.select(*(f.name for f in spec if f.kind != "cross"))
    options = {"l2": l2, "seed": seed}
    if name != "LogisticRegression":
        options["embedding_dim"] = SETTING["embedding_dim"]
    if name not in ("LogisticRegression", "FactorizationMachine"):
        options["hidden"] = SETTING["hidden"]
    return cls(spec, **options)


def optimizer(name: str) -> Any:
    """Returns lazy Adam, and for the wide part of Wide & Deep FTRL."""
    import keras

    from tfrecs.optimizers import LazyAdam, SparseFTRL

    adam = LazyAdam(SETTING["rate"])
    if name != "WideDeep":
        return adam
    wide = {"wide/.*": SparseFTRL(0.05, l1_regularization_strength=1e-5)}
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(adam, wide))


def measure(model: Any, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Returns AUC, log loss and the others on labelled arrays."""
    from tfrecs import metrics

    features = {key: value for key, value in arrays.items() if key != "click"}
    scores = model.predict(features, batch_size=16_384, verbose=0)
    found = {"auc": metrics.auc(arrays["click"], scores)}
    found["log_loss"] = metrics.log_loss(arrays["click"], scores)
    if "user_id" in arrays:
        found["gauc"] = metrics.grouped_auc(arrays["click"], scores, arrays["user_id"])
    found["calibration"] = metrics.calibration(arrays["click"], scores)
    return found


def train(model: Any, given: Any, arrays: Any, epochs: int, seed: int, judge: Any = None) -> list:
    """Fits, and returns what `judge` says after each epoch."""
    import keras

    from tfrecs.features import from_arrays
    from tfrecs.losses import LogLoss

    batch = min(SETTING["batch"], len(arrays["click"]) // 16)
    data = from_arrays(arrays, batch, label="click", shuffle=True, seed=seed, drop_remainder=True)
    model.compile(given, LogLoss(), steps_per_execution=min(16, int(data.cardinality())))
    said: list = []
    tell = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: said.append(judge()))
    callbacks = [tell] if judge else []
    model.fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return said


def ready(name: str, spec: Any, l2: float, seed: int, arrays: Any) -> Any:
    """Returns a model to train: FNN starts from a trained factorization machine."""
    model = build(name, spec, l2, seed)
    if name == "FNN":
        machine = build("FactorizationMachine", spec, l2, seed)
        train(machine, optimizer(machine.name), arrays, SETTING["epochs"], seed)
        model.start_from(machine)
    return model


def tuned(name: str, spec: Any, learn: Any, validate: Any) -> tuple[float, int]:
    """Returns the L2 weight and the number of epochs of the best AUC on the validation part."""
    found = {}
    for l2 in L2:
        model = ready(name, spec, l2, SEEDS[0], learn)
        judge = lambda model=model: measure(model, validate)["auc"]  # noqa: E731
        areas = train(model, optimizer(name), learn, SETTING["epochs"], SEEDS[0], judge)
        found |= {(l2, epoch): area for epoch, area in enumerate(areas, 1)}
    best = max(found, key=lambda key: found[key])
    print(name, {key: round(area, 4) for key, area in found.items()}, best, flush=True)
    return best


def summed(data: str, protocol: str, model: str, found: list[dict[str, float]]) -> list:
    """Returns rows of the means of several runs, with their standard errors."""
    rows = []
    for metric in found[0]:
        values = np.array([one[metric] for one in found])
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
        rows.append(row(data, protocol, model, metric, values.mean(), stderr=error))
    return rows


def chosen(arguments: Any) -> dict[str, tuple]:
    """Returns the rows of Table 2 whose classes were asked for; all, where none was."""
    asked = (
        arguments.models.split(",") if arguments.models else [row[0] for row in PUBLISHED.values()]
    )
    return {name: row for name, row in PUBLISHED.items() if row[0] in asked}


ML_1M = "random 80/10/10 % of ratings, click = 4 or 5, three seeds"


def quality(arguments: Any) -> list[dict[str, Any]]:
    """AUC and log loss of every row of Table 2, beside the paper's own on Criteo."""
    spec, (learn, validate, test) = ml_1m()
    rows = []
    for name, (cls, area, loss) in chosen(arguments).items():
        l2, epochs = tuned(cls, spec, learn, validate)
        found = []
        for seed in SEEDS:
            model = ready(cls, spec, l2, seed, learn)
            train(model, optimizer(cls), learn, epochs, seed)
            found.append(measure(model, test))
        rows += summed("ml-1m", ML_1M, name, found)
        for metric, value in (("l2, chosen", l2), ("epochs, chosen", epochs)):
            rows.append(row("ml-1m", ML_1M, name, metric, value))
        for metric, value in (("auc", area), ("log_loss", loss)):
            if value is not None:
                protocol = "published, full Criteo (arXiv:1703.04247, table 2)"
                rows.append(row("criteo", protocol, name, metric, value, peer=name))
        print(name, found, flush=True)
    return rows


def lazy(arguments: Any) -> list[dict[str, Any]]:
    """DeepFM's AUC with the row-sparse optimizers and with Keras's dense ones."""
    import keras

    from tfrecs.optimizers import LazyAdam, SparseAdagrad

    spec, (learn, _, test) = ml_1m()
    pairs = {
        "LazyAdam": lambda: LazyAdam(SETTING["rate"]),
        "keras Adam": lambda: keras.optimizers.Adam(SETTING["rate"]),
        "SparseAdagrad": lambda: SparseAdagrad(0.05),
        "keras Adagrad": lambda: keras.optimizers.Adagrad(0.05),
    }
    rows = []
    for name, given in pairs.items():
        found = []
        for seed in SEEDS:
            model = build("DeepFM", spec, L2[0], seed)
            train(model, given(), learn, SETTING["epochs"], seed)
            found.append({"auc": measure(model, test)["auc"]})
        rows += summed("ml-1m", ML_1M, f"DeepFM, {name}, {SETTING['epochs']} epochs", found)
    return rows


def criteo_rows(arguments: Any) -> list[dict[str, Any]]:
    """AUC and log loss of every model on Criteo's few rows, by five folds: a check, no ranking."""
    spec, arrays = criteo()
    arrays["click"] = arrays.pop("label")
    fold = np.random.default_rng(0).permutation(len(arrays["click"])) % 5
    rows = []
    for name, (cls, _, _) in chosen(arguments).items():
        found = []
        for held in range(5):
            sides = [
                {key: a[side] for key, a in arrays.items()} for side in (fold != held, fold == held)
            ]
            model = ready(cls, spec, 1e-2, 0, sides[0])
            train(model, optimizer(cls), sides[0], 3, 0)
            found.append(measure(model, sides[1]))
        rows += summed("criteo 8k", "five folds of all rows, l2 0.01, 3 epochs", name, found)
    return rows


def table_2() -> str:
    """Returns what was measured as Table 2 is printed, the paper's Criteo columns beside it."""
    found = {}
    for one in json.loads((RESULTS / "ctr.json").read_text())["rows"]:
        found[one["data"], one["model"], one["metric"]] = one
    lines = [f"{'':10}{'ml-1m AUC':>18}{'log loss':>18}{'Criteo AUC':>12}{'log loss':>10}"]
    for name in PUBLISHED:
        cells = []
        for metric in ("auc", "log_loss"):
            one = found.get(("ml-1m", name, metric))
            cells.append(f"{one['value']:.4f} ± {one['stderr']:.4f}" if one else "")
        for metric, digits in (("auc", 4), ("log_loss", 5)):
            one = found.get(("criteo", name, metric))
            cells.append(f"{one['value']:.{digits}f}" if one else "")
        lines.append(f"{name:10}{cells[0]:>18}{cells[1]:>18}{cells[2]:>12}{cells[3]:>10}")
    return "\n".join(lines)


def main() -> None:
    """Runs the sections, writes results/ctr.json and prints Table 2."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas")
    parser.add_argument(
        "--models", default="", help="classes for `quality` and `criteo`, by commas; all"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sections = {"quality": quality, "lazy": lazy, "criteo": criteo_rows}
    for name in arguments.only.split(","):
        write("ctr", sections[name](arguments), seed=SEED, keep=True)
    print(table_2())


if __name__ == "__main__":
    main()
