"""ScaNN's TensorFlow operations: whether they run here, and where they are."""

import importlib
import importlib.util
import platform
import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf


def why_not() -> str | None:
    """Returns why ScaNN cannot run here, or None when it can."""
    if keras.backend.backend() != "tensorflow":
        return "ScaNN's operations are TensorFlow's, and KERAS_BACKEND is another"
    if not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "AMD64"):
        return f"ScaNN has no build for {sys.platform} on {platform.machine()}"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and "avx2" not in cpuinfo.read_text():
        return "ScaNN needs a CPU with AVX2"
    if importlib.util.find_spec("scann") is None:
        return "ScaNN is not installed"
    return None


def require_scann() -> None:
    """Raises ImportError that says what to do, unless ScaNN can run here."""
    reason = why_not()
    if reason:
        raise ImportError(
            f"{reason}. Run `pip install scann==1.4.2` (Linux on x86-64 only) with "
            "KERAS_BACKEND=tensorflow, or use tfrecs.retrieval.Exact."
        )


def op_library() -> str:
    """Returns the path of ScaNN's op library, which a SavedModel with ScaNN needs to load.

    `tf.load_op_library(op_library())` before `tf.saved_model.load`, or give the path to the
    server. TensorFlow is not imported to find it.
    """
    spec = importlib.util.find_spec("scann")
    if spec is None or not spec.submodule_search_locations:
        require_scann()
        raise ImportError("The scann package has no folder.")
    return str(Path(spec.submodule_search_locations[0]) / "scann_ops" / "cc" / "_scann_ops.so")


def scann_ops() -> Any:
    """Imports ScaNN's TensorFlow operations, or says why it cannot."""
    require_scann()
    try:
        return importlib.import_module("scann.scann_ops.py.scann_ops")
    except (ImportError, tf.errors.NotFoundError) as error:
        raise ImportError(
            f"ScaNN is installed, but its op library does not load with TensorFlow "
            f"{tf.__version__}: {error}. Run `pip install scann==1.4.2 'tensorflow==2.20.*'`, or "
            "use tfrecs.retrieval.Exact."
        ) from error
