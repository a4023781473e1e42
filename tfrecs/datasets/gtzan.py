"""GTZAN's published features from a table of them: 57 numbers of each of 1,000 tracks, by genre.

`features_30_sec.csv`, a public table of librosa features of the set of Tzanetakis and Cook, Musical
genre classification of audio signals, IEEE Transactions on Speech and Audio Processing 10(5), 2002.
The holder of the table states no licence. The set is known to hold repeats and mislabelled tracks
(Sturm 2013, arXiv:1306.1461): no figure of it is a headline.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tfrecs.datasets.readers import find_file, read_bytes, read_delimited

_KNOWN = ("filename", "length", "label")  # the others are features


def gtzan(data_dir: str | Path) -> pa.Table:
    """Reads GTZAN's features: chroma, energy, spectrum, tempo and 20 MFCCs of 30 s of each track.

    Args:
        data_dir: Folder with `features_30_sec.csv`, also as `.gz`, or a folder `gtzan-features`
            in it.

    Returns:
        One row a track, in the file's order: `item_id` and `genre`, text; `num_samples`, int64 at
        22,050 a second; `features`, lists of float32 in the order of the file's columns, for a
        `Vector`, whose names the metadata of the field hold, one a line.

    Raises:
        FileNotFoundError: The file is not in the folder.
        ValueError: The file is malformed, lacks a column, or holds what is no number.
    """
    path = find_file(data_dir, ("gtzan-features",), "features_30_sec.csv", "GTZAN")
    rows = read_delimited(path, read_bytes(path), ",")
    lacking = [name for name in _KNOWN if name not in rows.column_names]
    names = [name for name in rows.column_names if name not in _KNOWN]
    if lacking or not names:
        wanted = ", ".join(_KNOWN)
        raise ValueError(f"{path} must have the columns {wanted} and features. Lacks: {lacking}.")
    number = {name: _is_number(rows[name]) for name in ("length", *names)}
    wrong = [name for name, is_number in number.items() if not is_number]
    if wrong:
        raise ValueError(f"{path} must hold numbers alone in column {wrong[0]}.")
    values = np.column_stack([rows[name].to_numpy() for name in names]).astype(np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), len(names))
    field = pa.field("features", vectors.type, metadata={"names": "\n".join(names)})
    schema = pa.schema(
        [("item_id", pa.string()), ("genre", pa.string()), ("num_samples", pa.int64()), field]
    )
    own = [rows["filename"], rows["label"], rows["length"].cast(pa.int64())]
    return pa.table([*own, vectors], schema=schema)


def _is_number(column: pa.ChunkedArray) -> bool:
    kind = column.type
    return (pa.types.is_floating(kind) or pa.types.is_integer(kind)) and not column.null_count
