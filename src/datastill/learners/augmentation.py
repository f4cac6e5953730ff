"""Augmentation of training images while a network learns: the transforms of differentiable siamese augmentation.

Each image of a batch gets draws of its own. Zhao and Bilen (2021, arXiv:2102.08259) pick one strategy a step for the
whole batch ("one"), as their evaluation does; "all" applies every transform in turn. With u ~ U(−1, 1) a fresh draw,
m the mean over what the transform keeps, and (h, w) the image's sides:

    color    x + brightness·u;  then m_channels + (1 + saturation·u)(x − m_channels);  then m + (1 + contrast·u)(x − m)
    shift    moved by whole pixels, up to ⌊shift·h + ½⌋ and ⌊shift·w + ½⌋ each way        (their "crop")
    cutout   a rectangle of ⌊cutout·h + ½⌋ × ⌊cutout·w + ½⌋ pixels is zero; its centre may be anywhere in the image
    flip     mirrored left to right with probability ½
    scale    resampled with a window of U(1/scale, scale) times the height and, drawn apart, the width
    zoom     as scale, with one draw for both
    rotate   turned by rotate·u degrees
    affine   zoom, rotate and shift in one resampling

Pixels from outside the image are zero, which is the mean of standardised images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float, Key
from datastill.preprocess.augment import resample


@dataclass(frozen=True)
class Transforms:
    """The transforms, how many are applied at a time, and how far each may go.

    Attributes:
        names: keys of TRANSFORMS.
        pick: "one" draws one of them for the whole batch, "all" applies them in turn.
        brightness: added at most, either way.
        saturation: around 1, either way.
        contrast: around 1, either way.
        shift: fraction of a side.
        cutout: fraction of a side.
        scale: the largest factor, 1 or more.
        rotate: degrees either way.
    """

    names: tuple[str, ...]
    pick: str = "one"
    brightness: float = 0.5
    saturation: float = 1.0
    contrast: float = 0.5
    shift: float = 0.125
    cutout: float = 0.5
    scale: float = 1.2
    rotate: float = 15.0

    def without_flip(self) -> "Transforms":
        """The same without mirror images, which turn digits and letters into something else."""
        return replace(self, names=tuple(name for name in self.names if name != "flip"))


DSA = Transforms(("color", "shift", "cutout", "flip", "scale", "rotate"))
"""color_crop_cutout_flip_scale_rotate with its published ranges."""


def transform(key: Key, x: Float[Array, "n h w ch"], how: Transforms) -> Float[Array, "n h w ch"]:
    """The images after one draw; the same key gives the same images."""
    pick_key, key = jax.random.split(key)
    chosen = [TRANSFORMS[name] for name in how.names]
    if how.pick == "one":
        place = jax.random.randint(pick_key, (), 0, len(chosen))
        return jax.lax.switch(place, [lambda k, z, f=f: f(k, z, how) for f in chosen], key, x)
    for k, f in zip(jax.random.split(key, len(chosen)), chosen, strict=True):
        x = f(k, x, how)
    return x


def _color(key: Key, x: Array, how: Transforms) -> Array:
    shift, saturation, contrast = jax.random.uniform(key, (3, len(x), 1, 1, 1), x.dtype, minval=-1)
    x = x + how.brightness * shift
    grey = x.mean(axis=3, keepdims=True)
    x = grey + (1 + how.saturation * saturation) * (x - grey)
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    return mean + (1 + how.contrast * contrast) * (x - mean)


def _shift(key: Key, x: Array, how: Transforms) -> Array:
    (down, right), (_, h, w, channels) = _share(how.shift, x), x.shape
    padded = jnp.pad(x, ((0, 0), (down, down), (right, right), (0, 0)))
    corner = jax.random.randint(key, (len(x), 2), 0, jnp.array([2 * down + 1, 2 * right + 1]))
    return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), (h, w, channels)))(padded, corner)


def _cutout(key: Key, x: Array, how: Transforms) -> Array:
    size, sides = _share(how.cutout, x), x.shape[1:3]
    limits = jnp.array([side + 1 - s % 2 for side, s in zip(sides, size, strict=True)])
    centre = jax.random.randint(key, (len(x), 2), 0, limits)
    inside = []
    for axis in range(2):
        first = centre[:, axis, None] - size[axis] // 2
        places = jnp.arange(sides[axis])
        inside.append((places >= first) & (places < first + size[axis]))
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return jnp.where(hole[..., None], 0, x)


def _flip(key: Key, x: Array, how: Transforms) -> Array:
    return jnp.where(jax.random.bernoulli(key, 0.5, (len(x), 1, 1, 1)), x[:, :, ::-1], x)


def _scale(key: Key, x: Array, how: Transforms) -> Array:
    factor = jax.random.uniform(key, (len(x), 2), x.dtype, minval=1 / how.scale, maxval=how.scale)
    return _resampled(x, scale=factor)


def _zoom(key: Key, x: Array, how: Transforms) -> Array:
    factor = jax.random.uniform(key, (len(x), 1), x.dtype, minval=1 / how.scale, maxval=how.scale)
    return _resampled(x, scale=factor)


def _rotate(key: Key, x: Array, how: Transforms) -> Array:
    angle = math.radians(how.rotate) * jax.random.uniform(key, (len(x),), x.dtype, minval=-1)
    return _resampled(x, angle)


def _affine(key: Key, x: Array, how: Transforms) -> Array:
    zoom_key, turn_key, shift_key = jax.random.split(key, 3)
    factor = jax.random.uniform(zoom_key, (len(x), 1), x.dtype, minval=1 / how.scale, maxval=how.scale)
    angle = math.radians(how.rotate) * jax.random.uniform(turn_key, (len(x),), x.dtype, minval=-1)
    most = jnp.array(_share(how.shift, x))
    return _resampled(x, angle, factor, jax.random.randint(shift_key, (len(x), 2), -most, most + 1))


TRANSFORMS: dict[str, Callable[[Key, Array, Transforms], Array]] = {
    "color": _color,
    "shift": _shift,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "zoom": _zoom,
    "rotate": _rotate,
    "affine": _affine,
}
"""Name -> (key, images, ranges) -> images."""


def _share(fraction: float, x: Array) -> tuple[int, int]:
    """A fraction of the sides, in whole pixels."""
    return int(x.shape[1] * fraction + 0.5), int(x.shape[2] * fraction + 0.5)


def _resampled(x: Array, angle: Array | float = 0.0, scale: Array | float = 1.0, centre: Array | float = 0.0) -> Array:
    """Each image seen through a window of its own: angles (n,), scales and centres (n, 2), or one for all."""
    n, both = len(x), (len(x), 2)
    windows = [
        jnp.broadcast_to(jnp.asarray(a, x.dtype), shape) for a, shape in ((angle, n), (scale, both), (centre, both))
    ]
    return jax.vmap(lambda image, a, s, c: resample(image, a, s, c, "constant"))(x, *windows)
