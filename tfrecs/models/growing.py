"""Models that grow with their vocabularies: new rows in tables and in the optimizer's slots."""

from typing import Any, TypeVar

import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.layers.embedding_bag import EmbeddingBag
from tfrecs.layers.sampling import PopularitySampler
from tfrecs.models.base import RecModel
from tfrecs.spec import FeatureSpec

_Model = TypeVar("_Model", bound=RecModel)
_Move = tuple[int, int, int]  # first row of a block, its first row after growing, how many


def expand_tables(model: _Model, spec: FeatureSpec) -> _Model:
    """Returns a copy of a model with tables of the sizes of a grown spec.

    Rows of known ids keep their weights, and their slots of the optimizer (Adagrad's accumulator,
    Adam's moments); new rows start as in a new model, with fresh slots. A sampler by popularity
    draws a new id as often as its rarest one, until `set_counts`. All other weights, the
    optimizer's step and its learning rate are copied. So training goes on where it was.

    Args:
        model: A built model; compiled, if its optimizer is to be carried over.
        spec: The spec of `features.expand_vocabulary`: as the model's, sizes equal or greater.

    Returns:
        The grown model, compiled as `model` was; `model` is left as it is.

    Raises:
        ValueError: If a table would shrink, a weight has no counterpart, or a feature grows beyond
            `max_rows`.

    Example:

    >>> from tfrecs.models import TwoTower
    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((Categorical("u", is_id=True, size=3),
    ...                     Categorical("i", "candidate", is_id=True, size=4)))
    >>> model = TwoTower(spec, embedding_dim=2)
    >>> grown = expand_tables(model, spec.replace(Categorical("u", is_id=True, size=5)))
    >>> [tuple(weight.shape) for weight in grown.weights]
    [(5, 2), (4, 2)]
    """
    config = {**model.get_config(), "spec": spec.to_config()}
    grown = type(model).from_config(config)
    if model.built and not grown.built:
        grown.build_from_config(model.get_build_config() or {})
    moved = _moves(model, grown)
    _copy(model.variables, grown.variables, moved)
    for old, new in zip(model._flatten_layers(), grown._flatten_layers(), strict=True):
        if isinstance(old, PopularitySampler) and old.size < new.size:
            new.grow_from(old)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        compiled = model.get_compile_config()
        grown.compile_from_config(compiled)
        grown.optimizer.build(grown.trainable_variables)
        if optimizer.built:
            _copy(optimizer.variables, grown.optimizer.variables, moved)
    return grown


def _copy(old: list[Any], new: list[Any], moved: dict[str, list[_Move]]) -> None:
    """Copies variables, those of more rows block by block."""
    if len(old) != len(new):
        expectation = f"a model whose copy has as many weights ({len(old)})"
        raise ValueError(checks.expected("model", expectation, len(new)))
    for source, target in zip(old, new, strict=True):
        if source.shape == target.shape:
            target.assign(source.value)
            continue
        if source.shape[1:] != target.shape[1:] or source.shape[0] > target.shape[0]:
            expectation = f"of sizes that leave {source.path} as wide and as long or longer"
            raise ValueError(checks.expected("spec", expectation, tuple(target.shape)))
        rows, values = (ops.convert_to_numpy(x.value) for x in (target, source))
        grown = np.array(rows)
        # a slot of the optimizer has the name of its weight within its own
        name = next((name for name in moved if name in _flat(source)), None)
        for start, place, number in [(0, 0, len(values))] if name is None else moved[name]:
            grown[place : place + number] = values[start : start + number]
        target.assign(grown)


def _moves(old: RecModel, new: RecModel) -> dict[str, list[_Move]]:
    """Returns where the rows of tables of several features go, by the name of the weight.

    In such a table one feature's rows follow another's: those of all but the first move down.
    """
    moved = {}
    for source, target in zip(old._flatten_layers(), new._flatten_layers(), strict=True):
        if isinstance(source, EmbeddingBag) and source.rows:
            starts, ends = _starts(source), [*_starts(source)[1:], source.rows]
            for name in target.cut - source.cut:
                expectation = f"of at most {target.max_rows} ids of {name!r}, or a new model"
                remedy = "Beyond max_rows its rows are shared by remainder and quotient."
                raise ValueError(checks.expected("spec", expectation, "more", remedy))
            moved[_flat(source.embeddings)] = [
                (start, place, end - start)
                for start, end, place in zip(starts, ends, _starts(target), strict=True)
            ]
    return moved


def _starts(bag: EmbeddingBag) -> list[int]:
    return sorted(set(bag.starts.values()))


def _flat(variable: Any) -> str:
    return str(variable.path).replace("/", "_")
