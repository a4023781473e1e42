"""Features, model and index into versioned SavedModels that TensorFlow Serving takes as they are.

`<directory>/<name>/<version>/` searches with ScaNN's operations, and its twin
`<directory>/<name>_stock/<version>/` exactly, with TensorFlow's own; when the index needs no ScaNN
the twin alone is written. Batch sizes and lengths of lists are free:

| signature | inputs | outputs |
| --- | --- | --- |
| `serving_default` | query features | ids, `score` and display columns, `(B, k)` |
| `recommend` | also `k`, int32; `exclude`, ids `(B, E)` padded with "" or -1 | the same |
| `encode_query` | query features | `embedding`, `(B, D)` |
| `encode_candidate` | candidate features | `embedding`, `(B, D)` |
| `score` | query and candidate features, a pair a row | `score`, `(B,)` |
| `rank` | query features; candidate features with one more axis, `(B, C)` | ids, `score` |
| `advance` | of GRU4Rec: an item just met, `state_0` ... before it | also the states after it |

Inputs are the raw features that the model reads, named by their columns; a missing value is "", -1
or NaN. A signature has no optional inputs, so `serving_default` has its `k` built in and takes
nothing to exclude; as all its inputs have a batch axis, TensorFlow Serving may batch it. All but
`rank`, `advance` and `serving_default` also come as `<signature>_examples`: serialized tf.Examples,
`examples` `(B,)`, take the place of the features. A slot with nothing to fill it has score -inf
and the missing id. A `k` below 1 or above the number of candidates is an error.

`export_ranker` writes a Ranker, which needs no index, with `serving_default` and `score` (raw rows
to `score` `(B,)`, and `probability` where scores are logits), `score_examples` and `rank`.

`export_two_stage` writes a retriever, its index and a ranker as one, `export_compiled` a retriever
from encoded features to the best candidates as one XLA program, `export_feed` a feed by tags with
its candidates, ranker and reasons, `export_skills` what finds skills in texts; `prove` asks any
SavedModel.

Beside the SavedModel's own files: card.json and card.md, schema.pbtxt (tensorflow-metadata) and
assets.extra/tf_serving_warmup_requests. A version appears by a rename, after it has answered like
the model in a fresh process through TensorFlow's C API, the session that TensorFlow Serving runs.
"""

from tfrecs.export.compiled import export_compiled as export_compiled
from tfrecs.export.feed import export_feed as export_feed
from tfrecs.export.proof import Proof as Proof
from tfrecs.export.proof import prove as prove
from tfrecs.export.publish import Export as Export
from tfrecs.export.publish import export as export
from tfrecs.export.ranker import export_ranker as export_ranker
from tfrecs.export.skills import export_skills as export_skills
from tfrecs.export.two_stage import export_two_stage as export_two_stage
from tfrecs.export.two_stage_graph import Stage as Stage
