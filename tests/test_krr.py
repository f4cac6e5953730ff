"""Kernel ridge regression equals what is known of it, and every failed solve is diagnosed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

import oracles
from datastill import krr
from datastill._errors import SolveError
from datastill.kernels import RBF, FullyConnected, Linear

KERNEL = FullyConnected(1)


@pytest.fixture
def rows(rng):
    """Support and targets: x_s (5, 3), y_s (5, 2), x_t (8, 3), y_t (8, 2)."""
    return tuple(rng.standard_normal(shape) for shape in ((5, 3), (5, 2), (8, 3), (8, 2)))


def test_linear_kernel_is_ridge_regression(rows):
    x_s, y_s, x_t, _ = rows
    kernel, reg = Linear(bias=0.0), 0.3
    predicted = krr.predict(kernel, x_t, x_s, krr.fit(kernel, x_s, y_s, reg))
    penalty = reg * np.trace(x_s @ x_s.T) / len(x_s)  # k is x·x'/d, and reg a fraction of its mean diagonal
    np.testing.assert_allclose(predicted, Ridge(penalty, fit_intercept=False).fit(x_s, y_s).predict(x_t), rtol=1e-10)


@pytest.mark.parametrize("kernel", [Linear(), RBF(1.0), KERNEL], ids=repr)
def test_equals_kernel_ridge_on_the_same_block(kernel, rows):
    x_s, y_s, x_t, _ = rows
    k_ss, k_ts = np.asarray(kernel(x_s)), np.asarray(kernel(x_t, x_s))
    theirs = KernelRidge(alpha=0.1 * np.trace(k_ss) / len(k_ss), kernel="precomputed").fit(k_ss, y_s)
    np.testing.assert_allclose(
        krr.predict(kernel, x_t, x_s, krr.fit(kernel, x_s, y_s, 0.1)), theirs.predict(k_ts), rtol=1e-10
    )


def test_predictions_equal_the_slow_twin_in_any_batches(rows):
    x_s, y_s, x_t, _ = rows
    alpha = krr.fit(KERNEL, x_s, y_s, 1e-3)
    expected = oracles.predict(np.asarray(KERNEL(x_s)), np.asarray(KERNEL(x_t, x_s)), y_s, 1e-3)
    for batch in (3, 8):
        np.testing.assert_allclose(krr.predict(KERNEL, x_t, x_s, alpha, batch), expected, rtol=1e-9)
    assert krr.predict(KERNEL, x_t[:0], x_s, alpha).shape == (0, 2)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_loss_equals_the_slow_twin(dtype, tolerance, rows):
    x_s, y_s, x_t, y_t = (a.astype(dtype) for a in rows)
    with krr.float64(True):
        ours = float(jax.jit(lambda *a: krr.loss(KERNEL, *a, 1e-2))(*map(jnp.asarray, (x_s, y_s, x_t, y_t))))
    k_ss, k_ts = (np.asarray(KERNEL(a.astype(np.float64), x_s.astype(np.float64))) for a in (x_s, x_t))
    assert ours == pytest.approx(oracles.loss(k_ss, k_ts, y_s, y_t, 1e-2), rel=tolerance)


def test_gradient_of_the_loss_is_its_slope(rows):
    x_s, y_s, x_t, y_t = rows
    with krr.float64(True):
        slopes = jax.jit(jax.grad(lambda *a: krr.loss(KERNEL, *a, 1e-2), (0, 1)))
        by_x, by_y = slopes(*map(jnp.asarray, rows))

    def slow(x, y):
        return oracles.loss(oracles.dense(x, x)[1], oracles.dense(x_t, x)[1], y, y_t, 1e-2)

    assert oracles.relative(by_x, oracles.difference(lambda x: slow(x, y_s), x_s)) < 1e-6
    assert oracles.relative(by_y, oracles.difference(lambda y: slow(x_s, y), y_s)) < 1e-6


def test_gradient_reaches_float32_examples_finite_even_if_two_are_the_same(rows):
    x_s, y_s, x_t, y_t = (jnp.asarray(a.astype(np.float32)) for a in rows)
    x_s = x_s.at[1].set(x_s[0])
    with krr.float64(True):
        slope = jax.jit(jax.grad(lambda x: krr.loss(KERNEL, x, y_s, x_t, y_t, 1e-3)))(x_s)
    assert slope.dtype == np.float32
    assert np.isfinite(slope).all()


def test_regularise_adds_a_fraction_of_the_mean_diagonal(rng):
    a = rng.standard_normal((4, 4))
    k_ss = (a @ a.T).astype(np.float32)
    np.testing.assert_allclose(krr.regularise(jnp.asarray(k_ss), 0.2), oracles.regularise(k_ss, 0.2), rtol=1e-6)


def test_solves_are_float64_although_jax_is_float32():
    # The Hilbert matrix of order 5 has condition number 5e5: float32 would leave two or three digits.
    hilbert = 1 / (np.arange(5)[:, None] + np.arange(5) + 1)
    truth = np.ones((5, 1))
    assert not jax.config.jax_enable_x64
    np.testing.assert_allclose(krr.solve(hilbert, hilbert @ truth, 0.0).alpha, truth, rtol=1e-9)
    with krr.float64(True):
        solved = jax.jit(krr.cholesky_solve)(jnp.asarray(hilbert), jnp.asarray(hilbert @ truth))
    assert solved.dtype == np.float64
    np.testing.assert_allclose(solved, truth, rtol=1e-9)


def test_the_derivative_of_a_solve_is_that_through_the_factor(rng):
    square, b, g = rng.normal(size=(6, 6)), rng.normal(size=(6, 2)), rng.normal(size=(6, 2))

    def through_the_factor(a, b):
        root = jnp.linalg.cholesky(a)
        half = jax.scipy.linalg.solve_triangular(root, b, lower=True)
        return jax.scipy.linalg.solve_triangular(root.T, half)

    with krr.float64(True):
        found, expected = (
            jax.grad(lambda z, b, f=f: jnp.sum(g * f(z @ z.T + jnp.eye(6), b) ** 2), argnums=(0, 1))(
                jnp.asarray(square), jnp.asarray(b)
            )
            for f in (krr.cholesky_solve, through_the_factor)
        )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_solve_with_an_indefinite_matrix_is_nan_and_so_is_its_derivative():
    with krr.float64(True):
        value, slope = jax.value_and_grad(lambda a: krr.cholesky_solve(a, jnp.ones((2, 1))).sum())(-jnp.eye(2))
    assert np.isnan(value) and np.isnan(slope).all()


def test_support_block_is_float64_from_float32_rows(rng):
    x = (1 + 1e-3 * rng.standard_normal((3, 4))).astype(np.float32)
    with krr.float64(True):
        block = jax.jit(lambda a: krr.support_block(KERNEL, a, 0.0))(jnp.asarray(x))
    assert block.dtype == np.float64
    assert oracles.relative(block, oracles.dense(x, x)[1]) < 1e-7


@given(seed=st.integers(0, 10**6), reg=st.floats(1e-9, 1.0))
def test_a_solution_solves_the_system(seed, reg):
    a, b = (np.random.default_rng(seed).standard_normal(shape) for shape in ((4, 4), (4, 2)))
    k_ss = a @ a.T
    found = krr.solve(k_ss, b, reg)
    assert found.outcome is krr.Outcome.SUCCESS
    system = oracles.regularise(k_ss, reg)
    np.testing.assert_allclose(system @ found.unwrap(), b, atol=1e-14 * np.linalg.cond(system) * np.abs(b).max())
    assert found.condition <= np.linalg.cond(system) * (1 + 1e-9)  # the squared ratio of pivots bounds it from below


def diagnosed(k_ss, reg):
    found = krr.solve(k_ss, np.eye(len(k_ss)), reg)
    with pytest.raises(SolveError) as caught:
        found.unwrap()
    message = str(caught.value)
    assert np.isnan(found.alpha).all()
    assert found.outcome.value in message
    assert "\n" not in message
    return found, message


def test_non_finite_kernels_are_diagnosed():
    found, message = diagnosed(np.array([[1.0, np.nan], [np.nan, 1.0]]), 1e-6)
    assert found.outcome is krr.Outcome.NON_FINITE
    assert "try reg" not in message


def test_repeated_rows_are_diagnosed_and_the_advice_works(rows):
    x_s = np.concatenate([rows[0], rows[0][:1]])
    found, message = diagnosed(KERNEL(x_s), 0.0)
    assert found.outcome is krr.Outcome.REPEATED_ROWS
    advised = float(message.rsplit("reg=", 1)[1].rstrip("."))
    assert advised == pytest.approx(found.reg_to_try, rel=0.5)
    assert krr.solve(KERNEL(x_s), np.eye(6), advised).outcome is krr.Outcome.SUCCESS


def test_ill_conditioning_is_diagnosed_and_the_advice_works():
    x = np.linspace(-1, 1, 30)[:, None]
    k_ss = np.asarray(RBF(0.9)(3 * x))
    found, message = diagnosed(k_ss, 0.0)
    assert found.outcome is krr.Outcome.ILL_CONDITIONED
    advised = float(message.rsplit("reg=", 1)[1].rstrip("."))
    assert krr.solve(k_ss, np.eye(30), advised).outcome is krr.Outcome.SUCCESS
    assert np.linalg.cond(oracles.regularise(k_ss, found.reg_to_try)) == pytest.approx(1e12, rel=0.1)


def test_a_kernel_of_zeros_has_no_advice():
    found, message = diagnosed(np.zeros((2, 2)), 1e-6)
    assert found.outcome is krr.Outcome.ILL_CONDITIONED
    assert "try reg" not in message
