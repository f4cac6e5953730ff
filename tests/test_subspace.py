"""Learning in a span of principal components approximates nothing but the support."""

import jax.numpy as jnp
import numpy as np
import pytest

from datastill.distill.subspace import Subspace
from datastill.kernels import RBF, FullyConnected, Linear


@pytest.fixture(scope="module")
def x():
    draw = np.random.default_rng(0)
    return (draw.standard_normal((30, 3)) @ draw.standard_normal((3, 8)) + 0.1 * draw.standard_normal((30, 8))).astype(
        np.float32
    )


def test_basis_is_orthonormal_and_principal(x):
    basis = Subspace.fit(x, 3, 0).basis
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-5)
    exact = np.linalg.svd(x, full_matrices=False)[2][:3].T
    np.testing.assert_allclose(basis @ basis.T, exact @ exact.T, atol=1e-3)


@pytest.mark.parametrize("kernel", [FullyConnected(2), RBF(2.0), Linear()], ids=["fc2", "rbf", "linear"])
def test_blocks_in_the_subspace_are_those_outside(kernel, x):
    subspace = Subspace.fit(x, 3, 0)
    coordinates = subspace.coordinates(x[:5])
    rows = np.asarray(subspace.rows(coordinates))
    inside = kernel.embedded(8, 4)
    support, targets = np.asarray(subspace.support(jnp.asarray(coordinates))), subspace.targets(x)
    np.testing.assert_allclose(inside(targets, support), kernel(x, rows), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(inside(support), kernel(rows), rtol=1e-4, atol=1e-5)


def test_norms_of_targets_are_kept(x):
    subspace = Subspace.fit(x, 2, 0)
    inside = subspace.targets(x)
    assert inside.dtype == np.float32
    np.testing.assert_allclose(np.sum(inside**2, axis=1) / 3, np.sum(x**2, axis=1) / 8, rtol=1e-5)


def test_rows_of_the_span_come_back(x):
    subspace = Subspace.fit(x, 3, 0)
    rows = np.asarray(subspace.rows(subspace.coordinates(x)))
    np.testing.assert_allclose(subspace.rows(subspace.coordinates(rows)), rows, atol=1e-5)
    residual = x - rows
    np.testing.assert_allclose(residual @ subspace.basis, 0, atol=1e-5)  # what is lost is orthogonal to the span


def test_all_components_lose_nothing(x):
    subspace = Subspace.fit(x, 8, 0)
    np.testing.assert_allclose(subspace.rows(subspace.coordinates(x)), x, atol=1e-5)
    # A length from the difference of two squares known to a few ulp of float32.
    norms = np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(subspace.targets(x)[:, -1] / norms, 0, atol=(8 * np.finfo(np.float32).eps) ** 0.5)


def test_images_keep_their_shape(x):
    images = x.reshape(30, 2, 2, 2)
    subspace = Subspace.fit(images, 3, 0)
    assert subspace.rows(subspace.coordinates(images[:4])).shape == (4, 2, 2, 2)
    np.testing.assert_array_equal(subspace.targets(images), Subspace.fit(x, 3, 0).targets(x))
