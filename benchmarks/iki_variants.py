"""Rankers that show why the iki ranker is as it is: each lacks one thing."""

from typing import Any

import keras

from tfrecs.models import IkiRanker


class Straight(IkiRanker):
    """All dense layers of ReLUs, from Glorot's initial weights: products are to be learned."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for number, layer in enumerate(self.mlp.dense):
            start = keras.initializers.GlorotUniform(number)
            layer.kernel.assign(start(layer.kernel.shape))
        self.mlp.dense[0].activation = keras.activations.relu


class Told(IkiRanker):
    """A row's user stays in its item's SVD embedding in training, which tells the label."""

    def _without_user(self, batch: Any, own: Any, user: Any, rows: Any) -> Any:
        return rows


class StraightTold(Straight, Told):
    """Neither."""


VARIANTS = {
    "ranker with ReLUs alone": Straight,
    "ranker, user left in the item's embedding": Told,
    "ranker with ReLUs alone, user left in": StraightTold,
}
