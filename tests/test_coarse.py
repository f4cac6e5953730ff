"""A coarse start: images at half and at twice their size, kernels that suit them, and KIP that begins there."""

import numpy as np
import pytest
from sklearn.base import clone

from datastill import KIP, KIPRegressor
from datastill._errors import InputError
from datastill.data import sampling
from datastill.gram.tiled import tiled
from datastill.kernels import RBF, ConvNet, FullyConnected, Myrtle
from datastill.preprocess.scales import doubled, halved

SETTINGS = {"max_iter": 3, "batch_size": 6, "validation_fraction": 0, "random_state": 4}


@pytest.fixture(scope="module")
def images():
    """Forty images of 9×8 pixels in three colours and their two classes, as bytes."""
    rng = np.random.default_rng(1)
    y = np.repeat(["cat", "dog"], 20)
    return (rng.integers(0, 100, (40, 9, 8, 3)) + 100 * (y == "dog")[:, None, None, None]).astype(np.uint8), y


def seed_of(seed):
    """What an estimator with this random_state draws everything from."""
    return int(np.random.RandomState(seed).randint(2**31 - 1))


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("size", [(8, 6), (9, 7), (3, 2)])
def test_halves_are_means_of_four_pixels(size, channels, rng):
    images = rng.integers(0, 255, (2, *size, *channels)).astype(np.uint8)
    found = halved(images)
    assert found.dtype == np.float32
    for i in range(size[0] // 2):
        for j in range(size[1] // 2):
            four = images[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].astype(np.float64)
            np.testing.assert_allclose(found[:, i, j], four.mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("size", [(8, 6), (9, 7), (2, 3)])
def test_halving_undoes_doubling(size, rng):
    small = rng.random((2, size[0] // 2, size[1] // 2, 3), np.float32)
    large = doubled(small, *size)
    assert large.shape == (2, *size, 3)
    np.testing.assert_array_equal(halved(large), small)
    np.testing.assert_array_equal(large[:, -1], large[:, -2])  # of an odd height too


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (ConvNet(3), ConvNet(2)),
        (ConvNet(2, stem=True, kind="nngp", w_std=1.0), ConvNet(1, stem=True, kind="nngp", w_std=1.0)),
        (2.0 * ConvNet(3), 2.0 * ConvNet(2)),
        (tiled(ConvNet(3), 2**20), tiled(ConvNet(2), 2**20)),
        (ConvNet(3) + ConvNet(2), ConvNet(2) + ConvNet(1)),
        (ConvNet(1), None),
        (ConvNet(3, pooling=False), None),
        (Myrtle(5), None),
        (ConvNet(2) + RBF(1.0), None),
        (3.0 * FullyConnected(1), None),
    ],
)
def test_coarser_kernels(kernel, expected):
    assert kernel.coarser() == expected


def test_a_coarse_start_is_what_half_the_size_teaches(images):
    x, y = images
    kip = KIP(2, kernel=ConvNet(3), **SETTINGS)
    found = clone(kip).set_params(init="coarse").fit(x, y)

    def taught(x, start, depth, times, seed):
        own = {"batch_size": times * 6, "learning_rate": times * kip.learning_rate}
        return clone(kip).set_params(kernel=ConvNet(depth), init=start, random_state=seed, **own).fit(x, y)

    smallest = taught(halved(halved(x)), "random", 1, 4, seed_of(seed_of(4)))
    start = doubled(smallest.X_support_, 4, 4), smallest.y_support_
    small = taught(halved(x), start, 2, 2, seed_of(4))
    start = doubled(small.X_support_, 9, 8), small.y_support_
    by_hand = clone(kip).set_params(init=start).fit(x, y)
    assert found.X_support_.dtype == np.uint8
    assert found.X_support_.tobytes() == by_hand.X_support_.tobytes()
    np.testing.assert_array_equal(found.soft_labels_, by_hand.soft_labels_)
    assert (found.X_support_ != KIP(2, kernel=ConvNet(3), **SETTINGS).fit(x, y).X_support_).any()


def test_real_targets_start_coarsely_too(images):
    x, y = images
    target = (y == "dog") + 0.1 * x[:, 0, 0, 0]
    found = KIPRegressor(4, kernel="convnet2", init="coarse", **SETTINGS).fit(x, target)
    assert found.score(x, target) > 0.5


def test_a_coarse_start_is_resumed(images, tmp_path, monkeypatch):
    x, y = images
    kip = KIP(1, kernel="convnet2", init="coarse", checkpoint=tmp_path / "checkpoint", **SETTINGS)
    done = clone(kip).fit(x, y)
    assert {file.name for file in tmp_path.iterdir()} >= {"checkpoint", "checkpoint.coarse"}
    batches = []
    monkeypatch.setattr(sampling, "batch", lambda *a: batches.append(a))
    again = clone(kip).fit(x, y)
    assert not batches  # neither size makes a step anew
    assert again.X_support_.tobytes() == done.X_support_.tobytes()


@pytest.mark.parametrize("kernel", ["fc1", "conv-vec3", "convnet1", "myrtle5", ["convnet2", "conv-vec3"]])
def test_a_coarse_start_needs_a_coarser_kernel(kernel, images):
    with pytest.raises(InputError, match=r'init="coarse".*try init="random"'):
        KIP(1, kernel=kernel, init="coarse", **SETTINGS).fit(*images)


def test_a_coarse_start_needs_images(rng):
    with pytest.raises(InputError, match="images"):
        KIP(1, kernel="fc1", init="coarse", **SETTINGS).fit(rng.random((20, 4)), np.arange(20) % 2)


def test_what_is_too_small_is_told_of_the_whole_images(images):
    with pytest.raises(InputError, match="images of 4×4 pixels; expected 8×8"):
        KIP(1, kernel="convnet3", init="coarse", **SETTINGS).fit(images[0][:, :4, :4], images[1])
