"""Tokens of free text, in the graph and on Arrow columns alike, with TensorFlow's own ops."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

# Unicode punctuation, separators and control characters; symbols such as + $ and emoji stay
_SEPARATORS = r"[\p{P}\p{Z}\p{Cc}]+"
_BATCH = 1 << 15  # texts tokenized at a time


def tokenize(texts: tf.Tensor, lowercase: bool = True) -> tf.RaggedTensor:
    """Splits texts at white space and punctuation: "Don't stop!" -> don, t, stop.

    Case is lowered by Unicode's rules; invalid UTF-8 becomes U+FFFD. A run of letters without
    spaces, as in Chinese, is one token.

    Args:
        texts: string `(B,)`.
        lowercase: Whether to lower the case. Defaults to `True`.

    Returns:
        string, ragged `(B, None)`.

    Example:

    >>> tokenize(tf.constant(["Ünder the sea"])).to_list()
    [[b'\\xc3\\xbcnder', b'the', b'sea']]
    """
    spaced = tf.strings.regex_replace(texts, _SEPARATORS, " ")  # first: `lower` ends at a NUL
    if lowercase:
        spaced = tf.strings.lower(spaced, encoding="utf-8")
    else:
        spaced = tf.strings.unicode_transcode(spaced, "UTF-8", "UTF-8", errors="replace")
    return tf.strings.split(spaced)


def tokenize_column(column: pa.ChunkedArray, lowercase: bool) -> tuple[pa.ChunkedArray, np.ndarray]:
    """Tokenizes an Arrow column of texts, as `tokenize` does.

    Texts of ASCII letters stay in Arrow; the others go through `tokenize`, because Unicode's case
    rules differ between libraries and versions.

    Returns:
        tokens: string, the tokens of all rows; null rows have none.
        lengths: int64 `(B,)`, the number of tokens of each row.
    """
    chunks, lengths = [], [np.zeros(0, np.int64)]
    for chunk in column.chunks:
        for start in range(0, len(chunk), _BATCH):
            texts = pc.fill_null(chunk.slice(start, _BATCH), "").cast(pa.large_string())
            tokens, counts = _tokenize_array(texts, lowercase)
            chunks.append(tokens)
            lengths.append(counts)
    return pa.chunked_array(chunks, type=pa.large_string()), np.concatenate(lengths)


def _tokenize_array(texts: pa.Array, lowercase: bool) -> tuple[pa.Array, np.ndarray]:
    if pc.all(pc.string_is_ascii(texts), min_count=0).as_py():
        return _tokenize_ascii(texts, lowercase)
    values = texts.cast(pa.large_binary()).to_numpy(zero_copy_only=False)
    ragged = tokenize(tf.constant(values, tf.string), lowercase)
    flat = pa.array(ragged.flat_values.numpy(), type=pa.large_binary())
    return flat.cast(pa.large_string()), ragged.row_lengths().numpy().astype(np.int64)


def _tokenize_ascii(texts: pa.Array, lowercase: bool) -> tuple[pa.Array, np.ndarray]:
    if lowercase:
        # copied, since Arrow's ascii_lower mixes up texts that were cast from a slice
        texts = pc.ascii_lower(pa.concat_arrays([texts[:0], texts]))
    spaced = pc.replace_substring_regex(texts, pattern=_SEPARATORS, replacement=" ")
    lists = pc.split_pattern(pc.ascii_trim(spaced, " "), " ")
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    tokens = lists.flatten()
    empty = pc.equal(pc.binary_length(spaced), 0).to_numpy(zero_copy_only=False)
    blank = pc.equal(tokens, "")  # what splitting an empty text leaves
    lengths = lengths - np.where(empty | (pc.equal(spaced, " ").to_numpy(False)), 1, 0)
    return tokens.filter(pc.invert(blank)), lengths
