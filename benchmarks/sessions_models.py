"""The sections of `benchmarks/sessions.py` that train other models: contexts, transformers."""

from typing import Any

import numpy as np
from common import row


def globo(arguments: Any) -> list[dict[str, Any]]:
    """Contexts on Globo: plain and contextual GRU4Rec, by age of item and kind of event."""
    import sessions as shared

    from tfrecs import datasets
    from tfrecs.datasets.sessions import latest
    from tfrecs.spec import Categorical, FeatureSpec

    cut = latest(datasets.globo(shared.data("globo-clicks")), arguments.events)
    contexts = ("history_gap", "history_hour", "history_referrer_type", "history_devicegroup")
    coming = ("gap", "hour", "devicegroup")
    features = [f for f in cut.spec if f.name in ("item_id", "history", *contexts)]
    spec = FeatureSpec((*features, *(Categorical(name, "context") for name in coming)))
    judge = Judge(cut, spec, arguments.judged)
    rows = []
    for baseline, ranks in shared.baseline_rows(cut, spec, shared.AUTHORS, judge.events):
        if baseline["metric"] == "recall@20":
            rows += judge.rows(baseline["model"], ranks)
    shared.save(rows)
    plain = None
    for mode in arguments.modes.split(","):
        if mode == "sasrec":
            rows += judge.rows("SASRec 64, 2 layers, 20 epochs", judge.train_sasrec())
            continue
        modes = tuple(mode.split("+")) if mode else ()
        name = f"ContextualGRU4Rec 100, contexts at {' + '.join(modes) or 'nothing'}, 3 epochs"
        own = judge.rows(name, judge.train(modes))
        plain = plain or own
        for ours, base in zip(own, plain, strict=True):
            if modes:
                ours |= {"peer": "contexts at nothing", "ratio": ours["value"] / base["value"]}
        rows += own
        print(own[0], flush=True)
        shared.save(rows)
    return rows


class Judge:
    """Trains on Globo and splits what was found by age of item and kind of event."""

    def __init__(self, cut: Any, spec: Any, number: int) -> None:
        import sessions as shared

        from tfrecs import FeatureTransform
        from tfrecs.evaluation import next_items
        from tfrecs.evaluation.sessions import NextItems

        self.shared, self.cut = shared, cut
        self.transform = FeatureTransform(spec).adapt(cut.train, cut.histories)
        events = next_items(cut.test, cut.candidates, spec)
        most = min(number, len(events.rows))
        drawn = np.sort(np.random.default_rng(0).choice(len(events.rows), most, replace=False))
        taken = (events.queries.take(drawn), events.targets[drawn], events.rows[drawn])
        self.events = NextItems(*taken)
        names = [f.name for f in spec if not f.name.startswith("history")]
        self.ids = self.transform.encode(cut.train, names)
        self.spec = spec
        time, items = np.asarray(cut.train["time"]), self.ids["item_id"]
        first = np.full(items.max() + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, items, time)
        test_ids = self.transform.encode(cut.test, ["item_id"])["item_id"]
        rows = self.events.rows
        hours = (np.asarray(cut.test["time"])[rows] - first[test_ids[rows]]) / 3_600_000
        referrer = np.asarray(cut.test["referrer_type"].to_pylist())[rows]
        most = max(set(referrer.tolist()), key=referrer.tolist().count)
        self.parts = {
            "": np.ones(len(rows), bool),
            ", items first seen under 12 h ago": hours < 12,
            ", items first seen 12 h ago or more": hours >= 12,
            f", events of referrer {most}": referrer == most,
            ", events of other referrers": referrer != most,
        }

    def rows(self, name: str, ranks: np.ndarray) -> list[dict[str, Any]]:
        """Returns rows of Recall@10 and MRR@20, of all events and of each part."""
        label = f"{self.cut.name}, last {self.cut.train.num_rows:,} events"
        rows = []
        for part, chosen in self.parts.items():
            hits = ranks[chosen] <= 10
            stderr = float(hits.std() / len(hits) ** 0.5)
            protocol = f"{self.shared.AUTHORS}, {len(ranks):,} test events drawn{part}"
            rows.append(row(label, protocol, name, "recall@10", hits.mean(), stderr=stderr))
        return rows

    def train(self, modes: tuple[str, ...]) -> np.ndarray:
        """Trains one model and returns the ranks of the test events."""
        import keras

        from tfrecs.evaluation import SessionScorer, next_item_ranks
        from tfrecs.features import from_sessions
        from tfrecs.losses import SharedNegatives, Softmax
        from tfrecs.models import ContextualGRU4Rec
        from tfrecs.optimizers import AdagradMomentum

        keras.utils.set_random_seed(0)
        histories = [f for f in self.spec if f.name.startswith("history_")]
        columns = {"item": self.ids["item_id"]}
        columns |= {n: self.ids[n] for n in self.ids if n != "item_id"}
        import pyarrow as pa

        inputs = {"history": "item"}
        for feature in histories:
            column = feature.name.removeprefix("history_")
            lists = pa.ListArray.from_arrays(
                pa.array(np.arange(self.cut.train.num_rows + 1, dtype=np.int32)),
                self.cut.train[column].combine_chunks(),
            )
            encoded = self.transform.encode(pa.table({feature.name: lists}), [feature.name])
            columns[feature.name] = encoded[feature.name][:, 0]
            inputs[feature.name] = feature.name
        targets = {"item_id": "item", **{n: n for n in self.ids if n != "item_id"}}
        steps = from_sessions(
            columns, self.cut.lengths, 128, inputs=inputs, targets=targets, num_negatives=1024
        )
        model = ContextualGRU4Rec(
            self.transform.spec, 100, modes=modes, dropout=0.2, log_q=1.0, lanes=128
        )
        loss = SharedNegatives(Softmax(), reduction="sum")
        model.compile(AdagradMomentum(0.1), loss, steps_per_execution=32, jit_compile=False)
        model.fit(steps, epochs=3, shuffle=False, verbose=0)
        scorer = SessionScorer(model, self.transform, self.cut.candidates)
        return next_item_ranks(scorer.score, self.events)

    def train_sasrec(self) -> np.ndarray:
        """Trains SASRec on the items alone and returns the ranks of the test events."""
        import keras

        from tfrecs.evaluation import SessionScorer, next_item_ranks
        from tfrecs.features import from_sequences
        from tfrecs.losses import Sampled, Softmax
        from tfrecs.models import SASRec
        from tfrecs.optimizers import LazyAdam

        keras.utils.set_random_seed(0)
        model = SASRec(self.transform.spec, 64, dropout=0.2)
        loss = Sampled(Softmax(), reduction="mean_with_sample_weight")
        model.compile(LazyAdam(2e-3), loss, steps_per_execution=8, jit_compile=False)
        items, lengths = self.ids["item_id"], self.cut.lengths
        steps = from_sequences(items, lengths, 128, num_negatives=1024)
        model.fit(steps, epochs=20, shuffle=False, verbose=0)
        scorer = SessionScorer(model, self.transform, self.cut.candidates)
        return next_item_ranks(scorer.score, self.events)


PUBLISHED = {
    "Beauty": (0.0605, 0.0318),
    "Sports_and_Outdoors": (0.0350, 0.0192),
    "LastFM": (0.0688, 0.0390),
}
# sequences of a batch, dropout, how far windows stand apart: Last.fm's thousand users take smaller
# steps and more dropout, and a quarter of them have more than 50 events
S3REC = {
    "Beauty": (128, 0.5, None),
    "Sports_and_Outdoors": (128, 0.5, None),
    "LastFM": (32, 0.6, 25),
}
LEAVE_ONE_OUT = "last item of a user, all items ranked but those the user had, epoch by validation"


def s3rec(arguments: Any) -> list[dict[str, Any]]:
    """SASRec on S3-Rec's sequences: HR@10 and nDCG@10 beside the published ones."""
    import sessions as shared

    from tfrecs import datasets

    rows = []
    for name in arguments.sets.split(","):
        path = shared.data("s3rec-sequences", f"{name}.txt.gz")
        users = datasets.user_sequences(path)
        runs = [
            trained_sasrec(users, arguments.epochs, *S3REC[name], seed)
            for seed in range(arguments.seeds)
        ]
        model = f"SASRec 64, 2 layers, sampled softmax, at most {arguments.epochs} epochs"
        stride = S3REC[name][-1]
        model += f", windows {stride} apart" if stride else ""
        model += ", a user's own items no negatives"
        model += f", {arguments.seeds} seeds" if arguments.seeds > 1 else ""
        found = np.mean(runs, axis=0)  # of each user's gains
        for metric, gain, value in zip(("hr@10", "ndcg@10"), found, PUBLISHED[name], strict=True):
            stderr = float(gain.std() / len(gain) ** 0.5)
            mean = float(gain.mean())
            more = {
                "stderr": stderr,
                "peer": "SASRec as published by S3-Rec",
                "ratio": mean / value,
            }
            rows.append(row(f"s3rec {name}", LEAVE_ONE_OUT, model, metric, mean, **more))
    return rows


def trained_sasrec(
    users: Any, epochs: int, batch_size: int, dropout: float, stride: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns whether each user's last item is among the first ten, and its gain."""
    import keras

    from tfrecs.features import from_sequences
    from tfrecs.losses import Sampled, Softmax
    from tfrecs.models import SASRec
    from tfrecs.optimizers import LazyAdam
    from tfrecs.spec import Categorical, FeatureSpec, Sequence

    keras.utils.set_random_seed(seed)
    size, lists = users.num_items + 2, users.users()
    spec = FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True, size=size),
            Sequence("history", "query", shared_with="item_id", size=size),
        )
    )
    train = [items[:-2] + 1 for items in lists]  # the first item has id 2
    steps = from_sequences(
        np.concatenate(train),
        [len(items) for items in train],
        batch_size,
        stride=stride,
        num_negatives=512,
        exclude_seen=True,  # as they are left out of the ranking
        seed=seed,
    )
    model = SASRec(spec, 64, dropout=dropout, seed=seed)
    loss = Sampled(Softmax(), reduction="mean_with_sample_weight")
    model.compile(LazyAdam(2e-3), loss, steps_per_execution=4, jit_compile=False)
    best, found = -1.0, None
    for epoch in range(0, epochs, 5):
        model.fit(steps, initial_epoch=epoch, epochs=epoch + 5, shuffle=False, verbose=0)
        gain = gains(model, lists, held=2)[1].mean()
        if gain > best:
            best, found = gain, gains(model, lists, held=1)
            print(epoch + 5, best, [f.mean() for f in found], flush=True)
    return found


def gains(model: Any, lists: list[np.ndarray], held: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns hit and gain at 10 of the item `held` from the end."""
    ranks, table = [], np.asarray(model.items.embeddings)[2:]
    for start in range(0, len(lists), 512):
        some = lists[start : start + 512]
        history = np.zeros((len(some), 50), np.int32)
        for place, items in enumerate(some):
            seen = items[:-held][-50:] + 1
            history[place, : len(seen)] = seen
        query = model.query({"history": history, "history_mask": history > 0})
        scores = np.asarray(query) @ table.T
        for place, items in enumerate(some):
            own = scores[place, items[-held] - 1]
            scores[place, items[:-held] - 1] = -np.inf
            ranks.append(1 + np.count_nonzero(scores[place] > own))
    rank = np.array(ranks)
    hits = (rank <= 10).astype(float)
    return hits, hits / np.log2(rank + 1)


def bloom(arguments: Any) -> list[dict[str, Any]]:
    """Quality against compression m / d: GRU4Rec with Bloom embeddings on rsc15-100k."""
    import keras
    import sessions as shared

    from tfrecs import datasets
    from tfrecs.losses import SharedNegatives, Softmax
    from tfrecs.models import GRU4Rec
    from tfrecs.optimizers import AdagradMomentum

    cut = datasets.session_folder(shared.data("rsc15-100k"))
    transform, columns = shared.encoded(cut)
    setting = shared.SMALL | {"batch_size": 128, "n_sample": 1024}
    size = transform.spec["item_id"].size
    rows: list[dict[str, Any]] = []
    for share in (None, 1.0, 0.5, 0.2, 0.1):
        keras.utils.set_random_seed(0)
        bits = None if share is None else round(share * size)
        model = GRU4Rec(
            transform.spec, (100,), dropout=0.2, log_q=1.0, lanes=128, num_bits=bits, seed=0
        )
        loss = SharedNegatives(Softmax())
        model.compile(AdagradMomentum(0.2), loss, steps_per_execution=32, jit_compile=False)
        steps = shared.steps_of(columns, cut.lengths, setting, 0)
        model.fit(steps, epochs=5, shuffle=False, verbose=0)
        what = "a row an item" if share is None else f"Bloom embedding, m / d = {share:g}, k = 4"
        name = f"GRU4Rec 100, 5 epochs, {what}"
        for metric, value in shared.judged(model, transform, cut).items():
            more = {}
            if share is not None:
                base = rows[0 if metric == "recall@20" else 1]["value"]
                more = {"peer": "a row an item", "ratio": value / base}
            rows.append(row(cut.name, shared.AUTHORS, name, metric, value, **more))
        print(rows[-2]["value"], name, flush=True)
    return rows


SECTIONS = {f.__name__: f for f in (globo, s3rec, bloom)}
