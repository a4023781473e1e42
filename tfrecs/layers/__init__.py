"""Blocks shared by the models."""

from tfrecs.layers.embedding import IdEmbedding as IdEmbedding
from tfrecs.layers.embedding import ReservedZeros as ReservedZeros
from tfrecs.layers.embedding import id_embedding as id_embedding
from tfrecs.layers.negatives import large_negative as large_negative
from tfrecs.layers.negatives import mask_accidental_hits as mask_accidental_hits
from tfrecs.layers.negatives import sample_uniform as sample_uniform
