"""Moments add and subtract as the rows they are of, whatever the order, the grouping and the blocks."""

import tracemalloc
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from datastill._errors import InputError
from datastill.features import RandomDense
from datastill.moments import Moments, moments_of, triangle
from datastill.moments.streaming import LEAST_ROWS
from datastill.preprocess.labels import ClassLabels, TargetScaler

MAP = RandomDense(7)
CLASSES = ClassLabels(np.array(["cat", "dog", "owl"]))
TARGETS = TargetScaler(np.zeros(2), np.ones(2), flat=False)
N = 60
RNG = np.random.default_rng(0)
X, CODES, Y = RNG.standard_normal((N, 4), np.float32), RNG.integers(0, 3, N), RNG.standard_normal((N, 2), np.float32)
SUMS = ("second", "cross", "first", "square", "counts")
by_class_or_not = pytest.mark.parametrize("by_class", [False, True])
cuts = st.lists(st.integers(0, N), min_size=1, max_size=4).map(lambda found: [0, *sorted(found), N])


def of(rows=slice(None), map=MAP, labels=CLASSES, **settings):
    """The moments of some of the rows."""
    y = CODES if isinstance(labels, ClassLabels) else Y
    return moments_of(map, [(X[rows], y[rows])], labels, **settings)


def parts(bounds, **settings):
    """Moments of the rows between each two bounds, without the empty ones."""
    return [of(slice(a, b), **settings) for a, b in pairwise(bounds) if a < b]


def assert_same(ours, theirs, tolerance=2e-6):
    """Equal to rounding, and of the same shards."""
    for name in SUMS:
        mine, other = (np.asarray(getattr(m, name)) for m in (ours, theirs))
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance * max(np.abs(np.asarray(other)).max(), 1))
    assert ours.shards == theirs.shards


def test_small_blocks_are_not_lost_in_large_sums():
    """Within a block products are float32; over blocks float64 keeps what is 10⁻⁸ as large."""
    draw = np.random.default_rng(0)
    small, n = draw.standard_normal((LEAST_ROWS, 4), np.float32), LEAST_ROWS
    codes = np.zeros(n, int)
    large = moments_of(MAP, [(1e4 * small, codes)], CLASSES, named=False, memory=1)
    both = moments_of(MAP, [(1e4 * small, codes), (small, codes)], CLASSES, named=False, memory=1)
    alone = moments_of(MAP, [(small, codes)], CLASSES, named=False, memory=1)
    assert large.second.max() > 1e7 * alone.second.max()
    np.testing.assert_allclose((both - large).second, alone.second, rtol=1e-5, atol=1e-5 * alone.second.max())


@by_class_or_not
def test_moments_equal_sums_over_rows(by_class):
    phi = np.asarray(MAP(X), np.float64)
    found = of(by_class=by_class)
    second, cross, square, n = oracles.moments(phi, oracles.centred_one_hot(CODES, 3))
    totals = found.totals()
    for ours, slow in zip(totals, (second, cross, square, n), strict=True):
        np.testing.assert_allclose(ours, slow, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(totals.second, totals.second.T)
    np.testing.assert_allclose(found.first, phi.sum(axis=0), rtol=1e-5)
    assert found.counts.tolist() == np.bincount(CODES).tolist()
    assert found.second.dtype == totals.cross.dtype == np.float64


def test_moments_of_targets_equal_sums_over_rows():
    found = of(labels=TARGETS)
    for ours, slow in zip(found.totals(), oracles.moments(np.asarray(MAP(X)), Y), strict=True):
        np.testing.assert_allclose(ours, slow, rtol=1e-5, atol=1e-5)
    assert found.count == N


@by_class_or_not
@given(sizes=st.lists(st.integers(0, 25), max_size=4), memory=st.sampled_from([1, 2**20]))
def test_batches_and_blocks_change_nothing(by_class, sizes, memory):
    """Not even the digest."""
    ends = np.minimum(np.cumsum([*sizes, N]), N)
    batches = [(X[a:b], CODES[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    assert_same(moments_of(MAP, batches, CLASSES, by_class=by_class, memory=memory), of(by_class=by_class))


@given(bounds=cuts, order=st.randoms())
def test_parts_add_to_the_whole_in_any_order_and_grouping(bounds, order):
    found = parts(bounds)
    order.shuffle(found)
    left = reduce(lambda a, b: a + b, found)
    right = reduce(lambda a, b: b + a, found[::-1])
    whole = of()
    assert_same(left, right, 1e-13)
    for name in SUMS:
        np.testing.assert_allclose(getattr(left, name), getattr(whole, name), rtol=1e-5, atol=1e-5)
    assert len(left.shards) == len(found)


@by_class_or_not
@given(cut=st.integers(1, N - 1))
def test_what_is_subtracted_was_never_there(by_class, cut):
    a, b = parts([0, cut, N], by_class=by_class)
    assert_same(a + b - b, a, 1e-12)
    assert_same(a + b - a, b, 1e-12)
    nothing = a - a
    assert nothing.count == 0
    assert nothing.shards == {}
    assert not nothing.second.any()


@by_class_or_not
def test_some_of_a_shard_s_rows_are_forgotten(by_class):
    rest = of(by_class=by_class) - of(slice(10, 20), by_class=by_class, named=False)
    seen = np.r_[0:10, 20:N]
    for name in SUMS:
        never = of(seen, by_class=by_class)
        np.testing.assert_allclose(getattr(rest, name), getattr(never, name), rtol=1e-5, atol=2e-5)


@given(factor=st.floats(0, 4), other=st.floats(0, 4))
def test_scaling_is_linear(factor, other):
    a, b = parts([0, 25, N])
    assert_same(factor * (a + b), factor * a + factor * b, 1e-12)
    for name in SUMS:
        once, twice = (np.asarray(getattr(m, name)) for m in (factor * other * a, factor * (other * a)))
        np.testing.assert_allclose(twice, once, rtol=1e-12, atol=1e-12)
    assert (factor * a).count == pytest.approx(factor * 25)


def test_classes_add_to_all_rows_and_can_be_reweighted():
    apart = of(by_class=True)
    assert_same(apart.pooled(), of())
    for k in range(3):
        np.testing.assert_allclose(
            triangle.full(apart.second[k]), triangle.full(of(k == CODES).second[0]), rtol=0, atol=1e-5
        )
    weights = np.array([0.5, 2.0, 0.0])
    phi = np.asarray(MAP(X), np.float64) * np.sqrt(weights[CODES])[:, None]
    slow = oracles.moments(phi, oracles.centred_one_hot(CODES, 3) * np.sqrt(weights[CODES])[:, None])
    totals = apart.totals(weights)
    for ours, expected in zip(totals[:3], slow[:3], strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    assert totals.size == pytest.approx(weights[CODES].sum())
    balanced = apart.balanced() * apart.counts
    np.testing.assert_allclose(balanced, N / 3)
    np.testing.assert_allclose(of().totals(np.full(3, 2.0)).second, 2 * of().totals().second)


def test_classes_that_occur_in_some_shards_only():
    a, b = of(CODES == 0), of(CODES > 0)
    assert a.counts.tolist()[1:] == [0, 0]
    assert a.balanced().tolist() == [1, 0, 0]
    np.testing.assert_allclose((a + b).second, of().second, rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 10**6), rows=st.integers(1, 30))
def test_second_moments_are_positive_semidefinite(seed, rows):
    x = np.random.default_rng(seed).standard_normal((rows, 4), np.float32)
    found = moments_of(MAP, [(x, np.zeros(rows, int))], CLASSES)
    eigenvalues = np.linalg.eigvalsh(found.totals().second)
    assert eigenvalues[0] > -1e-6 * eigenvalues[-1]
    assert np.linalg.matrix_rank(found.totals().second, tol=1e-5) <= min(8, rows)


@given(columns=st.integers(1, 40), rows=st.integers(1, 9))
def test_triangles_are_symmetric_matrices(columns, rows):
    phi = np.random.default_rng(columns).standard_normal((rows, columns), np.float32)
    packed = np.zeros(triangle.entries(columns))
    triangle.add(packed, phi.T @ phi)
    triangle.add(packed, np.triu(np.outer(phi[0], phi[0])))
    assert triangle.side(len(packed)) == columns
    matrix = triangle.full(packed)
    np.testing.assert_allclose(matrix, phi.T @ phi + np.outer(phi[0], phi[0]), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(triangle.diagonal(packed), np.diag(matrix))


def test_side_is_exact_for_large_matrices():
    assert all(triangle.side(triangle.entries(f)) == f for f in (1, 2, 8193, 65_536, 100_000))


def test_memory_does_not_grow_with_the_rows():
    def peak(batches):
        tracemalloc.start()
        moments_of(MAP, ((X, CODES) for _ in range(batches)), CLASSES, by_class=True, memory=2**16)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(5)
    assert peak(3600) < 1.5 * peak(900)  # blocks of 2,048 rows of each class are full in both


# Refusals


@pytest.mark.parametrize(
    ("make", "messages"),
    [
        (lambda: of() + of(map=RandomDense(7, seed=1)), ("seed=0", "seed=1", "feature map")),
        (lambda: of() - of(map=RandomDense(8)), ("width=7", "width=8")),
        (lambda: of() + of(labels=ClassLabels(np.array(["dog", "cat", "owl"]))), ("cat, dog, owl", "dog, cat, owl")),
        (lambda: of() + of(labels=TARGETS), ("cat, dog, owl", "standardised by mean")),
        (
            lambda: of(preprocessing={"mean": np.zeros(4)}) + of(preprocessing={"mean": np.ones(4)}),
            ("preprocessing whose mean is [0. 0. 0.]", "preprocessing whose mean is [1. 1. 1.]"),
        ),
        (lambda: of() + moments_of(MAP, [(X[:, :3], CODES)], CLASSES), ("of shape (4,)", "of shape (3,)")),
        (lambda: of() + of(by_class=True), ("pooled", "kept apart by class")),
        (lambda: of() + of(), (next(iter(of().shards))[:12], "both")),
        (lambda: of(slice(0, 9)) - of(slice(9, 12)), ("never added",)),
        (lambda: of(slice(0, 9)) - of(slice(0, 12), named=False), ("rows of class",)),
        (lambda: of(labels=TARGETS, rows=slice(0, 3)) - of(labels=TARGETS, named=False), ("60 rows", "from 3")),
        (lambda: of() - moments_of(MAP, [(9 * X[:3], CODES[:3])], CLASSES, named=False), ("never added",)),
        (lambda: -1.0 * of(), ("scaled by -1.0",)),
        (lambda: of().totals(np.array([1.0, 2.0, 1.0])), ("by_class=True",)),
        (lambda: of(by_class=True).totals(np.array([1.0, 2.0])), ("expected 3 numbers",)),
        (lambda: of(by_class=True).totals(np.array([1.0, -2.0, 1.0])), ("0 or more",)),
        (lambda: of(labels=TARGETS, by_class=True), ("expected classes",)),
        (lambda: moments_of(MAP, [], CLASSES), ("no rows",)),
        (lambda: moments_of(MAP, [(X[:0], CODES[:0])], CLASSES), ("no rows",)),
        (lambda: moments_of(MAP, [(X, CODES[:9])], CLASSES), ("60 rows and 9 labels",)),
        (lambda: moments_of(MAP, [(X, CODES), (X[:, :2], CODES)], CLASSES), ("(2,)", "row 60", "(4,)")),
        (lambda: moments_of(MAP, [(X, CODES), (np.full((2, 4), np.nan), CODES[:2])], CLASSES), ("row 60",)),
        (lambda: moments_of(MAP, [(X, CODES), (X[:2], np.array([0, 3]))], CLASSES), ("class number 3 in row 61",)),
        (lambda: moments_of(MAP, [(X, Y)], CLASSES), ("expected (n,) whole numbers",)),
        (lambda: moments_of(MAP, [(X, CODES)], TARGETS), ("expected (n, 2)",)),
        (lambda: moments_of(MAP, [(X, np.full((N, 2), np.inf))], TARGETS), ("targets of row 0",)),
        (lambda: moments_of(MAP, [(np.full((3, 4), 3e38), CODES[:3])], CLASSES), ("not finite",)),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_bad_input_is_refused_in_one_line(make, messages):
    with pytest.raises(InputError) as caught:
        make()
    for message in messages:
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(of(), Moments)
