"""The figures of the models' pages: what flows where, drawn as SVG that takes the page's colours.

A figure is written as its branches, `|` between them and `>` along each, and after `=>` what
becomes of them together.
"""

from html import escape

FIGURES = {
    "BERT4Rec": "items with masks > embeddings, places > self-attention, both ways"
    " > state at the mask | item > embedding => dot product > score",
    "CNN3D": "texts of the last events > characters, one-hot > 3D convolution, pool"
    " > 3D convolution, pool > dense | item > weights, bias => dot product > score",
    "ContextualGRU4Rec": "item > embedding | its context c > embeddings"
    " => GRU, state × (1 + R c) > × (1 + O d), d of what is next > dot product with items > score",
    "DCNv2": "ids and numbers > embeddings x₀ => crosses x₀ ⊙ (W x + b) + x > deep network > logit",
    "DLRM": "ids > embeddings | numbers > bottom network => dot products of pairs"
    " > top network > logit",
    "DeepFM": "first-order weights > sum | embeddings > inner products of pairs"
    " | the same embeddings > deep network => sum > logit",
    "FMDNN": "weights, embeddings v > factorization machine | embeddings u > deep network"
    " => sum > logit",
    "FNN": "ids and numbers > weights and embeddings of a trained FM => deep network > logit",
    "FactorizationMachine": "first-order weights > sum | embeddings > inner products of pairs"
    " => sum > logit",
    "GRU4Rec": "items so far > embeddings > GRU > last state | item > embedding, bias"
    " => dot product > score",
    "IALS": "user id, or history > least squares > p | item id > least squares > q"
    " => dot product > score",
    "IPNN": "embeddings | embeddings > inner products of pairs => deep network > logit",
    "IkiRanker": "tags and skills > profile"
    " | liked, disliked, viewed > content vectors > preference"
    " | histories > SVD fold-in p | article > SVD q, content c => deep network > tanh > score",
    "LogisticRegression": "ids, numbers, crosses > first-order weights => sum > logit",
    "MatrixFactorization": "user id > p, bias | item id > q, bias"
    " => dot product + biases + mean > stars",
    "NRMS": "words of clicked news > attention, pool > vectors of news > attention, pool"
    " | words of a news > attention, pool => dot product > score",
    "OPNN": "embeddings | embeddings > sum t > outer product t tᵀ => deep network > logit",
    "PNNStar": "embeddings | embeddings > inner products of pairs"
    " | embeddings > outer product of the sum => deep network > logit",
    "PerceiverTwoTower": "user as tokens > latents attend > self-attention > decoded vector"
    " | item as tokens > the same Perceiver > decoded vector => distance or dot product > score",
    "SASRec": "items so far > embeddings, places > self-attention, to the left > last state"
    " | item > embedding => dot product > score",
    "TwoTower": "user id > embedding | item id > embedding => dot product or cosine > score",
    "WRMF": "features of the user > embeddings > sum p | features of the item > embeddings > sum q"
    " => dot product > score",
    "WideDeep": "ids, numbers, crosses > first-order weights | ids and numbers > embeddings"
    " > deep network => sum > logit",
}
HEIGHT, GAP, ROW, CHARACTER = 34, 26, 50, 7.6


def draw(name: str) -> str:
    """Returns the figure of a model as SVG text."""
    before, after = FIGURES[name].split("=>")
    rows = [[text.strip() for text in branch.split(">")] for branch in before.split("|")]
    middle = ROW * (len(rows) - 1) / 2
    parts, ends = [], []
    for number, row in enumerate(rows):
        end = _chain(parts, row, 0.0, ROW * number)
        ends.append((end, ROW * number))
    start = max(end for end, _ in ends) + GAP
    parts += [_arrow(end, top, start, middle) for end, top in ends]
    width = _chain(parts, [text.strip() for text in after.split(">")], start, middle)
    size = f"{-4} {-4} {width + 8:.0f} {ROW * (len(rows) - 1) + HEIGHT + 8:.0f}"
    style = f"font: 13px sans-serif; max-width: 100%; min-width: {0.7 * width:.0f}px"
    head = (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker>'
    )
    return (
        f'<div style="overflow-x: auto"><svg role="img" aria-label="{escape(name)}" '
        f'width="{width + 8:.0f}" viewBox="{size}" '
        f'style="{style}"><defs>{head}</defs>{"".join(parts)}</svg></div>'
    )


def _chain(parts: list[str], texts: list[str], left: float, top: float) -> float:
    """Draws boxes from left to right with arrows between, and returns where they end."""
    for place, text in enumerate(texts):
        if place:
            parts.append(_arrow(left, top, left + GAP, top))
            left += GAP
        width = CHARACTER * len(text) + 18
        parts.append(
            f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{HEIGHT}" rx="6" '
            'fill="none" stroke="currentColor" stroke-opacity="0.55"/>'
            f'<text x="{left + width / 2:.0f}" y="{top + HEIGHT / 2:.0f}" text-anchor="middle" '
            f'dominant-baseline="central" fill="currentColor">{escape(text)}</text>'
        )
        left += width
    return left


def _arrow(left: float, top: float, right: float, other: float) -> str:
    start, end = top + HEIGHT / 2, other + HEIGHT / 2
    bend = right - GAP / 2
    return (
        f'<path d="M{left:.0f} {start:.0f}H{bend:.0f}V{end:.0f}H{right:.0f}" fill="none" '
        'stroke="currentColor" stroke-opacity="0.55" marker-end="url(#tip)"/>'
    )
