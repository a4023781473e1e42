"""Makes the docstrings' examples blocks of code, their papers links, a formula a line."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^Examples?:\n\n(?=>>>)(.*?)(?=^\w+:\n|\Z)", re.DOTALL | re.MULTILINE)
FORMULAS = re.compile(r"^(`[^\n]*)\n(?=`)", re.MULTILINE)
PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is rendered."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Makes `Example:` the section "Examples", whose lines are indented and shown as code."""
        if obj.docstring is None:
            return
        text = EXAMPLE.sub(
            lambda m: "Examples:\n" + re.sub(r"(?m)^(?=.)", "    ", m[1]), obj.docstring.value
        )
        text = FORMULAS.sub(r"\1  \n", text)
        obj.docstring.value = PAPER.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
