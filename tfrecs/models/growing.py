"""Models that grow with their vocabularies: new rows in tables and in the optimizer's slots."""

from typing import Any, TypeVar

from keras import ops

from tfrecs import checks
from tfrecs.models.base import RecModel
from tfrecs.spec import FeatureSpec

_Model = TypeVar("_Model", bound=RecModel)


def expand_tables(model: _Model, spec: FeatureSpec) -> _Model:
    """Returns a copy of a model with tables of the sizes of a grown spec.

    Rows of known ids keep their weights, and their slots of the optimizer (Adagrad's accumulator,
    Adam's moments); new rows start as in a new model, with fresh slots. All other weights, the
    optimizer's step and its learning rate are copied. So training goes on where it was.

    Args:
        model: A built model; compiled, if its optimizer is to be carried over.
        spec: The spec of `features.expand_vocabulary`: as the model's, sizes equal or greater.

    Returns:
        The grown model, compiled as `model` was; `model` is left as it is.

    Raises:
        ValueError: If a table would shrink, or a weight has no counterpart.

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
    _copy(model.variables, grown.variables)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        compiled = model.get_compile_config()
        grown.compile_from_config(compiled)
        grown.optimizer.build(grown.trainable_variables)
        if optimizer.built:
            _copy(optimizer.variables, grown.optimizer.variables)
    return grown


def _copy(old: list[Any], new: list[Any]) -> None:
    """Copies variables, those of more rows into the first ones."""
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
        rest = ops.convert_to_tensor(target.value)[source.shape[0] :]
        target.assign(ops.concatenate([ops.convert_to_tensor(source.value), rest], axis=0))
