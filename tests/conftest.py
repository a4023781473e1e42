import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
# the same operations; small graphs that run once are not worth the time that speed takes
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)

import keras
import pytest
import tensorflow as tf
from hypothesis import settings

# the same few examples every time; more with HYPOTHESIS_EXAMPLES
settings.register_profile(
    "few",
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "25")),
    derandomize=True,
    deadline=None,
    database=None,
)
settings.load_profile("few")

tf.config.threading.set_intra_op_parallelism_threads(2)
tf.config.threading.set_inter_op_parallelism_threads(2)


@pytest.fixture(autouse=True)
def _same_seeds():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def tfrecs_data():
    folder = os.environ.get("TFRECS_DATA")
    if not folder:
        pytest.skip("needs real data: set TFRECS_DATA to its folder")
    return Path(folder)
