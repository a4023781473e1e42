"""100 products of Fashion Product Images: attributes, thumbnails and vectors; no interactions.

The catalogue of https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-dataset
(Aggarwal 2019), as kept in https://github.com/megh21/product-match-server, which states no licence.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tfrecs.datasets.readers import find_file, read_bytes
from tfrecs.spec import Attributes, Categorical, FeatureSpec, Numeric, Text, Vector

_FOLDERS = ("fashion-products-100",)
_NAME = "Fashion Product Images"
_CATEGORIES = {  # of ours, by the name in the file
    "gender": "gender",
    "masterCategory": "category",
    "subCategory": "subcategory",
    "articleType": "kind",
    "baseColour": "colour",
    "season": "season",
    "usage": "usage",
    "brandName": "brand",
}


@dataclass(frozen=True)
class Products:
    """Products that nobody has met yet.

    Args:
        items: One row a product: `item_id` int64, `title`, `price`, eight categories (`brand`,
            `colour`, ...), `attributes` as pairs of the owner's names and values in their order,
            and `vector`, of text and image together.
        thumbnails: uint8 `(N, 80, 60, 3)`, red, green and blue, in the order of `items`.
        spec: The features of `items`.
    """

    items: pa.Table
    thumbnails: np.ndarray
    spec: FeatureSpec


def fashion_products(data_dir: str | Path) -> Products:
    """Reads products with their attributes, thumbnails and vectors.

    Args:
        data_dir: Folder with `attributes.jsonl`, also as `.gz`, and `images.npz`, or a folder
            `fashion-products-100` in it.

    Returns:
        The products, in the order of `images.npz`. A value that says "NA" is missing.

    Raises:
        FileNotFoundError: A file is not in the folder.
        ValueError: A file is damaged, lacks something or repeats a product; the message names the
            file and the line.
    """
    path = find_file(data_dir, _FOLDERS, "images.npz", _NAME)
    ids, vectors, thumbnails = _images(path)
    listing = find_file(data_dir, _FOLDERS, "attributes.jsonl", _NAME)
    products = _products(listing)
    lacking = [one for one in ids.tolist() if one not in products]
    if lacking or len(products) != len(ids):
        told = f"lacks {lacking[0]}" if lacking else f"has {len(products)} products"
        raise ValueError(f"{listing} must hold the {len(ids)} products of {path}. It {told}.")
    rows = [products[one] for one in ids.tolist()]
    columns: dict[str, Any] = {
        "item_id": pa.array(ids, pa.int64()),
        "title": [row["productDisplayName"] for row in rows],
        "price": pa.array([row["price"] for row in rows], pa.float32()),
    }
    for name, ours in _CATEGORIES.items():
        columns[ours] = pa.array([_known(row[name]) for row in rows], pa.string())
    pairs = [[(k, _known(v)) for k, v in row["articleAttributes"].items()] for row in rows]
    columns["attributes"] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
    flat = pa.array(vectors.ravel())
    columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    spec = FeatureSpec(
        (
            Categorical("item_id", "candidate", "int64", is_id=True),
            Text("title"),
            Numeric("price", "candidate", normalize="standard"),
            *(Categorical(ours, "candidate") for ours in _CATEGORIES.values()),
            Attributes("attributes"),
            Vector("vector", dim=vectors.shape[1]),
        )
    )
    return Products(pa.table(columns), thumbnails, spec)


def _known(value: str | None) -> str | None:
    return None if value in ("NA", "", None) else value


def _images(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            ids, vectors, pictures = (arrays[n] for n in ("ids", "vectors", "thumbnails"))
    except (ValueError, OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} must hold ids, vectors and thumbnails: {error}") from error
    shapes = (ids.ndim, vectors.ndim, pictures.shape[1:])
    if shapes != (1, 2, (80, 60, 3)) or len({len(ids), len(vectors), len(pictures)}) > 1:
        told = f"{ids.shape}, {vectors.shape} and {pictures.shape}"
        raise ValueError(
            f"{path} must hold ids (N,), vectors (N, E), thumbnails (N, 80, 60, 3). "
            f"Received: {told}."
        )
    return ids, vectors.astype(np.float32), pictures


def _products(path: Path) -> dict[int, dict[str, Any]]:
    """Reads one product a line, by its id."""
    wanted = {"id", "productDisplayName", "price", "articleAttributes", *_CATEGORIES}
    products: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(read_bytes(path).splitlines(), 1):
        try:
            product = json.loads(line)
            lacking = wanted - set(product)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {number} is no JSON object: {error}.") from error
        if lacking or product["id"] in products:
            told = f"lacks {sorted(lacking)}" if lacking else f"repeats {product['id']}"
            raise ValueError(f"{path}, line {number} {told}.")
        products[product["id"]] = product
    return products
