"""Finite networks as learners: what they compute, how they are trained, and what they refuse."""

import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs

import oracles
from datastill._errors import InputError, SolveError
from datastill.learners.augmentation import DSA, TRANSFORMS, Transforms, transform
from datastill.learners.descent import Weights, batches, stable_rate
from datastill.learners.labels import probabilities
from datastill.learners.named import both_augmentations, named_learner, takes_weights
from datastill.learners.networks import InstanceNorm, network
from datastill.learners.neural import Network
from datastill.learners.presets import MOST_STEPS, PRESETS, Architecture, preset
from datastill.learners.training import label_vectors, train
from datastill.preprocess.augment import resample

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((6, 8, 9, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    x = ((found.images - found.images.mean()) / found.images.std()).astype(np.float32)
    draw = np.random.default_rng(0)
    rows = np.concatenate([draw.choice(np.flatnonzero(found.target == c), 10, replace=False) for c in range(10)])
    rest = np.setdiff1d(np.arange(len(x)), rows)
    return x[rows], (np.eye(10) - 0.1)[found.target[rows]], x[rest], found.target[rest]


@pytest.fixture(scope="module")
def blobs():
    x, codes = make_blobs([20, 20, 20], 4, random_state=0)
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), (np.eye(3) - 1 / 3)[codes], codes


def quick(name="fast", **settings):
    return Network(name, **{"steps": 8, "width": 4} | settings)


def state(how, shape, outputs):
    return nnx.state(network(how.architecture, shape, outputs, 0))


def parameters(model):
    return sum(leaf.size for leaf in jax.tree.leaves(model))


# What the networks compute


@pytest.mark.parametrize("norm", ["instance", "none"])
@pytest.mark.parametrize(("stem", "padded", "init"), [(False, True, "torch"), (True, False, "he")])
def test_convnet_is_its_definition(images, norm, stem, padded, init):
    what = Architecture((4, 5), stem=stem, norm=norm, padded=padded, initialisation=init)
    net = network(what, images.shape[1:], 3, seed=1)
    for i, layer in enumerate(net.norms):
        layer.gamma[...] = layer.gamma[...] + i + jnp.arange(layer.gamma[...].size)
        layer.beta[...] = layer.beta[...] - i
    x = np.pad(images, ((0, 0), (0, 0), (1, 2), (0, 0))) if padded else images  # 8×9 to 8×12
    for layer in net.stem:
        x = np.maximum(oracles.convolution(x, layer.kernel[...], layer.bias[...]), 0)
    for i, layer in enumerate(net.convolutions):
        x = oracles.convolution(x, layer.kernel[...], layer.bias[...])
        if norm == "instance":
            x = oracles.instance_norm(x, np.asarray(net.norms[i].gamma[...]), np.asarray(net.norms[i].beta[...]))
        x = oracles.average_pool(np.maximum(x, 0))
    expected = x.reshape(len(x), -1) @ np.asarray(net.head.kernel[...], np.float64) + net.head.bias[...]
    np.testing.assert_allclose(net(jnp.asarray(images)), expected, rtol=2e-4, atol=2e-4)


def test_instance_norm_is_its_definition_and_forgets_scale(images):
    norm = InstanceNorm(3)
    norm.gamma[...], norm.beta[...] = jnp.array([1.0, 2.0, -1.0]), jnp.array([0.0, 1.0, 2.0])
    expected = oracles.instance_norm(images, [1, 2, -1], [0, 1, 2])
    np.testing.assert_allclose(norm(jnp.asarray(images)), expected, atol=1e-5)
    np.testing.assert_allclose(norm(jnp.asarray(7 * images + 3)), expected, atol=1e-3)


def test_published_networks_have_their_published_size():
    shape = (32, 32, 3)
    convolutional = {name: p for name, p in PRESETS.items() if p.architecture.convolutional}
    sizes = {name: parameters(jax.eval_shape(lambda p=p: state(p, shape, 10))) for name, p in convolutional.items()}
    assert sizes["dc"] == sizes["dsa"] == 320_010
    wide = 27 * 128 + 128 + 9 * 128 * 256 + 256 + 9 * 256 * 512 + 512 + 8192 * 10 + 10
    assert sizes["frepo"] == sizes["rcig"] == wide
    block = 9 * 1024**2 + 1024
    assert sizes["kip"] == 28 * 1024 + 3 * block + 16 * 1024 * 10 + 10
    assert sizes["rfad"] == sizes["kip"] - block


@pytest.mark.parametrize(
    ("initialisation", "weights", "biases"), [("torch", 3**-0.5, 3**-0.5), ("lecun", 1, 0), ("he", 2**0.5, None)]
)
def test_initial_weights_have_their_published_spread(initialisation, weights, biases):
    net = network(Architecture((400, 400), convolutional=False, initialisation=initialisation), (100,), 10, 0)
    for layer, fan_in in zip(net.layers, (100, 400, 400), strict=True):
        kernel, bias = np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
        np.testing.assert_allclose(kernel.std() * fan_in**0.5, weights, rtol=0.05)
        assert abs(kernel.mean()) < 4 * kernel.std() / kernel.size**0.5
        if bias.size > 100:
            np.testing.assert_allclose(bias.std(), 0.1 if biases is None else biases / fan_in**0.5, rtol=0.2)


# Presets


def test_lengths_and_rates_are_the_published_ones():
    lengths = {
        9: 1000,
        10: 1000,
        100: 2000,
        199: 2000,
        200: 20_000,
        500: 5000,
        1000: 10_000,
        2000: 40_000,
        9999: 40_000,
    }
    assert {rows: preset("frepo").length(rows) for rows in lengths} == lengths
    assert [preset("rcig").length(rows) for rows in (10, 11, 500)] == [1000, 2000, 2000]
    assert [preset("dc").length(rows) for rows in (10, 256, 257, 10**6)] == [300, 300, 600, MOST_STEPS]
    assert preset("dsa").length(5000) == MOST_STEPS == 1000 * 20
    step, cosine = preset("dc").rates(10), preset("frepo").rates(2000)
    np.testing.assert_allclose(step, [1] * 5 + [0.1] * 5)
    np.testing.assert_allclose(cosine[[0, 499, 500, 1250]], [1 / 500, 1, 1, 0.01 + 0.99 / 2])
    assert (np.diff(cosine[500:]) < 0).all()
    assert 0.01 < cosine[-1] < 0.0101
    assert all((p.rates(3) > 0).all() for p in PRESETS.values())


def test_rfad_takes_the_row_of_its_table():
    found = [preset("rfad").settled(ipc, gray) for ipc, gray in [(0.5, False), (10, False), (49, True), (60, True)]]
    assert [(f.learning_rate, f.label_scale, f.weight_decay) for f in found] == [
        (2e-3, 8, 0),
        (2e-3, 2, 0),
        (2e-2, 8, 1e-3),
        (2e-2, 8, 0),
    ]


def test_each_epoch_sees_each_row():
    order = batches(10, 4, seed=0)
    for _ in range(5):
        epoch = np.stack([next(order) for _ in range(3)])
        assert epoch.shape == (3, 4)
        assert set(epoch.ravel()) == set(range(10))
    np.testing.assert_array_equal(next(batches(4, 4, 0)), range(4))


def test_the_stable_rate_is_that_of_the_whole_tangent_kernel(images):
    how = replace(preset("kip"), architecture=Architecture((3,), stem=True, initialisation="he"))
    graph, start = nnx.split(network(how.architecture, images.shape[1:], 2, 0))
    slopes = jax.tree.leaves(jax.jacobian(lambda now: nnx.merge(graph, now)(jnp.asarray(images)).ravel())(start))
    jacobian = np.concatenate([np.asarray(s, np.float64).reshape(12, -1) for s in slopes], axis=1)
    largest = np.linalg.eigvalsh(jacobian @ jacobian.T)[-1]
    found = stable_rate(how, Weights(start, start), jnp.asarray(images), 2, seed=0)
    np.testing.assert_allclose(found, 2 * 12 / largest, rtol=0.02)


# Augmentation


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_keep_shapes_and_follow_the_key(name, images):
    how = replace(DSA, names=(name,))
    one, again, other = (np.asarray(transform(key, images, how)) for key in (KEY, KEY, jax.random.key(4)))
    assert one.shape == images.shape
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01
    compiled = jax.jit(transform, static_argnums=2)(KEY, images, how)
    np.testing.assert_allclose(compiled, one, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name not in ("flip", "cutout")])
def test_transforms_of_no_range_change_nothing(name, images):
    how = Transforms((name,), brightness=0, saturation=0, contrast=0, shift=0, scale=1, rotate=0)
    np.testing.assert_allclose(transform(KEY, images, how), images, atol=1e-5)


def test_colour_is_its_definition(images):
    u = np.asarray(jax.random.uniform(KEY, (3, 6, 1, 1, 1), minval=-1)).reshape(3, 6)
    expected = oracles.colour_jitter(images, 0.5 * u[0], 1 + u[1], 1 + 0.5 * u[2])
    np.testing.assert_allclose(TRANSFORMS["color"](KEY, images, DSA), expected, atol=1e-5)


def test_a_shift_moves_whole_pixels_and_fills_with_zeros(images):
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))  # 0.125 of 8 and of 9, rounded
    for i, image in enumerate(np.asarray(TRANSFORMS["shift"](KEY, images, DSA))):
        assert any((padded[i, a : a + 8, b : b + 9] == image).all() for a, b in np.ndindex(3, 3))


def test_a_cutout_is_a_rectangle_of_zeros_about_any_pixel():
    ones = np.ones((500, 8, 9, 2), np.float32)
    made = np.asarray(TRANSFORMS["cutout"](KEY, ones, DSA))
    spans = set()
    for image in made:
        hole = image[..., 0] == 0
        np.testing.assert_array_equal(image[..., 0], image[..., 1])
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        assert hole.sum() == len(rows) * len(columns)
        spans.add((rows[0], len(rows)))
        assert len(columns) <= 5
    # Four rows, cut off at the edges: centres 0 to 8.
    assert spans == {(max(c - 2, 0), min(c + 2, 8) - max(c - 2, 0)) for c in range(9)}


def test_resampling_is_its_definition_and_zero_outside(images):
    for angle, scale, centre in [(0.3, (1.2, 0.9), (1.0, -2.0)), (0.0, (1.5, 1.5), (0.0, 0.0))]:
        found = resample(jnp.asarray(images[0]), jnp.array(angle), jnp.array(scale), jnp.array(centre), "constant")
        np.testing.assert_allclose(found, oracles.seen_through(images[0], angle, scale, centre), atol=1e-4)


@pytest.mark.parametrize("pick", ["one", "all"])
def test_transforms_keep_the_type_of_numbers_where_jax_has_float64(pick, images):
    with jax.enable_x64(True):
        x = jnp.asarray(images, jnp.float32)
        for name in TRANSFORMS:
            assert transform(KEY, x, replace(DSA, names=(name, "flip"), pick=pick)).dtype == jnp.float32, name


def test_one_or_all_transforms_are_picked(images):
    two = Transforms(("flip", "cutout"), pick="one")
    zeros = [(np.asarray(transform(jax.random.key(i), images, two)) == 0).any() for i in range(20)]
    assert 3 < sum(zeros) < 17
    both = replace(two, pick="all")
    assert all((np.asarray(transform(jax.random.key(i), images, both)) == 0).any() for i in range(20))
    assert DSA.pick == "one"
    assert "flip" not in DSA.without_flip().names


# Learning


def test_convnet_learns_digits(digits):
    x, y, x_test, codes = digits
    learner = Network("fast", augment=False, width=32, steps=150).fit(x, y)
    assert np.mean(learner.predict(x_test) == codes) > 0.8
    assert learner.scores(x_test[:5]).shape == (5, 10)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_raises_the_scores_of_the_classes_it_learns(name, digits):
    x, y, _, _ = digits
    few = {"rcig": 100, "rfad": 100}.get(name, 40)
    before, after = (Network(name, False, steps=steps, width=16).fit(x, y).scores(x) for steps in (1, few))
    assert np.mean(np.sum(after * y, axis=1)) > np.mean(np.sum(before * y, axis=1)) + 0.002
    assert hasattr(Network(name), "predict_proba") == (name in ("dc", "dsa", "mlp"))


def test_equal_seeds_give_equal_networks(images):
    y = np.eye(3)[[0, 1, 2, 0, 1, 2]] - 1 / 3
    one, again, other = (quick("dsa", seed=seed).fit(images, y).scores(images) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


def test_weights_count_rows(blobs):
    x, y, _ = (part[:12] for part in blobs)
    counts = np.array([1, 2, 3] * 4)
    weighted = quick("mlp", steps=30).fit(x, y, counts / 7)
    repeated = quick("mlp", steps=30).fit(np.repeat(x, counts, axis=0), np.repeat(y, counts, axis=0))
    np.testing.assert_allclose(weighted.scores(x), repeated.scores(x), atol=1e-3)
    assert np.abs(weighted.scores(x) - quick("mlp", steps=30).fit(x, y).scores(x)).max() > 0.01


def test_soft_labels_are_learned_as_they_are(blobs):
    x, y, codes = blobs
    half = 0.5 * y
    for name in ("mlp", "fast"):
        rows, hard = (x, y) if name == "mlp" else (np.tile(x[:, None, :, None], (1, 8, 2, 1)), y)
        one, two = (Network(name, False, steps=40, width=8).fit(rows, v).scores(rows) for v in (hard, half))
        assert np.abs(one - two).max() > 0.05
    learner = Network("mlp", steps=200, width=32).fit(x, half)
    assert np.mean(learner.predict(x) == codes) > 0.9
    np.testing.assert_allclose(learner.predict_proba(x).sum(axis=1), 1)
    np.testing.assert_allclose(learner.predict_proba(x).mean(axis=0), probabilities(half).mean(axis=0), atol=0.05)
    np.testing.assert_array_equal(learner.classes_, range(3))


def test_regression_learns_targets(blobs):
    x, _, _ = blobs
    y = np.stack([x @ [1, -1, 0.5, 0], x[:, 0] ** 2], axis=1)
    learner = Network("mlp", regression=True, steps=300, width=32).fit(x, y)
    assert np.mean((learner.predict(x) - y) ** 2) < 0.05 * y.var()
    assert not hasattr(learner, "predict_proba")


def test_centred_outputs_start_at_zero(images):
    y = np.eye(3)[[0, 1, 2, 0, 1, 2]] - 1 / 3
    assert np.abs(quick("rfad", steps=1).fit(images, y).scores(images)).max() < 0.01
    assert np.abs(quick("rcig", steps=1).fit(images, y).scores(images)).max() > 0.03


def test_large_sets_are_learned_in_minibatches_and_predicted_in_parts(blobs, monkeypatch):
    x, y, codes = blobs
    many = np.tile(x, (10, 1)), np.tile(y, (10, 1))
    learner = Network("mlp", steps=150, width=16).fit(*many)
    assert np.mean(learner.predict(x) == codes) > 0.9
    whole = learner.scores(x)
    monkeypatch.setattr("datastill.learners.neural.PREDICTION_BYTES", 4 * 16 * 7)
    np.testing.assert_allclose(learner.scores(x), whole, atol=1e-5)
    assert learner.scores(x[:0]).shape == (0, 3)
    assert Network("dc", width=4).fit(np.zeros((2, 8, 8), np.float32), np.eye(2) - 0.5).steps_ == 300


def test_steps_in_one_loop_are_steps_one_by_one(images, monkeypatch):
    y = np.eye(3)[[0, 1, 2, 0, 1, 2]] - 1 / 3
    one = quick("dsa", steps=5).fit(images, y).scores(images)
    monkeypatch.setattr("datastill.learners.descent.STEPS_A_CALL", 3)
    monkeypatch.setattr("jax.default_backend", lambda: "other")
    np.testing.assert_allclose(quick("dsa", steps=5).fit(images, y).scores(images), one, atol=1e-4)


def test_networks_are_trained_like_other_learners(digits):
    x, y, x_test, _ = digits
    found = train(Network("mlp", steps=30, width=32), x, y, np.ones(len(x)))
    assert (found.labels, found.weighted) == ("soft", True)
    said = label_vectors(found.estimator, x_test[:9], 10)
    np.testing.assert_allclose(said, found.estimator.predict_proba(x_test[:9]) - 0.1)
    assert train(quick(), x, y, labels="hard").labels == "hard"


# Names and refusals


def test_names_say_preset_and_augmentation():
    assert named_learner("net:dc").get_params() == Network("dc").get_params()
    assert named_learner("net:frepo:plain", seed=3).get_params() == Network("frepo", False, seed=3).get_params()
    assert named_learner("net:dc:augmented", regression=True).augment
    assert both_augmentations("net:dc") == ("net:dc:plain", "net:dc:augmented")
    assert both_augmentations("net:fast:plain") == ("net:fast:plain", "net:fast:augmented")
    assert clone(named_learner("net:kip")).preset == "kip"
    assert Network.takes_vectors
    assert takes_weights(named_learner("net:dc"))


@pytest.mark.parametrize("name", ["net", "net:", "net:resnet", "net:dc:", "net:dc:often", "net:dc:plain:plain"])
def test_bad_names_list_the_presets(name):
    with pytest.raises(InputError, match=r"expected net:PRESET.*dc, dsa, frepo"):
        named_learner(name)


def test_augmentation_is_as_asked(images):
    y = np.eye(3)[[0, 1, 2, 0, 1, 2]] - 1 / 3
    one = {"steps": 1}
    how = [quick("dc", augment=augment, **one).fit(images, y).how_.transforms for augment in (None, True, False)]
    assert how == [None, DSA, None]
    assert quick("dsa", augment=False, **one).fit(images, y).how_.transforms is None
    assert quick("dsa", **one).fit(images[..., 0], y).how_.transforms == DSA.without_flip()


def test_rows_that_a_network_cannot_take_are_refused(images, blobs):
    x, y, _ = blobs
    with pytest.raises(InputError, match="vectors of 4 numbers for net:dc; expected images"):
        quick("dc").fit(x, y)
    with pytest.raises(InputError, match="try net:mlp:plain"):
        quick("mlp", augment=True).fit(x, y)
    with pytest.raises(InputError, match=r"7×9 pixels for net:fast.*at least 8×8"):
        quick().fit(images[:, 1:], y[:6])
    with pytest.raises(InputError, match="looks like channels first"):
        quick().fit(np.zeros((6, 3, 16, 16)), y[:6])
    with pytest.raises(InputError, match=r"shape \(4,\)"):
        quick().fit(np.zeros(4), np.zeros((4, 2)))
    with pytest.raises(InputError, match="expected one of dc"):
        quick("resnet").fit(images, y[:6])
    with pytest.raises(InputError, match="steps=0"):
        quick(steps=0).fit(images, y[:6])
    with pytest.raises(InputError, match="width=0"):
        quick(width=0).fit(images, y[:6])
    fitted = quick("mlp").fit(x, y)
    with pytest.raises(InputError, match=r"rows of shape \(3,\)"):
        fitted.predict(x[:, :3])
    with pytest.raises(SolveError, match="non-finite loss by step"):
        quick().fit(images * np.float32(1e30), y[:6])


def test_without_flax_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flax", None)
    with pytest.raises(InputError, match=r"pip install 'datastill\[networks\]'"):
        named_learner("net:dc")
    with pytest.raises(InputError, match=r"pip install 'datastill\[networks\]'"):
        quick().fit(np.zeros((2, 8, 8)), np.eye(2))


def test_importing_datastill_does_not_import_flax():
    code = "import sys, datastill, datastill.learners.neural; assert 'flax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
