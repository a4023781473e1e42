import gzip
import logging

import numpy as np
import pytest

from tfrecs.features import read_word_vectors

TEXT = "the 0.5 -1\ncat 1.5 2\nmat 3 4\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text(TEXT)
    return path


def test_words_stand_in_the_order_of_their_ids(file):
    vectors = read_word_vectors(file, ["mat", "the"])
    np.testing.assert_array_equal(vectors.table, [[0, 0], [0, 0], [3, 4], [0.5, -1]])
    assert vectors.found.all()
    assert vectors.coverage == 1


@pytest.mark.parametrize(
    "text",
    ["3 2\n" + TEXT, TEXT.replace(" ", "\t"), TEXT.replace("\n", "\t\r\n"), "\n" + TEXT + "\n"],
    ids=["word2vec's header", "tabs", "tabs at the end", "empty lines"],
)
def test_the_layouts_in_use_give_the_same(file, text):
    expected = read_word_vectors(file, ["cat", "mat"]).table
    file.write_text(text)
    np.testing.assert_array_equal(read_word_vectors(file, ["cat", "mat"]).table, expected)


def test_a_compressed_file_gives_the_same(file):
    packed = file.with_suffix(".txt.gz")
    packed.write_bytes(gzip.compress(TEXT.encode()))
    expected = read_word_vectors(file, ["cat"]).table
    np.testing.assert_array_equal(read_word_vectors(packed, ["cat"]).table, expected)


def test_absent_words_are_drawn_with_the_mean_and_the_deviation_of_the_others(file, caplog):
    words = ["the", "mat", *(f"absent{i}" for i in range(4000))]
    with caplog.at_level(logging.INFO, "tfrecs"):
        vectors = read_word_vectors(file, words, seed=3)
    assert vectors.coverage == 2 / 4002
    assert "2 of 4002 words found" in caplog.text
    drawn = vectors.table[4:]
    # the components of "the" and "mat": (0.5, 3) and (-1, 4)
    np.testing.assert_allclose(drawn.mean(axis=0), [1.75, 1.5], atol=0.15)
    np.testing.assert_allclose(drawn.std(axis=0), [1.25, 2.5], rtol=0.05)
    np.testing.assert_array_equal(drawn, read_word_vectors(file, words, seed=3).table[4:])


def test_case_can_be_left_aside(file):
    file.write_text("Cat 1 2\ncat 3 4\n")
    assert read_word_vectors(file, ["CAT"], lowercase=True).table[2].tolist() == [1, 2]
    assert read_word_vectors(file, ["cat"]).table[2].tolist() == [3, 4]


def test_a_word_of_the_vocabulary_may_be_there_twice(file):
    table = read_word_vectors(file, ["Cat", "cat"], lowercase=True).table
    np.testing.assert_array_equal(table[2], table[3])


def test_words_with_spaces_and_other_encodings_are_passed_over(file):
    file.write_bytes(TEXT.encode() + b". . . 1 2\n\xff\xfe 1 2\ndog 7 8\n")
    assert read_word_vectors(file, ["dog", "."]).found.tolist() == [True, False]


@pytest.mark.parametrize(
    "text, message",
    [
        (TEXT + "dog 1\n", r"a word and 2 numbers a line\. Received: 1 in line 4, 'dog 1'"),
        (TEXT + "dog\n", r"Received: 0 in line 4"),
        ("lone\n", r"a word and numbers a line\. Received: 0 in line 1"),
        (TEXT + "dog 1 x\n", r"finite numbers\. Received: those of 'dog' in line 4"),
        (TEXT + "dog 1 nan\n", r"those of 'dog' in line 4"),
        ("other 1 2\n", r"has none of the 1 words wanted \(dog"),
    ],
)
def test_a_malformed_line_is_named_by_its_number(file, text, message):
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_word_vectors(file, ["dog"])


def test_an_empty_vocabulary_is_refused(file):
    with pytest.raises(ValueError, match="`vocabulary` must be of one word or more"):
        read_word_vectors(file, [])


def test_real_vectors_are_read(tfrecs_data):
    folder = tfrecs_data / "word-vectors"
    glove = read_word_vectors(folder / "glove_6b_171x100.txt.gz", ["actor", "zzzz"])
    assert glove.table.shape == (4, 100)
    assert glove.found.tolist() == [True, False]
    google = read_word_vectors(folder / "word2vec_googlenews_1000x300.txt.gz", ["in", "for"])
    np.testing.assert_allclose(np.linalg.norm(google.table[2:], axis=1), 1, atol=1e-4)
