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
from tfrecs.spec import NUM_RESERVED_IDS, UNKNOWN_ID, Feature, FeatureSpec


def expand_vocabulary(transform: FeatureTransform, *sources: Any) -> FeatureTransform:
    """Returns a transform that also knows the values of new rows.

    A known value keeps its id; new ones follow, the frequent first, so that rows of embedding
    tables stay where they are and new ones are added below (`tfrecs.models.growing`). A new value
    enters as soon as all rows so far, the old ones included, hold it as often as the feature's
    `min_count` says: what is too rare yet is kept, with its count. Counts add up. Means,
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
    new = learn(_all_counted(old.spec), sources)
    grown = Learned(old.spec, moments=dict(old.moments), boundaries=dict(old.boundaries))
    grown.add_hashing()
    sized: list[Feature] = []
    for name in old.lookups:
        _grow(old.spec[name], old, new, grown)
    for feature in old.spec:
        owner = old.spec.owner(feature.name).name
        if feature.kind != "cross" and owner in grown.lookups:
            sized.append(replace(cast(Any, feature), size=grown.lookups[owner].size))
    grown.spec = old.spec.replace(*sized)
    expanded = FeatureTransform(grown.spec)
    expanded._set(grown)
    return expanded


def _grow(feature: Any, old: Learned, new: Learned, grown: Learned) -> None:
    """Adds to a feature's vocabulary what is frequent by now, and to its counts."""
    name, known = feature.name, old.lookups[feature.name]
    counts, found = old.counts[name], new.counts[name]
    if not isinstance(known, Vocabulary) or feature.vocabulary is not None:
        if isinstance(known, Vocabulary):
            grown.add_vocabulary(feature, known.values)
        grown.counts[name] = counts + found
        return
    values, seen = new.lookups[name].values, found[NUM_RESERVED_IDS:]
    places = pc.index_in(values, value_set=known.values)
    fresh = places.is_null()
    total = counts.copy()
    total[:NUM_RESERVED_IDS] += found[:NUM_RESERVED_IDS]
    old_places = places.drop_null().to_numpy() + NUM_RESERVED_IDS
    np.add.at(total, old_places, seen[~fresh.to_numpy(zero_copy_only=False)])
    more = pa.table({"value": values, "count": seen}).filter(fresh)
    waiting = _summed([old.rare[name], more] if name in old.rare else [more])
    frequent = pc.greater_equal(waiting["count"], feature.min_count)
    added = waiting.filter(frequent)
    room = None if feature.max_size is None else max(0, feature.max_size - len(known.values))
    added = added.sort_by([("count", "descending"), ("value", "ascending")]).slice(0, room)
    grown.rare[name] = waiting.filter(pc.invert(frequent))
    grown.add_vocabulary(
        feature, pa.concat_arrays([known.values, *added["value"].cast(values.type).chunks])
    )
    # the unknown are all that is new, less what was unknown until now and is not any more
    entered = added["count"].to_numpy()
    total[UNKNOWN_ID] += more["count"].to_numpy().sum() - entered.sum()
    grown.counts[name] = np.concatenate([total, entered])


def _summed(tables: list[pa.Table]) -> pa.Table:
    """Returns the counts of each value, added up."""
    schema = tables[-1].schema
    every = pa.concat_tables([table.cast(schema) for table in tables])
    found = every.group_by("value").aggregate([("count", "sum")])
    return found.rename_columns({"count_sum": "count"}).select(["value", "count"])


def _all_counted(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec whose vocabularies leave out no value, however rare."""
    counted = [
        replace(cast(Any, f), min_count=1, max_size=None) for f in spec if hasattr(f, "min_count")
    ]
    return spec.replace(*counted)
