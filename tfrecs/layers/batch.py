"""Tensors of a batch, by name."""

from typing import Any

import numpy as np

from tfrecs import checks

Tensor = Any  # a tensor of whichever backend Keras runs on


def column(batch: dict[str, Tensor], name: str) -> Tensor:
    """Returns a tensor of the batch.

    Raises:
        ValueError: It is not there.
    """
    if name not in batch:
        remedy = f"Add it: `transform(raw)` makes it where `raw` has {name!r}."
        raise ValueError(checks.expected("batch", f"a dict with {name!r}", sorted(batch), remedy))
    return batch[name]


def ids_of_rows(batch: dict[str, Tensor], name: str) -> Tensor:
    """Returns a tensor of the batch that has one value a row, `(B,)`.

    Raises:
        ValueError: It is not there, or has another shape.
    """
    values = column(batch, name)
    if len(values.shape) != 1:
        remedy = f"Pass batch[{name!r}].ravel() of an array (B, 1), `.to_numpy()` of a DataFrame's."
        raise ValueError(checks.expected(f"batch[{name!r}]", "(B,)", tuple(values.shape), remedy))
    return values


def arrays_of(data: Any, name: str = "x") -> Any:
    """Returns data for `fit` with the columns of data frames as NumPy arrays.

    Keras would read a Series as `(N, 1)`, so a list of one candidate, and a frame as one array.

    Args:
        data: A data frame (pandas or polars), a series, or a dict, list or tuple of them; anything
            else comes back as it is.
        name: What the caller calls it. Defaults to "x".

    Returns:
        A dict for a frame, an array for a series, else the like of `data`.

    Raises:
        ValueError: A column of a frame, or a series, holds no numbers: texts, missing values.

    Example:

    >>> import pandas as pd
    >>> arrays_of(pd.DataFrame({"user_id": [2, 3]}))
    {'user_id': array([2, 3])}
    """
    if isinstance(data, dict):
        return {key: arrays_of(value, f"{name}[{key!r}]") for key, value in data.items()}
    if isinstance(data, tuple | list) and not hasattr(data, "_fields"):
        return type(data)(arrays_of(value, name) for value in data)
    if not hasattr(data, "to_numpy") or isinstance(data, np.ndarray):
        return data
    if hasattr(data, "columns"):
        return {str(key): arrays_of(data[key], f"{name}[{key!r}]") for key in data.columns}
    array = data.to_numpy()
    if array.dtype.kind not in "biuf":
        remedy = "Encode it first: transform.encode(table). Then pass `.to_numpy()` of numbers."
        raise ValueError(checks.expected(name, "a column of numbers", str(array.dtype), remedy))
    return array
