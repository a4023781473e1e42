import pyarrow as pa
import pytest

from tfrecs.spec import Categorical, FeatureSpec, Timestamp


@pytest.fixture
def spec():
    return FeatureSpec(
        (
            Categorical("user_id", "query", is_id=True),
            Categorical("item_id", "candidate", is_id=True),
            Timestamp("timestamp", "time"),
        )
    )


@pytest.fixture
def items():
    return pa.table({"item_id": ["w", "x", "y", "z"]})


@pytest.fixture
def events():
    # w: a b c, x: a b, y: c c (twice the same), z: nobody
    return pa.table(
        {
            "user_id": ["a", "b", "c", "a", "b", "c", "c"],
            "item_id": ["w", "w", "w", "x", "x", "y", "y"],
            "timestamp": [0, 0, 0, 86_400, 86_400, 172_800, 172_801],
        }
    )


@pytest.fixture
def checkerboard():
    """Twenty users and items: even likes even, odd likes odd; the diagonal is withheld."""
    pairs = [(u, i) for u in range(20) for i in range(20) if u % 2 == i % 2 and u != i]
    users, items = zip(*pairs, strict=True)
    events = pa.table({"user_id": [str(u) for u in users], "item_id": [str(i) for i in items]})
    names = [str(n) for n in range(20)]
    return events, pa.table({"user_id": names}), pa.table({"item_id": names})
