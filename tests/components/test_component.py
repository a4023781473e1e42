import ast
from pathlib import Path

import pytest

from tests.components import toys
from tfrecs.components import Component, Output, Pipeline, pipeline
from tfrecs.components.artifacts import Examples, Model, digest, load


def test_a_function_says_its_inputs_outputs_and_parameters():
    assert toys.Repeat.name == "Repeat"
    assert toys.Repeat.inputs == {"examples": Examples, "base": Model}
    assert toys.Repeat.outputs == {"model": Model}
    assert list(toys.Repeat.parameters) == ["times", "seconds", "span"]
    assert toys.Repeat.optional == {"base"}
    assert toys.Repeat.about == "Repeats a text."


def test_the_function_is_called_by_hand_too(tmp_path):
    examples, model = Examples(str(tmp_path / "in")), Model(str(tmp_path / "out"))
    toys.make(examples, text="ab")
    toys.repeat(examples, model, times=3)
    assert (model.path / "text").read_text() == "ababab"
    model.seal()
    assert load(model.path) == model


def test_an_argument_of_no_json_type_is_refused():
    def odd(model: Output[Model], *, where: complex) -> None: ...

    with pytest.raises(TypeError, match=r"odd\(where\).*JSON type"):
        Component(odd)


def test_names_that_a_node_has_are_no_arguments_of_a_component():
    def odd(model: Output[Model], *, resources: str = "") -> None: ...

    with pytest.raises(TypeError, match="without arguments `id` and `resources`, which a node has"):
        Component(odd)
    with pytest.raises(ValueError, match=r"parameter of make.*'where'"):
        Component(toys.make, places=("where",))


def test_what_a_node_is_given_is_checked():
    made = toys.Make()
    with pytest.raises(ValueError, match=r"argument of Make.*'txt'.*Did you mean 'text'"):
        toys.Make(txt="a")
    with pytest.raises(ValueError, match=r"Repeat\(examples\).*must be a Examples"):
        toys.Repeat()
    with pytest.raises(ValueError, match=r"Judge\(model\).*of type Model"):
        toys.Judge(model=made["examples"])
    with pytest.raises(ValueError, match="output of Make"):
        made["model"]
    with pytest.raises(ValueError, match="JSON can hold"):
        toys.Make(text=object())


def test_a_pipeline_is_checked():
    made = toys.Make()
    with pytest.raises(ValueError, match="of different ids"):
        Pipeline("p", (made, toys.Make()))
    with pytest.raises(ValueError, match="node that Repeat waits for"):
        Pipeline("p", (toys.Repeat(examples=made["examples"]),))
    nodes = Pipeline("p", (toys.Repeat(examples=made["examples"]), made)).nodes
    assert [node.id for node in nodes] == ["Make", "Repeat"]


def test_a_pipeline_file_is_loaded_with_parameters_as_text(tmp_path):
    loaded = pipeline.load(toys.__file__, times="3", seconds="0.5")
    assert loaded["Repeat"].parameters == {"times": 3, "seconds": 0.5, "span": None}
    with pytest.raises(ValueError, match=r"parameter of toys.py.*Did you mean 'times'"):
        pipeline.load(toys.__file__, time="3")
    with pytest.raises(ValueError, match="`times` must be an integer"):
        pipeline.load(toys.__file__, times="three")
    with pytest.raises(FileNotFoundError, match="a Python file"):
        pipeline.load(tmp_path / "none.py")
    (tmp_path / "empty.py").write_text("x = 1")
    with pytest.raises(ValueError, match=r"a function `pipeline"):
        pipeline.load(tmp_path / "empty.py")


def test_a_digest_forgets_times_and_knows_contents(tmp_path):
    import keras

    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    digests = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        model.save(folder / "model.keras")
        (folder / "run.json").write_text(f'{{"seconds": {number}, "loss": 1}}')
        digests.append(digest(folder))
    assert digests[0] == digests[1]
    (folder / "run.json").write_text('{"seconds": 1, "loss": 2}')
    assert digest(folder) != digests[0]


def test_a_component_that_writes_nothing_is_told_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="that its component has written"):
        Model(str(tmp_path / "none")).seal()
    with pytest.raises(ValueError, match=r"a folder with artifact.json"):
        load(tmp_path)


@pytest.mark.parametrize(("package", "only"), [("kfp", "kubeflow.py"), ("apache_beam", "beam.py")])
def test_an_optional_package_is_imported_by_one_file(package, only):
    import tfrecs

    importers = set()
    for path in Path(tfrecs.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == package for name in names):
                importers.add(path.name)
    assert importers == {only}
