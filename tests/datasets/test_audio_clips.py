import sys
import wave

import numpy as np
import pytest

from tfrecs.datasets import audio_clips, read_audio


def write_wave(path, samples, rate=8000):
    """16-bit samples `(N, channels)` in [-1, 1]."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


@pytest.fixture
def folder(tmp_path):
    clips = tmp_path / "audio-clips"
    clips.mkdir()
    for name in ("b", "a"):
        write_wave(clips / f"{name}.wav", np.zeros((4, 1)))
        (clips / f"{name}.txt").write_text(f"Song {name} by Ann\nCC-BY 4.0\n")
    return tmp_path


def test_clips_are_listed_with_what_is_said_of_them(folder):
    clips = audio_clips(folder)
    assert clips["item_id"].to_pylist() == ["a", "b"]
    assert clips["title"][0].as_py() == "Song a by Ann"
    assert clips["attribution"][0].as_py() == "Song a by Ann\nCC-BY 4.0"
    assert clips.equals(audio_clips(folder / "audio-clips"))


def test_a_clip_of_nobody_and_a_folder_of_none_are_refused(folder):
    (folder / "audio-clips" / "a.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no a.txt, which says whose a.wav is"):
        audio_clips(folder)
    with pytest.raises(FileNotFoundError, match=r"must be a folder of recordings \(.ogg"):
        audio_clips(folder / "nowhere")


def test_channels_become_their_mean(tmp_path):
    pytest.importorskip("soundfile")
    write_wave(tmp_path / "x.wav", np.array([[0.5, -0.5], [0.5, 0.25]]))
    samples, rate = read_audio(tmp_path / "x.wav")
    np.testing.assert_allclose(samples, [0, 0.375], atol=1e-4)
    assert (samples.dtype, rate) == (np.float32, 8000)


def test_what_cannot_be_decoded_is_named(tmp_path):
    pytest.importorskip("soundfile")
    with pytest.raises(FileNotFoundError, match="`path` must be a file"):
        read_audio(tmp_path / "none.wav")
    (tmp_path / "bad.ogg").write_bytes(b"OggS" + bytes(50))
    with pytest.raises(ValueError, match=r"bad.ogg is damaged or no recording"):
        read_audio(tmp_path / "bad.ogg")
    write_wave(tmp_path / "empty.wav", np.zeros((0, 1)))
    with pytest.raises(ValueError, match=r"empty.wav has no samples"):
        read_audio(tmp_path / "empty.wav")


def test_without_soundfile_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(
        ImportError, match=r'needs soundfile. Install it: pip install "tfrecs\[audio'
    ):
        read_audio(tmp_path / "x.wav")


def test_the_real_clips_decode(tfrecs_data):
    pytest.importorskip("soundfile")
    clips = audio_clips(tfrecs_data)
    assert clips.num_rows >= 6
    for path, text in zip(clips["path"].to_pylist(), clips["attribution"].to_pylist(), strict=True):
        samples, rate = read_audio(path)
        assert 2 < len(samples) / rate < 200
        assert 0.05 < np.abs(samples).max() <= 1.01
        assert "creativecommons.org" in text
