"""Makes the docstrings' examples blocks of code, and their papers links."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^(Examples?:)\n\n(?=>>>)(.*?)(?=^\w+:\n|\Z)", re.DOTALL | re.MULTILINE)
PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is rendered."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Indents what follows `Example:`, as Google's style has it."""
        if obj.docstring is None:
            return
        text = EXAMPLE.sub(
            lambda m: f"{m[1]}\n" + re.sub(r"(?m)^(?=.)", "    ", m[2]), obj.docstring.value
        )
        obj.docstring.value = PAPER.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
