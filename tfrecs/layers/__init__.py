"""Blocks shared by the models."""

from tfrecs.layers.batch import column as column
from tfrecs.layers.embedding import IdEmbedding as IdEmbedding
from tfrecs.layers.embedding import ReservedZeros as ReservedZeros
from tfrecs.layers.embedding import id_embedding as id_embedding
from tfrecs.layers.embedding_bag import EmbeddingBag as EmbeddingBag
from tfrecs.layers.embedding_bag import FieldRows as FieldRows
from tfrecs.layers.fold_in import fold_in as fold_in
from tfrecs.layers.history import history_vectors as history_vectors
from tfrecs.layers.interactions import inner_products as inner_products
from tfrecs.layers.interactions import outer_product as outer_product
from tfrecs.layers.interactions import pairwise_sum as pairwise_sum
from tfrecs.layers.least_squares import gramian_root as gramian_root
from tfrecs.layers.least_squares import group_rows as group_rows
from tfrecs.layers.least_squares import row_l2 as row_l2
from tfrecs.layers.least_squares import solve_half as solve_half
from tfrecs.layers.mlp import MLP as MLP
from tfrecs.layers.negatives import large_negative as large_negative
from tfrecs.layers.negatives import mask_accidental_hits as mask_accidental_hits
from tfrecs.layers.negatives import mask_scores as mask_scores
from tfrecs.layers.negatives import sample_uniform as sample_uniform
from tfrecs.layers.product_units import squared_relu as squared_relu
from tfrecs.layers.product_units import start_as_products as start_as_products
from tfrecs.layers.sampling import CountMinSketch as CountMinSketch
from tfrecs.layers.sampling import PopularitySampler as PopularitySampler
from tfrecs.layers.singular_vectors import singular_vectors as singular_vectors
