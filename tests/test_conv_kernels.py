"""Kernels of convolutional networks: properties, slow twins, frozen reference values, wide finite networks."""

from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import oracles
from datastill import KIP, RFAD
from datastill._errors import InputError
from datastill.distill import kernel_objective
from datastill.features.conv import RandomConv
from datastill.gram import sharded, tiled
from datastill.gram.names import named
from datastill.kernels import RBF, ConvNet, FullyConnected, Myrtle, fused, maps, pooled, unpooled
from datastill.kernels.dual import ACTIVATIONS, arc_cosines

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
@pytest.mark.parametrize(
    ("kernel", "stages", "pooling", "head", "activation"),
    [
        (ConvNet(2), ((True,), (True,)), True, "flatten", "relu"),
        (ConvNet(1, stem=True), ((False, True),), True, "flatten", "relu"),
        (ConvNet(2, pooling=False), ((False,), (False,)), False, "flatten", "relu"),
        (Myrtle(5), ((False, True), (True,), (False,)), True, "mean", "relu"),
        (ConvNet(2, activation="erf"), ((True,), (True,)), True, "flatten", "erf"),
    ],
)
def test_is_the_limit_of_wide_networks(kernel, stages, pooling, head, activation, rng):
    x = rng.standard_normal((3, 8, 9, 2))
    layers = [ends for stage in stages for ends in stage]
    found = [_finite_kernels(x, layers, head, activation, 200, np.random.default_rng(seed)) for seed in range(24)]
    nngp, ntk = np.mean(found, axis=0)
    assert oracles.relative(replace(kernel, kind="nngp")(x), nngp) < 0.04
    assert oracles.relative(kernel(x), ntk) < 0.08  # a finite network's is larger, by a multiple of depth/width


def _finite_kernels(x, layers, head, activation, width, rng):
    """Inner products of the last features, and of all gradients, of one random network, float64.

    `layers` says of each convolution whether pooling follows.
    """
    act = {"relu": lambda h: jnp.maximum(h, 0), "erf": jax.lax.erf}[activation]
    w, b = 2**0.5, 0.1

    def features(parameters, image):
        a = image
        for (weights, biases), pools in zip(parameters, layers, strict=True):
            h = jax.lax.conv_general_dilated(
                a[None], weights, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )[0]
            a = act(w / (9 * a.shape[2]) ** 0.5 * h + b * biases)
            if pools:
                a = a[: len(a) // 2 * 2, : a.shape[1] // 2 * 2]
                a = a.reshape(len(a) // 2, 2, a.shape[1] // 2, 2, -1).mean(axis=(1, 3))
        a = a.ravel() if head == "flatten" else a.mean(axis=(0, 1))
        return w / len(a) ** 0.5 * a

    def output(parameters, image):
        (body, last, bias) = parameters
        return features(body, image) @ last + b * bias

    with jax.enable_x64(True):
        channels = [x.shape[3], *[width] * (len(layers) - 1)]
        body = [
            (jnp.asarray(rng.standard_normal((3, 3, c, width))), jnp.asarray(rng.standard_normal(width)))
            for c in channels
        ]
        phi = jnp.stack([features(body, image) for image in jnp.asarray(x)])
        last = jnp.asarray(rng.standard_normal(phi.shape[1]))
        slope = jax.jit(jax.grad(output))
        rows = jnp.stack(
            [jax.flatten_util.ravel_pytree(slope((body, last, 0.0), image))[0] for image in jnp.asarray(x)]
        )
        return np.asarray([phi @ phi.T + b**2, rows @ rows.T])


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


def test_steps_validations_and_label_solves_take_fewer_rows_under_a_dear_kernel():
    shape = (28, 28, 1)
    assert kernel_objective.rows_per_step(10, (RBF(),), shape) == 5000
    assert kernel_objective.rows_per_step(10, (RBF(), ConvNet(3)), shape) == int(
        kernel_objective.STEP_WORK / (28**4 + 14**4 + 7**4) / 10
    )
    assert kernel_objective.rows_per_step(100, (ConvNet(3),), shape) == 2000  # 20 for each example
    assert kernel_objective.validation_rows(10, (RBF(),), shape) > 10**8
    assert kernel_objective.label_rows(10, (RBF(),), shape, 60_000) == 60_000
    assert kernel_objective.label_rows(10, (ConvNet(3),), shape, 60_000) == int(
        kernel_objective.LABEL_WORK / (28**4 + 14**4 + 7**4) / 10
    )
    assert kernel_objective.label_rows(400, (ConvNet(3),), shape, 60_000) == 40_000  # 100 for each example
    assert kernel_objective.validation_rows(10, (ConvNet(3),), shape) == int(
        kernel_objective.VALIDATION_WORK / (28**4 + 14**4 + 7**4) / 10
    )


def test_channels_may_be_left_out(rng):
    x = rng.standard_normal((3, 4, 4))
    np.testing.assert_array_equal(ConvNet(2)(x), ConvNet(2)(x[..., None]))


@pytest.mark.parametrize(
    ("call", "fragment"),
    [
        (lambda: ConvNet(0), "depth=0; expected 1 or more"),
        (lambda: ConvNet(2)(np.ones((2, 8, 8, 1), complex)), "x1 of complex128; expected real numbers"),
        (lambda: ConvNet(2)(np.full((2, 8, 8, 1), "1", object)), "x1 of object; expected real numbers"),
        (lambda: ConvNet(activation="tanh"), "'tanh'"),
        (lambda: ConvNet(kind="ck"), "kind='ck'"),
        (lambda: ConvNet(w_std=0.0), "w_std=0.0"),
        (lambda: ConvNet(w_std=np.inf), "w_std=inf"),
        (lambda: ConvNet(2)(np.full((2, 8, 8, 1), 1e20, np.float32)), r"up to 1e\+20; expected less than 2.31e\+18"),
        (lambda: ConvNet(2)(np.ones((2, 8, 8, 0))), r"rows of shape \(8, 8, 0\); expected images"),
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
        (
            lambda: KIP(1, kernel="convnet", memory=2**16).fit(np.eye(64).reshape(64, 8, 8), np.arange(64) % 2),
            r"memory=65536 bytes for ConvNet\(.*expected 131072 or more",
        ),
        (lambda: ConvNet(2)(np.ones((2, 3, 32, 32))), r"\(3, 32, 32\), which looks like channels first"),
        (lambda: RandomConv(4, 2)(np.ones((2, 3, 32, 32))), r"\(3, 32, 32\), which looks like channels first"),
        (lambda: RFAD(1).fit(np.ones((4, 3, 32, 32)), np.arange(4) % 2), "looks like channels first"),
        (lambda: ConvNet(2).diagonal(np.full((2, 8, 8, 1), np.nan)), "x with 128 entries that are NaN"),
        (lambda: ConvNet(2)(np.ones((2, 8, 8, 1)), np.ones((2, 8, 8, 3))), r"\(8, 8, 1\) and \(8, 8, 3\)"),
    ],
)
def test_bad_input_is_named(call, fragment):
    with pytest.raises(InputError, match=fragment):
        call()


def test_kip_learns_under_sampled_kernels_with_labels_and_flips(rng):
    codes = np.arange(60) % 2
    x = rng.standard_normal((60, 6, 6)) + codes[:, None, None] * np.linspace(-1, 1, 6)
    settings = {"kernel": "conv-vec1,convnet1", "learn_labels": "gradient", "augment": "flip", "random_state": 0}
    start, learned = (KIP(1, max_iter=steps, **settings).fit(x[:40], codes[:40]) for steps in (0, 30))
    assert learned.kernels_ == (ConvNet(1, pooling=False), ConvNet(1))
    assert np.abs(learned.X_support_ - start.X_support_).max() > 0.1
    assert learned.history_[-1].validation_loss < start.history_[-1].validation_loss


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


@any_dtype
def test_arc_cosines_equal_their_definitions(dtype):
    gaps = np.concatenate([np.logspace(-5, 0, 300), [0]])
    z = np.concatenate([1 - gaps, gaps - 1]).astype(dtype)
    with jax.enable_x64(True):
        kappa1, kappa0 = map(np.asarray, arc_cosines(jnp.asarray(z)))
    assert kappa1.dtype == kappa0.dtype == dtype
    wide = z.astype(np.float64)
    sine = np.sqrt((1 - wide) * (1 + wide))
    rest = np.pi - np.arctan2(sine, wide)
    tolerance = 2 * np.finfo(dtype).eps
    np.testing.assert_allclose(kappa1, (sine + rest * wide) / np.pi, rtol=0, atol=tolerance)
    np.testing.assert_allclose(kappa0, rest / np.pi, rtol=0, atol=tolerance)


@any_dtype
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_derivatives_of_dual_activations(activation, dtype, rng):
    dual, z, step = ACTIVATIONS[activation], rng.uniform(-0.99, 0.99, 200), 1e-6
    with jax.enable_x64(True):
        f, slope = map(np.asarray, dual.pair(jnp.asarray(z)))
        above, below = (np.asarray(dual.pair(jnp.asarray(z + sign * step))) for sign in (1, -1))
        given = jnp.asarray(z, dtype)
        found = [dual.pair(given)[1], dual.second_derivative(given), *dual.rest(given)]
    first, second = (above - below) / (2 * step)
    np.testing.assert_allclose(slope, first, rtol=1e-6)
    for one, other in zip(found, (slope, second, f - z * slope, z**2 * second), strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(one, other, rtol=1e-4 if dtype == np.float32 else 1e-6, atol=1e-6)


@any_dtype
def test_relu_has_no_bend_at_identical_and_opposite_rows(dtype):
    with jax.enable_x64(True):
        ends = jnp.asarray([-1, 1], dtype)
        relu = ACTIVATIONS["relu"]
        slopes, rest = [relu.pair(ends)[1], relu.second_derivative(ends)], relu.rest(ends)
    np.testing.assert_array_equal(slopes, [[0, 1], [0, 0]])
    np.testing.assert_array_equal(rest, np.zeros((2, 2)))


@pytest.fixture
def pixels(rng):
    """Patches of norm 1 and sizes of one image and of three, by the number of places."""

    def of(places):
        p, q = (rng.standard_normal((places, 5, 6 * images, 10)).astype(np.float32) for images in (1, 3))
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


@pytest.mark.parametrize("places", [1, 4])
@pytest.mark.parametrize("ntk", [True, False])
@pytest.mark.parametrize("within_float64", [True, False])
def test_fused_first_activation_has_the_derivatives_of_the_plain_one(places, ntk, within_float64, pixels, rng):
    relu, inputs = ACTIVATIONS["relu"], pixels(places)
    with jax.enable_x64(within_float64):
        shape = maps.plain_first(relu, ntk, *inputs)[0].shape
        slopes = tuple(jnp.asarray(rng.standard_normal(shape), jnp.float32) for _ in range(1 + ntk))
        ours = fused.first_backward(relu, inputs, slopes, interpret=True)
        plain = maps.plain_first_backward(relu, inputs, slopes)
    for one, other, of in zip(ours, plain, inputs, strict=True):
        assert one.dtype == np.float32 and one.shape == of.shape
        np.testing.assert_allclose(one, other, atol=2e-5 * float(jnp.abs(other).max()))


@pytest.mark.parametrize("within_float64", [True, False])
def test_fused_first_activation_compiles_for_gpus_and_serves_them_alone(within_float64, pixels, monkeypatch):
    relu, inputs = ACTIVATIONS["relu"], pixels(4)
    with jax.enable_x64(within_float64):
        slopes = maps.plain_first(relu, True, *inputs)
        forward = jax.jit(partial(fused.first, relu, True)).trace(*inputs)
        backward = jax.jit(partial(fused.first_backward, relu)).trace(inputs, slopes)
        for traced in (forward, backward):
            assert "triton" in traced.lower(lowering_platforms=("cuda",)).as_text()
    assert not fused.serves(relu, np.dtype(np.float32), 28)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for capability, expected in (("9.0", True), ("7.5", False), ("gfx90a", False)):
        monkeypatch.setattr(jax, "devices", lambda capability=capability: [Mock(compute_capability=capability)])
        assert fused.serves(relu, np.dtype(np.float32), 28) is expected
    assert not fused.serves(relu, np.dtype(np.float32), 257)
    assert not fused.serves(relu, np.dtype(np.float64), 28)
    assert not fused.serves(ACTIVATIONS["erf"], np.dtype(np.float32), 28)


@pytest.mark.parametrize("kernel", [ConvNet(2), ConvNet(2, pooling=False), FullyConnected(2), RBF(3.0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_integers_are_numbers(kernel, dtype, rng):
    x = rng.integers(0, 200, (3, 8, 8, 1)).astype(dtype)
    x = x if isinstance(kernel, ConvNet) else x.reshape(3, -1)
    np.testing.assert_allclose(kernel(x), kernel(x.astype(np.float32)), rtol=1e-6)
    np.testing.assert_allclose(kernel.diagonal(x), np.diagonal(kernel(x)), rtol=1e-4)


@pytest.mark.parametrize("kernel", [ConvNet(1), tiled(2.0 * ConvNet(1), 2**30), ConvNet(1) + RBF(1.0)])
def test_tiles_keep_to_the_memory_that_is_told(kernel, rng):
    x = rng.standard_normal((60, 16, 16, 1)).astype(np.float32)
    few = kernel.within(2**17)
    usual, less = (jax.jit(k.block).lower(x, x).compile().memory_analysis().temp_size_in_bytes for k in (kernel, few))
    assert less < usual - 2**19  # maps of one image, in place of a tile of thirty
    np.testing.assert_allclose(few(x[:2], x), kernel(x[:2], x), rtol=1e-5)
    assert few.pair_bytes((16, 16)) == kernel.pair_bytes((16, 16)) == 2**17


@pytest.mark.parametrize("memory", [1, 2**12, 2**20])
def test_any_memory_gives_the_same_values_without_pooling(memory, rng):
    x, kernel = rng.standard_normal((30, 8, 8, 1)), ConvNet(2, pooling=False)
    np.testing.assert_allclose(kernel.within(memory)(x), kernel(x), rtol=1e-12)
    assert repr(kernel.within(memory)) == repr(kernel)


@pytest.mark.parametrize("kernel", [ConvNet(2), ConvNet(2, pooling=False)])
def test_no_rows_have_no_kernel(kernel, rng):
    x = rng.standard_normal((3, 8, 8, 1))
    assert kernel(x, x[:0]).shape == (3, 0) and kernel(x[:0], x).shape == (0, 3)


@pytest.mark.parametrize("kernel", [ConvNet(2, activation="erf"), FullyConnected(2, activation="erf")])
def test_erf_of_large_numbers_is_finite(kernel, rng):
    x = (1e4 * rng.standard_normal((6, 8, 8, 1))).astype(np.float32)
    x = x if isinstance(kernel, ConvNet) else x.reshape(6, -1)
    assert np.isfinite(kernel(x)).all()
    gradient = jax.grad(lambda a: kernel.block(a, jnp.asarray(x)).sum())(jnp.asarray(x))
    assert np.isfinite(gradient).all()
