"""tfrecs: recommenders for Keras 3, from raw tables to a SavedModel that answers.

Importing it imports every model, loss, metric, layer and optimizer, so that
`keras.models.load_model` finds them.
"""

from tfrecs import baselines as baselines
from tfrecs import datasets as datasets
from tfrecs import evaluation as evaluation
from tfrecs import export as export
from tfrecs import features as features
from tfrecs import layers as layers
from tfrecs import losses as losses
from tfrecs import metrics as metrics
from tfrecs import models as models
from tfrecs import optimizers as optimizers
from tfrecs import retrieval as retrieval
from tfrecs import scoring as scoring
from tfrecs.datasets import Tables as Tables
from tfrecs.features import FeatureTransform as FeatureTransform
from tfrecs.spec import Attributes as Attributes
from tfrecs.spec import Categorical as Categorical
from tfrecs.spec import Cross as Cross
from tfrecs.spec import FeatureSpec as FeatureSpec
from tfrecs.spec import MultiCategorical as MultiCategorical
from tfrecs.spec import Numeric as Numeric
from tfrecs.spec import Sequence as Sequence
from tfrecs.spec import Text as Text
from tfrecs.spec import Timestamp as Timestamp
from tfrecs.spec import Vector as Vector

__version__ = "0.1.0"
