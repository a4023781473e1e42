"""From raw rows to model tensors: input pipelines, and the one feature layer of all stages."""

from tfrecs.features.content import ContentVectors as ContentVectors
from tfrecs.features.content import joined_texts as joined_texts
from tfrecs.features.impressions import ImpressionIds as ImpressionIds
from tfrecs.features.impressions import encode_impressions as encode_impressions
from tfrecs.features.impressions import from_histories as from_histories
from tfrecs.features.impressions import from_impressions as from_impressions
from tfrecs.features.impressions import token_counts as token_counts
from tfrecs.features.input import from_arrays as from_arrays
from tfrecs.features.input import from_arrow as from_arrow
from tfrecs.features.order import Epoch as Epoch
from tfrecs.features.parquet import from_parquet as from_parquet
from tfrecs.features.sampling import log_q as log_q
from tfrecs.features.sampling import with_known as with_known
from tfrecs.features.sequences import from_sequences as from_sequences
from tfrecs.features.sessions import from_sessions as from_sessions
from tfrecs.features.text import tokenize as tokenize
from tfrecs.features.tfrecord import from_tfrecord as from_tfrecord
from tfrecs.features.tfrecord import write_tfrecord as write_tfrecord
from tfrecs.features.transform import FeatureTransform as FeatureTransform
from tfrecs.features.vocabulary import HashBins as HashBins
from tfrecs.features.vocabulary import Vocabulary as Vocabulary
from tfrecs.features.word_vectors import WordVectors as WordVectors
from tfrecs.features.word_vectors import read_word_vectors as read_word_vectors
