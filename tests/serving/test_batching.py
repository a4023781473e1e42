import threading
import time

import numpy as np
import pytest

from tfrecs.serving import SessionError
from tfrecs.serving.batching import Batcher
from tfrecs.serving.meta_graph import STRING, Signature, Tensor

ROWS, SCALAR = Tensor("x:0", 1, (None,)), Tensor("k:0", 3, ())
SIGNATURES = {
    "double": Signature({"x": ROWS, "k": SCALAR}, {"y": ROWS}),
    "total": Signature({"x": ROWS}, {"sum": Tensor("s:0", 1, ())}),
    "named": Signature({"x": ROWS, "name": Tensor("n:0", STRING, ())}, {"y": ROWS}),
}


class Model:
    """Doubles `x`, fails on a NaN, and waits at a gate that the test opens."""

    def __init__(self):
        self.batches = []
        self.started, self.gate = threading.Semaphore(0), threading.Event()

    def run(self, signature, arrays):
        x = arrays["x"]
        self.batches.append(len(x))
        self.started.release()
        self.gate.wait(5)
        if np.isnan(x).any():
            raise SessionError("no NaN", 3)
        return {"sum": x.sum()} if signature == "total" else {"y": 2 * x}


def ask_together(batcher, model, requests, seconds=5.0):
    """Starts a request that takes the only slot, then the others; returns their answers."""
    answers = [None] * (len(requests) + 1)

    def ask(place, signature, arrays):
        try:
            answers[place] = batcher.run(signature, arrays, seconds)
        except SessionError as error:
            answers[place] = error.code

    first = ("double", {"x": np.zeros(1, np.float32), "k": np.int32(0)})
    threads = []
    for place, request in enumerate([first, *requests]):
        threads.append(threading.Thread(target=ask, args=(place, *request)))
        threads[-1].start()
        if place == 0:
            model.started.acquire()
    until = time.monotonic() + 2
    while batcher.waiting < len(requests) and time.monotonic() < until:
        time.sleep(0.001)
    model.gate.set()
    for thread in threads:
        thread.join()
    return answers[1:]


def double(values, k=1):
    return "double", {"x": np.array(values, np.float32), "k": np.array(k, np.int32)}


def test_requests_that_wait_are_run_as_one_batch():
    model, rows = Model(), []
    batcher = Batcher(model.run, SIGNATURES, slots=1, observe=rows.append)
    answers = ask_together(batcher, model, [double([1, 2]), double([3]), double([4])])
    assert [a["y"].tolist() for a in answers] == [[2, 4], [6], [8]]
    assert model.batches == rows == [1, 4]


def test_other_scalars_are_another_batch():
    model = Model()
    answers = ask_together(
        Batcher(model.run, SIGNATURES, slots=1), model, [double([1]), double([2], k=7), double([3])]
    )
    assert [a["y"].tolist() for a in answers] == [[2], [4], [6]]
    assert sorted(model.batches) == [1, 1, 2]


def test_a_batch_has_at_most_so_many_rows():
    model = Model()
    batcher = Batcher(model.run, SIGNATURES, slots=1, max_rows=2)
    ask_together(batcher, model, [double([1]), double([2]), double([3]), double([4, 5, 6])])
    assert max(model.batches) == 3  # the last one alone
    assert sum(model.batches) == 1 + 6


def test_a_bad_request_does_not_fail_the_others_of_its_batch():
    model = Model()
    answers = ask_together(
        Batcher(model.run, SIGNATURES, slots=1), model, [double([1]), double([np.nan]), double([3])]
    )
    assert [answers[0]["y"].tolist(), answers[1], answers[2]["y"].tolist()] == [[2], 3, [6]]


def test_outputs_without_rows_are_never_batched():
    model = Model()
    total = [("total", {"x": np.array([v], np.float32)}) for v in (1, 2)]
    answers = ask_together(Batcher(model.run, SIGNATURES, slots=1), model, total)
    assert [float(a["sum"]) for a in answers] == [1, 2]


def test_a_string_without_rows_keeps_a_request_alone():
    model = Model()
    arrays = {"x": np.ones(1, np.float32), "name": np.array(b"a", object)}
    ask_together(Batcher(model.run, SIGNATURES, slots=1), model, [("named", arrays)] * 2)
    assert model.batches == [1, 1, 1]


def test_a_request_that_waits_too_long_is_given_up():
    model = Model()
    batcher = Batcher(model.run, SIGNATURES, slots=1)
    threading.Timer(0.3, model.gate.set).start()
    blocker = threading.Thread(target=batcher.run, args=(*double([0]), 5))
    blocker.start()
    model.started.acquire()
    with pytest.raises(SessionError, match="time limit") as error:
        batcher.run(*double([1]), 0.05)
    assert error.value.code == 4
    blocker.join()
    assert batcher.waiting == 0
    assert batcher.run(*double([2]), 1)["y"].tolist() == [4]


def test_too_many_waiting_requests_are_refused():
    model = Model()
    codes = ask_together(
        Batcher(model.run, SIGNATURES, slots=1, max_waiting=1), model, [double([1]), double([2])]
    )
    assert sorted(map(str, codes))[0] == "8"
