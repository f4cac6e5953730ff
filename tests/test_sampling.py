"""Which rows: every draw is a function of a seed, and holds what it promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastill._errors import InputError
from datastill.data import sampling

seeds = st.integers(0, 2**31 - 1)
codes = st.lists(st.integers(0, 3), min_size=2, max_size=60).map(lambda c: np.unique(c, return_inverse=True)[1])


@given(codes=codes, fraction=st.floats(0, 0.9), seed=seeds)
def test_a_split_parts_the_rows_and_leaves_every_class(codes, fraction, seed):
    rest, held = sampling.split(codes, len(codes), fraction, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([rest, held])), np.arange(len(codes)))
    assert set(codes[rest]) == set(codes)
    for c in np.unique(codes):
        count = (codes == c).sum()
        assert (codes[held] == c).sum() in {int(fraction * count), min(int(fraction * count) + 1, count - 1)}


@given(n=st.integers(2, 100), fraction=st.floats(0, 0.9), seed=seeds)
def test_a_split_without_classes_holds_the_fraction(n, fraction, seed):
    rest, held = sampling.split(None, n, fraction, seed)
    assert len(rest) + len(held) == n
    assert abs(len(held) - fraction * n) <= 1


def test_the_expected_size_of_a_split_is_the_fraction():
    held = [len(sampling.split(np.repeat([0, 1], 5), 10, 0.25, seed)[1]) for seed in range(400)]
    assert np.mean(held) == pytest.approx(2.5, abs=0.15)


@given(counts=st.lists(st.integers(1, 50), min_size=2, max_size=6), extra=st.integers(0, 30))
def test_a_total_is_spread_evenly_within_the_rows_of_each_class(counts, extra):
    counts = np.array(counts)
    total = min(len(counts) + extra, int(counts.sum()))
    budget = sampling.budget_per_class(counts, None, total)
    assert budget.sum() == total
    assert (budget <= counts).all() and (budget >= 1).all()
    open_classes = budget < counts
    assert budget[open_classes].max(initial=0) - budget[open_classes].min(initial=total) <= 1
    assert budget[~open_classes].max(initial=0) <= budget[open_classes].max(initial=total)


def test_the_largest_classes_take_what_is_left_over():
    np.testing.assert_array_equal(sampling.budget_per_class(np.array([4, 9, 7]), None, 8), [2, 3, 3])
    np.testing.assert_array_equal(sampling.budget_per_class(np.array([2, 90, 70]), None, 30), [2, 14, 14])


def test_a_total_above_all_rows_is_spread_evenly():
    np.testing.assert_array_equal(sampling.budget_per_class(np.array([1, 3]), None, 9), [4, 5])


def test_learned_examples_of_a_class_are_no_more_than_its_rows():
    np.testing.assert_array_equal(sampling.below_rows(np.array([10, 10]), np.array([50, 4])), [10, 4])
    with pytest.raises(InputError, match=r"240 examples for 150 rows.*try ipc=25"):
        sampling.below_rows(np.full(3, 80), np.full(3, 50))
    with pytest.raises(InputError, match=r"try n_support=15"):
        sampling.below_rows(np.array([40]), np.array([30]))


def test_a_budget_per_class():
    np.testing.assert_array_equal(sampling.budget_per_class(np.array([9, 2, 5]), 3, None), [3, 3, 3])


@pytest.mark.parametrize(
    ("ipc", "n_support", "fragment"),
    [
        (1, 2, "ipc=1 and n_support=2"),
        (None, None, "exactly one"),
        (0, None, "ipc=0"),
        (-3, None, "ipc=-3"),
        (None, 2, "n_support=2; expected 3 or more"),
    ],
)
def test_bad_budgets_are_named(ipc, n_support, fragment):
    with pytest.raises(InputError, match=fragment):
        sampling.budget_per_class(np.array([4, 4, 4]), ipc, n_support)


@given(codes=codes, seed=seeds, wanted=st.integers(1, 5))
def test_rows_of_each_class_repeat_only_when_they_must(codes, seed, wanted):
    budget = np.full(codes.max() + 1, wanted)
    rows = sampling.rows_per_class(codes, budget, seed, replace=True)
    np.testing.assert_array_equal(codes[rows], np.repeat(np.arange(len(budget)), wanted))
    for c, chosen in enumerate(rows.reshape(-1, wanted)):
        assert len(set(chosen)) == min(wanted, (codes == c).sum())


def test_too_many_rows_of_a_class_without_repeats_is_an_error():
    with pytest.raises(InputError, match=r"3 rows for class number 1, which has 2.*try ipc=2"):
        sampling.rows_per_class(np.array([0, 0, 0, 1, 1]), np.array([3, 3]), 0)


@given(n=st.integers(1, 50), size=st.integers(1, 60), seed=seeds, step=st.integers(0, 100))
def test_a_batch_has_distinct_rows_and_depends_on_seed_and_step_alone(n, size, seed, step):
    rows = sampling.batch(n, size, seed, step)
    assert len(rows) == len(set(rows)) == min(n, size)
    assert rows.min() >= 0
    assert rows.max() < n
    np.testing.assert_array_equal(rows, sampling.batch(n, size, seed, step))


def test_batches_of_other_steps_and_seeds_differ():
    rows = {tuple(sampling.batch(1000, 10, seed, step)) for seed in range(3) for step in range(3)}
    assert len(rows) == 9


@given(codes=codes, size=st.integers(1, 30), seed=seeds)
def test_a_balanced_batch_draws_every_class_as_often(codes, size, seed):
    rows = sampling.batch(len(codes), size, seed, 0, codes)
    counts = np.bincount(codes[rows], minlength=codes.max() + 1)
    assert len(set(counts)) == 1
    assert counts.sum() >= min(size, len(codes))


def test_purposes_are_independent():
    draws = [sampling.rng(1, purpose).random() for purpose in range(5)]
    assert len(set(draws)) == 5
    assert sampling.rng(1, 2).random() == draws[2]
