import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from tfrecs.layers.fourier import fourier_features
from tfrecs.layers.perceiver import PerceiverDecoder, PerceiverEncoder
from tfrecs.layers.perceiver_attention import PerceiverAttention

GOLDEN = Path(__file__).parent.parent / "golden" / "perceiver.json"
PEER = Path(__file__).with_name("perceiver_peer.py")


def test_fourier_features_by_hand():
    # K = 3, mu = 8: frequencies 1, 2.5, 4; at p = 0.5 angles pi / 2, 1.25 pi, 2 pi
    half = np.sqrt(0.5)
    expected = [1, -half, 0, 0, -half, 1, 0.5]
    found = fourier_features(ops.array([0.5]), 3, 8.0)
    np.testing.assert_allclose(found, [expected], atol=1e-6)


def reference(layer, query, inputs, mask):
    """One head in NumPy."""

    def norm(x, by):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * np.asarray(by.gamma) + np.asarray(by.beta)

    def dense(x, by):
        return x @ np.asarray(by.kernel) + np.asarray(by.bias)

    q, y = norm(query, layer.query_norm), norm(inputs, layer.input_norm)
    # whatever bias a key has, softmax takes it away
    k = y @ np.asarray(layer.key.kernel) + np.linspace(-2, 2, q.shape[-1])
    q, v = dense(q, layer.query), dense(y, layer.value)
    scores = np.where(mask[:, None], q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1]), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    x = query + dense(weights @ v, layer.output_dense)
    hidden = dense(norm(x, layer.norm), layer.wide)
    return x + dense(np.asarray(ops.gelu(hidden, approximate=False)), layer.narrow)


def perturbed(layer, seed=0):
    """Gives each weight a value that no initializer makes."""
    rng = np.random.default_rng(seed)
    layer.set_weights([w + 0.3 * rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def test_attention_is_that_of_the_formula():
    rng = np.random.default_rng(1)
    layer = perturbed(PerceiverAttention(6, 4, widening=2))
    query, inputs = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 5, 4))
    mask = np.array([[True, True, False, True, False], [True] * 5])
    found = layer(query.astype("float32"), inputs.astype("float32"), mask)
    np.testing.assert_allclose(found, reference(layer, query, inputs, mask), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("heads", [1, 2])
def test_shared_queries_find_what_each_row_s_own_find(heads):
    layer, (x, mask) = perturbed(PerceiverAttention(6, 7, num_heads=heads)), inputs()
    query = np.random.default_rng(2).normal(size=(1, 3, 6)).astype("float32")
    own = np.repeat(query, 4, axis=0)
    np.testing.assert_allclose(layer(query, x, mask), layer(own, x, mask), rtol=1e-5, atol=1e-5)


def model(seed=0):
    encoder = perturbed(PerceiverEncoder(7, 5, 8, num_layers=2, num_blocks=2, num_heads=2), seed)
    return encoder, perturbed(PerceiverDecoder(8, 3, 6), seed + 1)


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(4, 9, 7)).astype("float32"), rng.random((4, 9)) < 0.7


@pytest.mark.parametrize("masked", [False, True])
def test_queries_that_attend_to_themselves_are_their_own_inputs(masked):
    own, other = PerceiverAttention(6, num_heads=2), PerceiverAttention(6, 6, num_heads=2)
    perturbed(own)
    for norm in ("query_norm", "norm"):
        getattr(other, norm).set_weights(getattr(own, norm).get_weights())
    other.input_norm.set_weights(own.query_norm.get_weights())
    for name in ("query", "key", "value", "output_dense", "wide", "narrow"):
        getattr(other, name).set_weights(getattr(own, name).get_weights())
    x = np.random.default_rng(3).normal(size=(2, 5, 6)).astype("float32")
    mask = np.array([[True, True, False, True, False], [True] * 5]) if masked else None
    np.testing.assert_allclose(own(x, None, mask), other(x, x, mask), rtol=1e-5, atol=1e-5)


def test_latents_of_inputs_of_two_lengths_go_through_together():
    encoder, _ = model()
    x, mask = inputs()
    both = [encoder.read(x, mask), encoder.read(x[:2, :3])]
    found = encoder.process(ops.concatenate(both, axis=0))
    np.testing.assert_allclose(found[:4], encoder(x, mask), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[4:], encoder(x[:2, :3]), rtol=1e-5, atol=1e-5)


def test_padding_changes_nothing():
    encoder, decoder = model()
    x, mask = inputs()
    more = np.concatenate([x, 100 * np.ones((4, 20, 7), "float32")], axis=1)
    longer = np.pad(mask, [(0, 0), (0, 20)])
    np.testing.assert_allclose(encoder(more, longer), encoder(x, mask), rtol=1e-5, atol=1e-5)
    changed = np.where(mask[..., None], x, -3.0)
    found = decoder(encoder(changed, mask))
    np.testing.assert_allclose(found, decoder(encoder(x, mask)), rtol=1e-5, atol=1e-5)


def test_the_order_of_inputs_is_told_by_their_features_alone():
    encoder, _ = model()
    x, mask = inputs()
    np.testing.assert_allclose(
        encoder(x[:, ::-1], mask[:, ::-1]), encoder(x, mask), rtol=1e-5, atol=1e-5
    )


def test_a_row_without_inputs_is_what_the_latents_say_alone():
    encoder, _ = model()
    x, _ = inputs()
    found = np.asarray(encoder(x, np.zeros((4, 9), bool)))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, np.broadcast_to(found[:1], found.shape), rtol=1e-5, atol=1e-5)
    other = encoder(np.ones((1, 2, 7), "float32"), np.zeros((1, 2), bool))
    np.testing.assert_allclose(found[:1], other, rtol=1e-5, atol=1e-5)


def test_blocks_share_their_weights():
    once = PerceiverEncoder(7, 5, 8, num_layers=2, num_heads=2)
    assert len(once.weights) == len(model()[0].weights)


def test_half_precision_stays_near():
    encoder = model()[0]
    half = PerceiverEncoder(7, 5, 8, num_layers=2, num_blocks=2, num_heads=2, dtype="mixed_float16")
    half.set_weights(encoder.get_weights())
    x, mask = inputs()
    assert keras.backend.standardize_dtype(half(x, mask).dtype) == "float16"
    np.testing.assert_allclose(ops.cast(half(x, mask), "float32"), encoder(x, mask), atol=0.05)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_heads": 3}, "`num_heads` must be a divisor of 8"),
        ({"num_blocks": 0}, "`num_blocks` must be greater than 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PerceiverEncoder(7, 5, 8, num_layers=1, **arguments)
    with pytest.raises(ValueError, match="`num_outputs` must be greater than 0"):
        PerceiverDecoder(8, 0, 6)


def test_outputs_are_those_that_the_public_perceiver_gave():
    # made by `python tests/layers/test_perceiver.py` with the peer's interpreter
    golden = json.loads(GOLDEN.read_text())
    encoder, decoder = model()
    latents = encoder(*inputs())
    np.testing.assert_allclose(latents, golden["latents"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(decoder(latents), golden["outputs"], rtol=1e-5, atol=1e-5)


def peer_outputs(python, folder):
    """Returns what the peer gives for our weights and inputs."""
    encoder, decoder = model()
    x, mask = inputs()
    arrays = {
        "inputs": x,
        "mask": mask,
        "latents": np.asarray(encoder.latents),
        "queries": np.asarray(decoder.queries),
        "num_blocks": 2,
        "num_layers": 2,
        "num_heads": 2,
    }
    layers = {"cross": encoder.cross, "decoder": decoder.cross}
    layers |= {f"layer_{n}": layer for n, layer in enumerate(encoder.layers)}
    for prefix, layer in layers.items():
        for name in (
            *("query_norm", "query", "key", "value", "output_dense", "norm", "wide", "narrow"),
            *(() if layer.own else ("input_norm",)),
        ):
            for number, weight in enumerate(getattr(layer, name).get_weights()):
                arrays[f"{prefix}/{name}/{number}"] = weight
        # the peer's keys have a bias, which changes nothing
        bias = np.linspace(-2, 2, len(arrays[f"{prefix}/query/1"]))
        arrays[f"{prefix}/key/1"] = bias.astype("float32")
    np.savez(folder / "in.npz", **arrays)
    command = [python, PEER, folder / "in.npz", folder / "out.npz"]
    subprocess.run(command, check=True, capture_output=True)
    return dict(np.load(folder / "out.npz"))


def test_outputs_are_those_of_the_public_perceiver(tmp_path):
    python = os.environ.get("TFRECS_TORCH_PYTHON", sys.executable)
    probe = [python, "-c", "import torch, transformers"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("needs torch and transformers: set TFRECS_TORCH_PYTHON to an interpreter")
    found = peer_outputs(python, tmp_path)
    encoder, decoder = model()
    latents = encoder(*inputs())
    np.testing.assert_allclose(latents, found["latents"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(decoder(latents), found["outputs"], rtol=1e-5, atol=1e-5)


if __name__ == "__main__":  # writes the golden values
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        made = peer_outputs(os.environ["TFRECS_TORCH_PYTHON"], Path(directory))
    GOLDEN.write_text(json.dumps({k: np.round(v, 7).tolist() for k, v in made.items()}) + "\n")
