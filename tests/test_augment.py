"""Augmentation moves what is there; it makes nothing up, and the same key does the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from datastill._errors import InputError
from datastill.preprocess.augment import COPIES, Augmentation, augment, copies

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((40, 5, 5, 2)).astype(np.float32)


def draw(images, how, key=KEY):
    return np.asarray(augment(key, jnp.asarray(images), how))


def test_a_flip_is_the_image_or_its_mirror_image_about_half_the_time(images):
    made = draw(images, Augmentation(flip=True))
    same = (made == images).all(axis=(1, 2, 3))
    mirrored = (made == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 10 < mirrored.sum() < 30


def test_a_shift_copies_pixels_and_repeats_edges(images):
    shift = 2
    made = draw(images, Augmentation(shift=shift))
    found = set()
    for before, after in zip(images, made, strict=True):
        padded = np.pad(before, ((shift, shift), (shift, shift), (0, 0)), mode="edge")
        places = [(i, j) for i in range(5) for j in range(5) if (padded[i : i + 5, j : j + 5] == after).all()]
        assert len(places) == 1
        found.update(places)
    assert len(found) > 10  # of 25
    assert {i for i, _ in found} == {j for _, j in found} == set(range(5))


@pytest.mark.parametrize("how", [Augmentation(rotate=20.0), Augmentation(crop=0.7), Augmentation(True, 1, 10.0, 0.9)])
def test_resampling_stays_between_the_pixels_and_keeps_flat_images(how, images):
    made = draw(images, how)
    assert made.shape == images.shape
    assert np.abs(made - images).max() > 0.1
    assert made.min() >= images.min() - 1e-6
    assert made.max() <= images.max() + 1e-6
    np.testing.assert_allclose(draw(np.full_like(images, 0.3), how), 0.3, rtol=1e-6)


def test_a_whole_turn_of_no_angle_is_the_image(images):
    np.testing.assert_allclose(draw(images, Augmentation(rotate=1e-6)), images, atol=1e-5)


def test_no_augmentation_is_none(images):
    assert not Augmentation()
    assert Augmentation(shift=1)
    np.testing.assert_array_equal(draw(images, Augmentation()), images)


def test_the_same_key_does_the_same_and_another_something_else(images):
    how = Augmentation(flip=True, shift=1)
    np.testing.assert_array_equal(draw(images, how), draw(images, how))
    assert (draw(images, how) != draw(images, how, jax.random.key(1))).any()


def test_images_without_channels(images):
    how, grey = Augmentation(flip=True, shift=1), images[..., 0]
    np.testing.assert_array_equal(draw(grey, how), draw(grey[..., None], how)[..., 0])


def test_copies_begin_with_the_images_themselves(images):
    assert len(list(copies(images, Augmentation(), 0))) == 1
    flipped = list(copies(images, Augmentation(flip=True), 0))
    assert len(flipped) == 2
    np.testing.assert_array_equal(flipped[1], images[:, :, ::-1])
    drawn = list(copies(images, Augmentation(shift=1), 0))
    assert len(drawn) == COPIES
    np.testing.assert_array_equal(drawn[0], images)
    assert all((a != b).any() for i, a in enumerate(drawn) for b in drawn[:i])


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("", Augmentation()),
        ("flip", Augmentation(flip=True)),
        ("flip, shift=2", Augmentation(flip=True, shift=2)),
        ("rotate=10,crop=0.9", Augmentation(rotate=10.0, crop=0.9)),
    ],
)
def test_text_form(text, how):
    assert Augmentation.parse(text) == how


BAD = ["flop", "shift", "shift=x", "shift=-1", "shift=1.5", "crop=0", "crop=2", "rotate=-1", "="]


@pytest.mark.parametrize("text", BAD)
def test_bad_text_is_named(text):
    with pytest.raises(InputError, match="expected"):
        Augmentation.parse(text)
