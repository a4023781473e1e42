"""The waveforms of the demo shop: what an item sounds like, from its topic and its artist."""

import numpy as np

from tfrecs.datasets import demo_world as world

RATE = 8_000  # samples per second
_HARMONICS = 5
_LEAST, _MOST = 3.0, 6.0  # seconds
_NOISE = 0.25  # deviation, beside a voice of amplitude about 1
_ASTRAY = 0.25  # deviation of an item's octaves from its topic's, so that genres overlap


def draw_waveform(seed: int, row: int, topic: int, artist: int) -> np.ndarray:
    """Draws the waveform of one item, whatever others there are.

    A voice with harmonics, whose pitch swings around the topic's and whose loudness follows the
    topic's beat. The strength of the harmonics, its timbre, is the artist's; where the beat starts,
    how far the pitch strays and the noise are the item's.

    Args:
        seed: The world's seed.
        row: The item's row in `candidates`.
        topic: The item's topic.
        artist: The item's artist.

    Returns:
        float32 `(samples,)` within -1 and 1: 3 to 6 seconds at 8,000 samples a second.
    """
    genre = np.random.default_rng([seed, 18])
    pitches = 90.0 * 2.0 ** genre.uniform(0.0, 2.5, world.NUM_TOPICS)  # Hz
    swings = genre.uniform(0.0, 0.3, world.NUM_TOPICS)  # octaves, to each side
    beats = genre.uniform(1.0, 5.0, world.NUM_TOPICS)  # a second
    timbre = np.random.default_rng([seed, 19, artist]).gamma(1.0, size=_HARMONICS)
    rng = np.random.default_rng([seed, 20, row])
    time = np.arange(int(RATE * rng.uniform(_LEAST, _MOST))) / RATE
    beat = 2 * np.pi * (beats[topic] * time + rng.random())
    octaves = swings[topic] * np.sin(beat) + _ASTRAY * rng.normal()
    phase = 2 * np.pi * np.cumsum(pitches[topic] * 2.0**octaves) / RATE
    strength = timbre / np.arange(1, _HARMONICS + 1)
    voice = sum(s * np.sin(n * phase) for n, s in enumerate(strength / strength.sum(), start=1))
    sound = voice * (0.6 + 0.4 * np.cos(beat)) + _NOISE * rng.normal(size=len(time))
    wave: np.ndarray = np.clip(sound / 2.0, -1.0, 1.0).astype(np.float32)
    return wave
