"""Vocabularies that grow: new values get the next ids, known ones keep theirs."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.features.adapting import learn
from tfrecs.features.learned import Learned
from tfrecs.features.transform import FeatureTransform
from tfrecs.features.vocabulary import Vocabulary
from tfrecs.spec import NUM_RESERVED_IDS, Attributes, Feature


def expand_vocabulary(transform: FeatureTransform, *sources: Any) -> FeatureTransform:
    """Returns a transform that also knows the values of new rows.

    A known value keeps its id; new ones follow, the frequent first, so that rows of embedding
    tables stay where they are and new ones are added below (`tfrecs.models.growing`). A new value
    must be as frequent in the new rows as the feature's `min_count` says. Counts add up. Means,
    deviations, boundaries, hashed features and closed vocabularies stay as they were, since the
    model was trained with them.

    Args:
        transform: An adapted transform, which is left as it is.
        sources: New rows, as `FeatureTransform.adapt` takes them.

    Returns:
        The grown transform.

    Example:

    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((Categorical("item"),))
    >>> first = FeatureTransform(spec).adapt(pa.table({"item": ["a", "b", "a"]}))
    >>> grown = expand_vocabulary(first, pa.table({"item": ["c", "b", "b"]}))
    >>> grown.vocabulary("item").tolist(), grown.spec["item"].size, grown.counts("item").tolist()
    (['a', 'b', 'c'], 5, [0, 0, 2, 3, 1])
    """
    if not isinstance(transform, FeatureTransform):
        raise TypeError(checks.expected("transform", "a FeatureTransform", transform))
    old = transform.learned
    new = learn(old.spec, sources)
    grown = Learned(old.spec, moments=dict(old.moments), boundaries=dict(old.boundaries))
    grown.add_hashing()
    sized: list[Feature] = []
    for name in old.lookups:
        _grow(old.feature(name), old, new, grown)
    for feature in old.spec:
        owner = old.spec.owner(feature.name).name
        if feature.kind == "cross" or owner not in grown.lookups:
            continue
        sizes = {"size": grown.lookups[owner].size}
        if isinstance(feature, Attributes):
            sizes["num_keys"] = grown.pair_lookups(feature)[0].size
        sized.append(replace(cast(Any, feature), **sizes))
    grown.spec = old.spec.replace(*sized)
    expanded = FeatureTransform(grown.spec)
    expanded._set(grown)
    return expanded


def _grow(feature: Any, old: Learned, new: Learned, grown: Learned) -> None:
    """Adds to a feature's vocabulary what the new rows have, and to its counts."""
    name, known = feature.name, old.lookups[feature.name]
    counts = old.counts[name]
    found = new.counts[name]
    if not isinstance(known, Vocabulary) or feature.vocabulary is not None:
        if isinstance(known, Vocabulary):
            grown.add_vocabulary(feature, known.values)
        grown.counts[name] = counts + found
        return
    values = new.lookups[name].values
    places = pc.index_in(values, value_set=known.values)
    fresh = pc.is_null(places).to_numpy(zero_copy_only=False)
    room = None if feature.max_size is None else max(0, feature.max_size - len(known.values))
    added = np.flatnonzero(fresh)[:room]
    grown.add_vocabulary(feature, pa.concat_arrays([known.values, values.take(pa.array(added))]))
    seen = found[NUM_RESERVED_IDS:]
    total = np.concatenate([counts, seen[added]])
    total[:NUM_RESERVED_IDS] += found[:NUM_RESERVED_IDS]
    total[1] += seen[fresh].sum() - seen[added].sum()  # past `max_size`: unknown
    old_places = pc.fill_null(places, 0).to_numpy(zero_copy_only=False)
    np.add.at(total, old_places[~fresh] + NUM_RESERVED_IDS, seen[~fresh])
    grown.counts[name] = total
