"""Strong generalisation: users that training has not seen, with a part of their events given."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.datasets import Tables
from tfrecs.datasets.histories import lists_by_query
from tfrecs.evaluation import splits
from tfrecs.evaluation.columns import codes
from tfrecs.evaluation.splits import Split
from tfrecs.spec import FeatureSpec, Sequence


def strong_generalisation(
    tables: Tables,
    *,
    fraction: float = 0.1,
    held_out: float = 0.2,
    history: str = "history",
    seed: int = 0,
) -> tuple[Split, Tables]:
    """Holds out users, and shows of them a history from which the rest is to be told.

    Of each held-out user's positive events, `held_out` are the test; the others are the user's
    history: a list of candidates among the query's features, which is what a model that folds in
    (`IALS`) and the neighbourhood baselines answer from. Training users have no history there.

    Args:
        tables: The data set.
        fraction: Share of the users held out, above 0 and below 1. Defaults to 0.1.
        held_out: Share of a held-out user's events for test, at least one. Defaults to 0.2.
        history: Name of the list. Defaults to "history".
        seed: Of both choices. Defaults to 0.

    Returns:
        The split, whose `given` are the events of the histories; and the tables with the history
        among the features and in `queries`.

    Raises:
        ValueError: If a fraction is out of range, a part is empty, or the name is taken.

    Reference:
        Marlin 2004, Collaborative filtering: a machine learning perspective; the protocol of Liang
        et al. 2018, arXiv:1802.05814.
    """
    if not 0 < held_out < 1:
        raise ValueError(checks.expected("held_out", "above 0 and below 1", held_out))
    if history in tables.spec or history in tables.queries.column_names:
        raise ValueError(checks.expected("history", "a name that is not taken", history))
    spec = tables.spec
    by_user = splits.by_user(tables.positives, spec, fraction=fraction, seed=seed)
    users = codes(by_user.test, spec.query_id.name)
    order = np.lexsort((np.random.default_rng(seed).random(len(users)), users))
    counts = np.bincount(users)
    place = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    test = np.zeros(len(users), bool)
    test[order] = place < np.maximum(1, np.round(held_out * np.repeat(counts, counts)))
    shown, hidden = (by_user.test.filter(pa.array(side)) for side in (~test, test))
    split = Split(
        train=by_user.train,
        test=hidden,
        protocol=f"{by_user.protocol}, unseen in training; {100 * held_out:g} % of their events",
        given=shown,
    )
    lists = lists_by_query(shown, tables.queries, spec)
    feature = Sequence(
        history,
        "query",
        spec.candidate_id.dtype,
        max_length=None,
        shared_with=spec.candidate_id.name,
    )
    queries = tables.queries.append_column(history, lists)
    return split, replace(tables, queries=queries, spec=FeatureSpec((*spec, feature)))
