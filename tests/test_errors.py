"""Every message that the library raises is asked for by some test, in words of its own."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
ANCHOR = 16  # characters in a row of a message that a test must repeat
SHORTEST = 8  # a message of less text of its own is put together elsewhere
INTERNAL = ("NotImplementedError", "ContractError", "_BrokenOffError", "optuna.TrialPruned")


def joined(parts):
    """Neighbouring pieces of text as one."""
    whole = []
    for part in parts:
        if whole and part is not None and whole[-1] is not None:
            whole[-1] += part
        else:
            whole.append(part)
    return whole


def parts_of(node, names):
    """A message as pieces of text, with None where a value goes."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.FormattedValue):
        return parts_of(node.value, names)
    if isinstance(node, ast.JoinedStr):
        return joined(part for value in node.values for part in parts_of(value, names))
    if isinstance(node, ast.IfExp):
        return parts_of(node.body, names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*parts_of(node.left, names), *parts_of(node.right, names)]
    if isinstance(node, ast.Name) and node.id in names:
        known = names[node.id]
        return parts_of(known, {n: v for n, v in names.items() if n != node.id})
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called.endswith("expected"):
            argument, expectation, _, *remedy = [parts_of(a, names) for a in node.args]
            said = ["`", *argument, "` must be ", *expectation, ". Received: ", None, ". "]
            return said + (remedy[0] if remedy else [])
        if called in names:
            return parts_of(names[called], {n: v for n, v in names.items() if n != called})
        if called[:1].isupper() and node.args:
            return parts_of(node.args[-1], names)
    return [None]


def names_of(tree):
    """What names stand for in a module or function: strings assigned, calls that return one."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            names[ast.unparse(node.targets[0])] = node.value
        if isinstance(node, ast.FunctionDef):
            returned = [n.value for n in ast.walk(node) if isinstance(n, ast.Return) and n.value]
            if returned:
                names[node.name] = returned[-1]
    return names


def raises_in(path):
    """Line and pieces of each message that a module raises."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
            continue
        if ast.unparse(node.exc.func) in INTERNAL:
            continue
        around = [f for f in functions if f.lineno <= node.lineno <= f.end_lineno]
        names = names_of(tree)
        for function in around:
            names |= names_of(function)
        yield node.lineno, joined(parts_of(node.exc, names))


@cache
def sayings():
    """The strings of all tests with regular expressions undone, in one text; and the short ones."""
    texts = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                pieces = re.split(r"\.[*+]|\\d\+|\\S\+", node.value)
                texts |= {re.sub(r"\\(\W)", r"\1", piece).strip("^$") for piece in pieces}
    short = {text for text in texts if SHORTEST <= len(text) < ANCHOR and " " in text.strip()}
    return "\0".join(texts), short


def is_asked_for(parts):
    """Whether a test says a stretch of the message, or a piece of it in a few words."""
    texts, short = sayings()
    pieces = [re.sub(r"^` must be |\. Received: $", "", part) for part in parts if part]
    pieces = [piece.strip(" .:,(") for piece in pieces]
    pieces = [piece for piece in pieces if len(piece) >= SHORTEST]
    stretches = [
        piece[i : i + ANCHOR] for piece in pieces for i in range(max(1, len(piece) - ANCHOR + 1))
    ]
    return (
        not pieces
        or any(stretch in texts for stretch in stretches)
        or any(text in piece for text in short for piece in pieces)
    )


def uncovered(path):
    """Lines and messages that no test asks for."""
    return [
        (line, "".join("{}" if part is None else part for part in parts))
        for line, parts in raises_in(path)
        if not is_asked_for(parts)
    ]


def test_each_message_is_asked_for():
    modules = sorted((ROOT / "tfrecs").rglob("*.py"))
    found = {str(path.relative_to(ROOT)): uncovered(path) for path in modules}
    assert len(found) > 200
    assert {name: messages for name, messages in found.items() if messages} == {}


def test_a_message_that_no_test_asks_for_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "sayings", lambda: ("", set()))
    module = tmp_path / "module.py"
    lines = [
        "def one(k, names):",
        "    said = f'among {names}'",
        "    raise ValueError(checks.expected('zz', said + ' by its n' 'ick', k, 'Ask.'))",
        "    raise RuntimeError",
    ]
    module.write_text("\n".join(lines))
    message = "`zz` must be among {} by its nick. Received: {}. Ask."
    assert uncovered(module) == [(3, message)]
