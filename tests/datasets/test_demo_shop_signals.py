"""The world of the shop has each of its signals, and none of them is trivial."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from tfrecs.datasets import demo_shop
from tfrecs.datasets.demo_shop_tables import FIELDS

PROBES = Path(__file__).parents[2] / "benchmarks" / "demo_probes.py"


@pytest.fixture(scope="module")
def probes():
    """The probes that benchmarks/demo.py reports."""
    spec = importlib.util.spec_from_file_location("demo_probes", PROBES)
    module = sys.modules["demo_probes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shop():
    return demo_shop(num_events=60_000, fields=FIELDS)


def ordered(scores):
    values = list(scores.values())
    assert (np.diff(values) > 0).all(), scores
    assert values[0] > 0.6
    assert values[-1] < 0.95


def test_every_group_of_columns_finds_more_of_the_next_clicks(shop, probes):
    ordered(probes.orderings(shop))


def test_the_age_of_an_item_tells_more_than_its_popularity(shop, probes):
    scores = probes.example_age(shop)
    assert 0.6 < scores["popularity"] + 0.004 < scores["popularity and age"] < 0.98


def test_the_moment_tells_what_is_next_and_the_history_what_comes_later(shop, probes):
    scores = probes.moods(shop)
    assert scores["next: real-time"] > 1.3 * scores["next: daily"]
    assert scores["14 to 28 days: daily"] > scores["14 to 28 days: real-time"]
    assert max(scores.values()) < 0.8
    assert min(scores.values()) > 0.15  # 24 topics: 0.04 by chance


def deviations(columns, target):
    """Correlations of columns with a target, in deviations of chance."""
    return [abs(np.corrcoef(column, target)[0, 1]) * len(target) ** 0.5 for column in columns]


def test_attributes_tell_the_style_and_only_images_tell_the_vibe(shop):
    latent = shop.truth.items.latent
    half = latent.shape[1] // 2
    images = np.stack([np.mean(v, axis=0) for v in shop.candidates["images"].to_pylist()])
    attributes = [
        shop.candidates[name].to_numpy().astype(float)
        for name in ("handmade", "recycled", "weight_grams", "width_cm", "duration_seconds")
    ]
    for vibe in latent[:, half:].T:
        assert max(deviations(attributes, vibe)) < 4
        assert max(deviations(images.T, vibe)) > 8
    for style in latent[:, :half].T:
        assert max(deviations(attributes, style)) > 6
    clicks = shop.positives
    user = np.array([int(u[2:]) for u in clicks["user_id"].to_pylist()])
    item = np.array([int(i[2:]) for i in clicks["item_id"].to_pylist()])
    fit = (shop.truth.users.taste[user] * latent[item]).reshape(len(user), 2, half).sum(axis=2)
    # of style and of vibe: what is clicked fits the taste, which averages to 0 over all pairs
    assert (fit.mean(axis=0) > 0.25).all()


@pytest.mark.parametrize("column", ["brand", "colour", "material"])
def test_attributes_depend_on_the_topic_through_noise(shop, column):
    values = np.unique(shop.candidates[column].to_pylist(), return_inverse=True)[1]
    counts = np.zeros((24, values.max() + 1))
    np.add.at(counts, (shop.truth.items.topic, values), 1)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    freedom = 23 * values.max()
    assert ((counts - expected) ** 2 / expected).sum() > freedom + 5 * (2 * freedom) ** 0.5
    assert (counts.max(axis=1) / counts.sum(axis=1)).mean() < 0.7


def log_mel(wave, num_bands=24, size=256):
    """The mean and the deviation over time of log magnitudes in bands that are mel apart."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[:: size // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    mel = np.linspace(0, 2595 * np.log10(1 + 4_000 / 700), num_bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1) / 4_000 * (size // 2)
    at = np.arange(size // 2 + 1)[:, None]
    up, down = (at - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - at) / np.diff(edges)[1:]
    bands = np.log(power @ np.clip(np.minimum(up, down), 0, None) + 1e-4)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0)])


def test_mel_spectrograms_tell_the_genre_but_not_surely(shop):
    rows = np.arange(240)
    topic = shop.truth.items.topic[rows]
    features = np.stack([log_mel(wave) for wave in shop.waveforms(rows)])
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    features = np.concatenate([features, np.ones((len(rows), 1))], axis=1)
    wanted = np.eye(24)[topic]
    right = []
    for fold in range(4):
        test = rows % 4 == fold
        x = features[~test]
        weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ wanted[~test])
        right.append(((features[test] @ weights).argmax(axis=1) == topic[test]).mean())
    assert 0.15 < np.mean(right) < 0.9  # 0.04 by chance


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_orders_hold_for_other_seeds(probes, seed):
    shop = demo_shop(seed=seed)
    ordered(probes.orderings(shop))
    ages, moods = probes.example_age(shop), probes.moods(shop)
    assert ages["popularity"] < ages["popularity and age"]
    assert moods["next: real-time"] > moods["next: daily"]
    assert moods["14 to 28 days: daily"] > moods["14 to 28 days: real-time"]
