import json

import numpy as np
import pytest

from tfrecs.datasets import fashion_products
from tfrecs.features import FeatureTransform


def product(number, **changes):
    fields = dict.fromkeys(
        ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage"),
        "NA",
    )
    told = {"id": number, "productDisplayName": f"Shoe {number}", "brandName": "Acme", "price": 5}
    return told | fields | {"articleAttributes": {"Fit": "Slim", "Fabric 2": "NA"}} | changes


def write(folder, products=None, **arrays):
    products = [product(2), product(1)] if products is None else products
    (folder / "attributes.jsonl").write_text("\n".join(json.dumps(one) for one in products))
    given = {
        "ids": np.int32([1, 2]),
        "vectors": np.float32([[1, 0, 2], [0, 1, 3]]),
        "thumbnails": np.full((2, 80, 60, 3), 9, np.uint8),
    }
    np.savez(folder / "images.npz", **{k: v for k, v in (given | arrays).items() if v is not None})
    return folder


def test_products_are_in_the_order_of_their_images(tmp_path):
    found = fashion_products(write(tmp_path))
    assert found.items["item_id"].to_pylist() == [1, 2]
    assert found.items["title"].to_pylist() == ["Shoe 1", "Shoe 2"]
    assert found.items["colour"].to_pylist() == [None, None]
    assert found.items["attributes"][0].as_py() == [("Fit", "Slim"), ("Fabric 2", None)]
    assert found.items["vector"].to_pylist() == [[1, 0, 2], [0, 1, 3]]
    assert found.thumbnails.shape == (2, 80, 60, 3)
    transform = FeatureTransform(found.spec).adapt(found.items)
    encoded = transform.encode(found.items)
    assert encoded["attributes_keys"].tolist() == [[2], [2]]  # NA is missing
    assert encoded["vector"].shape == (2, 3)


@pytest.mark.parametrize(
    "products, arrays, message",
    [
        ([product(1), product(1)], {}, r"attributes.jsonl, line 2 repeats 1"),
        ([product(1), {"id": 2}], {}, r"attributes.jsonl, line 2 lacks \['articleAttributes'"),
        ([product(1)], {}, r"must hold the 2 products of .*images.npz. It lacks 2"),
        ([product(1), product(2), product(3)], {}, "It has 3 products"),
        (None, {"vectors": None}, r"images.npz must hold ids, vectors and thumbnails"),
        (None, {"vectors": np.zeros((3, 2), np.float32)}, r"vectors \(N, E\).*\(3, 2\)"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, products, arrays, message):
    with pytest.raises(ValueError, match=message):
        fashion_products(write(tmp_path, products, **arrays))


def test_damaged_and_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no images.npz of Fashion Product Images"):
        fashion_products(tmp_path)
    write(tmp_path)
    (tmp_path / "attributes.jsonl").write_text("{\n")
    with pytest.raises(ValueError, match=r"attributes.jsonl, line 1 is no JSON object"):
        fashion_products(tmp_path)
    (tmp_path / "images.npz").write_bytes((tmp_path / "images.npz").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"images.npz must hold ids"):
        fashion_products(tmp_path)


def test_the_real_data_are_whole(tfrecs_data):
    found = fashion_products(tfrecs_data)
    assert found.items.num_rows == len(found.thumbnails) == 100
    vectors = np.array(found.items["vector"].to_pylist())
    halves = np.linalg.norm(vectors.reshape(100, 2, 1024), axis=2)
    np.testing.assert_allclose(halves, 1, atol=1e-3)  # two unit halves, as its owner says
    assert sum(map(len, found.items["attributes"].to_pylist())) == 414
