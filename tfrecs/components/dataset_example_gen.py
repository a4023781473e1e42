"""DatasetExampleGen: a data set that tfrecs reads, as three Examples: events, users and items."""

from pathlib import Path
from typing import Any

from tfrecs import checks, datasets
from tfrecs.components import examples as io
from tfrecs.components.artifacts import Examples
from tfrecs.components.component import Component, Output
from tfrecs.evaluation import splits
from tfrecs.files import check_local

DATASETS = (*datasets.KNOWN, "files")
PROTOCOLS = ("random", "user", "time", "leave-last-out")


def dataset_example_gen(
    examples: Output[Examples],
    queries: Output[Examples],
    candidates: Output[Examples],
    *,
    dataset: str = "demo",
    data_dir: str | None = None,
    events: str | None = None,
    items: str | None = None,
    users: str | None = None,
    columns: dict[str, Any] = {},  # noqa: B006 read alone
    num_events: int = 100_000,
    protocol: str = "random",
    seed: int = 0,
) -> None:
    """A data set that tfrecs reads, as three Examples: events, users and items.

    It reads into memory; `ExampleGen` streams, one table at a time.

    Args:
        examples: Events, splits "train" and "eval".
        queries: One row a user, split "all".
        candidates: One row an item, split "all".
        dataset: As `tfrecs datasets` lists it, or "files" for your own.
        data_dir: Folder of the owner's files.
        events: File of events, for "files"; see `datasets.read_tables`.
        items: File of items.
        users: File of users.
        columns: Names of your columns by part: "user", "item", "time", "label"; and what else
            `datasets.read_tables` takes: `positive`, `item_id`, `decimal` ...
        num_events: Size of "demo". Defaults to 100,000.
        protocol: "random" (a tenth of the events is for judging), "user" (of the users), "time"
            (the last tenth) or "leave-last-out" (the last event of each user).
        seed: Of the demo world and of random splits. Defaults to 0.
    """
    checks.one_of("dataset", dataset, DATASETS)
    checks.one_of("protocol", protocol, PROTOCOLS)
    named = {"data_dir": data_dir, "events": events, "items": items, "users": users}
    for name, place in named.items():
        check_local(name, place or "")
    tables = _read(dataset, data_dir, [events, items, users], columns, num_events, seed)
    split = _split(tables, protocol, seed)
    for output, parts in (
        (examples, {"train": split.train, "eval": split.test}),
        (queries, {"all": tables.queries}),
        (candidates, {"all": tables.candidates}),
    ):
        output.path.mkdir(exist_ok=True)
        io.write_tables(output, parts)
        output.properties |= {"source": tables.name, "protocol": split.protocol}


def _read(
    dataset: str,
    data_dir: str | None,
    files: list[str | None],
    columns: dict[str, Any],
    num_events: int,
    seed: int,
) -> Any:
    if dataset == "demo":
        return datasets.demo(num_events=num_events, seed=seed)
    if dataset == "files":
        if files[0] is None:
            raise ValueError(checks.expected("events", "a file of events", None))
        return datasets.read_tables(files[0], files[1], files[2], **columns).tables
    return datasets.read_known(dataset, data_dir)


def _split(tables: Any, protocol: str, seed: int) -> Any:
    if protocol == "leave-last-out":
        return splits.leave_last_out(tables.events, tables.spec)
    if protocol == "time":
        return splits.by_time(tables.events, tables.spec, fraction=0.1)
    if protocol == "user":
        return splits.by_user(tables.events, tables.spec, fraction=0.1, seed=seed)
    return splits.random(tables.events, fraction=0.1, seed=seed)


def _files(parameters: dict[str, Any]) -> list[Path]:
    named = [Path(parameters[n]) for n in ("events", "items", "users") if parameters[n]]
    folder = parameters["data_dir"]
    if folder is None or parameters["dataset"] == "demo":
        return named
    inner = parameters["dataset"].replace("movielens", "ml")  # as the owner's zip file unpacks
    found = [path for path in Path(folder).glob("*") if path.is_file()]
    return sorted([*found, *(p for p in (Path(folder) / inner).glob("*") if p.is_file())])


DatasetExampleGen = Component(
    dataset_example_gen, files=_files, places=("data_dir", "events", "items", "users")
)
