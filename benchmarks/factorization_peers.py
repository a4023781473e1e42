"""The peers of factorization.py, run by it in a venv that has them: scikit-surprise and cornac."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import cornac
import numpy as np
import surprise
from common import row


def main(folder: str, protocol: str) -> None:
    """Fits each peer on FOLDER/ratings.npz and writes FOLDER/peers.json."""
    arrays = np.load(f"{folder}/ratings.npz")
    user, item, rating, test = (arrays[name] for name in ("user", "item", "rating", "test"))
    train = list(zip(user[~test], item[~test], rating[~test].tolist(), strict=True))
    rows: list[dict[str, Any]] = []

    def add(name: str, seconds: float, predicted: Any) -> None:
        error = np.sqrt(np.mean((np.clip(predicted, 1, 5) - rating[test]) ** 2))
        for metric, value, unit in (("rmse", error, ""), ("fit_s", seconds, "s")):
            rows.append(
                row("ml-1m", protocol, name, metric, value, unit=unit, peer=name.split()[0])
            )

    mf = cornac.models.MF(
        k=50, max_iter=40, learning_rate=0.01, lambda_reg=0.05, num_threads=2, seed=1
    )
    known = cornac.data.Dataset.from_uir(train, seed=1)
    start = time.perf_counter()
    mf.fit(known)
    seconds = time.perf_counter() - start
    pairs = list(zip(user[test], item[test], strict=True))
    users, items = known.uid_map, known.iid_map
    scores = [mf.score(users[u])[items[i]] if i in items else mf.global_mean for u, i in pairs]
    add("cornac MF 50, l2 0.05, 40 epochs", seconds, scores)
    svd = surprise.SVD(n_factors=100, n_epochs=30, lr_all=0.01, reg_all=0.06, random_state=1)
    rows_of = surprise.Dataset(surprise.Reader(rating_scale=(1, 5)))
    trainset = rows_of.construct_trainset([(u, i, r, None) for u, i, r in train])
    start = time.perf_counter()
    svd.fit(trainset)
    add(
        "surprise SVD 100, l2 0.06, 30 epochs",
        time.perf_counter() - start,
        [svd.predict(u, i).est for u, i in pairs],
    )
    Path(folder, "peers.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
