import json
import threading
import time
import urllib.request

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from keras import ops

from tfrecs.export import export
from tfrecs.features import FeatureTransform
from tfrecs.models import Retriever
from tfrecs.retrieval import Exact, updated
from tfrecs.serving.server import Server
from tfrecs.serving.service import find_models
from tfrecs.spec import Categorical, FeatureSpec, Vector

SPEC = FeatureSpec(
    (
        Categorical("user_id", "query", is_id=True),
        Categorical("item_id", "candidate", is_id=True),
        Vector("content", "candidate", dim=4),
    )
)
USERS = pa.table({"user_id": ["u0", "u1"]})


class Content(Retriever):
    """An item's vector is its content: new items have one without training."""

    def __init__(self, spec, **kwargs):
        super().__init__(**kwargs)
        spread = keras.initializers.RandomNormal(stddev=1.0, seed=1)
        self.users = keras.layers.Embedding(spec["user_id"].size, 4, spread)
        self.users.build()

    def query(self, batch, training=False):
        return self.users(batch["user_id"])

    def candidate(self, batch, training=False):
        return batch["content"]

    def score(self, query, candidate):
        equation = "bd,cd->bc" if len(candidate.shape) == 2 else "bd,bcd->bc"
        return ops.einsum(equation, query, candidate)

    def call(self, batch, training=False):
        return self.score(self.query(batch), self.candidate(batch))


def items(ids, titles, content):
    return pa.table({"item_id": ids, "title": titles, "content": content.tolist()})


def test_items_come_change_and_go_while_requests_run(tmp_path):
    random = np.random.default_rng(0)
    content = random.normal(size=(20, 4)).astype("float32")
    table = items([f"i{i}" for i in range(20)], [f"title {i}" for i in range(20)], content)
    transform = FeatureTransform(SPEC).adapt(USERS, table)
    model = Content(transform.spec)
    user = np.asarray(model.query(transform.encode(USERS, ["user_id"])))[0]
    index = Exact(k=5).index(content, table["item_id"].to_numpy())
    order = np.argsort(-content @ user).tolist()

    def publish(index, table):
        export(model, transform, index, table, tmp_path, name="news", k=5, check=False)

    def ask():
        url = f"http://127.0.0.1:{server.rest_port}/v1/models/news_stock:predict"
        request = urllib.request.Request(url, json.dumps({"inputs": ["u0"]}).encode())
        with urllib.request.urlopen(request, timeout=30) as response:
            found = json.load(response)["outputs"]
        return [*zip(found["item_id"][0], found["title"][0], strict=True)]

    publish(index, table)
    before = [(f"i{i}", f"title {i}") for i in order[:5]]
    # the best item goes, the last one becomes the second best, and a new one is the best
    gone, last = f"i{order[0]}", f"i{order[-1]}"
    fresh = items(["new", last], ["New", "Changed"], np.stack([9 * user, 8 * user]))
    after = [("new", "New"), (last, "Changed"), *before[1:4]]
    with Server(find_models(tmp_path), grpc_port=0, rest_port=0, poll_seconds=0.05) as server:
        answers, failures, stop = [], [], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    answers.append(ask())
                except OSError as error:
                    failures.append(error)

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        vectors = model.candidate(transform.encode(fresh, ["item_id", "content"]))
        changed = updated(index, vectors, fresh["item_id"].to_numpy(), removed=[gone])
        kept = table.filter(pc.is_in(table["item_id"], pa.array(changed.ids.tolist())))
        kept = kept.filter(pc.not_equal(kept["item_id"], last))
        publish(changed, pa.concat_tables([kept, fresh]))
        until = time.monotonic() + 60
        while after not in answers and time.monotonic() < until:
            time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
        assert ask() == after
    assert failures == []
    assert answers[0] == before
    assert all(answer in (before, after) for answer in answers)  # never a mixture
