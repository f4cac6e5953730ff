"""A KIP step moves what it may, by the exact gradient, and equal keys give equal steps."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oracles
from datastill._errors import InputError
from datastill.distill import kernel_objective, kip, loop
from datastill.distill.objectives import Penalties
from datastill.kernels import RBF, FullyConnected, Linear
from datastill.preprocess.augment import Augmentation

S, T, REG = 3, 8, 1e-2
PROBLEM = kip.Problem(
    kernels=(FullyConnected(1),),
    features=lambda z: z,
    labels="fixed",
    optimiser=optax.sgd(1.0),
    penalties=Penalties(REG, 1e-3),
)


@pytest.fixture
def rows(rng):
    """z (3, 4), y (3, 2), x_t (8, 4), y_t (8, 2), float32."""
    shapes = ((S, 4), (S, 2), (T, 4), (T, 2))
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


def one_step(problem, z, y, x_t, y_t, chosen=None, number=0, key=0):
    return kip.step(problem)(kip.init(problem, z, y), x_t, y_t, chosen, jax.random.key(key), number)


def slow_loss(z, y, x_t, y_t):
    return oracles.loss(oracles.dense(z, z)[1], oracles.dense(x_t, z)[1], y, y_t, REG)


def test_a_step_of_gradient_descent_is_minus_the_gradient(rows):
    z, y, x_t, y_t = (a.astype(np.float64) for a in rows)
    state, loss = one_step(PROBLEM, *rows)
    assert loss == pytest.approx(slow_loss(z, y, x_t, y_t), rel=1e-5)
    expected = oracles.difference(lambda a: slow_loss(a, y, x_t, y_t), z)
    np.testing.assert_allclose(np.asarray(state.z) - z, -expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(state.y, rows[1])


def test_labels_move_by_their_gradient(rows):
    z, y, x_t, y_t = (a.astype(np.float64) for a in rows)
    state, _ = one_step(replace(PROBLEM, labels="gradient"), *rows)
    expected = oracles.difference(lambda b: slow_loss(z, b, x_t, y_t), y)
    np.testing.assert_allclose(np.asarray(state.y) - y, -expected, atol=1e-4 * np.abs(expected).max())


def test_a_batch_is_the_rows_that_were_asked_for(rows):
    z, y, x_t, y_t = rows
    chosen = np.array([1, 4, 6])
    of_all, loss = one_step(PROBLEM, z, y, x_t, y_t, jnp.asarray(chosen))
    of_some, same = one_step(PROBLEM, z, y, x_t[chosen], y_t[chosen])
    np.testing.assert_allclose(of_all.z, of_some.z, rtol=1e-6)
    assert loss == pytest.approx(float(same), rel=1e-6)


def test_each_step_has_the_kernel_it_was_given(rows):
    problem = replace(PROBLEM, kernels=(FullyConnected(1), RBF(1.0)))
    for number, kernel in enumerate(problem.kernels):
        several, _ = one_step(problem, *rows, number=number)
        alone, _ = one_step(replace(PROBLEM, kernels=(kernel,)), *rows)
        np.testing.assert_array_equal(several.z, alone.z)


def test_projection_and_frozen_coordinates_hold(rows, rng):
    mask = (rng.random((S, 4)) < 0.5).astype(np.float32)
    limited = replace(PROBLEM, project=lambda z: jnp.clip(z, -0.5, 0.5), learned=mask, optimiser=kip.optimiser(0.3, 5))
    state, _ = one_step(limited, *rows)
    np.testing.assert_array_equal(np.asarray(state.z)[mask == 0], rows[0][mask == 0])
    assert np.abs(np.asarray(state.z)[mask == 1]).max() <= 0.5


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.5, 0.99])
def test_each_example_has_its_share_of_noise(rho, rng):
    mask = kip.corruption_mask((7, 5, 4), rho, rng)
    assert mask.shape == (7, 5, 4)
    assert set(np.unique(mask)) <= {0.0, 1.0}
    np.testing.assert_array_equal((mask == 0).reshape(7, -1).sum(axis=1), round(rho * 20))
    if 0 < rho < 0.9:
        assert len(np.unique(mask.reshape(7, -1), axis=0)) > 1


@pytest.mark.parametrize("rho", [-0.1, 1.0, float("nan")])
def test_noise_is_a_fraction(rho, rng):
    with pytest.raises(InputError, match="fraction at least 0 and below 1"):
        kip.corruption_mask((2, 3), rho, rng)


def test_augmentation_depends_on_the_key_alone(rng):
    images = rng.standard_normal((6, 4, 4)).astype(np.float32)
    problem = replace(PROBLEM, augmentation=Augmentation(flip=True, shift=1))
    y = rng.standard_normal((6, 2)).astype(np.float32)
    one, two, other = (one_step(problem, images[:2], y[:2], images, y, key=key)[0].z for key in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_the_first_update_has_the_stated_size_and_the_last_is_small(steps, rng):
    rule = kip.optimiser(0.1, steps)
    parameters = {"z": jnp.asarray(rng.standard_normal((5, 40)), jnp.float32)}
    memory = rule.init(parameters)
    gradient = {"z": jnp.asarray(rng.standard_normal((5, 40)), jnp.float32)}
    sizes = []
    for _ in range(max(steps, 1) + 1):
        update, memory = rule.update(gradient, memory, parameters)
        sizes.append(float(jnp.sqrt(jnp.mean(update["z"] ** 2))))
    assert sizes[0] == pytest.approx(0.1, rel=0.3)
    assert sizes[-1] < 1e-6


def test_unknown_labels_are_refused(rows):
    with pytest.raises(InputError, match="labels='hard'"):
        kip.init(replace(PROBLEM, labels="hard"), *rows[:2])


@pytest.mark.parametrize("labels", kip.LABELS)
@pytest.mark.parametrize("batch", [16, 100])
def test_learning_brings_the_validation_loss_down(labels, batch, rng):
    codes = np.arange(60) % 2
    x = (rng.standard_normal((60, 4)) + 1.5 * codes[:, None]).astype(np.float32)
    y = (np.eye(2) - 0.5)[codes].astype(np.float32)
    targets, held = (kernel_objective.Targets(x[part], y[part], codes[part]) for part in (slice(0, 40), slice(40, 60)))
    problem = replace(PROBLEM, labels=labels, optimiser=kip.optimiser(0.1, 40))
    found = kernel_objective.learn(problem, x[:4], y[:4], targets, held, batch, loop.Schedule(40, 10, None), 0)
    first, best = found.history[0], min(record.validation_loss for record in found.history)
    assert best < first.validation_loss
    assert found.best_loss == best


def test_validation_is_krr_on_the_held_rows(rng):
    x, y = rng.standard_normal((30, 3)).astype(np.float32), rng.standard_normal((30, 2)).astype(np.float32)
    targets, held = kernel_objective.Targets(x[:20], y[:20]), kernel_objective.Targets(x[20:], y[20:])
    problem = replace(PROBLEM, kernels=(Linear(), RBF(1.0)))
    validate = kernel_objective.validator(problem, targets, held, jnp.asarray(targets.x), jnp.asarray(targets.y), 5)
    loss, score = validate(kip.init(problem, x[:5], y[:5]))
    predictions = [
        oracles.predict(k(x[:5], x[:5]), k(x[20:], x[:5]), y[:5], REG)
        for k in (oracles.linear, lambda a, b: oracles.rbf(a, b, 1.0))
    ]
    assert loss == pytest.approx(np.mean([0.5 * np.mean(np.sum((p - y[20:]) ** 2, axis=1)) for p in predictions]), 1e-4)
    spread = np.sum((y[20:] - y[20:].mean(axis=0)) ** 2, axis=0)
    r2 = [np.mean(1 - np.sum((p - y[20:]) ** 2, axis=0) / spread) for p in predictions]
    assert score == pytest.approx(np.mean(r2), abs=1e-4)


def test_balanced_targets_weigh_classes_the_same():
    codes = np.array([0, 0, 0, 1])
    targets = kernel_objective.Targets(np.zeros((4, 1), np.float32), np.zeros((4, 2), np.float32), codes, balanced=True)
    np.testing.assert_allclose(targets.weights, [2 / 3, 2 / 3, 2 / 3, 2])
    assert kernel_objective.Targets(targets.x, targets.y, codes).weights is None
    assert targets.take(np.array([3])).codes.tolist() == [1]


def test_balanced_rows_are_judged_as_they_are_learned_from(rng):
    x, y = rng.standard_normal((30, 3)).astype(np.float32), rng.standard_normal((30, 2)).astype(np.float32)
    codes = np.array([0] * 24 + [1] * 6)
    y[:, 0] = np.where(codes == 0, 9, -9)  # the larger number is the class
    targets, held = (
        kernel_objective.Targets(x[::2], y[::2], codes[::2]),
        kernel_objective.Targets(x[1::2], y[1::2], codes[1::2], balanced=True),
    )
    problem = replace(PROBLEM, kernels=(Linear(),))
    validate = kernel_objective.validator(problem, targets, held, jnp.asarray(targets.x), jnp.asarray(targets.y), 5)
    loss, score = validate(kip.init(problem, x[:5], y[:5]))
    predicted = oracles.predict(oracles.linear(x[:5], x[:5]), oracles.linear(held.x, x[:5]), y[:5], REG)
    squares = 0.5 * np.sum((predicted - held.y) ** 2, axis=1)
    hits = predicted.argmax(axis=1) == held.y.argmax(axis=1)
    for found, of_row in ((loss, squares), (score, hits)):
        assert found == pytest.approx(np.mean([of_row[held.codes == c].mean() for c in (0, 1)]), rel=1e-4)
    assert loss != pytest.approx(squares.mean(), rel=1e-2)


def test_rows_are_arguments_of_the_validation_and_no_constants_in_its_program(rng, monkeypatch):
    x, y = rng.standard_normal((60, 3)).astype(np.float32), rng.standard_normal((60, 2)).astype(np.float32)
    codes, found = np.arange(30) % 2, []

    def watched(make, room):
        def run(*arguments):
            found.extend(make(room.memory).trace(*arguments).jaxpr.consts)
            return make(room.memory)(*arguments)

        return run

    monkeypatch.setattr(kernel_objective, "within_memory", watched)
    targets, held = (
        kernel_objective.Targets(x[:30], y[:30], codes, True),
        kernel_objective.Targets(x[30:], y[30:], codes, True),
    )
    validate = kernel_objective.validator(PROBLEM, targets, held, jnp.asarray(targets.x), jnp.asarray(targets.y), 5)
    validate(kip.init(PROBLEM, x[:5], y[:5]))
    assert all(np.size(constant) <= 1 for constant in found)
