"""Runs the authors' PyTorch GRU4Rec in a process of its own, for `benchmarks/sessions.py`.

    PYTHON benchmarks/sessions_peers.py --repo CHECKOUT --data DATA.npz --setting JSON --out OUT

The checkout is of github.com/hidasib/GRU4Rec_PyTorch_Official (free for research and education
alone; nothing of it is in this repository). PYTHON has torch, numpy < 2, pandas < 3. DATA.npz holds
`train` and `test`, `(N, 3)` of session, item and time.
"""

import argparse
import contextlib
import io
import json
import re
import sys
import time

import numpy as np


def main() -> None:
    """Trains, evaluates by the peer's own code, and writes what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--repo", "--data", "--setting", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--forward", action="store_true", help="only one step of given weights")
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.repo)
    import pandas as pd
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    np.random.seed(arguments.seed)
    tensor = torch.tensor  # recent torch takes no pandas Series; the checkout passes one
    torch.tensor = lambda x, *p, **k: tensor(x.to_numpy() if hasattr(x, "to_numpy") else x, *p, **k)
    import gru4rec_pytorch as peer

    setting, data = json.loads(arguments.setting), np.load(arguments.data)
    if arguments.forward:
        found = forward(peer, torch, setting, data)
    else:
        names = ("SessionId", "ItemId", "Time")
        train, test = (pd.DataFrame(data[part], columns=names) for part in ("train", "test"))
        model, log = peer.GRU4Rec(device=torch.device("cpu")), io.StringIO()
        start = time.perf_counter()
        with contextlib.redirect_stdout(log):
            model.set_params(**setting)
            model.fit(train, sample_cache_max_size=2048 * 500)
        found = {"fit_s": time.perf_counter() - start}
        rates = [float(x) for x in re.findall(r"\|\s*([\d.]+) e/s", log.getvalue())]
        found["events_per_s"] = float(np.median(rates))
        if len(test):
            from evaluation import batch_eval

            with contextlib.redirect_stdout(log):
                recall, mrr = batch_eval(model, test, cutoff=[20], batch_size=100, mode="standard")
            found |= {"recall@20": float(recall[20]), "mrr@20": float(mrr[20])}
    with open(arguments.out, "w") as file:
        json.dump(found, file)


def forward(peer: object, torch: object, setting: dict, data: object) -> dict:
    """Returns scores, loss and hidden state of one step from given weights."""
    size, units = data["items"].shape
    net = peer.GRU4RecModel(size, [units])
    gates = {"weight_ih": "kernel", "weight_hh": "recurrent", "bias_ih": "bias", "bias_hh": "inner"}
    with torch.no_grad():
        net.Wy.weight.copy_(torch.from_numpy(data["items"]))
        net.By.weight.copy_(torch.from_numpy(data["item_bias"]))
        for theirs, ours in gates.items():
            getattr(net.G[0], theirs).copy_(torch.from_numpy(data[ours]))
    state = [torch.from_numpy(data["state"])]
    inputs, candidates = torch.from_numpy(data["inputs"]), torch.from_numpy(data["candidates"])
    model = peer.GRU4Rec(device=torch.device("cpu"), **setting)
    with torch.no_grad():
        scores = net.forward(inputs, state, candidates, training=True)
        # divided by the batch, as their training does
        loss = model.loss_function(scores, candidates, len(inputs)) / len(inputs)
    return {"scores": scores.tolist(), "loss": float(loss), "state": state[0].tolist()}


if __name__ == "__main__":
    main()
