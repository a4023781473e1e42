"""The page of an index: what recall costs, and what was chosen."""

from collections.abc import Sequence
from pathlib import Path

from tfrecs.evaluation import plots
from tfrecs.files import written_aside
from tfrecs.retrieval import Point


def write_index_page(path: str | Path, title: str, curve: Sequence[Point]) -> Path:
    """Writes a page of recall against latency: a plot and a table of the measured choices.

    The page needs no network and no script. It is written aside and renamed.

    Args:
        path: File to write.
        title: Heading of the page.
        curve: Of `retrieval.recall_curve`.

    Returns:
        The path.

    Raises:
        OSError: If the file cannot be written.
    """
    import jinja2
    from markupsafe import Markup

    template = Path(__file__).with_name("index.html").read_text("utf-8")
    pages = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    plot = Markup(plots.recall(curve))
    page = pages.from_string(template).render(title=title, plot=plot, curve=curve)
    with written_aside(Path(path)) as aside:
        aside.write_text(page, encoding="utf-8")
    return Path(path)
