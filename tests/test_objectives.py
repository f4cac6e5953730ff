"""The KIP losses equal their definitions however they are tiled, and so do their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracles
from datastill import krr
from datastill.distill.objectives import Penalties, data_loss, eliminated_loss, label_loss, normal_equations
from datastill.gram.tiled import WORKING_ARRAYS
from datastill.kernels import RBF, FullyConnected

KERNEL = FullyConnected(1)
PENALTIES = Penalties(1e-3, 1e-2)
S, T = 4, 9
TILES = [1, WORKING_ARRAYS * S * 8 * 2, WORKING_ARRAYS * S * 8 * 3, 2**20]  # 1, 2, 3 and all of 9 float64 rows
SLOW = {KERNEL: lambda a, b: oracles.dense(a, b)[1], RBF(1.5): lambda a, b: oracles.rbf(a, b, 1.5)}
tilings = pytest.mark.parametrize("memory", TILES)
kernels = pytest.mark.parametrize("kernel", SLOW, ids=["fc1", "rbf"])


@pytest.fixture(scope="module")
def rows():
    """x_s, y_s, x_t, y_t in float64."""
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal(shape) for shape in ((S, 3), (S, 2), (T, 3), (T, 2)))


def run(function, *arrays):
    """The function, compiled, with float64 solves."""
    with krr.float64(True):
        return jax.tree.map(np.asarray, jax.jit(function)(*map(jnp.asarray, arrays)))


def slow_minimum(kernel, x_s, x_t, y_t, penalties=PENALTIES):
    """The eliminated loss by definition."""
    slow = SLOW[kernel]
    return oracles.eliminated_minimum(slow(x_s, x_s), slow(x_t, x_s), y_t, penalties.reg, penalties.ridge)


@pytest.fixture(scope="module")
def untiled(rows):
    """The KRR loss and its gradients in examples and labels."""
    return run(jax.value_and_grad(lambda *a: krr.loss(KERNEL, *a, PENALTIES.reg), (0, 1)), *rows)


@tilings
def test_label_loss_equals_the_krr_loss(memory, rows, untiled):
    ours = run(jax.value_and_grad(lambda *a: label_loss(KERNEL, *a, PENALTIES, memory), (0, 1)), *rows)
    for mine, theirs in zip(jax.tree.leaves(ours), jax.tree.leaves(untiled), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@tilings
def test_eliminated_loss_equals_the_minimum(memory, rows):
    x_s, _, x_t, y_t = rows
    ours, alpha = run(lambda *a: eliminated_loss(KERNEL, *a, PENALTIES, memory), x_s, x_t, y_t)
    least, best = slow_minimum(KERNEL, x_s, x_t, y_t)
    assert ours == pytest.approx(least, rel=1e-10)
    np.testing.assert_allclose(alpha, best, rtol=1e-8, atol=1e-10)


def test_one_tile_meets_its_targets_once(rows):
    x_s, _, x_t, y_t = rows
    met = []

    class Watched(RBF):
        def block(self, x1, x2):
            met.append((len(x1), len(x2)))
            return super().block(x1, x2)

    run(jax.grad(lambda *a: eliminated_loss(Watched(1.5), *a, PENALTIES, 2**20)[0]), x_s, x_t, y_t)
    assert met == [(S, S), (T, S)]


@kernels
@pytest.mark.parametrize("memory", [TILES[0], TILES[-1]])
def test_gradient_of_the_eliminated_loss_is_that_of_the_minimum(kernel, memory, rows):
    x_s, _, x_t, y_t = rows
    slope = run(jax.grad(lambda *a: eliminated_loss(kernel, *a, PENALTIES, memory)[0]), x_s, x_t, y_t)
    expected = oracles.difference(lambda x: slow_minimum(kernel, x, x_t, y_t)[0], x_s)
    assert oracles.relative(slope, expected) < 1e-7


def test_no_labels_do_better_than_the_eliminated_ones(rows, rng):
    x_s, _, x_t, y_t = rows
    least, best = slow_minimum(KERNEL, x_s, x_t, y_t, Penalties(1e-3, 0.0))
    free = run(lambda *a: eliminated_loss(KERNEL, *a, Penalties(1e-3, 0.0), 2**20)[0], x_s, x_t, y_t)
    assert free == pytest.approx(least, rel=1e-8)
    k_ss, k_ts = SLOW[KERNEL](x_s, x_s), SLOW[KERNEL](x_t, x_s)
    for _ in range(5):
        y_s = oracles.regularise(k_ss, 1e-3) @ best + 0.1 * rng.standard_normal((S, 2))
        assert oracles.loss(k_ss, k_ts, y_s, y_t, 1e-3) > free


def test_float32_rows_keep_float32_accuracy(rows):
    x_s, _, x_t, y_t = (a.astype(np.float32) for a in rows)
    exact = [np.asarray(a, np.float64) for a in (x_s, x_t, y_t)]
    loss, alpha = run(lambda *a: eliminated_loss(KERNEL, *a, PENALTIES, 400), x_s, x_t, y_t)
    slope = run(jax.grad(lambda *a: eliminated_loss(KERNEL, *a, PENALTIES, 400)[0]), x_s, x_t, y_t)
    assert loss == pytest.approx(slow_minimum(KERNEL, *exact)[0], rel=1e-5)
    assert alpha.dtype == np.float64
    assert slope.dtype == np.float32
    expected = oracles.difference(lambda x: slow_minimum(KERNEL, x, *exact[1:])[0], exact[0])
    assert oracles.relative(slope, expected) < 1e-4


@tilings
@pytest.mark.parametrize("weighted", [False, True])
def test_normal_equations_are_sums_over_targets(memory, weighted, rows, rng):
    x_s, _, x_t, y_t = rows
    weights = rng.random(T) if weighted else np.ones(T)
    root = jnp.asarray(np.sqrt(weights)[:, None].astype(np.float32)) if weighted else None
    gram, moment = run(lambda *a: normal_equations(KERNEL, *a, memory, root), x_s, x_t, y_t)
    k_ts = oracles.dense(x_t, x_s)[1]
    tolerance = 1e-6 if weighted else 1e-12  # the roots come in float32
    assert oracles.relative(gram, k_ts.T @ (weights[:, None] * k_ts)) < tolerance
    assert oracles.relative(moment, k_ts.T @ (weights[:, None] * y_t)) < tolerance
    assert gram.dtype == moment.dtype == np.float64


@tilings
def test_data_loss_of_given_coefficients(memory, rows):
    x_s, alpha, x_t, y_t = rows
    expected = 0.5 * np.mean(np.sum((oracles.dense(x_t, x_s)[1] @ alpha - y_t) ** 2, axis=1))
    assert run(lambda *a: data_loss(KERNEL, *a, memory), x_s, alpha, x_t, y_t) == pytest.approx(expected, rel=1e-12)
