import numpy as np

from tfrecs.layers.attention import AdditiveAttention, SelfAttention


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_heads_stand_one_after_the_other():
    rng = np.random.default_rng(0)
    x, layer = rng.normal(size=(2, 4, 5)).astype("float32"), SelfAttention(5, 2, 3)
    q, k, v = (x @ np.asarray(kernel) for kernel in layer.kernels)
    heads = [
        softmax(q[..., s] @ k[..., s].swapaxes(1, 2) / np.sqrt(3)) @ v[..., s]
        for s in (slice(0, 3), slice(3, 6))
    ]
    np.testing.assert_allclose(layer(x), np.concatenate(heads, -1), atol=1e-5)


def test_additive_attention_by_hand():
    layer = AdditiveAttention(2, 1)
    layer.set_weights([np.array([[1.0], [0.0]]), np.zeros(1), np.array([[1.0]])])
    x = np.array([[[0.0, 1.0], [1.0, 3.0]]], "float32")
    # scores tanh 0 = 0 and tanh 1; the second's share is sigmoid(tanh 1)
    share = 1 / (1 + np.exp(-np.tanh(1)))
    np.testing.assert_allclose(layer(x), [[share, 1 + 2 * share]], atol=1e-6)


def test_what_is_masked_changes_nothing():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 4, 6)).astype("float32")
    mask = np.array([[True, True, False, False], [True] * 4])
    attend, pool = SelfAttention(6, 2, 3), AdditiveAttention(6, 3)
    changed = np.where(mask[..., None], x, 9).astype("float32")
    found, other = (pool(attend(y, mask), mask) for y in (x, changed))
    np.testing.assert_allclose(found, other, atol=1e-5)
    short = pool(attend(x[:1, :2]))
    np.testing.assert_allclose(found[:1], short, atol=1e-5)


def test_a_sequence_masked_throughout_is_zeros():
    x, mask = np.ones((1, 3, 6), "float32"), np.zeros((1, 3), bool)
    assert not np.asarray(AdditiveAttention(6, 3)(SelfAttention(6, 2, 3)(x, mask), mask)).any()
