"""Replays the warm-up requests of a SavedModel, as TensorFlow Serving does before traffic."""

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfrecs.serving.protos import read_tensors
from tfrecs.serving.session import Session

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_REQUESTS = 1000  # TensorFlow Serving's own limit


def warm_up(session: Session) -> int:
    """Runs every recorded Predict request once; returns how many.

    Raises:
        ValueError, SessionError: If one fails: the version must not take traffic then.
    """
    file = session.path / FILE
    if not file.is_file():
        return 0
    count = 0
    for record in tf.data.TFRecordDataset(str(file)).take(MAX_REQUESTS).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.HasField("predict_log"):
            request = log.predict_log.request
            name = request.model_spec.signature_name or "serving_default"
            session.run_arrays(name, session.to_arrays(name, read_tensors(request.inputs)))
            count += 1
    return count
