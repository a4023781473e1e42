"""What TensorFlow Serving does to a batch with `pad_variable_length_inputs`, by hand.

batching_util.cc, `PadTensor`: each request's tensor is padded behind its last value, in every axis
but the first, up to the longest of the batch, with the tensor's own first element.
"""

import numpy as np


def deep(value):
    """Nested lists as an array of objects, empty ones too."""
    return np.array(value, object)


def serve_together(session, signature, requests, shared=()):
    """Answers requests as one padded batch; returns what each gets, as nested lists.

    Inputs named in `shared` have no batch axis; TensorFlow Serving refuses to batch them, the
    other servers do not.
    """
    batch, rows = {}, [len(next(v for n, v in r.items() if n not in shared)) for r in requests]
    for name in requests[0]:
        if name in shared:
            batch[name] = requests[0][name]
            continue
        parts = [deep(request[name]) for request in requests]
        shape = [max(part.shape[axis] for part in parts) for axis in range(1, parts[0].ndim)]
        padded = []
        for part in parts:
            ends = [(0, 0), *((0, w - h) for w, h in zip(shape, part.shape[1:], strict=True))]
            if part.shape[1:] != tuple(shape):
                assert part.size, "Got empty tensor in batch of non-empty tensors."
                part = np.pad(part, ends, constant_values=part.flat[0])
            padded.append(part)
        batch[name] = np.concatenate(padded).tolist()
    answer = session.run(signature, batch)
    ends = np.cumsum(rows)
    return [
        {name: value[end - count : end] for name, value in answer.items()}
        for count, end in zip(rows, ends, strict=True)
    ]


def marked(request, **missing):
    """The request with the missing value before the first one of each list."""
    return request | {n: [[value, *row] for row in request[n]] for n, value in missing.items()}


def assert_same(answers, wanted, columns=None):
    """Ids are equal and scores are close; of the answers the first `columns` are looked at."""
    for got, want in zip(answers, wanted, strict=True):
        for name, value in want.items():
            found = got[name] if columns is None else [row[:columns] for row in got[name]]
            if isinstance(np.array(value).flat[0], str):
                assert found == value, name
            else:
                np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6, err_msg=name)
