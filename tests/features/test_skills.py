import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.features.skills import Skills, fold


def folded(text):
    return fold(tf.constant([text])).numpy()[0].decode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Machine Learning", "machine-learning"),
        ("unit tests", "Unit test"),
        ("case studies", "case study"),
        ("sandwiches", "sandwich"),
        ("visualisation", "Visualization"),
        ("organising", "organizing"),
        ("colour theory", "color theory"),
        ("R&D", "R and D"),
        ("  data   cleaning. ", "Data cleaning"),
    ],
)
def test_case_punctuation_plural_and_spelling_are_folded(one, other):
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("C", "C++"), ("C", "C#"), ("analysis", "analy")])
def test_what_differs_stays_apart(one, other):
    assert folded(one) != folded(other)


def test_rare_phrases_are_dropped_and_the_most_frequent_kept():
    phrases = ["a1"] * 5 + ["b2"] * 3 + ["c3"] * 2 + ["d4"]
    assert Skills.adapt(phrases, min_count=2).names == ["a1", "b2", "c3"]
    assert Skills.adapt(phrases, min_count=1, max_skills=2).names == ["a1", "b2"]


def test_a_rare_spelling_is_folded_into_the_frequent_one():
    phrases = ["JavaScript"] * 8 + ["Javascrpt", "Java Script"] + ["Java"] * 2
    skills = Skills.adapt(phrases, min_count=2)
    assert skills.names == ["JavaScript", "Java"]
    found = skills(tf.constant(["java script", "javascrpt", "JAVA", "cobol", ""]))
    assert [name.decode() for name in found.numpy()] == ["JavaScript", "JavaScript", "Java", "", ""]


def test_two_frequent_skills_of_like_letters_stay_two():
    assert len(Skills.adapt(["running"] * 5 + ["cunning"] * 5).names) == 2


def test_lists_come_back_as_sets_and_a_set_is_saved(tmp_path):
    skills = Skills.adapt(["Python", "python", "Rust", "rust"])
    lists = pa.chunked_array([[["PYTHON", "python", "Go"], None, ["Rust"]]])
    assert skills.encode(lists).to_pylist() == [["Python"], [], ["Rust"]]
    skills.save(tmp_path / "skills.json")
    assert Skills.load(tmp_path / "skills.json").encode(lists) == skills.encode(lists)


def test_a_training_without_any_skill_has_an_empty_set():
    skills = Skills.adapt([])
    assert skills.names == []
    assert skills(tf.constant(["Python"])).numpy().tolist() == [b""]


def test_bad_arguments_are_refused():
    for name in ("min_count", "max_skills"):
        with pytest.raises(ValueError, match=f"`{name}` must be greater than 0"):
            Skills.adapt([], **{name: 0})
