"""Tokens: Unicode case, white space and punctuation, the same in Arrow and in the graph."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.features.text import tokenize, tokenize_column

CASES = [
    ("Don't stop!", ["don", "t", "stop"]),
    ("  two\t\nwords  ", ["two", "words"]),
    ("", []),
    (" ... ", []),
    ("well-known e_mail", ["well", "known", "e", "mail"]),
    ("C++ costs $5", ["c++", "costs", "$5"]),
    ("Ünder ÇA ΟΔΟΣ", ["ünder", "ça", "οδος"]),
    ("„Zitat“ — und…so", ["zitat", "und", "so"]),
    ("no\u00a0break\u2003wide", ["no", "break", "wide"]),
    ("漢字 かな", ["漢字", "かな"]),
    ("👍🏽 ok", ["👍🏽", "ok"]),
    ("a\x00b\x7fc", ["a", "b", "c"]),
]


@pytest.mark.parametrize("text, expected", CASES)
def test_tokens_of_one_text(text, expected):
    assert tokenize(tf.constant([text])).to_list() == [[t.encode() for t in expected]]


def test_case_is_kept_on_demand():
    assert tokenize(tf.constant(["A bÉ"]), lowercase=False).to_list() == [[b"A", "bÉ".encode()]]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_arrow_columns_give_the_tokens_of_the_graph(lowercase, kind):
    ascii_only = ["".join(map(chr, range(start, start + 8))) for start in range(120)]
    ascii_only.append("A\x00B\x7fc \x00")
    for texts in ([text for text, _ in CASES], ascii_only, [None, "a", None, "B-c "], []):
        column = pa.chunked_array([pa.array(texts[:3], kind), pa.array(texts[3:], kind)])
        tokens, lengths = tokenize_column(column, lowercase)
        ragged = tokenize(tf.constant([text or "" for text in texts], tf.string), lowercase)
        np.testing.assert_array_equal(lengths, ragged.row_lengths())
        assert [t.encode() for t in tokens.to_pylist()] == ragged.flat_values.numpy().tolist()


def test_a_slice_of_a_column_gives_its_own_tokens():
    column = pa.chunked_array([pa.array(["first", "BB cc", "dd"]).slice(1)])
    tokens, lengths = tokenize_column(column, lowercase=True)
    tokens.validate(full=True)
    assert tokens.to_pylist() == ["bb", "cc", "dd"]
    assert lengths.tolist() == [2, 1]


def test_invalid_utf8_becomes_the_replacement_character():
    texts = [b"caf\xe9 noir", b"\xff\xfe", b"fine"]
    for lowercase in (True, False):
        expected = [["caf\ufffd", "noir"], ["\ufffd\ufffd"], ["fine"]]
        tokens = tokenize(tf.constant(texts), lowercase).to_list()
        assert [[t.decode() for t in row] for row in tokens] == expected
        column = pa.chunked_array([pa.array(texts, pa.binary()).view(pa.string())])
        flat, lengths = tokenize_column(column, lowercase)
        assert flat.to_pylist() == [token for row in expected for token in row]
        assert lengths.tolist() == [2, 1, 1]
