import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tfrecs import FeatureTransform, recipes
from tfrecs.datasets import demo, demo_shop, demo_shop_stream
from tfrecs.datasets.demo_setting import SHOP, SITE, World
from tfrecs.datasets.demo_shop_tables import FIELDS
from tfrecs.datasets.demo_topics import TOPICS

SMALL = {"num_users": 120, "num_items": 96, "num_events": 12_000}
# of `demo` before it had a sister
SITE_DIGESTS = ["32bf980715ab99d1", "de2ea8c4bd7ebc78", "a6348279cc3e5e2f"]
DWELL = 95067.2
TABLES = {"searches": "searches", "plays": "plays", "baskets": "baskets", "engagements": "queries"}


@pytest.fixture(scope="module")
def shop():
    return demo_shop(num_events=60_000, fields=FIELDS)


@pytest.fixture(scope="module")
def small():
    return demo_shop(**SMALL)


def rows_of(ids, known):
    return pc.index_in(ids.combine_chunks(), value_set=known.combine_chunks()).to_numpy()


def digest(table):
    """A hash of integers and texts, which no rounding of exp and log can move."""
    hashed = hashlib.sha256()
    for name in table.column_names:
        column = table[name]
        if pa.types.is_integer(column.type) or pa.types.is_string(column.type):
            hashed.update(repr(column.to_pylist()).encode())
    return hashed.hexdigest()[:16]


def test_the_site_is_what_it_was_before_there_was_a_shop():
    tables = demo(num_users=300, num_items=120, num_events=12_000)
    found = [digest(getattr(tables, name)) for name in ("events", "queries", "candidates")]
    assert found == SITE_DIGESTS
    assert pc.sum(tables.events["dwell_seconds"]).as_py() == pytest.approx(DWELL, rel=1e-4)


def test_the_shop_has_the_columns_of_the_site_with_their_types(small):
    site = demo(**SMALL)
    for table in ("events", "queries", "candidates"):
        schema = getattr(small, table).schema
        for column in getattr(site, table).schema:
            assert schema.field(column.name) == column
    assert site.spec.names == small.spec.names[: len(site.spec.names)]


def test_sizes_days_and_columns_are_those_of_the_documentation(shop):
    assert (shop.queries.num_rows, shop.events.num_rows) == (600, 60_000)
    times = shop.events["timestamp"].to_numpy()
    assert 360 < (times[-1] - times[0]) / 86_400 < 366
    names = {*shop.events.column_names, *shop.queries.column_names, *shop.candidates.column_names}
    assert names == set(shop.spec.names)


def test_same_seed_same_shop_other_seed_other_shop(small):
    again, other = demo_shop(**SMALL), demo_shop(**SMALL, seed=1)
    for table in ("events", "queries", "candidates", "product_queries", *TABLES):
        assert getattr(again, table).equals(getattr(small, table))
        assert not getattr(other, table).equals(getattr(small, table))


def test_groups_of_fields_change_nothing_else(small):
    bare = demo_shop(**SMALL, fields=())
    for table in ("events", "queries", "candidates"):
        names = getattr(bare, table).column_names
        assert getattr(bare, table).equals(getattr(small, table).select(names))
    one = demo_shop(**SMALL, fields=("baskets",))
    assert one.baskets.equals(small.baskets)
    assert "brand" not in one.candidates.column_names


@pytest.mark.parametrize("table", ["events", *TABLES])
def test_the_stream_holds_the_rows_of_the_table(small, monkeypatch, table):
    whole = getattr(small, table)
    stream = demo_shop_stream(**SMALL, table=table, batch_size=700)
    assert stream.schema == whole.schema
    batches = list(stream)
    assert {batch.num_rows for batch in batches[:-1]} <= {700}
    order = [(name, "ascending") for name in whole.column_names]
    assert pa.Table.from_batches(batches).sort_by(order).equals(whole.sort_by(order))


def test_streams_of_one_chunk_and_of_many_are_each_whole(monkeypatch):
    monkeypatch.setattr("tfrecs.datasets.demo_events._CHUNK_EVENTS", 1_000)
    whole = demo_shop(**SMALL)
    assert whole.events.num_rows == 12_000
    sessions = set(whole.events["session_id"].to_pylist())
    assert set(whole.searches["session_id"].to_pylist()) < sessions
    assert len(set(whole.baskets["basket_id"].to_pylist())) > 50
    assert demo_shop_stream(**SMALL, table="searches").read_all().num_rows > 0


def test_actions_come_at_the_usual_rates(shop):
    counts = Counter(shop.events["action"].to_pylist())
    per_click = {action: 100 * counts[action] / counts["click"] for action in counts}
    # 60,000 events have about 100 purchases, whose deviation is a tenth
    assert per_click["save"] == pytest.approx(20, rel=0.35)
    assert per_click["cart"] == pytest.approx(5, rel=0.35)
    assert per_click["purchase"] == pytest.approx(1, rel=0.5)
    assert 0.005 < counts["hide"] / 60_000 < 0.05


def test_surfaces_have_mixes_of_their_own(shop):
    events = shop.events.to_pandas()
    share = events.groupby("surface")["action"].value_counts(normalize=True).unstack()
    assert share.loc["search", "click"] > 1.3 * share.loc["home", "click"]
    assert share.loc["search", "cart"] > 1.5 * share.loc["home", "cart"]
    assert share.loc["related", "save"] > 1.1 * share.loc["home", "save"]
    assert share.loc["home", "hide"] > 2 * share.loc["search", "hide"]


def test_an_action_says_what_the_sites_columns_say(shop):
    events = shop.events
    strong = pc.is_in(events["action"], value_set=pa.array(["click", "save", "cart", "purchase"]))
    assert strong.equals(pc.equal(events["clicked"], 1))
    assert pc.equal(events["action"], "purchase").equals(pc.equal(events["purchased"], 1))


def test_seconds_watched_are_the_least_of_duration_and_stay(shop):
    row = rows_of(shop.events["item_id"], shop.candidates["item_id"])
    duration = shop.candidates["duration_seconds"].to_numpy()[row]
    stay, watched = (shop.events[n].to_numpy() for n in ("dwell_seconds", "seconds_watched"))
    np.testing.assert_array_equal(watched, np.minimum(duration, stay).astype(np.float32))
    clicked = shop.events["clicked"].to_numpy() == 1
    assert 0.05 < (watched < stay)[clicked].mean() < 0.5


def test_some_users_come_once_by_one_click(shop):
    counts = Counter(shop.events["user_id"].to_pylist())
    once = {user for user, count in counts.items() if count == 1}
    assert len(once) / shop.queries.num_rows == pytest.approx(0.05, abs=0.04)
    mine = pc.is_in(shop.events["user_id"], value_set=pa.array(sorted(once)))
    assert pc.min(shop.events.filter(mine)["clicked"]).as_py() == 1


def test_a_search_begins_a_session_and_shows_its_topic(shop):
    topic = shop.truth.items.topic[rows_of(shop.events["item_id"], shop.candidates["item_id"])]
    first_topic = {}
    for session, surface, shown in zip(
        shop.events["session_id"].to_pylist(),
        shop.events["surface"].to_pylist(),
        topic.tolist(),
        strict=True,
    ):
        if surface == "search":
            first_topic.setdefault(session, set()).add(shown)
    searched = shop.searches["session_id"].to_pylist()
    assert set(first_topic) == set(searched)
    words = {t.name: set(t.things) for t in TOPICS}
    for session, text in zip(searched, shop.searches["text"].to_pylist(), strict=True):
        [shown] = first_topic[session]
        assert shown == shop.truth.focus[session]
        topic = TOPICS[shown]
        assert topic.name in text or any(thing in text for thing in words[topic.name])
    sessions = len(shop.truth.focus)
    assert len(searched) / sessions == pytest.approx(0.25, abs=0.03)


def test_related_items_are_of_the_topic_of_what_was_shown_before(small):
    events = small.events.sort_by([("user_id", "ascending"), ("timestamp", "ascending")])
    topic = small.truth.items.topic[rows_of(events["item_id"], small.candidates["item_id"])]
    related = np.array(events["surface"].to_pylist()) == "related"
    assert 0.1 < related.mean() < 0.2
    assert not related[0]
    np.testing.assert_array_equal(topic[1:][related[1:]], topic[:-1][related[1:]])


def test_plays_count_what_was_clicked(small):
    clicks = small.positives.select(["user_id", "item_id"])
    order = [("user_id", "ascending"), ("item_id", "ascending")]
    assert small.plays.select(["user_id", "item_id"]).sort_by(order).equals(clicks.sort_by(order))
    plays = small.plays["plays"].to_numpy()
    assert plays.min() == 1
    assert plays.max() > 5


def test_baskets_hold_the_purchases_and_what_is_there(shop):
    bought = shop.events.filter(pc.field("purchased") == 1)
    pairs = set(zip(*(bought[n].to_pylist() for n in ("user_id", "item_id")), strict=True))
    baskets = shop.baskets.to_pydict()
    assert pairs <= set(zip(baskets["user_id"], baskets["item_id"], strict=True))
    published = shop.candidates["published"].to_numpy()
    row = rows_of(shop.baskets["item_id"], shop.candidates["item_id"])
    assert (shop.baskets["timestamp"].to_numpy() > published[row]).all()
    lengths = Counter(baskets["basket_id"])
    assert 2 < np.mean(list(lengths.values())) < 3
    entries = Counter(zip(baskets["basket_id"], baskets["item_id"], strict=True))
    assert set(entries.values()) == {1}


def test_a_quarter_of_the_items_are_new(shop):
    published = shop.candidates["published"].to_numpy()
    new = published > shop.events["timestamp"][0].as_py()
    assert new.mean() == pytest.approx(0.25, abs=0.07)  # 4 deviations of 775 items


def test_items_have_one_to_three_images_of_unit_length(small):
    images = small.candidates["images"].to_pylist()
    assert {len(views) for views in images} == {1, 2, 3}
    lengths = [np.linalg.norm(view) for views in images for view in views]
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-5)
    assert {len(view) for views in images for view in views} == {32}


def test_makers_have_several_topics_and_topics_several_makers(shop):
    topics = [tags[0] for tags in shop.candidates["tags"].to_pylist()]
    for column, most in (("channel", 3), ("artist", 1)):
        makes = {}
        for maker, topic in zip(shop.candidates[column].to_pylist(), topics, strict=True):
            makes.setdefault(maker, set()).add(topic)
        counts = [len(found) for found in makes.values()]
        assert max(counts) == most


def test_waveforms_are_drawn_one_by_one(shop):
    waves = list(shop.waveforms(range(12)))
    assert all(wave.dtype == np.float32 for wave in waves)
    assert all(3 * 8_000 <= len(wave) <= 6 * 8_000 for wave in waves)
    assert all(wave.std() > 0.05 and np.abs(wave).max() <= 1.0 for wave in waves)
    np.testing.assert_array_equal(next(shop.waveforms([7])), waves[7])


def test_queries_lead_to_items_at_the_usual_rates(shop):
    counts = Counter(shop.engagements["action"].to_pylist())
    assert shop.engagements.num_rows == 3_000
    assert counts["save"] / counts["click"] == pytest.approx(0.2, rel=0.25)
    queries = shop.product_queries.to_pydict()
    assert np.mean(queries["held_out"]) == pytest.approx(0.1, abs=0.045)
    for kind, text in zip(queries["kind"], queries["text"], strict=True):
        assert (text is None) == (kind == "image")
    vectors = np.array(queries["vector"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    "num_users, num_items, num_events", [(1, 24, 1), (1, 24, 500), (90, 24, 7)]
)
def test_the_smallest_worlds_are_whole(num_users, num_items, num_events):
    tables = demo_shop(num_users, num_items, num_events, fields=FIELDS)
    assert tables.events.num_rows == num_events
    for table in TABLES:
        assert isinstance(getattr(tables, table), pa.Table)
    assert tables.truth.expected_seconds(tables.queries).shape == (num_users, num_items)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_events": 0}, "`num_events` must be an integer of 1 or more. Received: 0"),
        ({"num_users": 0}, "`num_users` must be an integer of 1 or more. Received: 0"),
        ({"num_items": 1}, "`num_items` must be an integer of 24 or more. Received: 1"),
        ({"fields": ("atributes",)}, "`fields` must be one of .*Did you mean 'attributes'?"),
        ({"setting": SITE}, "`setting` must be a World with shop=True"),
    ],
)
def test_impossible_shops_are_refused(arguments, message):
    for make in (demo_shop, demo_shop_stream):
        with pytest.raises(ValueError, match=message):
            make(**arguments)


def test_fields_are_a_tuple():
    with pytest.raises(TypeError, match=r"a tuple of names.*Write fields=\('video',\)"):
        demo_shop(fields="video")


def test_a_stream_of_what_was_not_asked_for_is_refused():
    with pytest.raises(ValueError, match="with 'baskets' for the table 'baskets'"):
        demo_shop_stream(table="baskets", fields=("video",))
    with pytest.raises(ValueError, match=r"`table` must be one of .*Did you mean 'searches'?"):
        demo_shop_stream(table="search")


@pytest.mark.parametrize("table, group", [*TABLES.items(), ("product_queries", "queries")])
def test_a_table_whose_fields_were_not_asked_for_is_refused(table, group):
    tables = demo_shop(**{**SMALL, "num_events": 500}, fields=("images",))
    with pytest.raises(
        ValueError, match=rf"with '{group}' for `{table}`.*fields=\('images', '{group}'\)"
    ):
        getattr(tables, table)


def test_waveforms_that_were_not_asked_for_are_refused(small, shop):
    with pytest.raises(ValueError, match="with 'audio' for `waveforms`"):
        small.waveforms([0])
    with pytest.raises(ValueError, match=r"rows of `candidates`, 0 to .*Received: 9999"):
        list(shop.waveforms([9_999]))


@pytest.mark.parametrize("share", ["season", "turn", "sought", "related", "once"])
def test_shares_outside_of_0_and_1_are_refused(share):
    for value in (-0.1, 1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"`{share}` must be a share from 0 to under 1"):
            replace(SHOP, **{share: value})


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="`session_end` must be a share over 0, to 1"):
        World(session_end=0.0)
    with pytest.raises(ValueError, match="`days` must be greater than 0"):
        World(days=0)
    for name in ("burst", "liking"):
        with pytest.raises(ValueError, match=f"`{name}` must be 0 or more. Received: -1"):
            World(**{name: -1.0})


def test_days_are_those_of_the_setting():
    tables = demo_shop(**SMALL, setting=replace(SHOP, days=120))
    times = tables.events["timestamp"].to_numpy()
    assert 115 < (times[-1] - times[0]) / 86_400 < 121


def test_what_trains_on_the_site_trains_on_the_shop():
    tables = demo_shop(num_users=60, num_items=40, num_events=2_000)
    recipe = recipes.recipe("logistic_regression")
    split = recipe.task.split(tables)
    transform = FeatureTransform(recipe.features(tables.spec))
    transform = transform.adapt(tables.queries, tables.candidates, split.train)
    options = recipe.options(epochs=1, embedding_dim=4)
    training = recipes.Training(
        recipe.model, transform, split.train, tables, options, lambda steps: []
    )
    _, history = recipe.fit(training)
    assert np.isfinite(history["loss"]).all()


@pytest.mark.slow
def test_ten_million_events_stream_in_bounded_memory():
    pool = pa.default_memory_pool()
    before, most, rows = pool.bytes_allocated(), 0, 0
    for batch in demo_shop_stream(num_events=10**7):
        rows += batch.num_rows
        most = max(most, pool.bytes_allocated() - before)
    assert rows == 10**7
    assert most < 64 * 2**20
