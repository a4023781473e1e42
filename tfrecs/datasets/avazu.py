"""Avazu's ad impressions: categories of site, app, device and time, and a click."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets.columns import check_present
from tfrecs.datasets.criteo import check_clicks, files_in
from tfrecs.datasets.readers import read_file
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Categorical, Feature, FeatureSpec, Numeric

LABEL = "click"
_TEXTS = (
    *("site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category"),
    *("device_id", "device_ip", "device_model"),
)
_NUMBERS = (
    *("C1", "banner_pos", "device_type", "device_conn_type"),
    *(f"C{i}" for i in range(14, 22)),
)
_TIMES = ("hour_of_day", "weekday")


def avazu_spec(min_count: int = 1, hash_bins: int | None = None) -> FeatureSpec:
    """Returns the usual features of Avazu's format: categories of role context, all of them.

    Args:
        min_count: Categories seen fewer times become the unknown one. Defaults to 1.
        hash_bins: Hash categories into that many ids instead of learning a vocabulary; `None` not.

    Example:

    >>> len(avazu_spec()), avazu_spec()["C14"].dtype
    (24, 'int64')
    """
    features: list[Feature] = [Numeric(LABEL, "label")]
    for names, dtype in ((_TEXTS, "string"), ((*_NUMBERS, *_TIMES), "int64")):
        features += [
            Categorical(name, "context", dtype, min_count=min_count, hash_bins=hash_bins)  # type: ignore[arg-type]
            for name in names
        ]
    return FeatureSpec(tuple(features))


def avazu(data_dir: str | Path, min_count: int = 1) -> Tables:
    """Reads the files of Avazu's format in a folder, into memory.

    Args:
        data_dir: Folder of `.csv` files with labels, also compressed as `.gz`.
        min_count: Categories seen fewer times become the unknown one. Defaults to 1.

    Returns:
        Tables of impressions, without users and items.

    Raises:
        ValueError: No such file, or as `read_avazu`.
    """
    events = pa.concat_tables([read_avazu(file) for file in files_in(data_dir, (".csv",))])
    return Tables("avazu", events, None, None, avazu_spec(min_count))


def read_avazu(path: str | Path) -> pa.Table:
    """Reads a file of Avazu's format: comma-separated, with a line of names.

    Args:
        path: The file, also compressed as `.gz`.

    Returns:
        The columns of `avazu_spec`; `hour_of_day` (0 to 23) and `weekday` (0 is Monday) are from
        the column `hour`, YYMMDDHH. The impression's `id` is left out.

    Raises:
        ValueError: A missing column, a label that is not 0 or 1, or a malformed line, which the
            message names.
    """
    path = Path(path)
    table = read_file(path)
    for name in (LABEL, "hour", *_TEXTS, *_NUMBERS):
        check_present(str(path), table, name)
    check_clicks(path, table[LABEL].cast(pa.int64()), first_line=2)
    columns = {LABEL: table[LABEL].cast(pa.int8())}
    columns |= {name: table[name].cast(pa.string()) for name in _TEXTS}
    columns |= {name: table[name].cast(pa.int64()) for name in _NUMBERS}
    times = pc.strptime(table["hour"].cast(pa.string()), format="%y%m%d%H", unit="s")
    columns |= {"hour_of_day": pc.hour(times), "weekday": pc.day_of_week(times)}
    return pa.table(columns)
