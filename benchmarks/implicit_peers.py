"""The peers of implicit.py, run by it in a venv that has them: implicit's ALS and BPR."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking


def main(folder: str, threads: int) -> None:
    """Fits each peer on FOLDER/train.npz; writes their factors and FOLDER/peers.json."""
    train = scipy.sparse.load_npz(f"{folder}/train.npz").tocsr()
    kw = {"factors": 64, "num_threads": threads, "random_state": 1}
    models = {
        "implicit ALS 64, alpha 10, reg 10": AlternatingLeastSquares(
            alpha=10, regularization=10.0, iterations=15, use_cg=True, **kw
        ),
        "implicit BPR 64, lr 0.05, reg 0.01": BayesianPersonalizedRanking(
            learning_rate=0.05, regularization=0.01, iterations=100, **kw
        ),
    }
    told = {}
    for number, (name, model) in enumerate(models.items()):
        start, begun = time.perf_counter(), time.process_time()
        model.fit(train, show_progress=False)
        seconds, cpu = time.perf_counter() - start, time.process_time() - begun
        file = f"{number}.npz"
        np.savez(f"{folder}/{file}", p=model.user_factors, q=model.item_factors)
        each = {"iteration": seconds / model.iterations, "cpu": cpu / model.iterations}
        told[name] = {"file": file, "seconds": seconds, **each}
    Path(folder, "peers.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
