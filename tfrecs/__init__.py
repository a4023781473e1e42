"""tfrecs: recommenders for Keras 3, from raw tables to a SavedModel that answers.

A name is imported when it is first used, so that `import tfrecs` costs nothing. Whenever Keras is
imported, before or after, all classes that a model may hold are registered with it, so that
`keras.models.load_model` finds them.
"""

import importlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

from wrapt import register_post_import_hook

if TYPE_CHECKING:
    from tfrecs import baselines as baselines
    from tfrecs import components as components
    from tfrecs import datasets as datasets
    from tfrecs import evaluation as evaluation
    from tfrecs import export as export
    from tfrecs import features as features
    from tfrecs import layers as layers
    from tfrecs import losses as losses
    from tfrecs import metrics as metrics
    from tfrecs import models as models
    from tfrecs import optimizers as optimizers
    from tfrecs import recipes as recipes
    from tfrecs import retrieval as retrieval
    from tfrecs import scoring as scoring
    from tfrecs import serving as serving
    from tfrecs import testing as testing
    from tfrecs.datasets import Tables as Tables
    from tfrecs.features import FeatureTransform as FeatureTransform
    from tfrecs.spec import Attributes as Attributes
    from tfrecs.spec import Categorical as Categorical
    from tfrecs.spec import Cross as Cross
    from tfrecs.spec import FeatureSpec as FeatureSpec
    from tfrecs.spec import MultiCategorical as MultiCategorical
    from tfrecs.spec import Numeric as Numeric
    from tfrecs.spec import Sequence as Sequence
    from tfrecs.spec import Text as Text
    from tfrecs.spec import Timestamp as Timestamp
    from tfrecs.spec import Vector as Vector

__version__ = "0.1.0"

_REGISTERED = ("layers", "losses", "metrics", "models", "optimizers")  # what Keras's files may name
_PACKAGES = (
    *("baselines", "components", "datasets", "evaluation", "export", "features", "recipes"),
    *("retrieval", "scoring", "serving", "testing", *_REGISTERED),
)
_LIGHT = ("arrow", "checks", "cli", "datasets", "files", "kind_checks", "kinds", "schema", "spec")
_NAMES = {"Tables": "datasets", "FeatureTransform": "features"} | dict.fromkeys(
    (
        *("Attributes", "Categorical", "Cross", "FeatureSpec", "MultiCategorical", "Numeric"),
        *("Sequence", "Text", "Timestamp", "Vector"),
    ),
    "spec",
)
__all__ = ["__version__", *_PACKAGES, *_NAMES]


if not TYPE_CHECKING:  # a type checker sees the imports above, and refuses any other name

    def __getattr__(name: str) -> Any:
        if name in _PACKAGES:
            return importlib.import_module(f"tfrecs.{name}")
        if name in _NAMES:
            return getattr(importlib.import_module(f"tfrecs.{_NAMES[name]}"), name)
        raise AttributeError(f"module 'tfrecs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _register(keras: Any) -> None:
    """Imports all classes that register themselves with Keras, which has just been imported."""
    del keras
    for package in _REGISTERED:
        importlib.import_module(f"tfrecs.{package}")


class _KerasFirst:
    """Imports Keras before the parts of tfrecs that need it, so that none is half imported then."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Finds nothing: the usual finders do."""
        del path, target
        package, _, part = name.partition(".")
        if package == "tfrecs" and part and part not in _LIGHT and "." not in part:
            # JAX, which Keras imports, says it of a lock for a cache that is off
            warnings.filterwarnings("ignore", "only soft file lock is available")
            importlib.import_module("keras")


sys.meta_path.insert(0, _KerasFirst)
register_post_import_hook(_register, "keras")
