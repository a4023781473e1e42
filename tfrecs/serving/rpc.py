"""TensorFlow Serving's gRPC interface: PredictionService and ModelService."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import NOT_FOUND, code_of
from tfrecs.serving.protos import read_tensors, signature_map, write_tensor
from tfrecs.serving.service import Service

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_THREADS = 128
_ANSWER_BYTES = 2**31 - 1


def grpc_server(address: str, service: Service) -> tuple[Any, int]:
    """Returns a server that is not started yet, and its port.

    Args:
        address: "host:port"; port 0 takes a free one.
        service: What answers.

    Raises:
        OSError: If the port is taken.
    """
    options = [
        ("grpc.max_receive_message_length", service.limits.request_bytes),
        ("grpc.max_send_message_length", _ANSWER_BYTES),
        ("grpc.so_reuseport", 0),
    ]
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="grpc")
    most = service.limits.waiting + _THREADS
    server = grpc.server(pool, options=options, maximum_concurrent_rpcs=most)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Prediction(service), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(service), server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"{address} cannot be listened on: {error}. Name another port.") from error
    return server, port


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the service's other calls are UNIMPLEMENTED, as inherited."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Runs a signature."""
        service, spec = self._service, request.model_spec
        with _told(context), service.request(spec.name, "GRPC"):
            signature = spec.signature_name or "serving_default"
            with service.model(spec.name).use(_version(spec)) as loaded:
                inputs = read_tensors(request.inputs)
                left = context.time_remaining()
                outputs = service.predict(loaded, signature, inputs, left)
                answer = predict_pb2.PredictResponse()
                answer.model_spec.CopyFrom(_spec(spec.name, loaded.version, signature))
            wanted = list(request.output_filter) or list(outputs)
            if unknown := sorted(set(wanted) - set(outputs)):
                raise ValueError(f"`output_filter` must be of {sorted(outputs)}, not {unknown}.")
            for name in wanted:
                write_tensor(outputs[name], answer.outputs[name])
            return answer

    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Returns the signatures."""
        spec = request.model_spec
        with _told(context), self._service.model(spec.name).use(_version(spec)) as loaded:
            if [*request.metadata_field] != ["signature_def"]:
                raise ValueError("`metadata_field` must be ['signature_def'].")
            answer = get_model_metadata_pb2.GetModelMetadataResponse()
            answer.model_spec.CopyFrom(_spec(spec.name, loaded.version, ""))
            answer.metadata["signature_def"].Pack(signature_map(loaded.signatures))
            return answer


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Returns what became of the versions."""
        spec = request.model_spec
        with _told(context):
            answer = get_model_status_pb2.GetModelStatusResponse()
            states = get_model_status_pb2.ModelVersionStatus.State
            for state in self._service.model(spec.name).states(_version(spec)):
                written = answer.model_version_status.add(version=state.version)
                written.state = states.Value(state.state)
                written.status.error_code = state.code
                written.status.error_message = state.message
            return answer


@contextmanager
def _told(context: Any) -> Iterator[None]:
    """Ends the call with the code of an error."""
    try:
        yield
    except Exception as error:
        code = code_of(error)
        context.abort(_CODES.get(code, grpc.StatusCode.UNKNOWN), str(error) or repr(error))


def _version(spec: Any) -> int | None:
    if spec.version_label:
        raise SessionError(
            f"There is no version label {spec.version_label!r}: tfrecs serve knows none.",
            NOT_FOUND,
        )
    return spec.version.value if spec.HasField("version") else None


def _spec(name: str, version: int, signature: str) -> Any:
    spec = predict_pb2.PredictResponse().model_spec
    spec.name, spec.signature_name = name, signature
    spec.version.value = version
    return spec
