import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "tfrecs").rglob("*.md")),
    *NOTEBOOKS,
]
LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
LARGEST_NOTEBOOK = 400_000  # bytes, its pictures included


def read_prose(path):
    """The Markdown of a page or notebook, without its code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def find_anchors(path):
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page):
    for link in LINK.finditer(read_prose(page)):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        generated = target.parent == ROOT / "docs" / "models"  # pages that the site makes
        assert target.exists() or generated, f"{link[0]} of {page.name}"
        if link["anchor"] and target.suffix == ".md":
            assert link["anchor"] in find_anchors(target), f"{link[0]} of {page.name}"


def test_a_dead_link_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Two words\n\n[gone](gone.md), `[code](no.md)`, [here](#two-words)\n")
    found = [(link["path"], link["anchor"]) for link in LINK.finditer(read_prose(page))]
    assert found == [("gone.md", None), ("", "two-words")]
    assert find_anchors(page) == {"two-words"}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_installs_first_and_stays_small(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    first = next(cell for cell in cells if cell["cell_type"] == "code")
    assert "%pip install" in "".join(first["source"])
    assert notebook.stat().st_size < LARGEST_NOTEBOOK
