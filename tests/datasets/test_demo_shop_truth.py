from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tfrecs.datasets import demo, demo_shop
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_setting import SHOP
from tfrecs.datasets.demo_shop_truth import companion_chance, seconds_after_click

SMALL = {"num_users": 120, "num_items": 96, "num_events": 4_000}


@pytest.fixture(scope="module")
def shop():
    return demo_shop(num_users=300, num_items=240, num_events=20_000)


@pytest.fixture(scope="module")
def wide():
    """So many items that few are shown to a user twice: the formulas do not count these."""
    return demo_shop(num_users=200, num_items=1_500, num_events=5_000)


@pytest.fixture(scope="module")
def small():
    return demo_shop(**SMALL)


def rows_of(ids, known):
    return pc.index_in(ids.combine_chunks(), value_set=known.combine_chunks()).to_numpy()


def unopened(events, item):
    """Whether the user of each event has not clicked its item before."""
    fresh, opened = np.ones(len(item), bool), set()
    for row, (user, what, clicked) in enumerate(
        zip(events["user_id"].to_pylist(), item, events["clicked"].to_pylist(), strict=True)
    ):
        fresh[row] = (user, what) not in opened
        if clicked:
            opened.add((user, what))
    return fresh


def test_the_shop_clicks_as_often_as_the_truth_says(wide):
    """With searches, related items, turns and pages; of users that come more than once."""
    counts = wide.events["user_id"].value_counts()
    often = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    events = wide.events.filter(pc.is_in(wide.events["user_id"], value_set=often))
    wanted = wide.truth.click_probability(events.select(["user_id", "timestamp"]))
    item = rows_of(events["item_id"], wide.candidates["item_id"])
    opened = {}
    for row, (who, what, clicked) in enumerate(
        zip(events["user_id"].to_pylist(), item, events["clicked"].to_pylist(), strict=True)
    ):
        wanted[row, opened.setdefault(who, [])] = 0.0  # is not opened again
        if clicked:
            opened[who].append(what)
    # about 1,300 clicks, whose deviation is 3 percent
    assert wanted.sum() == pytest.approx(pc.sum(events["clicked"]).as_py(), rel=0.1)


def test_expected_seconds_are_watched(wide):
    """The seconds of all impressions on the page "home", of short items and of long ones."""
    item = rows_of(wide.events["item_id"], wide.candidates["item_id"])
    home = np.array(wide.events["surface"].to_pylist()) == "home"
    home &= unopened(wide.events, item.tolist())
    events, item = wide.events.filter(pa.array(home)), item[home]
    expected = wide.truth.expected_seconds(events.select(["user_id", "timestamp", "session_id"]))
    expected, seen = expected[np.arange(len(item)), item], events["seconds_watched"].to_numpy()
    duration = wide.candidates["duration_seconds"].to_numpy()[item]
    for part in (duration < 150, duration >= 150):
        # a click brings about 60 seconds with a deviation of 50: 5 percent of 350 clicks
        assert seen[part].sum() == pytest.approx(expected[part].sum(), rel=0.15)
    high = expected > np.median(expected)
    assert seen[high].mean() > 2 * seen[~high].mean()


def test_seconds_after_a_click_are_the_mean_of_many():
    rng = np.random.default_rng(0)
    stays = np.clip(np.exp(4.0 + world.DWELL_NOISE * rng.normal(size=400_000)), 1, 1800)
    durations = np.array([10, 60, 3_600])
    expected = seconds_after_click(np.full((1, 3), 4.0), durations)
    found = np.minimum(stays[:, None], durations).mean(axis=0)
    np.testing.assert_allclose(expected[0], found, rtol=0.01)  # 4 deviations of the mean
    # the mean of a log-normal, where nothing cuts it: exp(m + s^2 / 2)
    alone = seconds_after_click(np.array([[3.0]]), np.array([3_600]))
    assert alone[0, 0] == pytest.approx(np.exp(3.0 + 0.7**2 / 2), rel=1e-3)


def test_companions_come_as_often_as_the_truth_says():
    """Two items of a topic; all but the new ones are there all year."""
    shop = demo_shop(num_users=400, num_items=48, num_events=40_000, fields=("baskets",))
    ids = shop.candidates["item_id"].combine_chunks()
    pairs = pa.array(np.repeat(ids, 48)), pa.array(np.tile(ids, 48))
    chance = shop.truth.complement_probability(*pairs).reshape(48, 48)
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)
    topic, kit = shop.truth.items.topic, shop.truth.shop.wares.kit
    related = (topic[:, None] // 3 == topic[None, :] // 3) & (topic[:, None] != topic[None, :])
    related &= kit[:, None] == kit[None, :]
    baskets = shop.baskets.sort_by([("basket_id", "ascending"), ("place", "ascending")])
    item = rows_of(baskets["item_id"], shop.candidates["item_id"])
    place = baskets["place"].to_numpy()
    first = np.maximum.accumulate(np.where(place == 0, np.arange(len(place)), 0))
    found = np.zeros((48, 48))
    np.add.at(found, (item[first][place > 0], item[place > 0]), 1)
    # items that are there all year: what is not yet published is not bought
    published = shop.candidates["published"].to_numpy()
    when = np.full(2_304, published.max() - 1)
    then = shop.truth.complement_probability(*pairs, when).reshape(48, 48)
    np.testing.assert_array_equal(then[:, published.argmax()], 0.0)
    others = np.arange(48) != published.argmax()
    np.testing.assert_array_equal(then[:, others], chance[:, others])
    old = published < shop.events["timestamp"][0].as_py()
    rows = np.flatnonzero(old & (found.sum(axis=1) > 30))
    assert related.mean() < 0.2
    for row in rows:
        number = found[row].sum()
        of_kit = related[row] & old
        # the deviation of a share of N; the companions that are not there leave the others more
        share, wanted = found[row][of_kit].sum() / number, chance[row][of_kit].sum()
        assert share == pytest.approx(wanted, abs=4 * (wanted / number) ** 0.5 + 0.1)
    assert np.corrcoef(chance[rows][:, old].ravel(), found[rows][:, old].ravel())[0, 1] > 0.6


def test_the_chance_of_a_companion_is_that_of_the_formula():
    shop = demo_shop(num_users=20, num_items=240, num_events=500, fields=("baskets",)).truth
    topic, kit, weight = shop.items.topic, shop.shop.wares.kit, shop.items.weight.astype(float)
    anchor = 7
    by_hand = 0.2 * weight / weight.sum()
    for step, share in ((1, 0.8 * 2 / 3), (2, 0.8 / 3)):
        cell = (topic == world.siblings(topic[anchor], step)) & (kit == kit[anchor])
        by_hand += share * cell * weight / weight[cell].sum()
    everything = np.arange(240)
    found = companion_chance(shop.items, shop.shop, np.full(240, anchor), everything)
    np.testing.assert_allclose(found, by_hand, rtol=1e-6)
    assert found.sum() == pytest.approx(1.0)


def test_content_does_not_know_the_kit(shop):
    """Among pairs of one topic and a sibling, images and style are no nearer within a kit."""
    truth = shop.truth
    topic, kit = truth.items.topic, truth.shop.wares.kit
    images = np.stack([np.mean(v, axis=0) for v in shop.candidates["images"].to_pylist()])
    vectors = np.concatenate([images, truth.items.latent], axis=1)
    near, same = [], []
    for one in range(len(topic)):
        others = np.flatnonzero(topic == world.siblings(topic[one]))
        near += (vectors[others] @ vectors[one]).tolist()
        same += (kit[others] == kit[one]).tolist()
    assert abs(np.corrcoef(near, same)[0, 1]) < 0.06  # 2,400 pairs: 3 deviations


def test_substitutes_are_clicked_in_one_session(shop):
    clicks = shop.positives
    item = rows_of(clicks["item_id"], shop.candidates["item_id"])
    session = np.unique(clicks["session_id"].to_numpy(), return_inverse=True)[1]
    given = np.zeros((session.max() + 1, 240), np.float32)
    given[session, item] = 1
    together = given.T @ given
    ids = shop.candidates["item_id"].combine_chunks()
    one, other = np.triu_indices(240, 1)
    chance = shop.truth.substitute_probability(ids.take(pa.array(one)), ids.take(pa.array(other)))
    top = np.argsort(-chance)[:500]
    assert together[one[top], other[top]].mean() > 8 * together[one, other].mean()
    topic = shop.truth.items.topic
    assert (topic[one[top]] == topic[other[top]]).mean() > 0.8


def test_queries_lead_where_the_truth_says(shop):
    relevance = shop.truth.relevance(shop.product_queries)
    np.testing.assert_allclose(relevance.sum(axis=1), 1.0)
    query = rows_of(shop.engagements["query_id"], shop.product_queries["query_id"])
    item = rows_of(shop.engagements["item_id"], shop.candidates["item_id"])
    drawn = np.bincount(query, minlength=240)
    expected, found = drawn @ relevance, np.bincount(item, minlength=240)
    assert (np.abs(found - expected) / np.sqrt(expected)).max() < 4.5  # counts of 2,000
    best = relevance.argmax(axis=1)
    assert (best[query] == item).mean() == pytest.approx(
        relevance[query].max(axis=1).mean(), abs=0.04
    )


def test_query_vectors_lie_in_the_space_of_the_images(shop):
    images = np.stack([np.mean(v, axis=0) for v in shop.candidates["images"].to_pylist()])
    vectors = np.array(shop.product_queries["vector"].to_pylist())
    nearest = (vectors @ images.T).argmax(axis=1)
    relevance = shop.truth.relevance(shop.product_queries)
    popular = shop.truth.items.weight.argmax()
    rows = np.arange(len(vectors))
    assert relevance[rows, nearest].mean() > 4 * relevance[:, popular].mean()
    assert relevance[rows, nearest].mean() < 0.8 * relevance.max(axis=1).mean()


@pytest.mark.parametrize(
    "task, field",
    [
        ("expected_seconds", "video"),
        ("complement_probability", "baskets"),
        ("relevance", "queries"),
    ],
)
def test_a_task_whose_fields_were_not_asked_for_is_refused(task, field):
    for truth in (demo_shop(**SMALL, fields=("plays",)).truth, demo(**SMALL).truth):
        arguments = (pa.array(["i_000001"]),) * 2
        if task != "complement_probability":
            arguments = (pa.table({"user_id": ["u_000001"], "query_id": ["q_000001"]}),)
        with pytest.raises(ValueError, match=rf"with '{field}' for `{task}`.*'{field}',?\)\)"):
            getattr(truth, task)(*arguments)


def test_a_site_has_no_substitutes():
    one = pa.array(["i_000001"])
    with pytest.raises(ValueError, match=r"of a shop's truth. Call demo_shop\(\)"):
        demo(**SMALL).truth.substitute_probability(one, one)


def test_unknown_ids_are_refused(small):
    one = pa.array(["i_000001"])
    for pair in (small.truth.complement_probability, small.truth.substitute_probability):
        with pytest.raises(ValueError, match=r"`second` must be ids of this world .*'i_9'"):
            pair(one, pa.array(["i_9"]))
    with pytest.raises(ValueError, match="`queries` must be ids of this world"):
        small.truth.relevance(pa.table({"query_id": ["q_9"]}))
    with pytest.raises(ValueError, match="with the column 'query_id'"):
        small.truth.relevance(pa.table({"query": ["q_000001"]}))


def test_seasons_move_interests():
    rows = np.arange(200)
    users = world.draw_users(200, 0, SHOP)
    flat = world.draw_users(200, 0, replace(SHOP, season=0.0))
    dearest = users.season[users.topics[:, 0]]
    there, away = dearest, (dearest + 182.5) % 365
    for when, sign in ((there, 1), (away, -1)):
        change = users.shares(rows, when)[:, 0] - flat.shares(rows, when)[:, 0]
        assert (sign * change > -1e-6).mean() > 0.95
    np.testing.assert_allclose(users.shares(rows, there).sum(axis=1), 1.0, rtol=1e-5)


def test_ages_have_their_tastes():
    users = world.draw_users(20_000, 0, SHOP)
    counts = np.zeros((5, 24))
    np.add.at(counts, (users.age, users.topics[:, 0]), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert np.abs(shares - shares.mean(axis=0)).sum(axis=1).mean() > 0.2


def test_an_item_peaks_some_days_after_its_upload():
    items = world.draw_items(240, 0, SHOP)
    new = np.flatnonzero((items.published > 0) & (items.published < 200) & (items.burst > 5))
    weights = world.day_weights(items)[:, new]
    assert (weights > 0).any(axis=0).all()
    peak = weights.argmax(axis=0) - np.ceil(items.published[new])
    np.testing.assert_allclose(peak, items.peak[new], atol=6)  # the novelty pulls it forward
    assert (weights.max(axis=0) > 4 * weights[-1]).all()
