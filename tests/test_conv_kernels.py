"""Kernels of convolutional networks: properties, slow twins, frozen reference values, wide finite networks."""

from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import oracles
from datastill import KIP
from datastill._errors import InputError
from datastill.distill import fit
from datastill.features.conv import RandomConv
from datastill.gram import sharded, tiled
from datastill.gram.names import named
from datastill.kernels import RBF, ConvNet, Myrtle, fused, maps, pooled, unpooled
from datastill.kernels.dual import ACTIVATIONS

SHAPE = (4, 5, 2)
KERNELS = {
    "two blocks": (ConvNet(2), ((1, 1),)),
    "nngp, no bias": (ConvNet(2, b_std=0.0, kind="nngp"), ((1, 1), True, "flatten", "relu", 2**0.5, 0.0)),
    "stem": (ConvNet(2, stem=True), ((2, 1),)),
    "without pooling": (ConvNet(1, stem=True, pooling=False), ((2,), False)),
    "erf": (ConvNet(2, w_std=1.5, b_std=0.05, activation="erf"), ((1, 1), True, "flatten", "erf", 1.5, 0.05)),
    "myrtle": (Myrtle(5), ((2, 1, 1), True, "mean")),
}
TWINS = KERNELS | {
    "one block": (ConvNet(1), ((1,),)),
    "erf without pooling": (ConvNet(2, pooling=False, activation="erf"), ((1, 1), False, "flatten", "erf")),
    "myrtle 7": (Myrtle(7), ((2, 2, 2), True, "mean")),
    "myrtle 10": (Myrtle(10, kind="nngp"), ((3, 3, 3), True, "mean")),
}
REFERENCES = {
    "convnet3": ConvNet(3),
    "convnet": ConvNet(3, stem=True),
    "conv_vec3": ConvNet(3, pooling=False),
    "myrtle5": Myrtle(5),
}
ROUNDING = {np.float64: 1e-9, np.float32: 2e-5}
any_kernel = pytest.mark.parametrize("name", KERNELS)
any_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
images = hnp.arrays(np.float64, (3, *SHAPE), elements=st.floats(-10, 10, width=32).map(lambda v: round(v, 3)))


@pytest.fixture
def delicate(rng):
    """Two blocks whose pairs include identical and opposite images, and one that is black but for a pixel."""
    x1 = rng.standard_normal((3, *SHAPE))
    x2 = np.stack([x1[0], -2 * x1[1], np.zeros(SHAPE)])
    x2[2, 1, 2] = 1
    return x1, x2


@pytest.mark.parametrize("name", TWINS)
@any_dtype
def test_equals_its_slow_twin(name, dtype, delicate):
    kernel, setting = TWINS[name]
    x1, x2 = (x.astype(dtype) for x in delicate)
    kind = kernel.kind == "ntk"
    assert oracles.relative(kernel(x1, x2), oracles.convolutional(x1, x2, *setting)[kind]) < ROUNDING[dtype]
    within = oracles.convolutional(x2, x2, *setting)[kind]
    assert oracles.relative(kernel(x2), within) < ROUNDING[dtype]
    assert oracles.relative(kernel.diagonal(x2), np.diag(within)) < ROUNDING[dtype]


@any_kernel
@settings(max_examples=10)
@given(x=images)
def test_gram_matrix_is_symmetric_and_positive_semidefinite(name, x):
    gram = np.asarray(KERNELS[name][0](x))
    scale = np.abs(gram).max()
    np.testing.assert_allclose(gram, gram.T, atol=1e-7 * scale, rtol=0)
    assert np.linalg.eigvalsh((gram + gram.T) / 2).min() >= -1e-7 * scale


@any_kernel
@any_dtype
def test_gradients_are_finite_at_delicate_angles(name, dtype, delicate):
    kernel, _ = KERNELS[name]

    def total(a, b):
        return kernel.block(a, b).sum() + (kernel.block(a, a) ** 2).sum() + kernel.self_block(a).sum()

    with jax.enable_x64(dtype == np.float64):
        x1, x2 = (jnp.asarray(x.astype(dtype)) for x in delicate)
        gradients = [np.asarray(g) for g in jax.jit(jax.grad(total, (0, 1)))(x1, x2)]
    assert all(g.dtype == dtype and np.isfinite(g).all() for g in gradients)


@any_kernel
def test_gradient_is_the_slope(name, rng):
    kernel, _ = KERNELS[name]
    x1, x2, weights = rng.standard_normal((3, *SHAPE)), rng.standard_normal((3, *SHAPE)), rng.standard_normal((3, 3))
    ways = rng.standard_normal(x1.shape), rng.standard_normal(x2.shape)
    step = 1e-5
    with jax.enable_x64(True):
        total = jax.jit(lambda a, b: jnp.sum(weights * kernel.block(a, b)))
        slopes = jax.jit(jax.grad(total, (0, 1)))(x1, x2)
        ahead = [float(total(x1 + s * ways[0], x2)) for s in (step, -step)]
        back = [float(total(x1, x2 + s * ways[1])) for s in (step, -step)]
    for slope, way, (up, down) in zip(slopes, ways, (ahead, back), strict=True):
        assert np.sum(np.asarray(slope) * way) == pytest.approx((up - down) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@any_dtype
def test_equals_the_frozen_reference(reference, kind, dtype, shared):
    path = shared / "vectors" / "ntk_reference.npz"
    if not path.is_file():
        pytest.skip(f"no reference vectors at {path}")
    with np.load(path) as archive:
        x1, x2, across, within = (archive[f"{reference}/{part}"] for part in ("x1", "x2", kind, f"{kind}_self"))
    kernel = type(REFERENCES[reference])(**{**vars(REFERENCES[reference]), "kind": kind})
    same = (x1[:, None] == x2[None]).all(axis=(2, 3, 4))
    assert same.sum() == 1
    for ours, theirs, identical in (
        (kernel(x1.astype(dtype), x2.astype(dtype)), across, same),
        (kernel(x1.astype(dtype)), within, np.eye(len(x1), dtype=bool)),
    ):
        error = np.abs(np.asarray(ours, np.float64) - theirs) / np.abs(theirs).max()
        assert error[~identical].max() < (1e-12 if dtype == np.float64 else 2e-6)
        # The reference takes arccos of a cosine an ulp below 1 where pixels are identical.
        assert error[identical].max() < (2e-9 if dtype == np.float64 else 2e-6)


@pytest.mark.slow
def test_is_the_limit_of_wide_networks(rng):
    x = rng.standard_normal((3, 8, 9, 2))
    draws = [np.asarray(RandomConv(400, 2, seed=seed)(x)) for seed in range(40)]
    finite = np.mean([phi @ phi.T for phi in draws], axis=0)
    assert oracles.relative(ConvNet(2, kind="nngp")(x), finite) < 0.02
    slopes = np.mean([_tangents(x, 256, np.random.default_rng(seed)) for seed in range(40)], axis=0)
    assert oracles.relative(ConvNet(1)(x), slopes) < 0.02


def _tangents(x, width, rng):
    """Inner products of all gradients of one random network of one block, float64."""
    with jax.enable_x64(True):
        parameters = [
            jnp.asarray(rng.standard_normal(shape))
            for shape in ((3, 3, x.shape[3], width), (width,), (x.shape[1] // 2 * (x.shape[2] // 2) * width,), ())
        ]

        def network(parameters, image):
            weights, biases, last, bias = parameters
            h = jax.lax.conv_general_dilated(
                image[None], weights, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )[0]
            a = jnp.maximum((2 / (9 * x.shape[3])) ** 0.5 * h + 0.1 * biases, 0)
            a = a[: x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
            a = a.reshape(x.shape[1] // 2, 2, x.shape[2] // 2, 2, width).mean(axis=(1, 3)).ravel()
            return (2 / len(a)) ** 0.5 * a @ last + 0.1 * bias

        rows = [jax.flatten_util.ravel_pytree(jax.grad(network)(parameters, jnp.asarray(image)))[0] for image in x]
        return np.asarray(jnp.stack(rows) @ jnp.stack(rows).T)


@pytest.mark.parametrize("kernel", [ConvNet(2), ConvNet(2, pooling=False), Myrtle(5)])
def test_tiles_of_any_size_give_the_same(kernel, rng, monkeypatch):
    x1, x2 = rng.standard_normal((3, *SHAPE)), rng.standard_normal((5, *SHAPE))
    whole = np.asarray(kernel(x1, x2))
    monkeypatch.setattr(pooled, "CACHE", 1)
    monkeypatch.setattr(unpooled, "CACHE", 40)
    np.testing.assert_allclose(
        jax.jit(lambda a, b: kernel.block(a, b))(jnp.asarray(x1), jnp.asarray(x2)), whole, rtol=1e-4
    )


@pytest.mark.parametrize("kernel", [ConvNet(2), ConvNet(2, pooling=False), ConvNet(2, stem=True)])
def test_memory_of_the_backward_pass_does_not_grow_with_pairs(kernel, rng):
    def bytes_of(n):
        x = jnp.zeros((n, 12, 12, 1))
        slope = jax.jit(jax.grad(lambda a, b: jnp.sum(kernel.block(b, a) ** 2)))
        return slope.lower(x, x).compile().memory_analysis().temp_size_in_bytes

    few, many = bytes_of(16), bytes_of(64)
    # 16 times the pairs; what grows is what belongs to each image and the block itself.
    assert many < 4.5 * few


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (ConvNet(3), 28**4 + 14**4 + 7**4),
        (2.0 * ConvNet(2, stem=True), 2 * 28**4 + 14**4),
        (tiled(ConvNet(3, pooling=False)), 3 * 28**2),
        (sharded(Myrtle(5)) + RBF(1.0), 2 * 28**4 + 14**4 + 7**4 + 1),
    ],
)
def test_activations_of_a_pair(kernel, expected):
    assert kernel.activations((28, 28, 1)) == kernel.activations((28, 28)) == expected
    assert kernel.rows_within(12.5 * expected, (28, 28, 1), 4) == 3
    assert kernel.rows_within(1.0, (28, 28, 1), 4) == 1


def test_a_step_and_a_validation_take_fewer_rows_under_a_dear_kernel():
    shape = (28, 28, 1)
    assert fit.rows_per_step(10, (RBF(),), shape) == 5000
    assert fit.rows_per_step(10, (RBF(), ConvNet(3)), shape) == int(fit.STEP_WORK / (28**4 + 14**4 + 7**4) / 10)
    assert fit.rows_per_step(100, (ConvNet(3),), shape) == 2000  # 20 for each example
    assert fit.validation_rows(10, (RBF(),), shape) > 10**8
    assert fit.validation_rows(10, (ConvNet(3),), shape) == int(fit.VALIDATION_WORK / (28**4 + 14**4 + 7**4) / 10)


def test_channels_may_be_left_out(rng):
    x = rng.standard_normal((3, 4, 4))
    np.testing.assert_array_equal(ConvNet(2)(x), ConvNet(2)(x[..., None]))


@pytest.mark.parametrize(
    ("call", "fragment"),
    [
        (lambda: ConvNet(0), "depth=0; expected 1 or more"),
        (lambda: ConvNet(activation="tanh"), "'tanh'"),
        (lambda: ConvNet(kind="ck"), "kind='ck'"),
        (lambda: ConvNet(w_std=0.0), "w_std=0.0"),
        (lambda: Myrtle(6), "depth=6; expected one of 5, 7, 10"),
        (lambda: ConvNet(3)(np.ones((2, 7, 9, 1))), "7×9 pixels; expected 8×8 or more for 3 stages"),
        (lambda: Myrtle(5)(np.ones((2, 3, 9, 1))), "3×9 pixels; expected 4×4"),
        (
            lambda: ConvNet(2)(np.full((2, 8, 8, 1), np.nan)),
            r"x1 with 128 entries that are NaN, the first at \[0, 0, 0, 0\]",
        ),
        (lambda: ConvNet(2)(np.ones((2, 8, 8, 1)), np.full((1, 8, 8, 1), np.inf)), "x2 with 64 entries that are inf"),
        (lambda: ConvNet(2)(np.ones((2, 64))), r"rows of shape \(64,\); expected images"),
        (lambda: ConvNet(2).activations((64,)), r"rows of shape \(64,\); expected images"),
        (lambda: KIP(1, kernel="convnet2").fit(np.eye(64), np.arange(64) % 2), r"rows of shape \(64,\)"),
        (lambda: ConvNet(2)(np.ones((2, 3, 32, 32))), r"\(3, 32, 32\), which looks like channels first"),
        (lambda: ConvNet(2)(np.ones((2, 8, 8, 1)), np.ones((2, 8, 8, 3))), r"\(8, 8, 1\) and \(8, 8, 3\)"),
    ],
)
def test_bad_input_is_named(call, fragment):
    with pytest.raises(InputError, match=fragment):
        call()


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("convnet", ConvNet(3, stem=True)),
        ("convnet3", ConvNet(3)),
        ("ConvNet2-nngp", ConvNet(2, kind="nngp")),
        ("conv-vec8", ConvNet(8, pooling=False)),
        ("convnet3-erf-nngp", ConvNet(3, kind="nngp", activation="erf")),
        ("myrtle", Myrtle(5)),
        ("myrtle10-nngp", Myrtle(10, kind="nngp")),
    ],
)
def test_has_a_short_name(name, kernel):
    assert named(name) == kernel


def test_unknown_depths_in_names_are_refused():
    with pytest.raises(InputError, match="depth=6"):
        named("myrtle6")


@pytest.fixture
def pixels(rng):
    """Patches of norm 1 and sizes of one image and of three, by the number of places."""

    def of(places):
        p, q = (rng.standard_normal((*n, places, 5, 6, 10)).astype(np.float32) for n in ((), (3,)))
        sizes = [rng.random(a.shape[:-1], dtype=np.float32) for a in (p, q)]
        p, q = (a / np.linalg.norm(a, axis=-1, keepdims=True) for a in (p, q))
        return tuple(map(jnp.asarray, (p, sizes[0], q, sizes[1])))

    return of


@pytest.mark.parametrize("places", [1, 4])
@pytest.mark.parametrize("ntk", [True, False])
@pytest.mark.parametrize("within_float64", [True, False])  # as KIP calls it, and as a user does
def test_fused_first_activation_equals_the_plain_one(places, ntk, within_float64, pixels):
    dual = ACTIVATIONS["relu"]
    inputs = pixels(places)
    with jax.enable_x64(within_float64):
        ours, plain = fused.first(dual, ntk, *inputs, interpret=True), maps.plain_first(dual, ntk, *inputs)
    assert all(found.dtype == np.float32 for found in ours)
    assert len(ours) == 1 + ntk
    for one, other in zip(ours, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("within_float64", [True, False])
def test_fused_first_activation_compiles_for_gpus_and_serves_them_alone(within_float64, pixels, monkeypatch):
    relu, inputs = ACTIVATIONS["relu"], pixels(4)
    with jax.enable_x64(within_float64):
        traced = jax.jit(lambda *inputs: fused.first(relu, True, *inputs)).trace(*inputs)
        assert "triton" in traced.lower(lowering_platforms=("cuda",)).as_text()
    assert not fused.serves(relu, np.dtype(np.float32))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for capability, expected in (("9.0", True), ("7.5", False), ("gfx90a", False)):
        monkeypatch.setattr(jax, "devices", lambda capability=capability: [Mock(compute_capability=capability)])
        assert fused.serves(relu, np.dtype(np.float32)) is expected
    assert not fused.serves(relu, np.dtype(np.float64))
    assert not fused.serves(ACTIVATIONS["erf"], np.dtype(np.float32))
