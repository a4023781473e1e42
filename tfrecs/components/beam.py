"""Runs one function over many parts of the data by Apache Beam; the only file that imports it.

Without options Beam's DirectRunner runs on this machine, with as many processes as processors, or
in this process where the data are few. On a cluster the folders of artifacts and sources must be on
a file system that all workers see:

    --runner=DataflowRunner --project=P --region=R --temp_location=gs://B/tmp \\
        --sdk_container_image=IMAGE      an image with tfrecs; buckets mounted by gcsfuse
    --runner=FlinkRunner --flink_master=HOST:8081 --environment_type=LOOPBACK
    --runner=SparkRunner --spark_master_url=spark://HOST:7077
"""

import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tfrecs.files import written_aside

_Result = TypeVar("_Result")


def drive(
    work: Callable[[Any], _Result],
    parts: Sequence[Any],
    options: Sequence[str],
    scratch: str | Path,
    workers: int = 1,
) -> list[_Result]:
    """Returns `work(part)` for every part, in their order.

    Args:
        work: The function; it and its results can be pickled.
        parts: What it is given.
        options: Options of the pipeline, as on a command line.
        scratch: Folder that all workers see, for the results.
        workers: Processes of the DirectRunner; 1 runs in this process. Defaults to 1.

    Raises:
        ImportError: apache-beam is not installed.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        remedy = "runner='beam' needs apache-beam: pip install 'tfrecs[pipelines]'"
        raise ImportError(remedy) from error
    if not any(option.startswith("--runner") for option in options):
        mode = "multi_processing" if workers > 1 else "in_memory"
        direct = [f"--direct_num_workers={workers}", f"--direct_running_mode={mode}"]
        options = [*direct, *options]
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".beam-") as folder:
        kept = _kept(pickle.dumps(work), folder)
        with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
            transforms: Any = beam  # its constructors are not typed
            numbered = pipeline | transforms.Create(list(enumerate(parts)))
            # without the shuffle one worker would be given all parts
            numbered | transforms.Reshuffle() | transforms.Map(kept)
        return [
            pickle.loads((Path(folder) / f"{number}.pickle").read_bytes())
            for number in range(len(parts))
        ]


def _kept(work: bytes, folder: str) -> Callable[[tuple[int, Any]], None]:
    """Returns a function whose results are kept in files, since a pipeline returns none.

    It is pickled by value, and imports one module before all others: threads of a worker that
    unpickle what different modules hold would import TensorFlow from two ends at once.
    """

    def call(numbered: tuple[int, Any]) -> None:
        from tfrecs.components import beam

        beam.keep(work, folder, *numbered)

    return call


def keep(work: bytes, folder: str, number: int, part: Any) -> None:
    """Calls a pickled function with a part, and writes its result."""
    with written_aside(Path(folder) / f"{number}.pickle") as aside:
        aside.write_bytes(pickle.dumps(pickle.loads(work)(part)))
