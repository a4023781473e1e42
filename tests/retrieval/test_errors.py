import numpy as np
import pytest

from tfrecs import retrieval
from tfrecs.retrieval import Exact, ScaNN, recall_at_k

EYE = np.eye(3, dtype="float32")


@pytest.fixture
def index():
    return Exact(k=2).index(EYE, ["a", "b", "c"])


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "2"])
def test_k_of_the_constructor(k):
    with pytest.raises(ValueError, match="`k` must be a positive integer"):
        Exact(k=k)


def test_similarity_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'cosine'"):
        Exact(similarity="cosin")


def test_max_scores():
    with pytest.raises(ValueError, match="`max_scores` must be greater than 0"):
        Exact(max_scores=0)


@pytest.mark.parametrize("k", [4, 0, -1])
def test_k_over_the_catalogue(index, k):
    with pytest.raises(ValueError, match="`k` must be between 1 and the 3 candidates"):
        index(EYE, k=k)


@pytest.mark.parametrize("k", [1.5, "2"])
def test_k_of_a_call(index, k):
    with pytest.raises(ValueError, match="`k` must be an integer or a scalar tensor"):
        index.search(EYE, k)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "`ids` must be distinct. Received: .*'a' at positions 0 and 2"),
        ([1, 2, 2], "2 at positions 1 and 2"),
        (["a", "b"], "`ids` must be as many as the 3 vectors. Received: 2"),
        (["a", "", "b"], "without '', which means a missing id"),
        ([4, -1, 5], "without -1, which means a missing id"),
        ([1.0, 2.0, 3.0], "`ids` must be strings or integers"),
        (["a", None, "c"], "`ids` must be strings or integers"),
        (["a", 2, "c"], "`ids` must be strings or integers"),
        ([["a", "b", "c"]], "`ids` must be of one dimension"),
        ([], "`ids` must be at least one id"),
        (np.array([1, 2, 2**63], "uint64"), "`ids` must be below 2"),
    ],
)
def test_ids(ids, message):
    with pytest.raises(ValueError, match=message):
        Exact().index(EYE, ids)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[1, np.nan], [0, 1], [np.nan, np.inf]], "in 2 rows, the first is row 0"),
        ([[1, 1], [0, 1], [0, 1e39]], "in 1 rows, the first is row 2"),
        ([1.0, 2.0], "numbers of shape"),
        (np.empty((0, 2)), "numbers of shape"),
        (np.empty((2, 0)), "numbers of shape"),
        ([["a"]], "numbers of shape"),
    ],
)
def test_vectors(vectors, message):
    with pytest.raises(ValueError, match=message):
        Exact().index(np.array(vectors), ["a", "b", "c"])


@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 2, 3)])
def test_queries_of_another_shape(index, shape):
    with pytest.raises(ValueError, match="`queries` must be of shape"):
        index(np.zeros(shape, "float32"))


@pytest.mark.parametrize("exclude", [[[1], [2], [3]], np.array(["a", "b", "c"])])
def test_exclusions_of_another_kind(index, exclude):
    with pytest.raises(ValueError, match="`exclude` must be rows of strings"):
        index(EYE, exclude=exclude)


@pytest.mark.parametrize("shape", [(2, 1), (3,)])
def test_excluded_positions_of_another_shape(index, shape):
    with pytest.raises(ValueError, match="`exclude_positions` must be of shape"):
        index.search(EYE, 1, np.zeros(shape, "int32"))


@pytest.mark.parametrize("make", [Exact, ScaNN])
def test_an_index_with_nothing_in_it(make, tmp_path):
    for use in (
        lambda index: index(EYE),
        lambda index: index.num_candidates,
        lambda index: index.save(tmp_path / "index"),
        lambda index: index.export_module(),
    ):
        with pytest.raises(ValueError, match=r"no candidates yet. Call `index"):
            use(make(k=1))
    assert not list(tmp_path.iterdir())


def test_loading_what_is_no_index(tmp_path, index):
    with pytest.raises(ValueError, match=r"`directory` must be a saved index"):
        retrieval.load(tmp_path)
    index.save(tmp_path / "index")
    with pytest.raises(ValueError, match=r"must be a saved ScaNN\. Received: 'Exact'"):
        ScaNN.load(tmp_path / "index")
    (tmp_path / "index" / "vectors.npy").write_bytes(b"cut off")
    with pytest.raises(ValueError, match="must be a whole saved index"):
        retrieval.load(tmp_path / "index")
    (tmp_path / "index" / "index.json").write_text("{")
    with pytest.raises(ValueError, match=r"Its index\.json cannot be read"):
        retrieval.load(tmp_path / "index")


def test_recall_of_another_catalogue(index):
    other = Exact(k=1).index(np.eye(4), np.arange(4))
    with pytest.raises(ValueError, match=r"an index of the same 3 candidates\. Received: 4"):
        recall_at_k(index, other, EYE, k=1)


@pytest.mark.parametrize("recall", [0, 1.1, -1])
def test_recall_out_of_range(recall):
    with pytest.raises(ValueError, match="`recall` must be above 0 and at most 1"):
        ScaNN(recall=recall)


def test_half_of_the_settings():
    with pytest.raises(ValueError, match="given together or not at all"):
        ScaNN(leaves_to_search=3)
