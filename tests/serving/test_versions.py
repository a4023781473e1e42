import shutil
import threading
import time

import pytest

from tfrecs.serving import SessionError
from tfrecs.serving.versions import Versions


class Runner:
    waiting = 3

    def close(self):
        """Nothing waits."""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "toy"
    path.mkdir()
    return path


def first_score(loaded):
    return loaded.session.run("serving_default", {"user_id": [""]})["score"][0][0]


def test_the_greatest_version_is_served_and_a_new_one_takes_over(versions, folder):
    model = Versions("toy", folder, lambda session: Runner())
    model.poll()
    assert (model.served, model.waiting) == (0, 0)
    with pytest.raises(SessionError, match="no version that loads yet") as error, model.use():
        pass
    assert error.value.code == 14
    with pytest.raises(SessionError, match="toy has no version"):
        model.states()
    for version in (1, 2):
        shutil.copytree(versions / str(version), folder / str(version))
        model.poll()
        with model.use() as loaded:
            assert (loaded.version, first_score(loaded)) == (version, version)
    assert [(s.version, s.state) for s in model.states()] == [(2, "AVAILABLE"), (1, "END")]
    assert model.waiting == 3
    model.close()
    assert model.served == 0


def test_a_deleted_version_gives_way_to_the_one_before(versions, folder):
    shutil.copytree(versions, folder, dirs_exist_ok=True)
    model = Versions("toy", folder, lambda session: Runner())
    model.poll()
    shutil.rmtree(folder / "2")
    model.poll()
    assert model.served == 1
    shutil.rmtree(folder)
    model.poll()
    assert model.served == 1  # nothing better is there


def test_a_version_in_use_is_freed_after_its_last_request(versions, folder):
    shutil.copytree(versions / "1", folder / "1")
    model = Versions("toy", folder, lambda session: Runner())
    model.poll()
    with model.use() as loaded:
        shutil.copytree(versions / "2", folder / "2")
        swap = threading.Thread(target=model.poll)
        swap.start()
        until = time.monotonic() + 5
        while model.served != 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert model.states(1)[0].state == "UNLOADING"
        assert first_score(loaded) == 1
    swap.join()
    assert model.states(1)[0].state == "END"


def test_a_broken_version_is_left_out_until_it_is_whole(versions, folder):
    shutil.copytree(versions / "1", folder / "1")
    (folder / "2").mkdir()
    (folder / "2" / "saved_model.pb").write_bytes(b"half")
    model = Versions("toy", folder, lambda session: Runner())
    model.poll()
    model.poll()
    assert model.served == 1
    [state] = model.states(2)
    assert state.state == "END"
    assert state.code != 0
    assert "does not load" in state.message
    shutil.copytree(versions / "2", folder / "2", dirs_exist_ok=True)
    model.poll()
    assert model.served == 2


def test_a_version_that_fails_to_warm_up_is_not_served(versions, folder):
    shutil.copytree(versions / "1", folder / "1")

    def load(session):
        raise ValueError("cold")

    model = Versions("toy", folder, load)
    model.poll()
    assert model.served == 0
    assert model.states()[0].message == "cold"


def test_another_version_than_the_served_one_is_not_found(versions, folder):
    shutil.copytree(versions / "1", folder / "1")
    model = Versions("toy", folder, lambda session: Runner())
    model.poll()
    with pytest.raises(SessionError, match="served in version 1, not 2") as error, model.use(2):
        pass
    assert error.value.code == 5
