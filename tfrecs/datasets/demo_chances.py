"""How probable clicks are in a demo world: the formulas of the oracles, for every item at once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_world import Items, Users


@dataclass(frozen=True)
class Chances:
    """What is shown to users of a state, and what they click: arrays `(B, C)`.

    Args:
        items: The C items.
        users: The users.
    """

    items: Items
    users: Users

    def shown_and_clicked(
        self,
        rows: np.ndarray,
        day: np.ndarray | None,
        interest: np.ndarray,
        begin: np.ndarray,
        moment: np.ndarray,
    ) -> np.ndarray:
        """Returns how probable each item is the next impression and clicked.

        Args:
            rows: The users, int `(B,)`.
            day: The days, int `(B,)`; `None` for the mean of all days.
            interest: Their shares of all topics on that day, `(B, K)`.
            begin: Chances of the topic that the session begins with, `(B, K)`.
            moment: Chances of the topic of the moment, `(B, K)`.
        """
        setting = self.items.world
        in_topic, in_all = (
            shown.mean(axis=0, keepdims=True) if day is None else shown[day]
            for shown in self.display
        )
        like, matched = self.match(interest)
        appeal = self.appeal(rows)
        click_in, click_out = (world.click_chance(matched, appeal, mood) for mood in (1.0, 0.0))
        now = moment[:, self.items.topic]
        click = now * click_in + (1 - now) * click_out  # whatever the moment
        personal = world.FOCUS * now * click_in + (1 - world.FOCUS) * like * click
        shown: np.ndarray = world.POPULAR_SHARE * in_all * click
        shown += (1 - world.POPULAR_SHARE) * in_topic * personal
        if setting.sought:
            result = begin[:, self.items.topic] * in_topic
            result *= world.click_chance(matched, appeal + world.SOUGHT_CLICK, 1.0)
            shown = (1 - setting.of_search) * shown + setting.of_search * result
        shown *= self.examined(rows)
        return shown

    def match(self, interest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the share of each item's topic, and its match, `(B, C)` each."""
        like = interest[:, self.items.topic]
        matched = (1 - world.SECOND_TOPIC) * like
        matched += world.SECOND_TOPIC * interest[:, self.items.second]
        return like, matched

    def appeal(self, rows: np.ndarray) -> np.ndarray:
        """Returns the logit of a click that is an item's own, or in a shop the pair's, `(B, C)`."""
        own: np.ndarray = self.items.appeal[None, :]
        return own + self.liked(rows) if self.items.world.shop else own

    def liked(self, rows: np.ndarray) -> np.ndarray:
        """Returns `demo_world.liking` of every item, `(B, C)`."""
        liked: np.ndarray = self.users.taste[rows] @ self.items.latent.T
        foreign = world.FOREIGN_TO[self.users.country[rows]][:, self.items.language]
        liked *= np.float32(self.items.world.liking)
        liked -= foreign
        return liked

    @cached_property
    def display(self) -> tuple[np.ndarray, np.ndarray]:
        """The share of each item in its topic, and in all, on each day: `(days, C)`."""
        weight = world.day_weights(self.items)
        of_topic = np.eye(world.NUM_TOPICS)[self.items.topic]  # (C, K)
        in_topic = weight / (weight @ of_topic)[:, self.items.topic]
        in_all = weight / weight.sum(axis=1, keepdims=True)
        return in_topic.astype(np.float32), in_all.astype(np.float32)

    def examined(self, rows: np.ndarray) -> np.ndarray:
        """Returns how probable it is that a user looks at an impression, `(B, 1)`."""
        examined = world.mean_examination(self.items.world).astype(np.float32)
        of_device: np.ndarray = examined[self.users.device[rows]][:, None]
        return of_device


def after_turn(chances: np.ndarray) -> np.ndarray:
    """Returns chances of topics after a turn, of those before it, `(B, K)`."""
    after = np.zeros_like(chances)
    after[:, world.siblings(np.arange(world.NUM_TOPICS))] = chances
    return after
