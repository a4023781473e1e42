"""How the demo shop is made: its parts drawn once, its tables chunk by chunk."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from tfrecs.datasets import demo_orders as orders
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_asked import Asked, draw_asked, engage
from tfrecs.datasets.demo_events import Chunk, generate
from tfrecs.datasets.demo_setting import World
from tfrecs.datasets.demo_shop_tables import schema_of
from tfrecs.datasets.demo_shop_truth import Shop
from tfrecs.datasets.demo_tables import batch_of, ids_of
from tfrecs.datasets.demo_topics import ACTIONS, SURFACES
from tfrecs.datasets.demo_truth import Truth
from tfrecs.datasets.demo_wares import Space, Wares, draw_space, draw_wares
from tfrecs.datasets.demo_world import Items, Users

_EVENTS_PER_ENGAGEMENT = 20
_STREAMS = {"searches": 24, "plays": 25, "baskets": 26}  # of chance


@dataclass(frozen=True)
class Maker:
    """A shop of given sizes: what is drawn once, and the way to each of its tables.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        num_events: Number of events.
        seed: Seed of the world.
        fields: Groups of fields.
        setting: Days, shares and strengths.
    """

    num_users: int
    num_items: int
    num_events: int
    seed: int
    fields: tuple[str, ...]
    setting: World

    @cached_property
    def items(self) -> Items:
        """The items."""
        return world.draw_items(self.num_items, self.seed, self.setting)

    @cached_property
    def users(self) -> Users:
        """The users."""
        return world.draw_users(self.num_users, self.seed, self.setting)

    @cached_property
    def space(self) -> Space:
        """The space of images and queries."""
        return draw_space(self.seed)

    @cached_property
    def wares(self) -> Wares:
        """The attributes, makers and kits of the items."""
        return draw_wares(self.items, self.space, self.seed)

    @cached_property
    def kits(self) -> orders.Kits:
        """The items by kit."""
        return orders.build_kits(self.items, self.wares)

    @cached_property
    def asked(self) -> Asked:
        """The product queries."""
        return draw_asked(self.items, self.wares, self.space, self.seed)

    @cached_property
    def user_ids(self) -> pa.Array:
        """The ids of the users."""
        return ids_of("u", self.num_users)

    @cached_property
    def item_ids(self) -> pa.Array:
        """The ids of the items."""
        return ids_of("i", self.num_items)

    def chunks(self) -> Iterator[tuple[Chunk, int, int]]:
        """Yields the chunks, each with the numbers of its first session and its first event."""
        first_session = first_event = 0
        for chunk in generate(self.items, self.users, self.num_events, self.seed):
            yield chunk, first_session, first_event
            first_session += len(chunk.focus)
            first_event += len(chunk.user)

    def stream(self, table: str) -> Iterator[pa.RecordBatch]:
        """Yields one table in batches of any length."""
        if table == "engagements":
            number = max(1, self.num_events // _EVENTS_PER_ENGAGEMENT)
            yield from engage(self.asked, self.items, self.item_ids, number, self.seed)
            return
        for chunk, first_session, first_event in self.chunks():
            yield self.batch(table, chunk, first_session, first_event)

    def batch(
        self, table: str, chunk: Chunk, first_session: int, first_event: int
    ) -> pa.RecordBatch:
        """Writes the rows of a table that come from one chunk."""
        if table == "events":
            return self._events(chunk)
        sizes = (self.num_users, self.num_items, first_session)
        rng = np.random.default_rng([self.seed, _STREAMS[table], *sizes])
        if table == "searches":
            return orders.searches_of(rng, chunk, first_session, self.user_ids)
        if table == "plays":
            return orders.plays_of(rng, chunk, self.user_ids, self.item_ids)
        parts = (self.items, self.wares, self.kits)
        return orders.baskets_of(rng, parts, chunk, first_event, self.user_ids, self.item_ids)

    def _events(self, chunk: Chunk) -> pa.RecordBatch:
        columns = batch_of(chunk, self.user_ids, self.item_ids).columns
        columns.append(pa.array(SURFACES).take(pa.array(chunk.surface)))
        columns.append(pa.array(ACTIONS).take(pa.array(chunk.action)))
        if "video" in self.fields:
            watched = np.minimum(self.wares.duration[chunk.item], chunk.dwell)
            columns.append(pa.array(watched.astype(np.float32)))
        return pa.RecordBatch.from_arrays(columns, schema=schema_of("events", self.fields))

    def truth(self, skills: list[list[str]], focus: np.ndarray, last: np.ndarray) -> Truth:
        """Returns what the world knows, of all its chunks."""
        parts = (self.wares, self.space, self.kits, self.asked, self.item_ids, self.fields)
        return Truth(
            self.items,
            self.users,
            self.user_ids,
            skills,
            focus,
            last,
            shop=Shop(*parts),
        )
