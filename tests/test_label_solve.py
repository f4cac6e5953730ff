"""Label Solve in a stream equals the pseudo-inverse of everything at once."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from datastill._errors import SolveError
from datastill.distill.label_solve import label_solve
from datastill.kernels import RBF, FullyConnected, Linear

KERNEL = FullyConnected(1)
S, T, REG = 4, 12, 1e-2


@pytest.fixture(scope="module")
def rows():
    """x_s (4, 3), x_t (12, 3), y_t (12, 2)."""
    draw = np.random.default_rng(1)
    return tuple(draw.standard_normal(shape) for shape in ((S, 3), (T, 3), (T, 2)))


def blocks(kernel, x_s, x_t):
    return np.asarray(kernel(x_s)), np.asarray(kernel(x_t, x_s))


def batched(x_t, y_t, *edges, weights=None):
    cuts = [0, *edges, len(x_t)]
    for a, b in itertools.pairwise(cuts):
        yield x_t[a:b], y_t[a:b], None if weights is None else weights[a:b]


@pytest.mark.parametrize("kernel", [KERNEL, Linear(), RBF(1.5)], ids=["fc1", "linear", "rbf"])
@pytest.mark.parametrize("ridge", [0.0, 1e-2])
def test_equals_its_slow_twin(kernel, ridge, rows):
    x_s, x_t, y_t = rows
    found = label_solve(kernel, x_s, batched(x_t, y_t, 5), REG, ridge)
    expected = oracles.label_solve(*blocks(kernel, x_s, x_t), y_t, REG, ridge)
    np.testing.assert_allclose(found.y_s, expected, atol=1e-9 * np.abs(expected).max())
    loss = oracles.loss(*blocks(kernel, x_s, x_t), found.y_s, y_t, REG)
    assert found.loss == pytest.approx(loss, rel=1e-9)
    assert found.rank == S


@given(order=st.permutations(range(T)), edges=st.sets(st.integers(1, T - 1), max_size=4))
def test_order_and_grouping_of_targets_do_not_matter(rows, order, edges):
    x_s, x_t, y_t = rows
    whole = label_solve(Linear(), x_s, batched(x_t, y_t), REG)
    found = label_solve(Linear(), x_s, batched(x_t[order], y_t[order], *sorted(edges)), REG)
    np.testing.assert_allclose(found.y_s, whole.y_s, rtol=1e-7, atol=1e-9)
    assert found.loss == pytest.approx(whole.loss, rel=1e-9)


def test_repeated_rows_get_the_least_norm_labels(rows):
    x_s, x_t, y_t = rows
    x_s = np.concatenate([x_s, x_s[:2]])
    found = label_solve(KERNEL, x_s, batched(x_t, y_t, 3, 7), REG)
    expected = oracles.label_solve(*blocks(KERNEL, x_s, x_t), y_t, REG)
    assert found.rank == S
    np.testing.assert_allclose(found.y_s, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.y_s[:2], found.y_s[4:], rtol=1e-6)  # equal rows share their label


def test_repeated_rows_of_float32_do_not_turn_rounding_into_labels(rng):
    x_s, x_t, y_t = (rng.standard_normal(shape).astype(np.float32) for shape in ((20, 30), (500, 30), (500, 2)))
    once = label_solve(KERNEL, x_s, batched(x_t, y_t, 200), 1e-6)
    twice = label_solve(KERNEL, np.concatenate([x_s, x_s[:7]]), batched(x_t, y_t, 200), 1e-6)
    assert once.rank == twice.rank == 20
    assert twice.loss == pytest.approx(once.loss, rel=1e-4)
    assert np.abs(twice.y_s).max() < 3 * np.abs(once.y_s).max()
    np.testing.assert_allclose(twice.y_s[:7], twice.y_s[20:], atol=1e-2)


def test_fewer_targets_than_support_rows_are_met_with_the_least_norm(rows):
    x_s, x_t, y_t = rows
    found = label_solve(KERNEL, x_s, batched(x_t[:3], y_t[:3], 1), REG)
    assert found.rank == 3
    assert found.loss < 1e-20
    expected = oracles.label_solve(*blocks(KERNEL, x_s, x_t[:3]), y_t[:3], REG)
    np.testing.assert_allclose(found.y_s, expected, rtol=1e-7, atol=1e-9)


def test_a_weight_is_a_number_of_repeats(rows):
    x_s, x_t, y_t = rows
    repeats = np.random.default_rng(2).integers(1, 4, T)
    weighted = label_solve(KERNEL, x_s, batched(x_t, y_t, 5, weights=repeats.astype(float)), REG)
    repeated = label_solve(KERNEL, x_s, batched(np.repeat(x_t, repeats, 0), np.repeat(y_t, repeats, 0)), REG)
    np.testing.assert_allclose(weighted.y_s, repeated.y_s, rtol=1e-8)
    expected = oracles.label_solve(*blocks(KERNEL, x_s, x_t), y_t, REG, weights=repeats)
    np.testing.assert_allclose(weighted.y_s, expected, rtol=1e-8)


@pytest.mark.parametrize("ridge", [0.0, 1e-2])
def test_several_kernels_share_the_labels_of_their_mean_loss(ridge, rows):
    x_s, x_t, y_t = rows
    kernels = [KERNEL, RBF(1.5)]
    found = label_solve(kernels, x_s, batched(x_t, y_t, 5), REG, ridge)

    def objective(y_s):
        total = 0.0
        for kernel in kernels:
            k_ss, k_ts = blocks(kernel, x_s, x_t)
            norm = np.sum(y_s * (np.linalg.inv(oracles.regularise(k_ss, REG)) @ y_s))
            total += oracles.loss(k_ss, k_ts, y_s, y_t, REG) + 0.5 * ridge * np.trace(k_ss) / S * norm
        return total

    assert np.abs(oracles.difference(objective, found.y_s, 1e-4)).max() < 1e-8
    assert found.rank == S
    losses = [oracles.loss(*blocks(kernel, x_s, x_t), found.y_s, y_t, REG) for kernel in kernels]
    assert found.loss == pytest.approx(np.mean(losses), rel=1e-9)


def test_the_condition_number_is_not_squared(rows):
    # Targets on the support itself: y_s = y_t exactly, through a system whose squared condition is beyond float64.
    x = np.linspace(-1, 1, 12)[:, None]
    y = np.sin(3 * x)
    kernel = RBF(0.6)
    assert np.linalg.cond(kernel(x)) > 1e9
    found = label_solve(kernel, x, batched(x, y, 5), 0.0)
    np.testing.assert_allclose(found.y_s, y, atol=1e-5)


def test_labels_are_float64_from_float32_rows(rows):
    x_s, x_t, y_t = (a.astype(np.float32) for a in rows)
    found = label_solve(KERNEL, x_s, batched(x_t, y_t), REG)
    expected = oracles.label_solve(oracles.dense(x_s, x_s)[1], oracles.dense(x_t, x_s)[1], y_t, REG)
    assert found.y_s.dtype == np.float64
    assert oracles.relative(found.y_s, expected) < 1e-4


def test_no_targets_and_singular_supports_are_named(rows):
    x_s, x_t, y_t = rows
    with pytest.raises(SolveError, match="no targets"):
        label_solve(KERNEL, x_s, [], REG)
    with pytest.raises(SolveError, match="two rows are the same"):
        label_solve(KERNEL, np.concatenate([x_s, x_s]), batched(x_t, y_t), reg=0.0)
