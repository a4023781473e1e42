"""TensorFlow Serving's gRPC interface: PredictionService, ModelService, and gRPC's health service.

It runs on the event loop of the REST interface: threads of their own would have to fight for
Python's lock with it.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from tfrecs.serving import inference
from tfrecs.serving.batching import Arrays
from tfrecs.serving.codes import code_of
from tfrecs.serving.protos import read_tensors, signature_map, write_tensor
from tfrecs.serving.service import Service, aside
from tfrecs.serving.versions import Policy

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_ANSWER_BYTES = 2**31 - 1
_SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
_WATCH_SECONDS = 1.0
_DEFAULT = "serving_default"
_PREDICTION = {
    "Predict": predict_pb2.PredictRequest,
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "MultiInference": inference_pb2.MultiInferenceRequest,
    "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
}
_MODELS = {
    "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
    "HandleReloadConfigRequest": model_management_pb2.ReloadConfigRequest,
}


def grpc_server(address: str, service: Service) -> tuple[Any, int]:
    """Returns a server that is not started yet, and its port; call it inside the event loop.

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
    server = grpc.aio.server(options=options)
    _offer(server, _Prediction(service), "PredictionService", _PREDICTION)
    _offer(server, _Models(service), "ModelService", _MODELS)
    health_pb2_grpc.add_HealthServicer_to_server(_Health(service), server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"{address} cannot be used: {error}. Name another port.") from error
    return server, port


class _Servicer:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def _predict(self, loaded: Any, signature: str, arrays: Arrays, context: Any) -> Arrays:
        left = context.time_remaining()
        return await self._service.predict(loaded, signature, arrays, left)


def _offer(server: Any, servicer: Any, name: str, requests: Mapping[str, Any]) -> None:
    """Adds the methods of a service, whose requests are read here: grpc would log what is none."""
    methods = {n: _method(getattr(servicer, n), kind) for n, kind in requests.items()}
    handler = grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", methods)
    server.add_generic_rpc_handlers((handler,))


def _method(method: Any, kind: Any) -> Any:
    """Returns how grpc calls a method: from bytes to bytes, with errors told by its codes."""

    async def call(data: bytes, context: Any) -> bytes:
        try:
            request = kind.FromString(data)
        except DecodeError:
            said = f"This is no {kind.__name__}."
            await context.abort(grpc.StatusCode.INTERNAL, said)
        try:
            answer = await method(request, context)
            return bytes(answer.SerializeToString())
        except Exception as error:
            code, said = _CODES.get(code_of(error), grpc.StatusCode.UNKNOWN), str(error)
        await context.abort(code, said or code.name)
        return b""  # not reached: `abort` raises

    return grpc.unary_unary_rpc_method_handler(call)


class _Prediction(_Servicer):
    """Predict, Classify, Regress, MultiInference and GetModelMetadata."""

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Runs a signature."""
        service, spec = self._service, request.model_spec
        signature = spec.signature_name or _DEFAULT
        with service.request(spec.name, "GRPC"), self._using(spec) as loaded:
            size = request.ByteSize()

            def parse() -> Arrays:
                wanted = loaded.signatures.get(signature)
                arrays = read_tensors(request.inputs, wanted, service.limits)
                made: Arrays = loaded.session.to_arrays(signature, arrays)
                return made

            outputs = await self._predict(loaded, signature, await aside(size, parse), context)
            wanted = list(request.output_filter) or list(outputs)
            if len({*wanted}) != len(wanted) or not {*wanted} <= {*outputs}:
                raise ValueError(f"`output_filter` must be of {sorted(outputs)}, not {wanted}.")
            answer = predict_pb2.PredictResponse()
            _fill(answer.model_spec, spec.name, loaded.version, signature)

            def write() -> None:
                for name in wanted:
                    write_tensor(outputs[name], answer.outputs[name])

            await aside(sum(outputs[name].size for name in wanted), write)
            return answer

    async def Classify(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Gives each tf.Example classes and their scores."""
        answer = classification_pb2.ClassificationResponse()
        return await self._infer(request, context, inference.CLASSIFY, answer)

    async def Regress(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Gives each tf.Example a value."""
        answer = regression_pb2.RegressionResponse()
        return await self._infer(request, context, inference.REGRESS, answer)

    async def _infer(self, request: Any, context: Any, method: str, answer: Any) -> Any:
        spec = request.model_spec
        name = spec.signature_name or _DEFAULT
        with self._service.request(spec.name, "GRPC"), self._using(spec) as loaded:
            inference.check_method(loaded.signatures, name, method)
            examples = inference.examples_of(request.input)
            run = inference.classify if method == inference.CLASSIFY else inference.regress

            async def predict(signature: str, arrays: Arrays) -> Arrays:
                return await self._predict(loaded, signature, arrays, context)

            answer.result.CopyFrom(await run(name, examples, predict))
            _fill(answer.model_spec, spec.name, loaded.version, name)
            return answer

    async def MultiInference(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Asks several signatures of one model the same tf.Examples."""
        specs = [task.model_spec for task in request.tasks]
        if not specs or not all(spec.name for spec in specs):
            raise ValueError("Found ModelSpec with an empty model name.")
        if len({spec.name for spec in specs}) > 1:
            raise ValueError(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        with self._service.request(specs[0].name, "GRPC"), self._using(specs[0]) as loaded:

            async def predict(signature: str, arrays: Arrays) -> Arrays:
                return await self._predict(loaded, signature, arrays, context)

            signatures = loaded.signatures
            answer = await inference.infer(request.tasks, request.input, signatures, predict)
            for result in answer.results:
                result.model_spec.version.value = loaded.version
            return answer

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Returns the signatures."""
        spec = request.model_spec
        with self._using(spec) as loaded:
            if [*request.metadata_field] != ["signature_def"]:
                raise ValueError("`metadata_field` must be ['signature_def'].")
            answer = get_model_metadata_pb2.GetModelMetadataResponse()
            _fill(answer.model_spec, spec.name, loaded.version, "")
            answer.metadata["signature_def"].Pack(signature_map(loaded.signatures))
            return answer

    def _using(self, spec: Any) -> Any:
        version = spec.version.value if spec.HasField("version") else None
        return self._service.model(spec.name).use(version, spec.version_label)


class _Models(_Servicer):
    """GetModelStatus and HandleReloadConfigRequest."""

    async def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Returns what became of the versions."""
        spec, answer = request.model_spec, get_model_status_pb2.GetModelStatusResponse()
        model = self._service.model(spec.name)
        version = spec.version.value if spec.HasField("version") else None
        if spec.version_label:
            version = model.of_label(spec.version_label)
        for state in model.states(version):
            written = answer.model_version_status.add(version=state.version)
            written.state = get_model_status_pb2.ModelVersionStatus.State.Value(state.state)
            written.status.error_code = state.code
            written.status.error_message = state.message
        return answer

    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Serves the models of a config in place of the present ones."""
        models, labels = _config(request.config)
        await asyncio.to_thread(self._service.reload, models, labels)
        return model_management_pb2.ReloadConfigResponse()


class _Health(health_pb2_grpc.HealthServicer):
    """Whether every model answers and is watched: of gRPC's own health protocol."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Returns SERVING or NOT_SERVING."""
        if request.service not in _SERVICES:
            said = f"service must be one of {_SERVICES}."
            await context.abort(grpc.StatusCode.NOT_FOUND, said)
        return health_pb2.HealthCheckResponse(status=self._status())

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Yields the state, and again when it changes."""
        last = None
        while True:
            known = request.service in _SERVICES
            status = self._status() if known else health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            if status != last:
                yield health_pb2.HealthCheckResponse(status=status)
            last = status
            await asyncio.sleep(_WATCH_SECONDS)

    def _status(self) -> int:
        states = health_pb2.HealthCheckResponse
        return int(states.SERVING if self._service.ready else states.NOT_SERVING)


def _config(config: Any) -> tuple[dict[str, tuple[Path, Policy]], dict[str, dict[str, int]]]:
    """Returns folder and policy by model, and versions by label, of a ModelServerConfig."""
    if config.WhichOneof("config") != "model_config_list":
        raise ValueError("Only a `model_config_list` can be reloaded.")
    models, labels = {}, {}
    for model in config.model_config_list.config:
        if not model.name or not model.base_path:
            raise ValueError("Every model needs `name` and `base_path`.")
        if model.name in models:
            raise ValueError(f"The model {model.name!r} is configured twice.")
        if model.model_platform != "tensorflow":
            said = f"`model_platform` of {model.name} must be 'tensorflow'."
            raise ValueError(f"{said} Received: {model.model_platform!r}.")
        chosen = model.model_version_policy
        kind, policy = chosen.WhichOneof("policy_choice"), Policy()
        if kind == "specific":
            policy = Policy(0, frozenset(chosen.specific.versions))
        elif kind == "all":
            policy = Policy(0)
        elif kind == "latest":
            policy = Policy(max(1, chosen.latest.num_versions))
        models[model.name] = (Path(model.base_path), policy)
        labels[model.name] = dict(model.version_labels)
    return models, labels


def _fill(written: Any, name: str, version: int, signature: str) -> None:
    written.name, written.signature_name = name, signature
    written.version.value = version
