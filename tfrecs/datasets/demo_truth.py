"""What a demo world knows and no model may see."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import columns, demo_asked
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_chances import Chances, after_turn
from tfrecs.datasets.demo_shop_truth import (
    Shop,
    companion_chance,
    require,
    seconds_after_click,
)
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.datasets.demo_world import Items, Users
from tfrecs.spec import Categorical

_USERS, _CELLS = 400, 1 << 20  # of `substitute_probability`: users, and users times items
_PAIRS = 1 << 12  # pairs at once


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
            watched; all its days without an event.
        shop: What is true of a shop alone; `None` for a site.
    """

    items: Items
    users: Users
    user_ids: pa.Array
    skills: list[list[str]]
    focus: np.ndarray
    last: np.ndarray
    shop: Shop | None = None

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
        turned = self.items.world.turned
        moment = (1 - turned) * begin + turned * after_turn(begin)  # (B, K)
        return self._chances.shown_and_clicked(rows, day, interest, begin, moment)

    def expected_seconds(self, queries: pa.Table) -> np.ndarray:
        """Returns the seconds that each item is watched if it is the next shown: E[T | user, item].

        `E[T] = examination sum over moments m of P(m) P(click | match, appeal, m)
        E[min(duration, stay) | pleased]`, on a page of the surface "home"; an item that was clicked
        before is not opened again, which is not counted here.

        Args:
            queries: As `click_probability` takes them.

        Returns:
            Seconds float32 `(B, C)`.

        Raises:
            ValueError: The fields "video" were not asked for, or a user or a session is not of
                this world.
        """
        shop = require(self.shop, "video", "expected_seconds")
        rows, _, interest, begin = self._state(queries)
        turned = self.items.world.turned
        now = ((1 - turned) * begin + turned * after_turn(begin))[:, self.items.topic]
        _, matched = self._chances.match(interest)
        click_in, click_out = (
            world.click_chance(matched, self._chances.appeal(rows), mood) for mood in (1.0, 0.0)
        )
        pleased = world.pleasure(matched, self.items.quality[None, :], self._chances.liked(rows))
        stay = world.log_dwell(pleased, self.users.device[rows][:, None])
        seconds = seconds_after_click(stay, shop.wares.duration)
        seconds *= (now * click_in + (1 - now) * click_out) * self._chances.examined(rows)
        return seconds.astype(np.float32)

    def complement_probability(
        self, first: pa.Array, second: pa.Array, when: np.ndarray | None = None
    ) -> np.ndarray:
        """Returns how probable it is that a companion of a basket's first item is the second.

        See `demo_shop_truth.companion_chance` for the formula.

        Args:
            first: N item ids.
            second: N item ids.
            when: Times of the baskets in seconds since 1970, int `(N,)`: what is not yet published
                is not bought. `None`, the default, for a time when all items are there.

        Returns:
            float64 `(N,)`; over all second items of one first item it sums to 1, or less where some
            are not yet published.

        Raises:
            ValueError: The fields "baskets" were not asked for, or an id is not of this world.
        """
        shop = require(self.shop, "baskets", "complement_probability")
        one = shop.positions("first", first, shop.item_ids)
        other = shop.positions("second", second, shop.item_ids)
        chance = companion_chance(self.items, shop, one, other)
        if when is None:
            return chance
        days = (np.asarray(when) - world.START) / world.SECONDS_PER_DAY
        return np.where(self.items.published[other] < days, chance, 0.0)

    def substitute_probability(self, first: pa.Array, second: pa.Array) -> np.ndarray:
        """Returns how probable it is that pairs of items are clicked in one session.

        `(P(second | first) + P(first | second)) / 2`, where
        `P(j | i) = sum over users u and moments m of P(u) P(m | u) c(i) c(j) / the same sum over
        all j`, `c(i) = P(i shown and clicked | u, m)`, of up to 400 users over the year.

        Args:
            first: N item ids.
            second: N item ids.

        Returns:
            float64 `(N,)`.

        Raises:
            ValueError: An id is not of this world, or the world is a site.
        """
        if self.shop is None:
            raise ValueError("`substitute_probability` is of a shop's truth. Call demo_shop().")
        one = self.shop.positions("first", first, self.shop.item_ids)
        other = self.shop.positions("second", second, self.shop.item_ids)
        clicks, shares, rows = self._year
        weight = (shares * self.users.activity[rows][:, None]).ravel()
        clicks = clicks.reshape(len(weight), -1)
        share = weight * clicks.sum(axis=1)
        total = share @ clicks  # (C,), of what goes with each item
        together = np.empty(len(one))
        for start in range(0, len(one), _PAIRS):
            pairs = slice(start, start + _PAIRS)
            together[pairs] = weight @ (clicks[:, one[pairs]] * clicks[:, other[pairs]])
        mean: np.ndarray = together * (1 / total[one] + 1 / total[other]) / 2
        return mean

    def relevance(self, queries: pa.Table) -> np.ndarray:
        """Returns how probable it is that a product query leads to each item.

        See `demo_asked.relevance` for the formula.

        Args:
            queries: Rows of `product_queries`, or a table with their `query_id`.

        Returns:
            float64 `(B, C)`; a row sums to 1.

        Raises:
            ValueError: The fields "queries" were not asked for, or an id is not of this world.
        """
        shop = require(self.shop, "queries", "relevance")
        columns.check_present("queries", queries, "query_id")
        known = shop.asked.table["query_id"].combine_chunks()
        rows = shop.positions("queries", queries["query_id"], known)
        return demo_asked.relevance(shop.asked, self.items, rows)

    @cached_property
    def _chances(self) -> Chances:
        return Chances(self.items, self.users)

    @cached_property
    def _year(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Clicks of up to 400 users in each of their moments, over the year.

        With their mean interests and the mean of what is shown: `(U', 4, C)`, how usual each moment
        is, `(U', 4)`, and the users' rows.
        """
        number = min(_USERS, len(self.user_ids), max(1, _CELLS // len(self.items.topic)))
        rows = np.unique(np.linspace(0, len(self.user_ids) - 1, number).astype(int))
        topics = self.users.topics[rows]
        shares = (self.users.start[rows] + self.users.end[rows]) / 2
        interest = np.repeat(_of_all_topics(topics, shares), topics.shape[1], axis=0)
        moment = np.eye(world.NUM_TOPICS, dtype=np.float32)[topics.ravel()]
        four = np.repeat(rows, topics.shape[1])
        clicks = self._chances.shown_and_clicked(four, None, interest, moment, moment)
        return clicks.astype(np.float64).reshape(*topics.shape, -1), shares, rows

    def _state(self, queries: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns each query's user, day, interests `(B, K)`, chances of its first topic."""
        rows, days = self._rows(queries), self.items.world.days
        when = self.last[rows]
        if "timestamp" in queries.column_names:
            when = (queries["timestamp"].to_numpy() - world.START) / world.SECONDS_PER_DAY
        when = np.clip(when, 0.0, days)
        topics, shares = self.users.topics[rows], self.users.shares(rows, when)
        interest = _of_all_topics(topics, shares)  # (B, K)
        begin = interest
        if "session_id" in queries.column_names:
            begin = np.eye(world.NUM_TOPICS, dtype=np.float32)[self._focus(queries)]
        return rows, np.minimum(when, days - 1).astype(int), interest, begin

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


def _of_all_topics(topics: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns the shares of all topics, `(B, K)`, given those of a few, `(B, 4)`."""
    every = np.zeros((len(topics), world.NUM_TOPICS), np.float32)
    np.add.at(every, (np.arange(len(topics))[:, None], topics), shares)
    return every
