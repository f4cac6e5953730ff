"""The penalty that leaving rows out chooses: the closed form is the slow way, and the choice is a fair one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from datastill import krr, tuning
from datastill._errors import SolveError
from datastill.kernels import RBF, FullyConnected, Linear, Polynomial
from datastill.learners.kernel_ridge import LEARNED_REG, KernelRidge
from datastill.tuning import REGS, USUAL, chosen_reg, left_out, through

KERNELS = [FullyConnected(1), RBF(1.5), Linear()]


def noisy(seed, n=40, noise=0.5):
    """Rows of three columns, and two targets of them with noise."""
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((n, 3))
    return x, np.stack([np.sin(x[:, 0]) + x[:, 1], x[:, 2]], axis=1) + noise * draw.standard_normal((n, 2))


@given(seed=st.integers(0, 10**6), n=st.integers(2, 12), kernel=st.sampled_from(KERNELS))
def test_rows_left_out_one_by_one_equal_the_slow_twin(seed, n, kernel):
    x, y = noisy(seed, n)
    k_ss = np.asarray(kernel(x))
    found = left_out(k_ss, y, (1e-2, 1.0))
    for of_reg, reg in zip(found, (1e-2, 1.0), strict=True):
        np.testing.assert_allclose(of_reg, oracles.left_out(k_ss, y, reg), rtol=1e-6, atol=1e-8)


@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3), noise=st.sampled_from([0.01, 0.3, 2.0]))
def test_the_choice_ignores_the_order_of_rows_and_the_scale_of_targets(seed, scale, noise):
    x, y = noisy(seed, 30, noise)
    order = np.random.default_rng(seed).permutation(30)
    missed = np.mean(left_out(np.asarray(RBF(1.5)(x)), y, REGS) ** 2, axis=(1, 2))
    chosen = chosen_reg(RBF(1.5), x, y)
    assert chosen == REGS[missed.argmin()]
    if np.sort(missed)[1] > missed.min() * (1 + 1e-6):  # no tie that rounding would decide
        assert chosen_reg(RBF(1.5), x[order], y[order]) == chosen
        assert chosen_reg(RBF(1.5), x, scale * y) == chosen


def test_noise_asks_for_more_regularisation_and_the_choice_is_near_the_best():
    x, y = noisy(0, 120, 0.0)
    assert chosen_reg(RBF(1.5), x, y) == REGS[0]
    x, y = noisy(0, 120, 1.5)
    chosen = chosen_reg(RBF(1.5), x, y)
    assert chosen >= 1e-2
    x_test, truth = noisy(1, 500, 0.0)
    missed = {
        reg: np.mean((krr.predict(RBF(1.5), x_test, x, krr.fit(RBF(1.5), x, y, reg)) - truth) ** 2) for reg in REGS
    }
    assert missed[chosen] < 1.2 * min(missed.values()) < 0.5 * missed[REGS[0]]


def test_where_nothing_can_be_left_out_the_middle_is_taken():
    x, y = noisy(0, 4)
    assert chosen_reg(RBF(1.5), x, y) == USUAL == REGS[len(REGS) // 2]
    x = np.random.default_rng(0).standard_normal((10, 3))
    assert chosen_reg(RBF(1.5), x, np.eye(10) - 0.1) == USUAL
    twice = np.concatenate([x, x + 0.01])
    assert chosen_reg(RBF(1.5), twice, np.tile(np.eye(10) - 0.1, (2, 1))) != USUAL


def test_of_many_rows_some_are_left_out(monkeypatch):
    monkeypatch.setattr(tuning, "TUNED_ROWS", 60)
    x, y = noisy(2, 300, 1.5)
    assert chosen_reg(RBF(1.5), x, y) >= 1e-2


@given(seed=st.integers(0, 10**6))
def test_all_rows_through_all_of_them_are_kernel_ridge_regression(seed):
    x, y = noisy(seed, 30, 1.0)
    alpha, x_test = through(RBF(1.5), x, x, y), noisy(seed + 1, 20)[0]
    found = krr.predict(RBF(1.5), x_test, x, alpha)
    exact = [krr.predict(RBF(1.5), x_test, x, krr.fit(RBF(1.5), x, y, reg)) for reg in REGS]
    assert min(np.abs(found - one).max() for one in exact) < 2e-2


def test_all_rows_through_some_equal_the_slow_twin_and_its_folds(monkeypatch):
    monkeypatch.setattr(tuning, "BATCH", 64)
    x, y = noisy(3, 200, 1.0)
    x_s = x[::8]
    alpha = through(RBF(1.5), x_s, x, y)
    k_ss, k_ts = np.asarray(RBF(1.5)(x_s)), np.asarray(RBF(1.5)(x, x_s), np.float64)
    twins = [oracles.through(oracles.regularise(k_ss, REGS[0]), k_ts, y, reg * np.trace(k_ss) / 25) for reg in REGS]
    off = [np.abs(k_ts @ (alpha - twin)).max() for twin in twins]
    assert min(off) < 1e-4
    assert REGS[int(np.argmin(off))] >= 1e-2  # the noise is as large as the signal


def test_a_kernel_that_overflows_decides_nothing():
    x, y = noisy(0, 20)
    x[0] = 1e120
    assert chosen_reg(Polynomial(3), x, y) == USUAL
    with pytest.raises(SolveError):
        through(Polynomial(3), x[:5], x, y)


def test_the_learner_tunes_rows_and_interpolates_what_was_learned():
    x, y = noisy(0, 60, 1.5)
    tuned, learned = KernelRidge("rbf", regression=True), KernelRidge("rbf", regression=True)
    assert tuned.fit(x, y).reg_ == chosen_reg(tuned.kernel_, x.astype(np.float32), y) > LEARNED_REG
    assert learned.fit(x, y, learned=True).reg_ == LEARNED_REG
    assert KernelRidge("rbf", reg=0.5).fit(x, y).reg_ == 0.5
