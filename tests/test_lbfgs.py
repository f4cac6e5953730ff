"""L-BFGS finds the minimum that a library finds, within bounds, whatever the first step, and never ends higher."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from datastill.distill import kip, lbfgs

D = 12


def bowl(seed, condition=1e3):
    """½ (x − c)'A(x − c) with eigenvalues from 1 to `condition`."""
    draw = np.random.default_rng(seed)
    basis = np.linalg.qr(draw.normal(size=(D, D)))[0]
    a = basis @ np.diag(np.geomspace(1, condition, D)) @ basis.T
    centre = draw.normal(size=D)
    return lambda x: 0.5 * (x - centre) @ a @ (x - centre)


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def descend(loss, start, steps, rate=0.1, low=-np.inf, high=np.inf):
    """(where it ends, the loss of every point it evaluated)."""
    problem = kip.Problem(
        (), lambda z: z, "solve", kip.optimiser(rate, steps, "lbfgs"), project=lambda z: jnp.clip(z, low, high)
    )
    step = kip.compiled(kip.descent(problem, lambda learned: loss(learned["z"][0])))
    state, losses = kip.init(problem, np.asarray(start)[None], np.zeros((1, 1))), []
    for _ in range(steps):
        state, value = step(state)
        losses.append(float(value))
    return np.asarray(state.z[0], np.float64), losses


def twin(g, pairs, scale):
    """−Hg with the inverse Hessian as a matrix, updated pair by pair (Nocedal and Wright, equation 6.17)."""
    h = scale * np.eye(len(g))
    for s, y in pairs:
        rho = 1 / (s @ y)
        v = np.eye(len(g)) - rho * np.outer(y, s)
        h = v.T @ h @ v + rho * np.outer(s, s)
    return -h @ g


@pytest.mark.parametrize("count", [1, 3, lbfgs.PAIRS, lbfgs.PAIRS + 5])
def test_directions_are_those_of_the_matrix(count):
    draw = np.random.default_rng(1)
    a = draw.normal(size=(D, D))
    moves = draw.normal(size=(count, D))
    turns = moves @ (a @ a.T + np.eye(D))
    g, m = draw.normal(size=D), lbfgs.PAIRS
    ring = np.zeros((2, m, D))
    for i in range(count):
        ring[:, i % m] = moves[i], turns[i]
    with jax.enable_x64(True):
        ours = lbfgs.newton(jnp.asarray(g), jnp.ones(D, bool), *jnp.asarray(ring), jnp.asarray(count))
    latest = [(s, y) for s, y in zip(moves, turns, strict=True)][-m:]
    s, y = latest[-1]
    np.testing.assert_allclose(ours, twin(g, latest, s @ y / (y @ y)), rtol=1e-6, atol=1e-9)


def test_coordinates_that_are_held_do_not_move_or_count():
    draw = np.random.default_rng(2)
    free = draw.random(D) < 0.6
    moves = draw.normal(size=(lbfgs.PAIRS, D))
    turns = moves * np.linspace(1, 5, D)
    g = draw.normal(size=D)
    count = jnp.asarray(lbfgs.PAIRS)
    with jax.enable_x64(True):
        ours = lbfgs.newton(*(jnp.asarray(a) for a in (g, free, moves, turns)), count)
        alone = lbfgs.newton(
            jnp.asarray(g[free]),
            jnp.ones(free.sum(), bool),
            jnp.asarray(moves[:, free]),
            jnp.asarray(turns[:, free]),
            count,
        )
    assert not np.asarray(ours)[~free].any()
    np.testing.assert_allclose(np.asarray(ours)[free], alone, rtol=1e-9)


@pytest.mark.parametrize("rate", [1e-3, 0.1, 10.0])
def test_the_bottom_of_a_narrow_bowl_is_found_from_any_first_step(rate):
    loss = bowl(0)
    found, losses = descend(loss, np.zeros(D), 80, rate)
    assert float(loss(found)) < 1e-6 * losses[0]


def test_a_curved_valley_is_followed_to_its_end():
    found, _ = descend(rosenbrock, np.zeros(6), 150)
    np.testing.assert_allclose(found, 1, atol=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_within_bounds_it_ends_where_a_library_does(seed):
    loss, start = bowl(seed, 100.0), np.full(D, 0.2)
    found, _ = descend(loss, start, 150, low=-0.3, high=0.5)
    library = scipy.optimize.minimize(lambda x: float(loss(x)), start, method="L-BFGS-B", bounds=[(-0.3, 0.5)] * D)
    assert found.min() >= -0.3 - 1e-6 and found.max() <= 0.5 + 1e-6
    assert np.isclose(library.x, -0.3).any() or np.isclose(library.x, 0.5).any()  # the bounds matter
    assert float(loss(found)) <= library.fun + 1e-3 * abs(float(loss(start)) - library.fun)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 30])
def test_it_ends_at_the_best_point_that_it_evaluated(steps):
    found, losses = descend(rosenbrock, np.full(6, -1.0), steps, rate=3.0)
    assert float(rosenbrock(found)) == pytest.approx(min(losses), rel=1e-5)


def test_frozen_coordinates_stay():
    learned = np.ones((1, 6), np.float32)
    learned[0, :3] = 0
    problem = kip.Problem((), lambda z: z, "solve", kip.optimiser(0.1, 20, "lbfgs"), learned=learned)
    step = kip.compiled(kip.descent(problem, lambda learned: rosenbrock(learned["z"][0])))
    state = kip.init(problem, np.full((1, 6), 0.5), np.zeros((1, 1)))
    for _ in range(20):
        state, _loss = step(state)
    assert (np.asarray(state.z[0, :3]) == 0.5).all()
    assert (np.asarray(state.z[0, 3:]) != 0.5).all()
