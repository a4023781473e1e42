"""`export_skills`: the skills in free text, as a SavedModel of its own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow as tf

from tfrecs.export import gates
from tfrecs.export.folders import STOCK, label_of, new_versions, unpublished
from tfrecs.export.padding import Raw
from tfrecs.export.publish import Export, about_model, write_version
from tfrecs.export.requests import Request, decoded
from tfrecs.export.servable import Servable, trace
from tfrecs.features import FeatureTransform
from tfrecs.features.skill_extractor import SkillExtractor, tokens_of
from tfrecs.features.skills import Skills
from tfrecs.files import written_aside
from tfrecs.spec import FeatureSpec, Text

TEXT, TOKENS, PHRASE, SKILL = "text", "tokens", "phrase", "skill"
_TEXTS = 16
_ODD = ("", "\N{SNOWMAN} in no vocabulary")


def export_skills(
    extractor: SkillExtractor,
    directory: str | os.PathLike[str],
    *,
    name: str,
    texts: Sequence[str],
    skills: Skills | None = None,
    version: int | None = None,
    card: Mapping[str, Any] | None = None,
    check: bool = True,
) -> Export:
    """Writes a SavedModel that finds skills in texts.

    | signature | inputs | outputs |
    | --- | --- | --- |
    | `serving_default` | `text`, string `(B,)` | `phrase`, `skill`, string `(B, P)` |
    | `tokens` | `tokens`, string `(B, L)`, "" past the end of a text | the same |

    A phrase stands as it is written, in the order of the text; its skill is that of the fixed set,
    "" where it is none of them. Both are "" past the last phrase of a text.

    Args:
        extractor: Finds the phrases.
        directory: Folder of all models.
        name: Name of the model, which names its folder.
        texts: Texts to check with, one or more.
        skills: The fixed set of the training; `None` for no output `skill`.
        version: A positive integer that is not there yet. Defaults to the next.
        card: More for the card, by section: "data", "metrics", "parameters".
        check: Whether to ask the SavedModel in a fresh process, and compare. Defaults to `True`.

    Returns:
        The path of the variant "stock", and the version; the recall is 1.

    Raises:
        OSError, RuntimeError: If the files cannot be written, or answer otherwise than the
            extractor; nothing is published then. TypeError, ValueError: If an argument is wrong.
    """
    gates.check_arguments(name, extractor=(extractor, SkillExtractor))
    folders = new_versions(Path(directory), {STOCK: name}, version)
    folder, texts = folders[STOCK], [*texts[:_TEXTS], *_ODD]

    def answer(found: tf.RaggedTensor) -> Raw:
        phrases = found.to_tensor("")
        return {PHRASE: phrases} | ({} if skills is None else {SKILL: skills(phrases)})

    def of_tokens(raw: Raw) -> Raw:
        tokens = raw[TOKENS]
        return answer(extractor.phrases(tf.RaggedTensor.from_tensor(tokens, padding="")))

    functions = {
        "serving_default": trace(
            lambda raw: answer(extractor(raw[TEXT])), {TEXT: tf.TensorSpec([None], tf.string)}
        ),
        TOKENS: trace(of_tokens, {TOKENS: tf.TensorSpec([None, None], tf.string)}),
    }
    said = {key: decoded(value) for key, value in answer(extractor(tf.constant(texts))).items()}
    tokens = tokens_of(tf.constant(texts), extractor.options.max_tokens).to_tensor("")
    requests = [
        Request("serving_default", {TEXT: texts}, said),
        Request(TOKENS, {TOKENS: decoded(tokens).tolist()}, said),
    ]
    spec = FeatureSpec((Text(TEXT, "query", vocabulary=extractor.words),))
    transform = FeatureTransform(spec).adapt(pa.table({TEXT: texts}))
    tables = [extractor.table, *([] if skills is None else [skills.table])]
    with unpublished(directory), written_aside(folder) as aside:
        servable = Servable(functions, transform, ())
        servable.parts += tables  # not the module: its tagger is a Keras model
        label = label_of(folder, STOCK) | about_model(extractor.tagger, card or {})
        write_version(aside, servable, functions, transform, requests, label, check)
    return Export(folders, int(folder.name), 1.0)
