import pytest

from tfrecs import FeatureTransform, baselines, datasets
from tfrecs.evaluation import ModelRecommender, full_ranking, strong_generalisation
from tfrecs.models import IALS


@pytest.fixture(scope="module")
def tables():
    return datasets.demo(num_users=200, num_items=60, num_events=6000)


def test_held_out_users_are_unseen_and_bring_a_history(tables):
    split, shown = strong_generalisation(tables, fraction=0.2)
    test, train = (set(part["user_id"].to_pylist()) for part in (split.test, split.train))
    assert test
    assert not test & train
    histories = dict(
        zip(shown.queries["user_id"].to_pylist(), shown.queries["history"].to_pylist(), strict=True)
    )
    assert not any(histories[user] for user in train)
    given = split.given.to_pylist()
    for user in test:
        own = [event["item_id"] for event in given if event["user_id"] == user]
        assert histories[user] == own
    # a fifth of each user's events, at least one
    hidden = split.test["user_id"].to_pylist()
    for user in test:
        count = hidden.count(user)
        assert count == max(1, round(0.2 * (count + len(histories[user]))))


def test_what_folds_in_beats_popularity_and_recommends_nothing_given(tables):
    split, shown = strong_generalisation(tables, fraction=0.2)
    spec = shown.spec.select("user_id", "item_id", "history")
    transform = FeatureTransform(spec).adapt(shown.queries, shown.candidates, split.train)
    model = IALS(transform.spec, embedding_dim=8)
    model.fit(transform.encode(split.train, ["user_id", "item_id"]))
    names = {"popularity": baselines.Popularity(), "EASE": baselines.EASE(l2=100.0)}
    for baseline in names.values():
        baseline.fit(split.train, shown.candidates, shown.spec)
    names["ials"] = ModelRecommender(model, transform, shown.candidates)
    results = full_ranking(names, split, shown, ks=(10,), num_bootstrap=0)
    assert "unseen in training" in results.protocol
    assert results["ials", "ndcg@10"] > 1.2 * results["popularity", "ndcg@10"]
    assert results["EASE", "ndcg@10"] > 1.2 * results["popularity", "ndcg@10"]
    assert results.seconds["ials"] < 60


def test_the_seed_decides(tables):
    first, again, other = (strong_generalisation(tables, seed=seed)[0] for seed in (0, 0, 1))
    assert first.test.equals(again.test)
    assert not first.test.equals(other.test)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"held_out": 1.0}, "`held_out` must be above 0 and below 1"),
        ({"history": "country"}, "`history` must be a name that is not taken"),
    ],
)
def test_a_wrong_argument_is_named(tables, arguments, message):
    with pytest.raises(ValueError, match=message):
        strong_generalisation(tables, **arguments)


def test_events_given_are_masked_but_not_counted_as_popular(tables):
    from tfrecs.evaluation.truth import find_truth

    split, shown = strong_generalisation(tables)
    truth = find_truth(split, shown, seen="train")
    assert truth.popularity.sum() == split.train.num_rows
    users = truth.queries["user_id"].to_pylist()
    items = shown.candidates["item_id"].to_pylist()
    given = split.given.to_pylist()
    for row, user in zip(truth.seen, users, strict=True):
        masked = {items[place] for place in row.indices}
        assert masked == {event["item_id"] for event in given if event["user_id"] == user}
    assert truth.seen.nnz > 0
    assert not find_truth(split, shown, seen="none").seen.nnz
