"""Components with TFX's names and semantics, and what runs them: see docs/pipelines.md."""

from tfrecs.components import artifacts as artifacts
from tfrecs.components.bulk_inferrer import BulkInferrer as BulkInferrer
from tfrecs.components.component import Component as Component
from tfrecs.components.component import LatestBlessed as LatestBlessed
from tfrecs.components.component import Node as Node
from tfrecs.components.component import Output as Output
from tfrecs.components.component import Resources as Resources
from tfrecs.components.dataset_example_gen import DatasetExampleGen as DatasetExampleGen
from tfrecs.components.evaluator import Evaluator as Evaluator
from tfrecs.components.example_gen import ExampleGen as ExampleGen
from tfrecs.components.example_validator import ExampleValidator as ExampleValidator
from tfrecs.components.index_builder import IndexBuilder as IndexBuilder
from tfrecs.components.infra_validator import InfraValidator as InfraValidator
from tfrecs.components.pipeline import Pipeline as Pipeline
from tfrecs.components.pusher import Pusher as Pusher
from tfrecs.components.schema_gen import SchemaGen as SchemaGen
from tfrecs.components.statistics_gen import StatisticsGen as StatisticsGen
from tfrecs.components.trainer import Trainer as Trainer
from tfrecs.components.transform import Transform as Transform
from tfrecs.components.tuner import Tuner as Tuner
