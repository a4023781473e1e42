"""The images and sounds of the demo world, as vectors that tell the topic through noise."""

import numpy as np

from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_world import Items

IMAGE_DIM = 32
SPECTROGRAM_SHAPE = (32, 16)  # time frames, frequency bands
_IMAGE_NOISE = 0.6  # a topic's direction has about length 1
_SOUND_NOISE = 0.3  # of magnitudes up to about 1


def draw_images(rng: np.random.Generator, items: Items) -> np.ndarray:
    """Draws an image vector for each item: the direction of its topics, and noise.

    Args:
        rng: The source of chance.
        items: The C items.

    Returns:
        Unit vectors, float32 `(C, 32)`.
    """
    directions = rng.normal(size=(world.NUM_TOPICS, IMAGE_DIM)) / np.sqrt(IMAGE_DIM)
    images = (1 - world.SECOND_TOPIC) * directions[items.topic]
    images += world.SECOND_TOPIC * directions[items.second]
    images += _IMAGE_NOISE * rng.normal(size=images.shape) / np.sqrt(IMAGE_DIM)
    unit: np.ndarray = images / np.linalg.norm(images, axis=1, keepdims=True)
    return unit.astype(np.float32)


def draw_spectrograms(rng: np.random.Generator, items: Items) -> np.ndarray:
    """Draws a spectrogram for each item: a voice that swings around a band, on a beat.

    The band, the swing and the beat are the topic's; where the beat starts is the item's own, so
    that the pattern has to be found at any time frame.

    Args:
        rng: The source of chance.
        items: The C items.

    Returns:
        Magnitudes of 0 or more, float32 `(C, 32, 16)` = items, time frames, frequency bands.
    """
    num_frames, num_bands = SPECTROGRAM_SHAPE
    band = rng.uniform(3.0, num_bands - 4.0, world.NUM_TOPICS)[items.topic, None]
    swing = rng.uniform(0.0, 3.0, world.NUM_TOPICS)[items.topic, None]  # in bands
    beat = rng.uniform(4.0, 12.0, world.NUM_TOPICS)[items.topic, None]  # in frames
    frames = np.arange(num_frames)[None, :] + rng.uniform(0.0, num_frames, (len(band), 1))
    phase = 2 * np.pi * frames / beat  # (C, frames)
    centre = (band + swing * np.sin(phase))[:, :, None]
    loud = (0.6 + 0.4 * np.cos(phase))[:, :, None]
    voice = loud * np.exp(-0.5 * (np.arange(num_bands) - centre) ** 2)  # (C, frames, bands)
    noise = np.abs(rng.normal(0.0, _SOUND_NOISE, voice.shape))
    return (voice + noise).astype(np.float32)
