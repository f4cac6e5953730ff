"""Augmentation of target images: flips, shifts, rotations and crops, only where the user asks for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array, Float, Key

BATCH = 4096


@dataclass(frozen=True)
class Augmentation:
    """Random transforms of each target image, drawn independently each time.

    Attributes:
        flip: mirror left to right with probability ½.
        shift: move by up to this many pixels each way, in whole pixels unless resampled anyway; edges repeat.
        rotate: turn by up to this many degrees each way, about the centre.
        crop: keep a square of at least this fraction of the side, enlarged to the whole; 1 crops nothing.
    """

    flip: bool = False
    shift: int = 0
    rotate: float = 0.0
    crop: float = 1.0

    def __post_init__(self) -> None:
        if self.shift < 0 or self.rotate < 0 or not 0 < self.crop <= 1:
            raise InputError(
                f"Got shift={self.shift}, rotate={self.rotate}, crop={self.crop}; expected shift and rotate 0 or "
                "more, and crop above 0 and at most 1."
            )

    @classmethod
    def parse(cls, text: str) -> "Augmentation":
        """From the command line's form, for instance "flip,shift=2,rotate=10,crop=0.9"."""
        kinds: dict[str, Any] = {"flip": bool, "shift": int, "rotate": float, "crop": float}
        settings: dict[str, Any] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.strip().partition("=")
            try:
                settings[name] = True if name == "flip" and not value else kinds[name](value)
            except (KeyError, ValueError):
                raise InputError(
                    f"Got {part!r} as an augmentation; expected flip, shift=PIXELS, rotate=DEGREES or crop=FRACTION."
                ) from None
        return cls(**settings)

    def __bool__(self) -> bool:
        return self != Augmentation()


COPIES = 8


def copies(x: np.ndarray, how: Augmentation, seed: int) -> Iterator[np.ndarray]:
    """The images, then augmented copies of all of them: the mirror images for a flip alone, else COPIES draws in all.

    One copy is held at a time.
    """
    yield x
    if how == Augmentation(flip=True):
        yield x[:, :, ::-1]
    elif how:
        for key in jax.random.split(jax.random.key(seed), COPIES - 1):
            starts = range(0, len(x), BATCH)
            parts = [augment(jax.random.fold_in(key, i), jnp.asarray(x[i : i + BATCH]), how) for i in starts]
            yield np.concatenate([np.asarray(part) for part in parts])


def versions(x: np.ndarray, hashes: np.ndarray, how: Augmentation, count: int) -> Iterator[np.ndarray]:
    """The images, then count − 1 augmented versions of all of them: functions of an image alone, not of its batch.

    Args:
        x: (n, h, w[, c]) images.
        hashes: (n,) uint64 of the images, from which their draws follow.
        how: what may happen.
        count: versions; for a flip alone there are two, the image and its mirror image.
    """
    yield x
    if how == Augmentation(flip=True):
        yield x[:, :, ::-1]
    elif how:
        halves = np.stack([hashes >> np.uint64(32), hashes & np.uint64(0xFFFFFFFF)], axis=1).astype(np.uint32)
        for number in range(1, count):
            yield np.asarray(_augmented(halves ^ np.uint32(number), x, how))


def number_of_versions(how: Augmentation, count: int) -> int:
    """Return the number of `versions`."""
    return 1 if not how else 2 if how == Augmentation(flip=True) else count


@partial(jax.jit, static_argnums=2)
def _augmented(halves: Array, x: Array, how: Augmentation) -> Array:
    """Every image after a draw of its own."""

    def one(bits: Array, image: Array) -> Array:
        return augment(jax.random.wrap_key_data(bits, impl="threefry2x32"), image[None], how)[0]

    return jax.vmap(one)(halves, x)


def augment(key: Key, x: Float[Array, "n h w *ch"], how: Augmentation) -> Float[Array, "n h w *ch"]:
    """The images after one independent draw each; the same key gives the same images.

    Rotation and crop resample bilinearly in one pass (with the shift); a shift alone copies pixels.
    """
    flip_key, shift_key, turn_key, crop_key = jax.random.split(key, 4)
    n, h, w = x.shape[:3]
    images = x.reshape(n, h, w, -1)
    if how.flip:
        mirrored = jax.random.bernoulli(flip_key, 0.5, (n, 1, 1, 1))
        images = jnp.where(mirrored, images[:, :, ::-1], images)
    offset = jax.random.randint(shift_key, (n, 2), -how.shift, how.shift + 1)
    if how.rotate or how.crop < 1:
        angle = jnp.deg2rad(jax.random.uniform(turn_key, (n,), minval=-how.rotate, maxval=how.rotate))
        side = jax.random.uniform(crop_key, (n, 3), minval=0, maxval=1)
        scale = how.crop + (1 - how.crop) * side[:, 0]
        centre = (side[:, 1:] - 0.5) * (1 - scale[:, None]) * jnp.array([h, w]) + offset
        images = jax.vmap(resample)(images, angle, jnp.stack([scale, scale], axis=1), centre)
    elif how.shift:
        margin = how.shift
        padded = jnp.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge")
        images = jax.vmap(
            lambda image, o: jax.lax.dynamic_slice(image, (margin + o[0], margin + o[1], 0), (h, w, image.shape[2]))
        )(padded, offset)
    return images.reshape(x.shape)


def resample(image: Array, angle: Array, scale: Array, centre: Array, beyond: str = "nearest") -> Array:
    """One (h, w, ch) image seen through a window turned by `angle`, `scale` times its size, moved by `centre`.

    Args:
        image: pixels.
        angle: radians.
        scale: (2,) of the window's height and width; above 1 the image gets smaller.
        centre: (2,) pixels down and right.
        beyond: what lies outside the image: "nearest" repeats its edges, "constant" is zero.
    """
    h, w, _ = image.shape
    rows, columns = jnp.meshgrid(jnp.arange(h) - (h - 1) / 2, jnp.arange(w) - (w - 1) / 2, indexing="ij")
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    source = (
        scale[0] * (cos * rows - sin * columns) + (h - 1) / 2 + centre[0],
        scale[1] * (sin * rows + cos * columns) + (w - 1) / 2 + centre[1],
    )
    return jax.vmap(
        lambda channel: jax.scipy.ndimage.map_coordinates(channel, source, order=1, mode=beyond),
        in_axes=2,
        out_axes=2,
    )(image)
