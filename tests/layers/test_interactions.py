import numpy as np

from tfrecs.layers import inner_products, outer_product, pairwise_sum

FIELDS = np.random.default_rng(0).normal(size=(3, 5, 4))


def test_the_linear_time_sum_is_the_sum_over_pairs():
    products = np.einsum("bfd,bgd->bfg", FIELDS, FIELDS)
    expected = np.triu(products, 1).sum(axis=(1, 2))
    np.testing.assert_allclose(pairwise_sum(FIELDS), expected)
    np.testing.assert_allclose(np.sum(inner_products(FIELDS), axis=1), expected)


def test_inner_products_go_through_the_pairs_row_by_row():
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    expected = [[np.dot(row[i], row[j]) for i, j in pairs] for row in FIELDS]
    np.testing.assert_allclose(inner_products(FIELDS), expected)


def test_the_outer_product_is_the_sum_of_those_of_all_pairs():
    expected = np.einsum("bfd,bge->bde", FIELDS, FIELDS).reshape(3, 16)
    np.testing.assert_allclose(outer_product(FIELDS), expected)
