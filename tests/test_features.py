"""Feature maps: the same everywhere, equal to slow twins, and their inner products converge to the exact kernels."""

import dataclasses
import hashlib
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from datastill._errors import InputError
from datastill.data import archive
from datastill.features import Nystroem, PatchConv, RandomConv, RandomDense, RandomFourier, patches
from datastill.features.base import Composed, drawn
from datastill.features.fourier import cosine_and_sine
from datastill.features.names import named_map
from datastill.features.numbers import normal_quantile, normals, uniforms
from datastill.features.states import from_state, state
from datastill.gram import kernel_of, sharded, tiled
from datastill.gram.names import as_kernels
from datastill.kernels import RBF, FullyConnected

VECTORS = {
    "rbf": RandomFourier(5, length_scale=1.5),
    "laplace": RandomFourier(5, "laplace", length_scale=3.0),
    "dense0": RandomDense(6, 0),
    "dense1": RandomDense(6),
    "dense3": RandomDense(6, 3, 1.2, 0.3),
    "ntk1": RandomDense(6, kind="ntk"),
    "ntk3": RandomDense(6, 3, kind="ntk"),
    "sum": RandomFourier(3, length_scale=1.0) + 0.5 * RandomDense(4),
    "composed": Composed(RandomDense(6), RandomFourier(5, length_scale=2.0)),
    "nystroem": Nystroem(4),
    "nystroem-rbf": Nystroem(4, RBF(2.0)),
    "nystroem-composed": Composed(RandomDense(6), Nystroem(3)),
}
IMAGES = {
    "conv": RandomConv(3, 2),
    "conv-unpooled": RandomConv(3, 2, pooling=False),
    "conv-normalised": RandomConv(3, 2, norm="instance"),
    "patches": PatchConv(4, size=3, grid=2),
    "patches-overlap": PatchConv(4, size=3, grid=2, overlap=True),
    "patches-mirrored": PatchConv(4, size=3, grid=2, mirrored=True),
}
MAPS = VECTORS | IMAGES
any_map = pytest.mark.parametrize("name", MAPS)
DRAWS = {
    "rbf": "71c812d8beee0c3f",
    "laplace": "36b6dd4ba6556581",
    "dense0": "e3b0c44298fc1c14",
    "dense1": "757070a64ddd1a85",
    "dense3": "9b2ed5da635098dc",
    "ntk1": "4eb5c5ea3f3979bb",
    "ntk3": "e01261c125fd3675",
    "sum": "898b9fd1af9deb19",
    "composed": "4bebcd4d66958b15",
    "conv": "a3897706a79608cf",
    "conv-unpooled": "a3897706a79608cf",
    "conv-normalised": "a3897706a79608cf",
}
FROZEN_NORMALS = [0xBE24B0FD, 0xBEDC9F2D, 0xBF94C053, 0x3F96159E]
FROZEN_UNIFORMS = ["0x1.060fc606aec31p-1", "0x1.3ae35ce6f6caep-2"]
FROZEN_DIGEST = "8d2df5113ea5cfe371d509a7e97dd4cdb960937f1dc52e80b42f1955bad64293"


@pytest.fixture(scope="module")
def data():
    """Ten vectors and ten images."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((10, 5)).astype(np.float32), rng.standard_normal((10, 8, 9, 2)).astype(np.float32)


def met(name, data):
    """The map after it met its rows, and the rows."""
    x = data[name in IMAGES]
    return MAPS[name].resolve(x), x


def slow(map, x):
    """The twin of a map's features, from its own random numbers."""
    layers = map.draw(x.shape[1:])
    if isinstance(map, RandomFourier):
        return oracles.fourier_features(x, layers, map.length_scale)
    if isinstance(map, RandomDense):
        return oracles.network_features(x, layers, map.kind, map.w_std, map.b_std)
    if isinstance(map, RandomConv):
        return oracles.convolutional_features(x, layers, map.pooling, map.w_std, map.b_std, map.norm)
    if isinstance(map, Nystroem):
        return oracles.nystroem_features(x, map.chosen.rows, kernel_twin(map.kernel))
    if isinstance(map, Composed):
        phi = slow(map.inner, x)
        return slow(map.outer, phi.shape[1] ** 0.5 * phi)
    phi = oracles.patch_features(x, *layers, map.grid, map.overlap)
    if not map.mirrored:
        return phi
    return (phi + oracles.patch_features(x[:, :, ::-1], *layers, map.grid, map.overlap)) / 2


def kernel_twin(kernel):
    """The twin of a kernel."""
    if isinstance(kernel, RBF):
        return lambda a, b: oracles.rbf(a, b, kernel.length_scale)
    return lambda a, b: oracles.dense(a, b, kernel.depth, w_std=kernel.w_std, b_std=kernel.b_std)[0]


# Random numbers


def test_bits_are_those_of_philox():
    """The known answer of Random123 (kat_vectors, philox4x64 10): counter 0, key 0."""
    known = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert np.random.Philox(key=[0, 0], counter=2**256 - 1).random_raw(4).tolist() == known


def test_numbers_are_frozen():
    """Made here on 25 November 2026 (x86-64, NumPy 2.4.6); any change to them breaks saved moments."""
    assert normals(0, "frozen", (4,)).view(np.uint32).tolist() == FROZEN_NORMALS
    assert [u.hex() for u in uniforms(7, "frozen", (2,)).tolist()] == FROZEN_UNIFORMS
    assert hashlib.sha256(normals(1, "frozen", (200_000,)).tobytes()).hexdigest() == FROZEN_DIGEST


def test_quantile_equals_the_standard_library_s():
    u = np.concatenate([uniforms(0, "test", (2000,)), [2.0**-53, 1e-12, 0.075, 0.5 - 2.0**-53, 0.925, 1 - 2.0**-53]])
    expected = [statistics.NormalDist().inv_cdf(v) for v in u]
    np.testing.assert_allclose(normal_quantile(u), expected, rtol=2e-15, atol=1e-300)


def test_numbers_have_the_moments_of_a_normal_variable():
    z = normals(3, "test", (200_000,)).astype(np.float64)
    for power, moment, deviation in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        assert abs(np.mean(z**power) - moment) < 4 * deviation / len(z) ** 0.5


@given(seed=st.integers(0, 2**64 - 1), stream=st.text(max_size=5), more=st.integers(0, 5))
def test_a_larger_draw_begins_with_a_smaller_one(seed, stream, more):
    np.testing.assert_array_equal(normals(seed, stream, (4 + more, 3))[:4], normals(seed, stream, (4, 3)))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_are_64_bits(seed):
    with pytest.raises(InputError, match="expected a whole number from 0"):
        normals(seed, "test", (1,))


def test_streams_are_unrelated():
    a, b, c = normals(0, "a", (10_000,)), normals(0, "b", (10_000,)), normals(1, "a", (10_000,))
    assert max(abs(np.corrcoef([a, b, c])[np.triu_indices(3, 1)])) < 0.05


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_frozen(name, data):
    """Exact on every platform: what a seed means must never change."""
    hasher = hashlib.sha256()
    for array in jax.tree.leaves(MAPS[name].draw(data[name in IMAGES].shape[1:])):
        assert array.dtype == np.float32
        hasher.update(np.ascontiguousarray(array).tobytes())
    assert hasher.hexdigest()[:16] == DRAWS[name]


# Maps


@any_map
def test_features_equal_their_slow_twin(name, data):
    map, x = met(name, data)
    phi = map(x)
    assert phi.dtype == np.float32
    assert phi.shape == (10, map.columns(x.shape[1:]))
    if name == "sum":
        expected = np.concatenate([slow(map.terms[0], x), 0.5**0.5 * slow(map.terms[1].map, x)], axis=1)
    else:
        expected = slow(map, x)
    np.testing.assert_allclose(phi, expected, rtol=0, atol=5e-6 * np.abs(expected).max())


@any_map
def test_blocks_are_the_whole(name, data):
    map, x = met(name, data)
    whole = np.asarray(map(x))
    one_row = 4 * 6 * map.columns(x.shape[1:])
    for memory, sizes in ((1, [1] * 10), (3 * one_row, [3, 3, 3, 1])):
        blocks = list(map.blocks(x, memory))
        assert [len(block) for block in blocks] == sizes
        np.testing.assert_allclose(np.concatenate(blocks), whole, rtol=0, atol=2e-6)
    assert map(x[:0]).shape == (0, whole.shape[1])


@any_map
def test_maps_are_their_state(name, data):
    """Through the file format too; equal settings are equal maps with equal features, another seed another map."""
    map, x = met(name, data)
    described, tensors = archive.pack(state(map))
    again = from_state(archive.unpack(described, tensors))
    assert again == map
    assert hash(again) == hash(map)
    drawn.cache_clear()
    np.testing.assert_array_equal(again(x), map(x))
    if hasattr(map, "seed"):
        other = dataclasses.replace(MAPS[name], seed=1).resolve(x)
        assert other != map
        assert name == "dense0" or np.abs(np.asarray(other(x)) - np.asarray(map(x))).max() > 1e-3


@any_map
def test_formulas_are_shared_by_seeds(name, data):
    """So that a pool of networks compiles once."""
    map, x = met(name, data)
    map = map.terms[0] if name == "sum" else map
    if isinstance(map, Composed):
        other = Composed(*(dataclasses.replace(part, seed=5) for part in (map.inner, map.outer)))
    else:
        other = dataclasses.replace(map, seed=5)
    assert other.formula() == map.formula()
    weights = drawn(map, x.shape[1:])
    np.testing.assert_array_equal(other.compiled(weights, jnp.asarray(x)), map(x))


@any_map
def test_derivatives_in_the_rows_are_slopes(name, data):
    map, x = met(name, data)
    x = x[:2].astype(np.float64)
    tilt = np.random.default_rng(1).standard_normal((2, map.columns(x.shape[1:])))
    with jax.enable_x64(True):
        f = jax.jit(lambda a: jnp.sum(tilt * map.block(drawn(map, a.shape[1:]), a)))
        slope = np.asarray(jax.grad(f)(jnp.asarray(x)))
        expected = oracles.difference(lambda a: float(f(jnp.asarray(a))), x, 1e-6)
    assert oracles.relative(slope, expected) < 1e-6
    low = jax.grad(lambda a: jnp.vdot(jnp.asarray(tilt, a.dtype), map.block(drawn(map, a.shape[1:]), a)))(
        jnp.asarray(x, jnp.float32)
    )
    assert oracles.relative(low, expected) < 1e-4


@any_map
def test_kernel_of_a_map_is_its_inner_products(name, data):
    map, x = met(name, data)
    kernel = kernel_of(MAPS[name]).resolve(x)
    phi = np.asarray(map(x), np.float64)
    block = np.asarray(kernel(x, x[:3]))
    np.testing.assert_allclose(block, phi @ phi[:3].T, rtol=0, atol=1e-5)
    np.testing.assert_allclose(kernel.diagonal(x), np.sum(phi**2, axis=1), rtol=1e-5)
    for wrapped in (tiled(kernel, 1), sharded(kernel)):
        np.testing.assert_allclose(wrapped(x, x[:3]), block, rtol=0, atol=1e-5)
    eigenvalues = np.linalg.eigvalsh(kernel(x.astype(np.float64)))
    assert eigenvalues[0] > -1e-12 * eigenvalues[-1]


LIMITS = {
    "rbf": (lambda m, seed: RandomFourier(m, "rbf", 1.5, seed=seed), lambda x: RBF(1.5)(x)),
    "laplace": (lambda m, seed: RandomFourier(m, "laplace", 4.0, seed=seed), lambda x: oracles.laplace(x, x, 4.0)),
    **{
        f"{kind}{depth}": (
            lambda m, seed, kind=kind, depth=depth: RandomDense(m, depth, kind=kind, seed=seed),
            lambda x, kind=kind, depth=depth: FullyConnected(depth, kind=kind)(x),
        )
        for kind, depth in (("nngp", 1), ("nngp", 3), ("ntk", 1), ("ntk", 2))
    },
}


@pytest.mark.parametrize("name", LIMITS)
def test_inner_products_converge_to_the_exact_kernel_at_the_root_of_the_width(name, data):
    """Root mean square error over 12 seeds: 16 times the width, a quarter of the error; and no bias beside it."""
    make, exact = LIMITS[name]
    x = data[0].astype(np.float64)
    exact, errors = np.asarray(exact(x)), {}
    for width in (64, 1024):
        found = [np.asarray(map(x), np.float64) for map in (make(width, seed) for seed in range(12))]
        deviations = np.array([phi @ phi.T - exact for phi in found])
        errors[width] = np.sqrt(np.mean(deviations**2))
        assert np.sqrt(np.mean(deviations.mean(axis=0) ** 2)) < 0.6 * errors[width]
    assert errors[1024] < 0.1 * np.abs(exact).max()
    assert 2.7 < errors[64] / errors[1024] < 6


@pytest.mark.parametrize(("name", "pooling", "depth"), [("convnet3", True, 3), ("conv_vec3", False, 3)])
def test_convolutional_networks_converge_to_the_frozen_nngp(name, pooling, depth, shared):
    with np.load(shared / "vectors" / "ntk_reference.npz") as stored:
        x1, x2, exact = (stored[f"{name}/{key}"] for key in ("x1", "x2", "nngp"))
    errors = {}
    for width in (16, 256):
        maps = [RandomConv(width, depth, pooling, seed=seed) for seed in range(30)]
        found = [np.asarray(map(x1), np.float64) @ np.asarray(map(x2), np.float64).T for map in maps]
        deviations = np.array(found) - exact
        errors[width] = np.sqrt(np.mean(deviations**2))
    assert errors[256] < 0.15 * np.abs(exact).max()
    assert np.all(np.abs(deviations.mean(axis=0)) < 4 * deviations.std(axis=0) / len(maps) ** 0.5)
    assert 2.7 < errors[16] / errors[256] < 6


@given(turns=st.lists(st.floats(-100, 100, width=32), min_size=4, max_size=4))
def test_cosine_and_sine_are_right_to_float32(turns):
    t = np.array(turns, np.float32)
    cosine, sine = cosine_and_sine(jnp.asarray(t))
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi * t.astype(np.float64)), rtol=0, atol=1e-6)
    np.testing.assert_allclose(sine, np.sin(2 * np.pi * t.astype(np.float64)), rtol=0, atol=1e-6)


def test_length_scales_left_to_the_data_are_medians(data):
    x = data[0]
    assert RandomFourier().resolve(x).length_scale == pytest.approx(oracles.median_length_scale(x))
    assert RandomFourier(factor=0.5).resolve(x).length_scale == pytest.approx(RBF(factor=0.5).resolve(x).length_scale)
    distances = [np.abs(x[i] - x[j]).sum() for i in range(10) for j in range(i)]
    assert RandomFourier(kernel="laplace").resolve(x).length_scale == pytest.approx(np.median(distances))
    assert RandomFourier(kernel="laplace").resolve(np.ones((3, 2))).length_scale == 1.0
    both = (RandomFourier(3) + 2.0 * RandomFourier(4, seed=1)).resolve(x)
    assert Nystroem(3, RBF()).resolve(x).kernel == RBF().resolve(x)
    assert both.terms[1].map.length_scale == RBF().resolve(x).length_scale


def test_landmarks_have_the_kernel_itself_and_more_of_them_come_closer_to_it(data):
    x = np.random.default_rng(2).standard_normal((200, 5)).astype(np.float32)
    exact, errors = np.asarray(FullyConnected(kind="nngp")(x.astype(np.float64))), {}
    for m in (20, 80, 200):
        map = Nystroem(m).resolve(x)
        phi = np.asarray(map(x), np.float64)
        residual = exact - phi @ phi.T  # what a projection leaves is semidefinite
        assert np.linalg.eigvalsh(residual)[0] > -1e-4
        at = [int(np.flatnonzero((x == row).all(axis=1))[0]) for row in map.chosen.rows]
        assert len(set(at)) == m
        assert np.abs(residual[np.ix_(at, at)]).max() < 1e-3
        errors[m] = np.trace(residual)
    assert errors[20] > 2 * errors[80] > 10 * errors[200]
    with_random_units = np.asarray(RandomDense(79)(x), np.float64)
    nystroem = np.asarray(Nystroem(80).resolve(x)(x), np.float64)
    assert (
        5 * np.abs(nystroem @ nystroem.T - exact).mean()
        < np.abs(with_random_units @ with_random_units.T - exact).mean()
    )


def test_equal_landmarks_do_no_harm():
    x = np.repeat(np.random.default_rng(2).standard_normal((5, 4)).astype(np.float32), 8, axis=0)
    map = Nystroem(30).resolve(x)
    phi = np.asarray(map(x), np.float64)
    assert np.isfinite(phi).all()
    np.testing.assert_allclose(phi @ phi.T, FullyConnected(kind="nngp")(x.astype(np.float64)), rtol=0, atol=1e-3)
    assert map.resolve(x[:3]) is map


def test_an_image_and_its_mirror_image_have_the_same_mirrored_features(data):
    map, x = met("patches-mirrored", data)
    np.testing.assert_allclose(map(x[:, :, ::-1]), map(x), rtol=0, atol=1e-6)
    plain = met("patches", data)[0]
    assert np.abs(np.asarray(plain(x[:, :, ::-1])) - np.asarray(plain(x))).max() > 1e-2


def test_words_are_active_as_asked_and_features_of_unit_scale(data):
    x = np.random.default_rng(2).standard_normal((300, 8, 9, 2)).astype(np.float32)
    map = PatchConv(8, size=3, grid=1, active=0.2).resolve(x)
    phi = np.asarray(map(x))[:, :-1] * (map.columns(x.shape[1:]) - 1) ** 0.5
    np.testing.assert_allclose(phi.mean(axis=0), 0, atol=1e-4)
    assert np.all((phi.std(axis=0) > 0.7) & (phi.std(axis=0) < 1))
    assert map.resolve(x[:5]) is map


def test_grey_images_need_no_channel(data):
    x = data[1][..., 0]
    for map in (RandomConv(3, 2), PatchConv(4, size=3)):
        map = map.resolve(x)
        np.testing.assert_array_equal(map(x), map(x[..., None]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: RandomFourier(0), "frequencies=0"),
        (lambda x: RandomFourier(kernel="matern"), "expected one of rbf, laplace"),
        (lambda x: RandomFourier(length_scale=-1.0), "expected a number above 0"),
        (lambda x: RandomFourier()(x[0]), r"try \.resolve"),
        (lambda x: RandomDense(0), "width=0"),
        (lambda x: RandomDense(kind="gp"), 'expected "nngp" or "ntk"'),
        (lambda x: RandomDense(w_std=0.0), "expected w_std above 0"),
        (lambda x: RandomConv(depth=0), "depth=0"),
        (lambda x: RandomConv(b_std=-1.0), "b_std 0 or more"),
        (lambda x: RandomConv(norm="batch"), "expected one of none, instance"),
        (lambda x: RandomConv(depth=4)(x[1]), "try depth=3 or pooling=False"),
        (lambda x: RandomConv()(x[0]), "expected images"),
        (lambda x: PatchConv(size=1), "size 2 or more"),
        (lambda x: PatchConv(4, size=3)(x[1]), r"try \.resolve"),
        (lambda x: PatchConv(4, size=8).resolve(x[1]), "try a smaller size"),
        (lambda x: PatchConv(4, size=3).resolve(np.zeros_like(x[1])), "expected images that vary"),
        (lambda x: PatchConv(4, size=3).resolve(x[1])(x[1][..., :1]), "dictionary of 2 channels"),
        (lambda x: Nystroem(0), "landmarks=0"),
        (lambda x: Nystroem(4)(x[0]), r"try \.resolve"),
        (lambda x: Nystroem(11).resolve(x[0]), "Got 10 rows to choose 11 landmarks from"),
        (lambda x: Nystroem(4).resolve(x[0])(x[0][:, :3]), "landmarks of shape"),
        (lambda x: 0.0 * RandomDense(), "expected a number above 0"),
        (lambda x: RandomDense()(x[0], memory=0), "memory=0"),
        (lambda x: state(Nystroem(4, RBF(1.0) + RBF(2.0))), "no saved form"),
        (lambda x: from_state({"type": "Quantum"}), "cannot be rebuilt"),
        (lambda x: from_state({"type": "RandomDense", "qubits": 3}), "cannot be rebuilt"),
        (lambda x: from_state({"type": "Dictionary", **vars(PatchConv(4, 3).resolve(x[1]).dictionary)}), "map"),
    ],
)
def test_bad_settings_are_refused(make, message, data):
    with pytest.raises(InputError, match=message) as caught:
        make(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "map"),
    [
        ("conv:64", PatchConv(64)),
        ("conv-flip", PatchConv(mirrored=True)),
        ("random-conv:8", RandomConv(8)),
        ("fourier:20", RandomFourier(20)),
        ("laplace", RandomFourier(kernel="laplace")),
        ("relu3:16", RandomDense(16, depth=3)),
        ("ntk", RandomDense(kind="ntk")),
        ("fourier:8+relu:8", RandomFourier(8) + RandomDense(8, seed=1)),
        ("nystroem:9", Nystroem(9)),
        ("nystroem2", Nystroem(kernel=FullyConnected(2, kind="nngp"))),
        ("conv5g2:8", PatchConv(8, size=5, grid=2)),
        ("conv5o2", PatchConv(size=5, grid=2, overlap=True)),
        ("conv-flip4", PatchConv(size=4, mirrored=True)),
        ("conv:8>relu:4+relu", Composed(PatchConv(8), RandomDense(4, seed=1)) + RandomDense(seed=2)),
    ],
)
def test_maps_have_short_names(name, map):
    assert named_map(name) == map
    assert as_kernels(f"features:{name}") == (kernel_of(map),)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "conf",
        "conv0",
        "fourier3",
        "relug2",
        "reluo2",
        "conv5g",
        "relu>",
        "fourier:",
        "relu:0",
        "fourier+",
        "fourier:-3",
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match="expected"):
        named_map(name)


def test_the_threshold_is_found_from_fewer_images_where_they_are_large(monkeypatch):
    x = np.random.default_rng(0).normal(size=(300, 6, 6)).astype(np.float32)
    map = PatchConv(8, size=3, grid=1)

    def threshold():
        return map.resolve(x).dictionary.threshold

    whole = threshold()
    with monkeypatch.context() as patch:
        patch.setattr(patches, "THRESHOLD_IMAGES", 10)
        few = threshold()
    monkeypatch.setattr(patches, "THRESHOLD_NUMBERS", 10 * 16 * 8)  # 4×4 places and 8 words in each image
    assert threshold() == few != whole
