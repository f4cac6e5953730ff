"""Kernels: properties of a Gram block, equality with slow twins and with frozen reference values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import oracles
from datastill._errors import InputError
from datastill.gram.names import as_kernels, named
from datastill.kernels import RBF, FullyConnected, Linear, Polynomial, dense

KERNELS = {
    "linear": Linear(),
    "polynomial": Polynomial(3, 0.5),
    "rbf": RBF(1.5),
    "fc0": FullyConnected(0),
    "fc1": FullyConnected(1),
    "fc1-nngp": FullyConnected(1, kind="nngp"),
    "fc3": FullyConnected(3),
    "fc2-no-bias": FullyConnected(2, b_std=0.0),
    "fc2-erf": FullyConnected(2, "erf", 1.5, 0.05),
    "fc2-erf-nngp": FullyConnected(2, "erf", 1.5, 0.05, "nngp"),
    "sum": Linear() + 0.5 * FullyConnected(1),
}
ORACLES = {
    "linear": oracles.linear,
    "polynomial": lambda a, b: oracles.polynomial(a, b, 3, 0.5),
    "rbf": lambda a, b: oracles.rbf(a, b, 1.5),
    "fc0": lambda a, b: oracles.dense(a, b, 0)[1],
    "fc1": lambda a, b: oracles.dense(a, b, 1)[1],
    "fc1-nngp": lambda a, b: oracles.dense(a, b, 1)[0],
    "fc3": lambda a, b: oracles.dense(a, b, 3)[1],
    "fc2-no-bias": lambda a, b: oracles.dense(a, b, 2, b_std=0.0)[1],
    "fc2-erf": lambda a, b: oracles.dense(a, b, 2, "erf", 1.5, 0.05)[1],
    "fc2-erf-nngp": lambda a, b: oracles.dense(a, b, 2, "erf", 1.5, 0.05)[0],
    "sum": lambda a, b: oracles.linear(a, b) + 0.5 * oracles.dense(a, b, 1)[1],
}
REFERENCES = {
    "fc1_relu": (1, "relu", 2**0.5, 0.1),
    "fc2_relu": (2, "relu", 2**0.5, 0.1),
    "fc3_relu": (3, "relu", 2**0.5, 0.1),
    "fc2_erf": (2, "erf", 1.5, 0.05),
}
ROUNDING = {np.float64: 1e-12, np.float32: 1e-5}
# Rounding of a cosine by an ulp moves an angle near 0 by about the root of an ulp.
ANGLE = {np.float64: 1e-7, np.float32: 3e-3}
any_kernel = pytest.mark.parametrize("name", KERNELS)
any_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
# One shape, so that each kernel compiles once.
blocks = hnp.arrays(np.float64, (4, 3), elements=st.floats(-10, 10, width=32).map(lambda v: round(v, 3)))


@pytest.fixture
def delicate(rng):
    """Two blocks whose pairs include identical, opposite, scaled, zero and one-pixel rows."""
    x1 = np.array([*rng.standard_normal((2, 3)), np.zeros(3), np.eye(3)[0]])
    return x1, np.stack([x1[0], -2 * x1[1], 4 * x1[3], np.zeros(3)])


@any_kernel
@given(x=blocks)
@example(x=np.zeros((4, 3)))
@example(x=np.ones((4, 3)))
def test_gram_matrix_is_symmetric_and_positive_semidefinite(name, x):
    gram = np.asarray(KERNELS[name](x))
    scale = np.abs(gram).max()
    np.testing.assert_allclose(gram, gram.T, atol=1e-12 * scale, rtol=0)
    assert np.linalg.eigvalsh((gram + gram.T) / 2).min() >= -ANGLE[np.float64] * scale


@any_kernel
@given(x1=blocks, x2=blocks)
def test_swapping_the_blocks_transposes(name, x1, x2):
    ahead, back = (np.asarray(KERNELS[name](a, b)) for a, b in ((x1, x2), (x2, x1)))
    np.testing.assert_allclose(ahead, back.T, atol=1e-7 * np.abs(ahead).max(), rtol=0)


@any_kernel
@any_dtype
@given(x=blocks)
def test_diagonal_is_that_of_the_block(name, dtype, x):
    x = x.astype(dtype)
    own, gram = np.asarray(KERNELS[name].diagonal(x)), np.asarray(KERNELS[name](x))
    np.testing.assert_allclose(own, np.diag(gram), atol=10 * ROUNDING[dtype] * np.abs(gram).max(), rtol=0)


@any_kernel
@any_dtype
def test_equals_its_slow_twin(name, dtype, delicate):
    x1, x2 = (x.astype(dtype) for x in delicate)
    assert oracles.relative(KERNELS[name](x1, x2), ORACLES[name](x1, x2)) < ROUNDING[dtype]
    assert oracles.relative(KERNELS[name](x1), ORACLES[name](x1, x1)) < ROUNDING[dtype]


@any_kernel
@any_dtype
def test_gradients_are_finite_at_delicate_angles(name, dtype, delicate):
    kernel = KERNELS[name]

    def total(a, b):
        return kernel.block(a, b).sum() + (kernel.block(a, a) ** 2).sum() + kernel.self_block(a).sum()

    with jax.enable_x64(dtype == np.float64):
        x1, x2 = (jnp.asarray(x.astype(dtype)) for x in delicate)
        gradients = [np.asarray(g) for g in jax.jit(jax.grad(total, (0, 1)))(x1, x2)]
    assert all(g.dtype == dtype and np.isfinite(g).all() for g in gradients)


@any_kernel
def test_gradient_is_the_slope(name, rng):
    x1, x2, weights = rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), rng.standard_normal((4, 4))
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(lambda a: jnp.sum(weights * KERNELS[name].block(a, jnp.asarray(x2)))))
        ours = np.asarray(slope(jnp.asarray(x1)))
    assert oracles.relative(ours, oracles.difference(lambda a: np.sum(weights * ORACLES[name](a, x2)), x1)) < 1e-7


@any_kernel
def test_float64_input_is_computed_in_float64(name, rng):
    x = rng.standard_normal((4, 3))
    assert not jax.config.jax_enable_x64
    assert KERNELS[name](x).dtype == KERNELS[name].diagonal(x).dtype == np.float64
    assert KERNELS[name](x.astype(np.float32)).dtype == np.float32
    assert jnp.asarray(x).dtype == np.float32  # the caller's precision is as it was


@pytest.mark.parametrize("name", ["linear", "rbf", "fc1"])
def test_images_are_read_as_vectors(name, rng):
    images = rng.standard_normal((3, 2, 2, 1))
    np.testing.assert_array_equal(KERNELS[name](images), KERNELS[name](images.reshape(3, 4)))


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@any_dtype
def test_equals_the_frozen_reference(reference, kind, dtype, shared):
    path = shared / "vectors" / "ntk_reference.npz"
    if not path.is_file():
        pytest.skip(f"no reference vectors at {path}")
    with np.load(path) as archive:
        x1, x2, across, within = (archive[f"{reference}/{part}"] for part in ("x1", "x2", kind, f"{kind}_self"))
    depth, activation, w_std, b_std = REFERENCES[reference]
    kernel = FullyConnected(depth, activation, w_std, b_std, kind)
    twin = oracles.dense(x1, x1, depth, activation, w_std, b_std)[kind == "ntk"]
    same = (oracles.rows(x1)[:, None] == oracles.rows(x2)[None]).all(axis=2)
    assert same.sum() == 1
    for ours, theirs, identical in (
        (kernel(x1.astype(dtype), x2.astype(dtype)), across, same),
        (kernel(x1.astype(dtype)), within, np.eye(len(x1), dtype=bool)),
    ):
        error = np.abs(np.asarray(ours, np.float64) - theirs) / np.abs(theirs).max()
        # The reference takes arccos of a cosine an ulp below 1 where rows are identical.
        assert error[~identical].max() < (1e-10 if dtype == np.float64 else 1e-5)
        assert error[identical].max() < (2e-8 if dtype == np.float64 else 1e-5)
    if dtype == np.float64:
        assert oracles.relative(np.diag(kernel(x1)), np.diag(twin)) < 1e-12


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_is_the_limit_of_wide_networks(activation, rng):
    x = rng.standard_normal((4, 3))
    nngp, ntk = oracles.wide_network(x, 4000, 100, rng, activation)
    assert oracles.relative(FullyConnected(1, activation, kind="nngp")(x), nngp) < 0.01
    assert oracles.relative(FullyConnected(1, activation)(x), ntk) < 0.02


@pytest.mark.parametrize(("n1", "n2"), [(3, 11), (11, 3), (12, 8), (5, 4), (0, 9), (9, 0)])
def test_tiles_of_a_network_kernel_are_the_whole(n1, n2, rng, monkeypatch):
    """Values and both gradients, whether or not rows and columns are multiples of a tile's."""
    kernel = FullyConnected(2)
    x1, x2 = (rng.normal(size=(n, 3)) for n in (n1, n2))
    wave = np.cos(np.arange(n1 * n2)).reshape(n1, n2)

    def both(x1, x2):
        return kernel.block(x1, x2), jax.grad(lambda *x: jnp.sum(wave * kernel.block(*x)), (0, 1))(x1, x2)

    with jax.enable_x64(True):
        x1, x2 = jnp.asarray(x1), jnp.asarray(x2)
        whole = both(x1, x2)
        monkeypatch.setattr(dense, "SIDE", 4)
        for tiled, one in zip(jax.tree.leaves(both(x1, x2)), jax.tree.leaves(whole), strict=True):
            assert tiled.shape == one.shape
            np.testing.assert_allclose(tiled, one, rtol=1e-6, atol=1e-7)


def test_memory_of_a_network_kernels_gradient_is_that_of_a_few_tiles_beside_its_block():
    """An array of all pairs is the block itself, its slope, and the block again in order; a tile's are small."""
    kernel, x = FullyConnected(3), jnp.ones((2048, 8), jnp.float32)
    slope = jax.jit(jax.grad(lambda a, b: jnp.sum(jnp.sin(kernel.block(a, b)))))
    used = slope.lower(x, x).compile().memory_analysis().temp_size_in_bytes
    assert used < 4 * 4 * 2048**2


def test_without_bias_a_relu_network_is_homogeneous(rng):
    x, kernel = rng.standard_normal((4, 3)), FullyConnected(2, b_std=0.0)
    np.testing.assert_allclose(kernel(3 * x, x), 3 * np.asarray(kernel(x)), rtol=1e-12)


@given(x=blocks)
def test_kernels_add_and_scale(x):
    one, two = FullyConnected(1), Linear()
    mixed, expected = np.asarray((0.3 * one + two)(x)), 0.3 * np.asarray(one(x)) + np.asarray(two(x))
    np.testing.assert_allclose(mixed, expected, atol=1e-12 * (1 + np.abs(expected).max()), rtol=0)


@any_kernel
def test_embedding_keeps_every_value(name, rng):
    d, width = 3, 5
    x1, x2 = rng.standard_normal((4, d)), rng.standard_normal((4, d))
    rotation, _ = np.linalg.qr(rng.standard_normal((width, d)))
    inside = [x @ rotation.T * (width / d) ** 0.5 for x in (x1, x2)]
    np.testing.assert_allclose(KERNELS[name].embedded(d, width)(*inside), KERNELS[name](x1, x2), rtol=1e-10)


def test_median_heuristic_equals_its_twin(rng):
    x = rng.standard_normal((20, 3))
    x[3] = x[4]  # a repeated row has no say
    kernel = (2.0 * RBF() + RBF(factor=0.5)).resolve(x)
    wide, narrow = kernel.terms[0].kernel.length_scale, kernel.terms[1].length_scale
    assert wide == pytest.approx(oracles.median_length_scale(x), rel=1e-12)
    assert narrow == pytest.approx(wide / 2, rel=1e-12)
    assert RBF(0.7).resolve(x) == RBF(0.7)


@pytest.mark.parametrize("x", [np.ones((5, 2)), np.ones((1, 2))])
def test_median_heuristic_without_distinct_rows_is_usable(x):
    assert RBF().resolve(x).length_scale == 1.0


def test_rbf_before_it_meets_data_says_so():
    with pytest.raises(InputError, match=r"length_scale=None.*resolve"):
        RBF()(np.ones((2, 2)))


@pytest.mark.parametrize("d", [8, 784, 3072])
def test_rbf_of_a_row_with_itself_is_one_whatever_its_length(d, rng):
    x = rng.integers(0, 256, (40, d)).astype(np.float32)
    np.testing.assert_array_equal(np.diag(RBF(3.0)(x)), 1.0)
    np.testing.assert_array_equal(RBF(3.0)(x[:1]), 1.0)


def test_the_gradient_of_rbf_at_the_same_row_is_that_of_its_slow_twin(rng):
    x = rng.standard_normal((3, 4)).astype(np.float32)
    x2 = np.concatenate([x, x + np.float32(1e-4), x - 1])
    weights = rng.standard_normal((3, 9)).astype(np.float32)
    gradient = jax.grad(lambda a: jnp.sum(weights * RBF(1.5).block(a, jnp.asarray(x2))))(jnp.asarray(x))
    differences = (x[:, None] - x2).astype(np.float64)
    kernel = np.exp(-np.sum(differences**2, axis=2) / 4.5)
    expected = -np.einsum("ij,ij,ijk->ik", weights, kernel, differences) / 2.25
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_rbf_keeps_small_distances_far_from_the_origin(rng):
    near = rng.standard_normal((4, 3))
    np.testing.assert_allclose(RBF(1.0)(near + 1e6), oracles.rbf(near, near, 1.0), atol=1e-8)


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: FullyConnected(-1), "depth=-1"),
        (lambda: FullyConnected(activation="tanh"), "'tanh'; expected one of relu, erf"),
        (lambda: FullyConnected(kind="ck"), "kind='ck'"),
        (lambda: FullyConnected(w_std=0.0), "w_std=0.0"),
        (lambda: FullyConnected(b_std=-0.1), "b_std=-0.1"),
        (lambda: FullyConnected(w_std=float("nan")), "w_std=nan"),
        (lambda: RBF(0.0), "length_scale=0.0"),
        (lambda: RBF(-1.0), "length_scale=-1.0"),
        (lambda: RBF(float("nan")), "length_scale=nan"),
        (lambda: Polynomial(0), "degree=0"),
        (lambda: Polynomial(2, -1.0), "bias=-1.0"),
        (lambda: named("cnn"), "kernel name 'cnn'; expected fc1"),
        (lambda: named(""), "kernel name ''"),
        (lambda: named("fc1x"), "'fc1x'"),
        (lambda: as_kernels([]), "no kernel"),
    ],
)
def test_bad_settings_are_named(make, fragment):
    with pytest.raises(InputError, match=r"Got .*expected") as caught:
        make()
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("fc1", FullyConnected(1)),
        ("fc", FullyConnected(1)),
        ("fc0", FullyConnected(0)),
        ("fc10", FullyConnected(10)),
        ("fc2-erf-nngp", FullyConnected(2, "erf", kind="nngp")),
        (" FC3-NNGP ", FullyConnected(3, kind="nngp")),
        ("rbf", RBF()),
        ("rbf:0.5", RBF(factor=0.5)),
        ("rbf:.25", RBF(factor=0.25)),
        ("linear", Linear()),
        ("poly", Polynomial(2)),
        ("poly5", Polynomial(5)),
    ],
)
def test_short_names(name, kernel):
    assert named(name) == kernel


def test_kernels_may_be_given_in_many_ways():
    both = (FullyConnected(1), RBF())
    assert as_kernels("fc1, rbf") == as_kernels(["fc1", RBF()]) == as_kernels(both) == both
    assert as_kernels(RBF(2.0)) == (RBF(2.0),)


def test_kernels_are_values():
    assert hash(FullyConnected(2)) == hash(FullyConnected(2))
    assert Linear() + RBF(1.0) == Linear() + RBF(1.0) != RBF(1.0) + Linear()
    with pytest.raises(AttributeError):
        RBF(1.0).length_scale = 2.0


def test_numbers_of_half_precision_are_numbers():
    rows = np.ones((2, 3), jnp.bfloat16)
    np.testing.assert_array_equal(RBF(1.0)(rows), np.ones((2, 2)))
    relu = FullyConnected(1)
    np.testing.assert_allclose(np.asarray(relu(rows), np.float32), relu(rows.astype(np.float32)), rtol=0.03)
