import numpy as np
import pytest

from tfrecs.export import export_skills
from tfrecs.export.check import ask
from tfrecs.features.skill_extractor import SkillExtractor, TaggerOptions
from tfrecs.features.skills import Skills

SKILLS = ["Go", "Rust", "unit testing"]
CVS = [f"I am skilled in {skill} and like my dog." for skill in SKILLS * 20]


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    extractor = SkillExtractor.train(CVS, SKILLS, TaggerOptions(epochs=8))
    skills = Skills.adapt(["Rust", "rust", "Unit tests", "unit testing"], min_count=1)
    folder = tmp_path_factory.mktemp("models")
    return export_skills(extractor, folder, name="skills", texts=CVS[:3], skills=skills)


def answers(export, **inputs):
    signature = "tokens" if "tokens" in inputs else "serving_default"
    body = {"signature_name": signature, "inputs": inputs}
    return ask(export.paths["stock"], [body])[0]


def test_texts_come_back_as_phrases_and_skills_of_the_set_by_the_c_api(export):
    said = answers(export, text=["I am skilled in RUST and like my dog.", ""])
    assert said["phrase"] == [["RUST"], [""]]
    assert said["skill"] == [["Rust"], [""]]


def test_a_skill_that_training_never_saw_is_found_and_is_none_of_the_set(export):
    said = answers(export, text=["I am skilled in weaving and like my dog."])
    assert (said["phrase"], said["skill"]) == ([["weaving"]], [[""]])


def test_tokens_are_answered_as_their_text_is(export):
    words = ["I", "am", "skilled", "in", "Rust", "and", "like", "my", "dog", "."]
    said = answers(export, tokens=[words, ["dog", *[""] * (len(words) - 1)]])
    assert said["phrase"] == [["Rust"], [""]]


@pytest.mark.parametrize("text", ["Опытный пекарь.", "学习 " * 50, "skilled in Go " * 70_000])
def test_odd_texts_are_answered(export, text):
    phrases = answers(export, text=[text])["phrase"][0]
    assert all(isinstance(phrase, str) for phrase in phrases)
    assert len(phrases) <= 1024  # of a long text the first tokens are read


def test_what_is_no_extractor_is_refused(tmp_path):
    with pytest.raises(TypeError, match="`extractor` must be"):
        export_skills(np.zeros(1), tmp_path, name="skills", texts=["a"])
