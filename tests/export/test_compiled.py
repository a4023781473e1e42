import keras
import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from tfrecs.export.compiled import export_compiled
from tfrecs.retrieval import Exact, ScaNN
from tfrecs.serving import Session

ROWS = {"user_id": ["u_3", "nobody"], "country": ["c3", ""], "age": [3.0, 20.0]}
RAW = ROWS | {"history": [["i_1", "i_2"], ["", ""]]}


@pytest.fixture(scope="module")
def session(world, tmp_path_factory):
    done = export_compiled(
        *(world.model, world.transform, Exact(k=5).index(world.vectors, world.ids)),
        *(world.candidates, world.queries, tmp_path_factory.mktemp("models")),
        name="fast",
        k=5,
    )
    return Session(done.paths["stock"])


def test_the_compiled_graph_answers_like_the_model(session, world):
    row = {name: [RAW[name][0]] for name in RAW}
    names = ["user_id", "country", "age", "history"]
    tensors = {n: keras.ops.convert_to_tensor(v) for n, v in row.items()}
    vector = np.asarray(world.model.query(world.transform(tensors, names)))[0]
    best = np.argsort(-(world.vectors @ vector))[:5]
    answer = session.run("serving_default", RAW)
    assert answer["item_id"][0] == world.ids[best].tolist()
    np.testing.assert_allclose(answer["score"][0], (world.vectors @ vector)[best], rtol=1e-5)
    assert np.isfinite(answer["score"]).all()


def test_the_part_from_encoded_features_on_is_one_xla_program(session):
    saved = saved_model_pb2.SavedModel.FromString((session.path / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    compiled = [f for f in functions if f.attr["_XlaMustCompile"].b]
    assert compiled
    operations = {node.op for function in compiled for node in function.node_def}
    assert "TopKV2" in operations
    assert not {op for op in operations if "String" in op or "Lookup" in op}
    inputs = session.signatures["recommend_encoded"].inputs
    assert "string" not in {tensor.dtype for tensor in inputs.values()}


def test_encoded_features_give_the_same_positions(session, world):
    names = ["user_id", "country", "age", "history"]
    tensors = {n: keras.ops.convert_to_tensor(v) for n, v in RAW.items()}
    batch = {n: np.asarray(t) for n, t in world.transform(tensors, names).items()}
    batch = {n: batch[n] for n in session.signatures["recommend_encoded"].inputs}
    answer = session.run("recommend_encoded", batch)
    named = [[str(world.ids[i]) for i in row] for row in answer["position"]]
    assert named == session.run("serving_default", RAW)["item_id"]


def test_an_approximate_index_is_an_error(world, tmp_path):
    index = ScaNN(k=5, leaves_to_search=4, reorder=20).index(world.vectors, world.ids)
    with pytest.raises(TypeError, match="`index` must be a Exact"):
        export_compiled(
            *(world.model, world.transform, index, world.candidates, world.queries, tmp_path),
            name="fast",
        )
