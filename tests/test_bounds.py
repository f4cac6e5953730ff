"""Bounds hold as often as they say, for tiny and perfect counts too, and are as tight as they can be told to be."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from datastill._errors import InputError
from datastill.certify.bounds import betting, clopper_pearson, empirical_bernstein, gap

DELTA, REPETITIONS = 0.05, 2000
MONTE_CARLO = 3 * (DELTA * (1 - DELTA) / REPETITIONS) ** 0.5
BOUNDED = [empirical_bernstein, betting]


@given(errors=st.integers(0, 30), n=st.integers(1, 30), delta=st.floats(0.001, 0.5))
def test_clopper_pearson_is_its_equation(errors, n, delta):
    errors = min(errors, n)
    bound = clopper_pearson(errors, n, delta)
    if errors == n:
        assert bound == 1
    else:
        assert stats.binom.cdf(errors, n, bound) == pytest.approx(delta, rel=1e-6)


def test_perfect_counts_have_the_rule_of_three():
    assert clopper_pearson(0, 1000, 0.05) == pytest.approx(3 / 1000, rel=0.01)
    assert clopper_pearson(0, 1, 0.05) == pytest.approx(0.95)


@pytest.mark.parametrize(("risk", "n"), [(0.0, 20), (0.005, 50), (0.1, 20), (0.5, 30), (1.0, 10)])
def test_clopper_pearson_covers(risk, n):
    errors = np.random.default_rng(0).binomial(n, risk, REPETITIONS)
    bounds = {e: clopper_pearson(int(e), n, DELTA) for e in np.unique(errors)}
    assert np.mean([bounds[e] >= risk for e in errors]) >= 1 - DELTA - MONTE_CARLO


LOSSES = {
    "rare": lambda draw, n: draw.random(n) < 0.02,
    "even": lambda draw, n: draw.random(n) < 0.5,
    "smooth": lambda draw, n: draw.beta(2, 6, n),
    "skewed": lambda draw, n: draw.beta(0.1, 2, n),
    "constant": lambda draw, n: np.full(n, 0.3),
}
MEANS = {"rare": 0.02, "even": 0.5, "smooth": 0.25, "skewed": 0.1 / 2.1, "constant": 0.3}


@pytest.mark.slow
@pytest.mark.parametrize(("bound", "name", "n"), list(itertools.product(BOUNDED, LOSSES, (10, 200))))
def test_bounds_for_bounded_losses_cover(bound, name, n):
    draw = np.random.default_rng(1)
    held = [bound(LOSSES[name](draw, n).astype(float), DELTA) >= MEANS[name] - 1e-12 for _ in range(REPETITIONS)]
    assert np.mean(held) >= 1 - DELTA - MONTE_CARLO


@given(seed=st.integers(0, 1000), n=st.integers(1, 60), delta=st.floats(0.001, 0.5))
def test_bounds_lie_between_the_mean_and_one_and_fall_with_delta(seed, n, delta):
    losses = np.random.default_rng(seed).random(n)
    for bound in BOUNDED:
        assert bound(losses, delta) <= 1
        assert bound(losses, delta / 2) >= bound(losses, delta)
    assert empirical_bernstein(losses, delta) >= losses.mean()


def test_empirical_bernstein_is_its_equation():
    losses = np.random.default_rng(0).random(500) * 0.2
    expected = losses.mean() + np.sqrt(2 * losses.var(ddof=1) * np.log(40) / 500) + 7 * np.log(40) / (3 * 499)
    assert empirical_bernstein(losses, 0.05) == pytest.approx(expected)


def test_betting_is_its_equation():
    losses = np.random.default_rng(0).beta(2, 6, 80)
    bound = betting(losses, 0.05)
    capital, spread = 1.0, 0.25
    for i, x in enumerate(losses):
        bet = min(np.sqrt(2 * np.log(20) / (80 * spread)), 0.5 / (1 - bound))
        capital *= 1 + bet * (bound - x)
        seen = [(losses[j] - (0.5 + losses[: j + 1].sum()) / (j + 2)) ** 2 for j in range(i + 1)]
        spread = (0.25 + sum(seen)) / (i + 2)
    assert capital == pytest.approx(20, rel=1e-5)


def test_betting_is_the_tighter_of_the_two():
    draw = np.random.default_rng(0)
    for n in (50, 500, 5000):
        losses = draw.beta(2, 20, n)
        assert losses.mean() < betting(losses, 0.05) < empirical_bernstein(losses, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 300])
def test_the_interval_for_a_gap_covers_and_is_of_the_size_of_the_disagreement(n):
    draw, held = np.random.default_rng(2), []
    for _ in range(REPETITIONS):
        full = draw.random(n) < 0.1
        small = np.where(draw.random(n) < 0.05, True, full)  # a gap of 0.9 · 0.05
        low, high = gap(small.astype(float), full.astype(float), DELTA)
        held.append(low <= 0.045 <= high)
    assert np.mean(held) >= 1 - DELTA - MONTE_CARLO
    assert -1 <= low < high <= 1
    if n == 300:
        assert high - low < 0.2


def test_the_interval_for_a_gap_turns_round_with_its_sides():
    draw = np.random.default_rng(0)
    a, b = draw.random(50), draw.random(50)
    low, high = gap(a, b, 0.1)
    np.testing.assert_allclose(gap(b, a, 0.1), (-high, -low), atol=1e-6)
    with pytest.raises(InputError, match="the same rows"):
        gap(a, b[:-1], 0.1)


def test_few_losses_give_a_bound_that_says_nothing():
    assert empirical_bernstein(np.array([0.0, 0.0]), 0.05) == 1
    assert empirical_bernstein(np.array([0.0]), 0.05) == 1
    assert betting(np.array([0.0]), 0.05) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: clopper_pearson(3, 2, 0.05),
        lambda: clopper_pearson(0, 0, 0.05),
        lambda: clopper_pearson(0, 5, 0.0),
        lambda: betting(np.array([]), 0.05),
        lambda: betting(np.array([0.5, 1.5]), 0.05),
        lambda: empirical_bernstein(np.array([0.5, np.nan]), 0.05),
        lambda: empirical_bernstein(np.array([0.5, 0.2]), 1.0),
    ],
)
def test_bad_losses_are_refused(call):
    with pytest.raises(InputError, match="expected"):
        call()
