import numpy as np
import pytest
import tensorflow as tf

from tfrecs.datasets import demo
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.features.skill_extractor import (
    SkillExtractor,
    TaggerOptions,
    drop_sentences,
    label_tokens,
    tokens_of,
)
from tfrecs.features.skills import fold


def labelled(text, skills):
    return label_tokens(tokens_of(tf.constant([text])), skills).to_list()[0]


def test_marks_are_tokens_of_their_own_and_case_stays():
    found = tokens_of(tf.constant(["Knows C++ (well), C#.", ""])).to_list()
    assert found == [[b"Knows", b"C++", b"(", b"well", b")", b",", b"C#", b"."], []]


def test_the_longest_phrase_is_labelled_and_marks_end_a_phrase():
    skills = ["data", "data cleaning", "Unit tests"]
    assert labelled("Data cleaning and unit test, data. Cleaning", skills) == [
        1, 2, 0, 1, 2, 0, 1, 0, 0,
    ]  # fmt: skip


def test_sentences_with_a_phrase_are_dropped():
    texts = ["I bake. Trained in SQL, then Go. Likes dogs.", "Knows sql"]
    assert drop_sentences(texts, ["SQL"]) == ["I bake. Likes dogs.", ""]


@pytest.fixture(scope="module")
def world():
    """The demo world's CVs, a fifth of the skills kept out of what is learned from."""
    tables = demo(num_users=1500, num_items=50, num_events=2000)
    cvs = [cv or "" for cv in tables.queries["cv"].to_pylist()]
    skills = sorted({skill for topic in TOPICS for skill in topic.skills})
    held_out = np.random.default_rng(0).permutation(skills)[: len(skills) // 5].tolist()
    known = [skill for skill in skills if skill not in held_out]
    texts = [text for text in drop_sentences(cvs[:1200], held_out) if text]
    extractor = SkillExtractor.train(texts, known, TaggerOptions(epochs=6))
    return extractor, cvs[1200:], tables.truth.skills[1200:], held_out


def keys(phrases):
    return set(fold(tf.constant(phrases or [""], tf.string)).numpy()) - {b""}


def f1(found, wanted):
    right = sum(len(keys(a) & keys(b)) for a, b in zip(found, wanted, strict=True))
    total = sum(len(keys(a)) for a in found) + sum(len(keys(b)) for b in wanted)
    return 2 * right / total


def test_skills_never_seen_are_found_in_new_cvs(world):
    extractor, cvs, truth, held_out = world
    found = extractor.extract(cvs)
    assert f1(found, truth) > 0.8
    unseen = keys(held_out)
    # precision by all that is found and no known skill, recall by the unseen skills of the CVs
    rows = list(zip(found, truth, strict=True))
    seen = set().union(*(keys(b) for _, b in rows)) - unseen
    right = sum(len(keys(a) & keys(b) & unseen) for a, b in rows)
    new = sum(len(keys(a) - seen) for a, _ in rows)
    there = sum(len(keys(b) & unseen) for _, b in rows)
    assert 2 * right / (new + there) > 0.6


def test_a_text_s_skills_do_not_depend_on_its_batch(world):
    extractor, cvs, _, _ = world
    assert extractor.extract(cvs[:20]) == [extractor.extract([cv])[0] for cv in cvs[:20]]


def test_odd_texts_have_defined_results(world):
    extractor, cvs, _, _ = world
    russian = "Опытный пекарь, знаю закваску и тесто."
    long = (cvs[0] + " ") * (2**20 // len(cvs[0]))
    found = extractor.extract(["", None, "\x00\ud7ff", russian, long])
    assert found[:2] == [[], []]
    assert len(found) == 5
    assert keys(found[4]) >= keys(extractor.extract([cvs[0]])[0])
    assert extractor(tf.constant([b"\xff\xfe"])).nrows() == 1  # no UTF-8


def test_it_is_saved_and_runs_in_a_graph(world, tmp_path):
    extractor, cvs, _, _ = world
    extractor.save(tmp_path / "extractor")
    loaded = SkillExtractor.load(tmp_path / "extractor")
    graph = tf.function(loaded.__call__, input_signature=[tf.TensorSpec([None], tf.string)])
    found = graph(tf.constant(cvs[:30])).to_list()
    assert [[p.decode() for p in row] for row in found] == extractor.extract(cvs[:30])


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`skills` must be phrases that are in `texts`"):
        SkillExtractor.train(["I bake bread."], ["SQL"])
    with pytest.raises(ValueError, match="`unknown_rate` must be from 0 to below 1"):
        TaggerOptions(unknown_rate=1)
    with pytest.raises(ValueError, match="`epochs` must be greater than 0"):
        TaggerOptions(epochs=0)
