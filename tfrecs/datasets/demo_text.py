"""The texts of the demo world: titles, bodies and CVs, composed from the words of the topics."""

import numpy as np

from tfrecs.datasets.demo_topics import (
    CV_CLOSINGS,
    CV_OPENINGS,
    CV_SENTENCES,
    LEVELS,
    NUMBERS,
    SENTENCES,
    TITLES,
    TOPICS,
)

_BODY_SENTENCES = 4
_CV_SENTENCES = 3
_STRIDE = 5  # has no factor in common with the 12 sentences: none comes twice in a body
_FIRST_YEAR, _LAST_YEAR = 2005, 2024


def write_articles(
    rng: np.random.Generator, first: np.ndarray, second: np.ndarray
) -> tuple[list[str], list[str]]:
    """Writes a title and a body for every item.

    Args:
        rng: The source of chance.
        first: The topic of each item, int `(C,)`.
        second: The second topic of each item, int `(C,)`.

    Returns:
        C titles and C bodies of four sentences, in English.
    """
    draws = rng.random((len(first), _BODY_SENTENCES + 1, 5)).tolist()
    titles, bodies = [], []
    for topic, other, chances in zip(first.tolist(), second.tolist(), draws, strict=True):
        texts = [_pick(TITLES, chances[0][0])]
        start = int(chances[1][0] * len(SENTENCES))
        texts += [SENTENCES[(start + _STRIDE * i) % len(SENTENCES)] for i in range(_BODY_SENTENCES)]
        texts = [_fill(*args, topic, other) for args in zip(texts, chances, strict=True)]
        titles.append(texts[0])
        bodies.append(" ".join(texts[1:]))
    return titles, bodies


def write_cvs(rng: np.random.Generator, topics: np.ndarray) -> tuple[list[str], list[list[str]]]:
    """Writes a CV for every user: work in the first topic, skills of the first two, a hobby.

    Args:
        rng: The source of chance.
        topics: The topics of each user, the dearest first, int `(U, at least 3)`.

    Returns:
        U texts in English, and the skills that each of them holds, in order of the text.
    """
    draws = rng.random((len(topics), _CV_SENTENCES + 2, 6)).tolist()
    texts, skills = [], []
    for (work, also, hobby), chances in zip(topics[:, :3].tolist(), draws, strict=True):
        found: list[str] = []
        parts = [_introduce(_pick(CV_OPENINGS, chances[0][0]), chances[0], work)]
        for chance in chances[1:-1]:
            # two sentences of three are about the first topic
            topic = TOPICS[work if chance[5] < 2 / 3 else also]
            template = _pick(CV_SENTENCES, chance[0])
            named = dict(zip("st", _pick_two(topic.skills, chance[1], chance[2]), strict=True))
            found += [named[key] for key in "st" if "{" + key + "}" in template]
            year = _FIRST_YEAR + int(chance[3] * (_LAST_YEAR - _FIRST_YEAR + 1))
            parts.append(template.format(a=_pick(topic.things, chance[4]), year=year, **named))
        parts.append(_introduce(_pick(CV_CLOSINGS, chances[-1][0]), chances[-1], hobby))
        texts.append(" ".join(parts))
        skills.append(list(dict.fromkeys(found)))
    return texts, skills


def _introduce(template: str, chance: list[float], index: int) -> str:
    topic = TOPICS[index]
    return template.format(
        Level=_pick(LEVELS, chance[1]).capitalize(),
        n=_pick(NUMBERS, chance[2]),
        topic=topic.name,
        a=_pick(topic.things, chance[3]),
    )


def _fill(template: str, chance: list[float], index: int, other: int) -> str:
    topic = TOPICS[index]
    thing, another = _pick_two(topic.things, chance[1], chance[2])
    number = _pick(NUMBERS, chance[4])
    return template.format(
        a=thing,
        A=thing[0].upper() + thing[1:],
        b=another,
        c=_pick(TOPICS[other].things, chance[3]),
        n=number,
        N=number.capitalize(),
        topic=topic.name,
        category=topic.category,
    )


def _pick(choices: tuple[str, ...], chance: float) -> str:
    return choices[int(chance * len(choices))]


def _pick_two(choices: tuple[str, ...], chance: float, step: float) -> tuple[str, str]:
    """Returns two different choices."""
    first = int(chance * len(choices))
    second = first + 1 + int(step * (len(choices) - 1))
    return choices[first], choices[second % len(choices)]
