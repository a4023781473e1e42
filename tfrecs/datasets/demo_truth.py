"""What a demo world knows and no model may see."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import columns
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.datasets.demo_world import Items, Users
from tfrecs.spec import Categorical


@dataclass(frozen=True)
class Truth:
    """The latent state of a demo world, from which its events were drawn.

    Args:
        items: Topics, weight, appeal, quality of the items, in the order of `candidates`.
        users: Interests and activity of the users, in the order of `queries`.
        user_ids: Ids of the users, string `(U,)`.
        skills: The skills that the CV of each user holds, U lists.
        focus: The topic that each session begins with, int64 `(S,)`; the position is `session_id`.
        last: When the last event of each user is, float64 `(U,)` in days since the site is
            watched; 60 without an event.
    """

    items: Items
    users: Users
    user_ids: pa.Array
    skills: list[list[str]]
    focus: np.ndarray
    last: np.ndarray

    @property
    def topics(self) -> tuple[str, ...]:
        """Names of the topics, which `items.topic` and `users.topics` count from 0."""
        return tuple(topic.name for topic in TOPICS)

    def click_probability(self, queries: pa.Table) -> np.ndarray:
        """Returns how probable each item is the next impression AND clicked: the oracle's score.

        `P(i) = sum over moments m of P(m) P(show i | m) examination P(click | match, appeal, m)`

        with the user's interests at the time of the query. It is the best possible ranking of the
        next clicks for who knows the user and the time. The running session says more: give its
        `session_id` to include it. What the user clicked before is not left out (a user clicks an
        item once): exclude it, as every evaluation does.

        Args:
            queries: Table of B queries with `user_id`; with `timestamp` (seconds since 1970) the
                state at that time, else at the user's last event; with `session_id` of a session
                of that user, in it.

        Returns:
            Probabilities float32 `(B, C)`; a row sums to the user's click rate.

        Raises:
            ValueError: A `user_id` or `session_id` is not of this world.
        """
        rows, day, interest, begin = self._state(queries)
        setting = self.items.world
        moment = (1 - setting.turned) * begin + setting.turned * _siblings_of(begin)  # (B, K)
        in_topic, in_all = self._display
        like, matched = self._match(interest)
        click_in = world.click_chance(matched, self._appeal(rows), 1.0)
        click_out = world.click_chance(matched, self._appeal(rows), 0.0)
        now = moment[:, self.items.topic]
        click = now * click_in + (1 - now) * click_out  # whatever the moment
        personal = world.FOCUS * now * click_in + (1 - world.FOCUS) * like * click
        shown: np.ndarray = world.POPULAR_SHARE * in_all[day] * click
        shown += (1 - world.POPULAR_SHARE) * in_topic[day] * personal
        if setting.sought:
            result = begin[:, self.items.topic] * in_topic[day]
            result *= world.click_chance(matched, self._appeal(rows) + world.SOUGHT_CLICK, 1.0)
            shown = (1 - setting.of_search) * shown + setting.of_search * result
        shown *= world.mean_examination(setting).astype(np.float32)[self.users.device[rows], None]
        return shown

    def _state(self, queries: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns each query's user, day, interests `(B, K)`, chances of its first topic."""
        rows, days = self._rows(queries), self.items.world.days
        when = self.last[rows]
        if "timestamp" in queries.column_names:
            when = (queries["timestamp"].to_numpy() - world.START) / world.SECONDS_PER_DAY
        when = np.clip(when, 0.0, days)
        topics, shares = self.users.topics[rows], self.users.shares(rows, when)
        interest = np.zeros((len(rows), world.NUM_TOPICS), np.float32)  # (B, K)
        np.add.at(interest, (np.arange(len(rows))[:, None], topics), shares)
        begin = interest
        if "session_id" in queries.column_names:
            begin = np.eye(world.NUM_TOPICS, dtype=np.float32)[self._focus(queries)]
        return rows, np.minimum(when, days - 1).astype(int), interest, begin

    def _match(self, interest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the share of each item's topic, and its match, `(B, C)` each."""
        like = interest[:, self.items.topic]
        matched = (1 - world.SECOND_TOPIC) * like
        matched += world.SECOND_TOPIC * interest[:, self.items.second]
        return like, matched

    def _appeal(self, rows: np.ndarray) -> np.ndarray:
        """Returns the logit of a click that is an item's own, or in a shop the pair's, `(B, C)`."""
        own: np.ndarray = self.items.appeal[None, :]
        return own + self._liked(rows) if self.items.world.shop else own

    def _liked(self, rows: np.ndarray) -> np.ndarray:
        """Returns `demo_world.liking` of every item, `(B, C)`."""
        liked: np.ndarray = self.users.taste[rows] @ self.items.latent.T
        foreign = world.FOREIGN_TO[self.users.country[rows]][:, self.items.language]
        return liked * np.float32(self.items.world.liking) - foreign

    @cached_property
    def _display(self) -> tuple[np.ndarray, np.ndarray]:
        """The share of each item in its topic, and in all, on each day: `(days, C)`."""
        weight = world.day_weights(self.items)
        of_topic = np.eye(world.NUM_TOPICS)[self.items.topic]  # (C, K)
        in_topic = weight / (weight @ of_topic)[:, self.items.topic]
        in_all = weight / weight.sum(axis=1, keepdims=True)
        return in_topic.astype(np.float32), in_all.astype(np.float32)

    def _rows(self, queries: pa.Table) -> np.ndarray:
        columns.check_present("queries", queries, "user_id")
        columns.check_type("queries", queries["user_id"], Categorical("user_id"))
        found = pc.index_in(queries["user_id"].combine_chunks(), value_set=self.user_ids)
        if found.null_count:
            row = int(np.argmax(found.is_null().to_numpy(zero_copy_only=False)))
            raise ValueError(
                checks.expected(
                    "queries",
                    f"a table of users of this world ({self.user_ids[0]} to {self.user_ids[-1]})",
                    queries["user_id"][row].as_py(),
                )
            )
        rows: np.ndarray = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return rows

    def _focus(self, queries: pa.Table) -> np.ndarray:
        sessions = queries["session_id"].to_numpy()
        known = (sessions >= 0) & (sessions < len(self.focus))
        if not known.all():
            raise ValueError(
                checks.expected(
                    "queries",
                    f"a table with session_id from 0 to {len(self.focus) - 1}",
                    int(sessions[~known][0]),
                )
            )
        focus: np.ndarray = self.focus[sessions]
        return focus


def _siblings_of(chances: np.ndarray) -> np.ndarray:
    """Returns chances of topics after a turn, of those before it, `(B, K)`."""
    after = np.zeros_like(chances)
    after[:, world.siblings(np.arange(world.NUM_TOPICS))] = chances
    return after
