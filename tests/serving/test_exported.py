import json
import urllib.request

import grpc
import numpy as np
import pyarrow as pa
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfrecs.export import export
from tfrecs.features import FeatureTransform
from tfrecs.models import TwoTower
from tfrecs.retrieval import Exact
from tfrecs.serving.server import Server
from tfrecs.serving.service import find_models
from tfrecs.spec import Categorical, FeatureSpec

USERS = pa.table({"user_id": [f"u{i}" for i in range(50)]})
ITEMS = pa.table(
    {"item_id": [f"i{i}" for i in range(200)], "title": [f"title {i}" for i in range(200)]}
)


def test_an_exported_model_recommends_by_both_interfaces_what_it_does_in_python(tmp_path):
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", is_id=True),
            Categorical("item_id", "candidate", is_id=True),
        )
    )
    transform = FeatureTransform(spec).adapt(USERS, ITEMS)
    model = TwoTower(transform.spec, embedding_dim=8)
    vectors = model.candidate(transform.encode(ITEMS, ["item_id"]))
    index = Exact(k=6).index(vectors, ITEMS["item_id"].to_numpy())
    export(model, transform, index, ITEMS, tmp_path, name="news", k=6, check=False)
    users = [*USERS["user_id"].to_pylist(), "nobody", ""]
    known = transform(
        {"user_id": tf.constant(users)}, ["user_id"]
    )  # raw values, as the SavedModel takes them
    scores, ids = index(model.query(known))
    wanted = [[item.decode() for item in row] for row in np.asarray(ids).tolist()]
    with Server(find_models(tmp_path), grpc_port=0, rest_port=0) as server:
        # the SavedModel's own warm-up requests have been answered
        body = json.dumps({"instances": [{"user_id": user} for user in users]}).encode()
        url = f"http://127.0.0.1:{server.rest_port}/v1/models/news_stock:predict"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as response:
            rows = json.load(response)["predictions"]
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "news_stock"
        request.inputs["user_id"].CopyFrom(tf.make_tensor_proto(users))
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            outputs = stub.Predict(request, timeout=30).outputs
    assert [row["item_id"] for row in rows] == wanted
    np.testing.assert_allclose([row["score"] for row in rows], scores, rtol=1e-5, atol=1e-5)
    assert tf.make_ndarray(outputs["item_id"]).astype(str).tolist() == wanted
    np.testing.assert_allclose(
        tf.make_ndarray(outputs["score"]), scores, rtol=1e-5, atol=1e-5
    )  # summed in another order
    assert rows[0]["title"] == [f"title {item[1:]}" for item in wanted[0]]
