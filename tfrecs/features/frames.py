"""The frames of a TFRecord file: whether the last one is whole, seen without reading the rest."""

import struct
from pathlib import Path

import numpy as np

_HEAD = 12  # length, 8 bytes, and its checksum, 4 bytes; then the data and its checksum, 4 bytes
_FRAME = _HEAD + 4
_WINDOW = 1 << 20  # bytes at the end looked at first
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected


def check_whole(path: Path) -> None:
    """Raises ValueError unless a TFRecord file ends where a record ends.

    The last record is found from the end: its length says where it begins, and the checksum of
    the length that it is one. A file cut between two records cannot be told from a whole one.
    """
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path} is empty.")
    data = np.memmap(path, np.uint8, "r")
    stop = size - _FRAME + 1  # frames begin before this
    while stop > 0:
        start = max(0, stop - _WINDOW)
        if _frame_begins(data, start, stop, size):
            return
        stop = start
    raise ValueError(
        f"{path} is truncated or not TFRecord: no record ends at its end ({size:,} bytes). "
        "Write it again."
    )


def _frame_begins(data: np.ndarray, start: int, stop: int, size: int) -> bool:
    """Returns whether a frame that reaches to the end begins from `start` to before `stop`."""
    window = np.asarray(data[start : stop + 7])
    lengths = np.lib.stride_tricks.sliding_window_view(window, 8)
    low = lengths[:, :4].copy().view("<u4").ravel()
    wanted = (size - _FRAME - np.arange(start, start + len(low))).astype("<u8")
    places = np.flatnonzero(low == (wanted & 0xFFFFFFFF))
    for place in places[::-1]:
        head = data[start + place : start + place + _HEAD].tobytes()
        length, checksum = struct.unpack("<QI", head)
        if length == wanted[place] and checksum == _masked_crc(head[:8]):
            return True
    return False


def _masked_crc(data: bytes) -> int:
    """Returns the CRC-32C of a few bytes, rotated and shifted as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
