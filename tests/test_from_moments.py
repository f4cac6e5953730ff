"""The loss from moments is the KRR loss on all rows, and so are its gradient and its minimum over labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracles
from datastill import krr
from datastill._errors import InputError
from datastill.distill import objectives
from datastill.distill.from_moments import check_support, eliminated_loss, feature_loss, label_loss, rank_within
from datastill.distill.objectives import Penalties
from datastill.features import RandomConv, RandomDense, RandomFourier
from datastill.features.base import drawn
from datastill.gram import kernel_of
from datastill.moments import Totals, moments_of
from datastill.preprocess.labels import ClassLabels

PENALTIES = Penalties(1e-3, 1e-2)
S, T = 4, 30
MAPS = {
    "fourier": (RandomFourier(20, length_scale=2.0), (3,)),
    "dense": (RandomDense(20, 2), (3,)),
    "ntk": (RandomDense(20, kind="ntk"), (3,)),
    "sum": (RandomFourier(8, length_scale=2.0) + 0.5 * RandomDense(8), (3,)),
    "conv": (RandomConv(4, 2), (4, 4, 2)),
}
any_map = pytest.mark.parametrize("name", MAPS)


@pytest.fixture
def problem(name):
    """A map, its weights, x_s, y_s, x_t, y_t and the moments of the targets, all in float64."""
    map, row = MAPS[name]
    rng = np.random.default_rng(0)
    x_s, x_t = rng.standard_normal((S, *row)), rng.standard_normal((T, *row))
    codes = np.arange(T) % 3
    y_s, y_t = rng.standard_normal((S, 3)), oracles.centred_one_hot(codes, 3)
    weights = jax.tree.map(np.asarray, drawn(map, row))
    sums = oracles.moments(features(map, weights, x_t), y_t)
    return map, weights, x_s, y_s, x_t, y_t, Totals(*map_arrays(sums)), codes


def map_arrays(values):
    return [np.asarray(value, np.float64) for value in values]


def features(map, weights, x):
    with krr.float64(True):
        return np.asarray(map.block(jax.tree.map(jnp.asarray, weights), jnp.asarray(x)))


def run(function, *arrays):
    """The function, compiled, with float64 solves."""
    with krr.float64(True):
        return jax.tree.map(np.asarray, jax.jit(function)(*jax.tree.map(jnp.asarray, arrays)))


@any_map
def test_loss_and_gradient_are_those_of_krr_on_all_rows(problem):
    map, weights, x_s, y_s, x_t, y_t, totals, _ = problem
    ours = run(
        jax.value_and_grad(lambda x, y, m, w: label_loss(map, w, x, y, m, PENALTIES), (0, 1)), x_s, y_s, totals, weights
    )
    direct = run(
        jax.value_and_grad(lambda x, y, *t: krr.loss(kernel_of(map), x, y, *t, PENALTIES.reg), (0, 1)),
        *(x_s, y_s, x_t, y_t),
    )
    for mine, theirs in zip(jax.tree.leaves(ours), jax.tree.leaves(direct), strict=True):
        assert oracles.relative(mine, theirs) < 1e-9
    slow = oracles.moments_loss(features(map, weights, x_s), y_s, *totals, PENALTIES.reg)
    assert ours[0] == pytest.approx(slow, rel=1e-9)


@any_map
def test_eliminated_loss_is_that_over_all_rows(problem):
    map, weights, x_s, _, x_t, y_t, totals, _ = problem
    value, alpha = run(lambda x, m, w: eliminated_loss(map, w, x, m, PENALTIES), x_s, totals, weights)
    phi_s, phi_t = features(map, weights, x_s), features(map, weights, x_t)
    least, best = oracles.eliminated_minimum(phi_s @ phi_s.T, phi_t @ phi_s.T, y_t, PENALTIES.reg, PENALTIES.ridge)
    assert value == pytest.approx(least, rel=1e-9)
    np.testing.assert_allclose(alpha, best, rtol=1e-6, atol=1e-9)
    ours = run(jax.grad(lambda x, m, w: eliminated_loss(map, w, x, m, PENALTIES)[0]), x_s, totals, weights)
    twin = run(
        jax.grad(lambda x, *t: objectives.eliminated_loss(kernel_of(map), x, *t, PENALTIES, 2**20)[0]), x_s, x_t, y_t
    )
    assert oracles.relative(ours, twin) < 1e-8


@any_map
def test_gradients_are_slopes(problem):
    map, weights, x_s, y_s, x_t, y_t, totals, _ = problem

    def given(x):
        return oracles.moments_loss(features(map, weights, x), y_s, *totals, PENALTIES.reg)

    def minimum(x):
        phi_s, phi_t = features(map, weights, x), features(map, weights, x_t)
        return oracles.eliminated_minimum(phi_s @ phi_s.T, phi_t @ phi_s.T, y_t, PENALTIES.reg, PENALTIES.ridge)[0]

    by_label = run(jax.grad(lambda x, y, m, w: label_loss(map, w, x, y, m, PENALTIES)), x_s, y_s, totals, weights)
    eliminated = run(jax.grad(lambda x, m, w: eliminated_loss(map, w, x, m, PENALTIES)[0]), x_s, totals, weights)
    for slope, f in ((by_label, given), (eliminated, minimum)):
        for seed in range(3):
            tilt = np.random.default_rng(seed).standard_normal(x_s.shape)
            along = oracles.difference(lambda t, f=f, tilt=tilt: f(x_s + t[0] * tilt), np.zeros(1), 1e-6)
            assert np.sum(slope * tilt) == pytest.approx(along[0], rel=1e-4, abs=1e-7)


@any_map
def test_float32_moments_of_a_pass_keep_float32_accuracy(problem):
    map, weights, x_s, y_s, x_t, y_t, _, codes = problem
    made = moments_of(map, [(x_t.astype(np.float32), codes)], ClassLabels(np.arange(3))).totals()
    direct = float(run(lambda *a: krr.loss(kernel_of(map), *a, PENALTIES.reg), x_s, y_s, x_t, y_t))
    low = [a.astype(np.float32) for a in (x_s, y_s)]
    for totals in (made, Totals(*(np.float32(a) for a in made))):
        value = run(lambda x, y, m, w: label_loss(map, w, x, y, m, PENALTIES), *low, totals, weights)
        assert value == pytest.approx(direct, rel=2e-4)
        value, alpha = run(lambda x, m, w: eliminated_loss(map, w, x, m, PENALTIES), low[0], totals, weights)
        assert np.isfinite(value)
        assert alpha.dtype == np.float64


@pytest.mark.parametrize("name", ["dense"])
def test_no_labels_do_better_than_the_eliminated_ones(problem, rng):
    map, weights, x_s, _, _, _, totals, _ = problem
    penalties = Penalties(1e-3, 0.0)
    least, alpha = run(lambda x, m, w: eliminated_loss(map, w, x, m, penalties), x_s, totals, weights)
    k_ss = oracles.regularise(features(map, weights, x_s) @ features(map, weights, x_s).T, 1e-3)
    for scale in (0, 0.1, 0.1, 0.1):
        y_s = k_ss @ (alpha + scale * rng.standard_normal(alpha.shape))
        value = run(lambda x, y, m, w: label_loss(map, w, x, y, m, penalties), x_s, y_s, totals, weights)
        assert value >= least - 1e-12
        assert scale or value == pytest.approx(least, rel=1e-8)


@pytest.mark.parametrize("name", ["dense"])
def test_the_best_weights_are_those_of_full_ridge(problem):
    """What all rows can do with these features: least squares, solved and diagnosed by `krr.solve`."""
    _, _, _, _, _, _, totals, _ = problem
    best = krr.solve(totals.second, totals.cross, 1e-9).unwrap()
    slope = run(jax.grad(feature_loss), best, totals)
    assert np.abs(slope).max() < 1e-7
    assert krr.solve(totals.second, totals.cross, 0.0).outcome is not krr.Outcome.NON_FINITE


def test_more_examples_than_directions_are_refused(rng):
    x = rng.normal(size=(50, 9))
    few = moments_of(RandomDense(9), [(x[:5], np.zeros(5, int))], ClassLabels(np.arange(2))).totals()
    many = moments_of(RandomDense(9), [(x, np.zeros(50, int))], ClassLabels(np.arange(2))).totals()
    check_support(few, 5)
    check_support(many, 10)
    for made, examples, rank in ((few, 6, 5), (many, 11, 10)):
        with pytest.raises(InputError, match=rf"Got {examples} examples .* rank at most {rank} \(10 features"):
            check_support(made, examples)
    repeated = moments_of(RandomDense(9), [(x[np.arange(50) % 3], np.zeros(50, int))], ClassLabels(np.arange(2)))
    check_support(repeated.totals(), 3)
    with pytest.warns(UserWarning, match=r"Got 4 examples .* numerical rank 3 \(10 features, 50 rows\)"):
        check_support(repeated.totals(), 4)


@pytest.mark.parametrize("rank", [1, 7, 40])
def test_the_rank_is_that_of_singular_values_above_rounding(rng, rank):
    a = rng.normal(size=(40, rank)) * np.geomspace(1, 1e-2, rank)
    second = a @ a.T
    assert np.linalg.matrix_rank(second, tol=1e-7 * second.max()) == rank
    noise = rng.normal(size=second.shape) * 1e-10
    assert [rank_within(second + noise + noise.T, most) for most in (0, 1, rank, 40)] == [0, 1, rank, rank]
