"""The public Perceiver IO of `transformers`, on weights and inputs of a file; needs torch too.

    python perceiver_peer.py inputs.npz outputs.npz

Run by test_perceiver.py in an interpreter that has both packages.
"""

import sys

import numpy as np


def parts(layer, cross):
    """Names our weights of a PerceiverAttention by the peer's."""
    own = layer.attention.self
    named = {
        "query_norm": own.layernorm1,
        "query": own.query,
        "key": own.key,
        "value": own.value,
        "output_dense": layer.attention.output.dense,
        "norm": layer.layernorm,
        "wide": layer.mlp.dense1,
        "narrow": layer.mlp.dense2,
    }
    return named | ({"input_norm": own.layernorm2} if cross else {})


def load(layer, cross, prefix, arrays):
    """Copies our weights into the peer's layer."""
    import torch

    for name, module in parts(layer, cross).items():
        first, second = arrays[f"{prefix}/{name}/0"], arrays[f"{prefix}/{name}/1"]
        module.weight.data = torch.tensor(first.T if first.ndim == 2 else first)
        module.bias.data = torch.tensor(second)


def main(source, target):
    """Runs encoder and decoder."""
    import torch
    from transformers import PerceiverConfig
    from transformers.models.perceiver.modeling_perceiver import PerceiverLayer, PerceiverModel

    a = dict(np.load(source))
    inputs, mask = torch.tensor(a["inputs"]), torch.tensor(a["mask"].astype("float32"))
    num_latents, latent_dim = a["latents"].shape
    config = PerceiverConfig(
        num_latents=num_latents,
        d_latents=latent_dim,
        d_model=inputs.shape[-1],
        num_blocks=int(a["num_blocks"]),
        num_self_attends_per_block=int(a["num_layers"]),
        num_self_attention_heads=int(a["num_heads"]),
        num_cross_attention_heads=1,
        cross_attention_shape_for_attention="q",
        attention_probs_dropout_prob=0.0,
    )
    model = PerceiverModel(config).eval()
    model.embeddings.latents.data = torch.tensor(a["latents"])
    load(model.encoder.cross_attention, True, "cross", a)
    for number, layer in enumerate(model.encoder.self_attends):
        load(layer, False, f"layer_{number}", a)
    queries = torch.tensor(a["queries"])
    decoder = PerceiverLayer(
        config,
        is_cross_attention=True,
        qk_channels=queries.shape[1],
        v_channels=queries.shape[1],
        num_heads=1,
        q_dim=queries.shape[1],
        kv_dim=latent_dim,
        widening_factor=1,
        use_query_residual=False,
    ).eval()
    load(decoder, True, "decoder", a)
    with torch.no_grad():
        latents = model(inputs, attention_mask=mask).last_hidden_state
        found = decoder(queries[None].expand(len(inputs), -1, -1), inputs=latents)[0]
    np.savez(target, latents=latents.numpy(), outputs=found.numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
