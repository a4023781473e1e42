"""Training steps of news models at MIND's shapes, one model a process; prints JSON.

    python benchmarks/news_peers.py MODEL SECONDS [--repo DIR]

Run by `benchmarks/news.py`, each in an interpreter that has what it needs: `recommenders` takes a
checkout of recommenders-team/recommenders and legacy Keras, `torch` takes torch; `keras` and ours
take tfrecs. All on 2 threads.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

WORDS, NEWS, TITLE, HISTORY, NEGATIVES, BATCH = 30_000, 20_000, 30, 50, 4, 32
DIM, HEADS, HEAD_DIM, ATTENTION = 300, 20, 20, 200
TOKENS, ITEM_TOKENS, WIDTH, LATENTS, LATENT_DIM, LAYERS = 1600, 160, 332, 32, 256, 4


def zipf(rng, size, rows, power):
    """Draws rows by a power law."""
    u = rng.random(size)
    if power == 1:
        x = np.exp(u * np.log(rows + 1))
    else:
        x = (1 + u * ((rows + 1) ** (1 - power) - 1)) ** (1 / (1 - power))
    return np.minimum(x.astype(np.int64) - 1, rows - 1).clip(0)


def data():
    """Returns titles of 6 to 15 words, padded to 30, and initial word vectors."""
    rng = np.random.default_rng(0)
    titles = zipf(rng, (NEWS, TITLE), WORDS - 2, 1) + 2
    lengths = rng.integers(6, 16, NEWS)
    titles[np.arange(TITLE) >= lengths[:, None]] = 0
    return titles.astype(np.int32), rng.normal(size=(WORDS, DIM)).astype(np.float32) * 0.1


def clicks(rows, seed=0):
    """Returns histories of 5 to 50 news, -1 before, and candidates, the clicked one first."""
    rng = np.random.default_rng(seed)
    history = zipf(rng, (rows, HISTORY), NEWS, 0.9)
    history[np.arange(HISTORY) < HISTORY - rng.integers(5, HISTORY + 1, (rows, 1))] = -1
    return history, zipf(rng, (rows, 1 + NEGATIVES), NEWS, 0.9)


def batches():
    """Returns 8 batches of titles as peers read them."""
    titles = data()[0]
    rows = [clicks(BATCH, seed) for seed in range(8)]
    return [[titles[history], titles[candidates]] for history, candidates in rows]


def timed(step, seconds, size):
    """Returns the samples a second of the median step."""
    step(0)
    step(1)
    taken, end, turn = [], time.perf_counter() + seconds, 2
    while time.perf_counter() < end or len(taken) < 3:
        start = time.perf_counter()
        step(turn % 8)
        taken.append(time.perf_counter() - start)
        turn += 1
    return size / statistics.median(taken)


def recommenders(seconds, repo):
    """The NRMS of recommenders-team, as it is trained."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    sys.path.insert(0, repo)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    from recommenders.models.newsrec.models.nrms import NRMSModel

    file = str(Path(tempfile.mkdtemp()) / "embedding.npy")
    np.save(file, data()[1])
    settings = SimpleNamespace(
        wordEmb_file=file,
        npratio=NEGATIVES,
        support_quick_scoring=True,
        his_size=HISTORY,
        title_size=TITLE,
        head_num=HEADS,
        head_dim=HEAD_DIM,
        attention_hidden_dim=ATTENTION,
        dropout=0.2,
        word_emb_dim=DIM,
        loss="cross_entropy_loss",
        optimizer="adam",
        learning_rate=1e-4,
    )
    NRMSModel._get_opt = lambda self: tf.compat.v1.keras.optimizers.Adam(1e-4)
    model = NRMSModel(settings, lambda *a, **k: None, seed=1).model
    labels = np.eye(1, 1 + NEGATIVES, dtype="float32").repeat(BATCH, 0)
    rows = batches()
    return timed(lambda turn: model.train_on_batch(rows[turn], labels), seconds, BATCH)


def keras(seconds, repo):
    """NRMS of Keras's layers: every title of every sample is encoded."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    import keras
    from keras import layers, ops

    class Pool(layers.Layer):
        def __init__(self):
            super().__init__()
            self.hidden = layers.Dense(ATTENTION, "tanh")
            self.score = layers.Dense(1, use_bias=False)

        def call(self, x):
            return ops.sum(x * ops.softmax(self.score(self.hidden(x)), 1), 1)

    def encoder(shape, words):
        given = keras.Input(shape, dtype="int32" if words else None)
        x = layers.Embedding(WORDS, DIM, weights=[data()[1]])(given) if words else given
        x = layers.Dropout(0.2)(x)
        x = layers.MultiHeadAttention(HEADS, HEAD_DIM, output_shape=HEADS * HEAD_DIM)(x, x)
        return keras.Model(given, Pool()(layers.Dropout(0.2)(x)))

    news, user = encoder((TITLE,), True), encoder((HISTORY, HEADS * HEAD_DIM), False)
    history = keras.Input((HISTORY, TITLE), dtype="int32")
    shown = keras.Input((1 + NEGATIVES, TITLE), dtype="int32")
    clicked, candidates = (layers.TimeDistributed(news)(x) for x in (history, shown))
    scores = ops.matmul(candidates, ops.expand_dims(user(clicked), -1))[..., 0]
    model = keras.Model([history, shown], scores)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=False)
    rows, labels = batches(), np.zeros(BATCH, "int32")
    return timed(lambda turn: model.train_on_batch(rows[turn], labels), seconds, BATCH)


def tfrecs_nrms(seconds, repo, lazy=True):
    """Ours, by `fit`, with the input pipeline."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    import keras

    from tfrecs.features import ImpressionIds, from_impressions
    from tfrecs.losses import Softmax
    from tfrecs.models import NRMS
    from tfrecs.optimizers import LazyAdam
    from tfrecs.spec import Categorical, FeatureSpec, Sequence, Text

    spec = FeatureSpec(
        (
            Categorical("news_id", "candidate", is_id=True, size=NEWS + 2),
            Text("title", max_length=TITLE, size=WORDS),
            Sequence("history", "query", shared_with="news_id", size=NEWS + 2),
        )
    )
    titles, vectors = data()
    model = NRMS(spec, DIM)
    model.set_catalogue({"news_id": np.arange(NEWS) + 2, "title": titles})
    model.tokens.table("title").embeddings.assign(vectors)
    history, shown = clicks(BATCH * 200)
    log = ImpressionIds(
        history[history >= 0] + 2,
        (history >= 0).sum(axis=1),
        shown.ravel() + 2,
        np.eye(1, 1 + NEGATIVES, dtype=np.int8).repeat(len(shown), 0).ravel(),
        np.full(len(shown), 1 + NEGATIVES),
    )
    counts = np.append([0, 0], (titles > 0).sum(axis=1))
    widths = (8, 10, 12, 14, 16, TITLE)
    rows = from_impressions(log, BATCH, num_tokens=counts, widths=widths)
    optimizer = LazyAdam(1e-4) if lazy else keras.optimizers.Adam(1e-4)
    model.compile(optimizer, Softmax(), jit_compile=False)
    taken, steps = [], 10
    end = time.perf_counter() + seconds + 15
    stream = rows.repeat()
    while len(taken) < 4 or time.perf_counter() < end:
        start = time.perf_counter()
        model.fit(stream, steps_per_epoch=steps, verbose=0, shuffle=False)
        taken.append(time.perf_counter() - start)
        if len(taken) == 2:
            end = time.perf_counter() + seconds
    return BATCH * steps / statistics.median(taken[2:])


def tfrecs_nrms_adam(seconds, repo):
    """Ours with Keras's own Adam, which moves the whole word table."""
    return tfrecs_nrms(seconds, repo, lazy=False)


def tfrecs_perceiver(seconds, repo, batch=8, dtype=None):
    """Our Perceiver IO on the torch peer's inputs, by `train_on_batch`."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    import keras
    from keras import ops

    from tfrecs.layers.perceiver import PerceiverEncoder
    from tfrecs.losses import Triplet
    from tfrecs.optimizers import LazyAdam

    class Towers(keras.Model):
        def __init__(self):
            super().__init__(dtype=dtype)
            self.encoder = PerceiverEncoder(
                *(WIDTH, LATENTS, LATENT_DIM),
                num_layers=LAYERS,
                num_heads=8,
                cross_heads=8,
                widening=4,
                dtype=self.dtype_policy,
            )

        def call(self, inputs):
            latents = ops.concatenate([self.encoder.read(x) for x in inputs], axis=0)
            vectors = ops.mean(ops.cast(self.encoder.process(latents), "float32"), 1)
            user, *items = ops.split(vectors, 3, axis=0)
            items = ops.stack(items)
            square = ops.sum(ops.square(user - items), -1)  # (2, B)
            return -ops.sqrt(ops.transpose(square) + 1e-6)

    model, rng = Towers(), np.random.default_rng(0)
    model.compile(LazyAdam(1e-3), Triplet(1.0), jit_compile=False)  # XLA takes longer here
    user = tf.constant(rng.normal(size=(batch, TOKENS, WIDTH)).astype("float32"))
    items = tf.constant(rng.normal(size=(2 * batch, ITEM_TOKENS, WIDTH)).astype("float32"))
    labels = tf.constant([[1.0, 0.0]] * batch)
    return timed(lambda turn: model.train_on_batch((user, items), labels), seconds, batch)


def tfrecs_perceiver_bfloat16(seconds, repo):
    """The same in mixed precision."""
    return tfrecs_perceiver(seconds, repo, dtype="mixed_bfloat16")


def torch(seconds, repo, batch=8, half=False):
    """A Perceiver IO of torch's own parts; attention by softmax, which is its faster way here."""
    import torch
    from torch import nn

    torch.set_num_threads(2)

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(n) for n in (LATENT_DIM, width, LATENT_DIM))
            self.q, self.o = (nn.Linear(LATENT_DIM, LATENT_DIM) for _ in range(2))
            self.kv = nn.Linear(width, 2 * LATENT_DIM)
            hidden = 4 * LATENT_DIM
            wide, narrow = nn.Linear(LATENT_DIM, hidden), nn.Linear(hidden, LATENT_DIM)
            self.mlp = nn.Sequential(wide, nn.GELU(), narrow)

        def forward(self, x, y=None):
            def split(z):
                return z.unflatten(-1, (8, LATENT_DIM // 8)).transpose(1, 2)

            q = split(self.q(self.norms[0](x)))
            k, v = map(split, self.kv(self.norms[1](x if y is None else y)).chunk(2, -1))
            weights = torch.softmax(q @ k.transpose(-1, -2) / (LATENT_DIM // 8) ** 0.5, -1)
            x = x + self.o((weights @ v).transpose(1, 2).flatten(2))
            return x + self.mlp(self.norms[2](x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.latents = nn.Parameter(torch.randn(LATENTS, LATENT_DIM) * 0.02)
            self.cross = Block(WIDTH)
            self.own = nn.ModuleList(Block(LATENT_DIM) for _ in range(LAYERS))

        def forward(self, x):
            z = self.cross(self.latents.expand(len(x), -1, -1), x)
            for layer in self.own:
                z = layer(z)
            return z.mean(1)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    user = torch.randn(batch, TOKENS, WIDTH)
    items = torch.randn(2 * batch, ITEM_TOKENS, WIDTH)

    def step(turn):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            vectors, users = net(items).float(), net(user).float()
        loss = nn.functional.triplet_margin_loss(users, vectors[:batch], vectors[batch:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return timed(step, seconds, batch)


def torch_bfloat16(seconds, repo):
    """The same in mixed precision."""
    return torch(seconds, repo, half=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--repo", default="")
    arguments = parser.parse_args()
    rate = globals()[arguments.model](arguments.seconds, arguments.repo)
    print(json.dumps({"samples_per_s": rate}))
