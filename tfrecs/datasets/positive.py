"""Which events are positive, as an expression over columns: parsed, never executed."""

import ast
import operator
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import columns

_COMPARED = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_EXAMPLE = 'For example: "rating >= 4" or "event == \'buy\' and price > 0".'


def parse_positive(text: str, table: pa.Table) -> tuple[Any, tuple[str, ...]]:
    """Reads which events are positive, an expression over columns; nothing of it is executed.

    Comparisons (`<`, `<=`, `==`, `!=`, `>=`, `>`, `in`, `not in`) of a column with a number, a
    text or true and false, joined by `and`, `or`, `not` and parentheses. A name with other letters
    stands between backticks.

    Args:
        text: The expression.
        table: The events, for names and types of columns.

    Returns:
        An Arrow expression, and the columns it reads.

    Raises:
        ValueError: Anything else, a column that is not there, or one of another type.

    Example:

    >>> parse_positive("stars >= 4 and kind != 'view'",
    ...                pa.table({"stars": [1.0], "kind": ["view"]}))[1]
    ('stars', 'kind')
    """
    quoted: list[str] = re.findall(r"`([^`]*)`", text)
    code = text
    for number, name in enumerate(quoted):
        code = code.replace(f"`{name}`", f"__quoted_{number}__", 1)
    try:
        tree = ast.parse(code.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(
            checks.expected("positive", f"an expression ({error.msg})", text, _EXAMPLE)
        ) from error
    reader = _Reader(text, table, {f"__quoted_{i}__": name for i, name in enumerate(quoted)})
    return reader.truth(tree), tuple(dict.fromkeys(reader.used))


class _Reader:
    """Turns the nodes of an expression into Arrow's; refuses all that is not in the grammar."""

    def __init__(self, text: str, table: pa.Table, quoted: dict[str, str]) -> None:
        self.text, self.table, self.quoted = text, table, quoted
        self.used: list[str] = []

    def truth(self, node: ast.expr) -> Any:
        """Returns a node that is true or false."""
        if isinstance(node, ast.BoolOp):
            parts = [self.truth(value) for value in node.values]
            found = parts[0]
            for part in parts[1:]:
                found = found & part if isinstance(node.op, ast.And) else found | part
            return found
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.truth(node.operand)
        if isinstance(node, ast.Compare):
            left, found = node.left, None
            for comparison, right in zip(node.ops, node.comparators, strict=True):
                part = self.compared(left, comparison, right)
                found, left = part if found is None else found & part, right
            return found
        if isinstance(node, ast.Name):
            name = self.column(node)
            if pa.types.is_boolean(self.table[name].type):
                return pc.field(name)
        raise self.refused(node)

    def compared(self, left: ast.expr, comparison: ast.cmpop, right: ast.expr) -> Any:
        """Returns a comparison of a column with a value."""
        if isinstance(comparison, ast.In | ast.NotIn) and isinstance(right, ast.Tuple | ast.List):
            name = self.column(left)
            values = [self.value(name, node) for node in right.elts]
            found = pc.field(name).isin(pa.array(values, self.table[name].type))
            return ~found if isinstance(comparison, ast.NotIn) else found
        if type(comparison) not in _COMPARED:
            raise self.refused(right)
        names = [isinstance(side, ast.Name) and not self.is_truth(side) for side in (left, right)]
        if all(names):
            sides = [pc.field(self.column(side)) for side in (left, right)]
        elif names[0]:
            name = self.column(left)
            sides = [pc.field(name), pc.scalar(self.value(name, right))]
        else:
            name = self.column(right)
            sides = [pc.scalar(self.value(name, left)), pc.field(name)]
        return _COMPARED[type(comparison)](*sides)

    def is_truth(self, node: ast.Name) -> bool:
        """Returns whether a name is true or false, and no column."""
        return node.id.lower() in ("true", "false") and node.id not in self.table.column_names

    def column(self, node: ast.expr) -> str:
        """Returns the column that a name means."""
        if not isinstance(node, ast.Name):
            raise self.refused(node)
        name = self.quoted.get(node.id, node.id)
        if name not in self.table.column_names:
            near = checks.did_you_mean(name, self.table.column_names)
            expectation = f"an expression over the columns {', '.join(self.table.column_names)}"
            raise ValueError(checks.expected("positive", expectation, name, near))
        self.used.append(name)
        return name

    def value(self, name: str, node: ast.expr) -> Any:
        """Returns a value that is to be compared with column `name`."""
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            node, sign = node.operand, -1
        if isinstance(node, ast.Name) and node.id.lower() in ("true", "false"):
            node = ast.copy_location(ast.Constant(node.id.lower() == "true"), node)
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str | int | float)):
            raise self.refused(node)
        value, kind = node.value, self.table[name].type
        fits = isinstance(value, str) == columns.is_text(kind)
        if not fits or (isinstance(value, bool) and not pa.types.is_boolean(kind)):
            first = self.table[name][0].as_py()
            remedy = f"The first value of {name!r} is {first!r}."
            expectation = f"of values of the type of their column; {name!r} holds {kind}"
            raise ValueError(checks.expected("positive", expectation, value, remedy))
        return value if isinstance(value, str | bool) else sign * value

    def refused(self, node: ast.AST) -> ValueError:
        part = ast.get_source_segment(self.text, node) if not self.quoted else None
        expectation = "comparisons of columns with values, joined by and, or, not"
        return ValueError(checks.expected("positive", expectation, part or self.text, _EXAMPLE))
