"""Recordings from a folder, each with the text that says whose it is: librosa's example clips.

https://github.com/librosa/data (CC BY 3.0 and 4.0, public domain; two more clips there are CC
BY-NC; the text of each says which). McFee et al., librosa: Audio and music signal analysis in
Python, SciPy 2015. Decoding needs soundfile: pip install "tfrecs[audio]".
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tfrecs import checks

_FORMATS = (".ogg", ".wav", ".flac", ".mp3")


def audio_clips(data_dir: str | Path) -> pa.Table:
    """Lists the recordings of a folder, with what the text beside each says of it.

    Args:
        data_dir: Folder of `NAME.ogg` (or .wav, .flac, .mp3) and `NAME.txt`, or a folder
            `audio-clips` in it.

    Returns:
        One row a recording, by name: `item_id`, the NAME; `title`, the text's first line;
        `attribution`, the whole text, with the licence; `path`, of the recording.

    Raises:
        FileNotFoundError: There is no recording, or one has no text.
    """
    inside = Path(data_dir) / "audio-clips"
    folder = inside if inside.is_dir() else Path(data_dir)
    files = [path for path in sorted(folder.glob("*")) if path.suffix.lower() in _FORMATS]
    if not files:
        expectation = f"a folder of recordings ({', '.join(_FORMATS)})"
        raise FileNotFoundError(checks.expected("data_dir", expectation, str(data_dir)))
    texts = [path.with_suffix(".txt") for path in files]
    for path, text in zip(files, texts, strict=True):
        if not text.is_file():
            raise FileNotFoundError(
                f"{folder} holds no {text.name}, which says whose {path.name} is."
            )
    said = [text.read_text(encoding="utf-8").strip() for text in texts]
    return pa.table(
        {
            "item_id": [path.stem for path in files],
            "title": [text.partition("\n")[0].strip() for text in said],
            "attribution": said,
            "path": [str(path) for path in files],
        }
    )


def read_audio(path: str | Path) -> tuple[np.ndarray, int]:
    """Decodes a recording.

    Args:
        path: File of any format that libsndfile knows: WAV, FLAC, OGG, MP3.

    Returns:
        samples: float32 `(N,)` in [-1, 1], the mean of the channels.
        rate: Samples a second, as the file has them.

    Raises:
        ImportError: soundfile is not installed.
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, empty or no recording.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without libsndfile
        remedy = 'Install it: pip install "tfrecs[audio]".'
        raise ImportError(f"Decoding {path} needs soundfile. {remedy}") from error
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(checks.expected("path", "a file", str(path)))
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or no recording: {error}") from error
    if not len(samples):
        raise ValueError(f"{path} has no samples.")
    return samples.mean(axis=1, dtype=np.float32), int(rate)
