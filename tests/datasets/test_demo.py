import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tfrecs.baselines import ItemKNN, Oracle, Popularity, Random, interaction_matrix
from tfrecs.datasets import demo, demo_stream
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo import SPEC

SMALL = {"num_users": 300, "num_items": 120, "num_events": 12_000}


@pytest.fixture(scope="module")
def small():
    return demo(**SMALL)


@pytest.fixture(scope="module")
def default():
    return demo()


def rows_of(table, name, ids):
    return pc.index_in(table[name].combine_chunks(), value_set=ids.combine_chunks()).to_numpy()


def digest(batches):
    """A hash of the values, however the batches were cut."""
    table = pa.Table.from_batches(batches).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def test_default_sizes_are_those_of_the_documentation(default):
    assert (default.queries.num_rows, default.candidates.num_rows) == (2_000, 1_000)
    assert default.events.num_rows == 100_000


def test_one_argument_sizes_the_world():
    tables = demo(num_events=1_000)
    assert tables.events.num_rows == 1_000
    assert tables.queries.num_rows == 20  # 1,000 / 50
    assert tables.candidates.num_rows == 100  # 1,000 x sqrt(1,000 / 100,000)


def test_every_column_has_its_feature_and_every_feature_its_column(small):
    names = {*small.events.column_names, *small.queries.column_names}
    names |= set(small.candidates.column_names)
    assert names == set(SPEC.names)


def test_positives_are_the_clicks(small):
    assert small.positives.num_rows == pc.sum(small.events["clicked"]).as_py()


def test_same_seed_same_world_other_seed_other_world(small):
    again, other = demo(**SMALL), demo(**SMALL, seed=1)
    for table in ("events", "queries", "candidates"):
        assert getattr(again, table).equals(getattr(small, table))
        assert not getattr(other, table).equals(getattr(small, table))


def test_more_events_leave_users_and_items_as_they_were(small):
    more = demo(**{**SMALL, "num_events": 13_000})
    assert more.queries.equals(small.queries)
    assert more.candidates.equals(small.candidates)


def test_batch_size_does_not_change_the_bytes_of_the_stream(monkeypatch):
    monkeypatch.setattr("tfrecs.datasets.demo_events._CHUNK_EVENTS", 1_000)  # many chunks
    streams = {digest(demo_stream(**SMALL, batch_size=size)) for size in (1, 999, 5_000, 10**6)}
    assert len(streams) == 1


def test_stream_holds_the_events_of_the_tables_by_user(small):
    stream = demo_stream(**SMALL).read_all()
    order = [("user_id", "ascending"), ("timestamp", "ascending")]
    assert stream.equals(stream.sort_by(order))
    assert stream.equals(small.events.sort_by(order))


@pytest.mark.parametrize(
    "size, lengths", [(400, [400, 400, 200]), (1_000, [1_000]), (2_000, [1_000])]
)
def test_batches_are_full_but_the_last(size, lengths):
    stream = demo_stream(num_users=90, num_events=1_000, batch_size=size)
    assert [batch.num_rows for batch in stream] == lengths


@pytest.mark.parametrize("num_users, num_events", [(1, 1), (5_000, 7), (3, 1_001), (1, 70_000)])
def test_number_of_events_is_exact(num_users, num_events):
    stream = demo_stream(num_users=num_users, num_items=24, num_events=num_events)
    assert sum(batch.num_rows for batch in stream) == num_events


def test_events_tell_a_possible_story(default):
    events = default.events.to_pydict()
    by_user, clicks = {}, set()
    published = dict(
        zip(
            default.candidates["item_id"].to_pylist(),
            default.candidates["published"].to_pylist(),
            strict=True,
        )
    )
    last_session = {}
    columns = ("user_id", "item_id", "timestamp", "session_id", "position", "clicked")
    for user, item, time, session, position, clicked in zip(
        *(events[name] for name in columns), strict=True
    ):
        assert time > by_user.get(user, 0)  # one event a second at most
        assert time > published[item]
        assert session >= last_session.get(user, 0)  # sessions do not interleave
        assert 1 <= position <= 5
        if clicked:
            assert (user, item) not in clicks  # an item is opened once
            clicks.add((user, item))
        by_user[user], last_session[user] = time, session
    assert pc.count_distinct(default.events["session_id"]).as_py() == len(default.truth.focus)


def test_nothing_follows_without_a_click(default):
    skipped = default.events.filter(pc.field("clicked") == 0)
    assert pc.max(skipped["dwell_seconds"]).as_py() == 0.0
    assert pc.max(skipped["purchased"]).as_py() == 0
    assert pc.unique(skipped["reaction"]).to_pylist() == ["none"]
    assert pc.min(default.positives["dwell_seconds"]).as_py() >= 1.0


def test_what_follows_a_click_tells_what_the_user_thought(default):
    clicks = default.positives
    dwell = {
        reaction: pc.mean(clicks.filter(pc.field("reaction") == reaction)["dwell_seconds"]).as_py()
        for reaction in ("like", "none", "dislike")
    }
    assert dwell["like"] > dwell["none"] > dwell["dislike"]
    liked = clicks.filter(pc.field("reaction") == "like")
    assert pc.mean(liked["purchased"]).as_py() > 1.3 * pc.mean(clicks["purchased"]).as_py()
    for column, share in (("like", (0.1, 0.4)), ("dislike", (0.02, 0.2))):
        found = pc.mean(pc.equal(clicks["reaction"], column)).as_py()
        assert share[0] < found < share[1]


def test_later_positions_are_clicked_less_and_least_on_a_phone(default):
    users = rows_of(default.events, "user_id", default.queries["user_id"])
    device = default.truth.users.device[users]
    position = default.events["position"].to_numpy()
    clicked = default.events["clicked"].to_numpy()
    for kind, steepness in ((0, 0.3), (1, 0.6)):  # desktop, phone: rate ~ position ** -steepness
        rates = [clicked[(device == kind) & (position == p)].mean() for p in (1, 5)]
        # about 6,000 impressions each: rates within 5 percent
        assert rates[1] / rates[0] == pytest.approx(5**-steepness, rel=0.12)


def test_recommenders_stand_in_the_order_of_what_they_know(default):
    clicks = default.positives.sort_by([("user_id", "ascending"), ("timestamp", "ascending")])
    user = rows_of(clicks, "user_id", default.queries["user_id"])
    last = np.append(user[1:] != user[:-1], True)
    train, test = clicks.filter(pa.array(~last)), clicks.filter(pa.array(last))
    queries = test.select(["user_id"])
    known = train.filter(pc.is_in(train["user_id"], value_set=queries["user_id"].combine_chunks()))
    ids = default.candidates["item_id"]
    seen = interaction_matrix(known, queries["user_id"], ids, default.spec)
    wanted = rows_of(test, "item_id", ids)[:, None]

    def ndcg(baseline, queries=queries):
        fitted = baseline.fit(train, default.candidates, default.spec)
        hits = fitted.recommend(queries, 10, seen)[1] == wanted
        return (hits / np.log2(np.arange(10) + 2)).sum(axis=1).mean()

    chance, popular, knn = ndcg(Random()), ndcg(Popularity()), ndcg(ItemKNN())
    ceiling = ndcg(Oracle(default.truth.click_probability))
    assert chance < 0.5 * popular
    assert popular < 0.5 * knn
    assert 0.65 * ceiling < knn < ceiling
    in_session = test.select(["user_id", "timestamp", "session_id"])
    assert ndcg(Oracle(default.truth.click_probability), in_session) > 1.1 * ceiling


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_events": 0}, "`num_events` must be an integer of 1 or more. Received: 0"),
        ({"num_events": 1e3}, "`num_events` must be an integer of 1 or more. Received: 1000.0"),
        ({"num_users": -1}, "`num_users` must be an integer of 1 or more"),
        ({"num_items": 23}, "`num_items` must be an integer of 24 or more. Received: 23"),
        ({"seed": -1}, "`seed` must be an integer of 0 or more"),
        ({"batch_size": 0}, "`batch_size` must be an integer of 1 or more"),
    ],
)
def test_impossible_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        demo_stream(**arguments)


@pytest.mark.slow
def test_ten_million_events_stream_in_bounded_memory():
    pool = pa.default_memory_pool()
    before, most, rows = pool.bytes_allocated(), 0, 0
    for batch in demo_stream(num_events=10**7):
        rows += batch.num_rows
        most = max(most, pool.bytes_allocated() - before)
    assert rows == 10**7
    assert most < 64 * 2**20  # all ten million would take 700 MiB


def test_days_of_the_shelf_show_no_item_before_its_time():
    items = world.draw_items(240, seed=0)
    weights = world.day_weights(items)
    assert ((weights > 0) == (np.arange(items.world.days)[:, None] >= items.published)).all()
    by_topic = np.stack([weights[:, items.topic == t].sum(axis=1) for t in range(24)])
    assert (by_topic > 0).all()  # no topic is ever empty
