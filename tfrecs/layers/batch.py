"""Tensors of a batch, by name."""

from typing import Any

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
