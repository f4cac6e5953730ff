"""The space in which examples are learned: the user's rows as numbers of unit scale, with bounds and a way back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from datastill import _moved
from datastill._errors import InputError
from datastill._typing import Array, ArrayLike
from datastill.data.dataset import Rows
from datastill.data.dtypes import rounded
from datastill.preprocess import tables
from datastill.preprocess.affine import Ranges, Standardise, Whiten

PREPROCESSING = ("standardise", "zca", "zca-unit-norm", "none")
BATCH = 4096


@dataclass(frozen=True, eq=False)
class FeatureEncoder:
    """Maps between the user's rows and the (s, …) arrays that are optimised, and on to what kernels see.

        user's rows  --encode-->  z: standardised, bounded by low and high  --features-->  kernel input
                     <--decode--

    Attributes:
        table: how a DataFrame becomes numbers; None for arrays.
        dtype: the dtype of the user's array, to which decoded rows are rounded and clipped.
        scaling: standardises; the identity for preprocessing "none".
        whitening: regularised ZCA between z and the kernel; None without it.
        low: lower bound of z, broadcastable against a row.
        high: upper bound of z.
    """

    table: tables.TableCoder | None
    dtype: np.dtype
    scaling: Standardise
    whitening: Whiten | None
    low: np.ndarray
    high: np.ndarray

    @property
    def columns(self) -> int:
        """Numbers in a row of a table; 0 for arrays, whose rows keep their shape."""
        return len(self.table.binary) if self.table else 0

    def encode(self, rows: Rows) -> np.ndarray:
        """The user's rows -> z, float32."""
        return self.scaling.forward(self.table.encode(rows) if self.table else np.asarray(rows))

    def decode(self, z: np.ndarray, in_range: bool = True) -> Rows:
        """The rows z stands for, in the user's own space: integers rounded, categories decoded.

        With `in_range`, numbers come in the user's dtypes; without, integers as floats, since they may not hold them.
        """
        x = self.scaling.inverse(z)
        if self.table:
            return self.table.decode(x, in_range)
        if not in_range and self.dtype.kind != "f":
            return x.astype(np.float32)
        if self.dtype.kind in "iu":
            return rounded(x, self.dtype)
        return (x > 0.5) if self.dtype.kind == "b" else x.astype(self.dtype)

    def clip(self, z: ArrayLike) -> Array:
        """The nearest z within the data's range."""
        return jnp.clip(z, self.low, self.high)

    def straight_through_round(self, z: ArrayLike) -> Array:
        """z as it will be handed out: of a table, numbers are rounded as its columns are, and a category is one.

        The gradient is that of z itself: "straight through" (Bengio, Léonard, Courville 2013, arXiv:1308.3432).
        """
        free = jnp.asarray(z)
        if self.table is None:
            return free
        mean, scale = self.scaling.mean, self.scaling.scale
        settled = (self.table.straight_through_round(free * scale + mean) - mean) / scale
        return free + jax.lax.stop_gradient(settled.astype(free.dtype) - free)

    def occurring(self, z: ArrayLike, levels: int | None = None) -> Array:
        """Round arrays as well as tables: integers stay integers, and each channel has only so many levels.

        Args:
            z: (s, …) rows.
            levels: evenly spaced from the least to the greatest value of a column or channel; None allows all values.
        """
        if self.table is not None:
            return self.straight_through_round(z)
        free = jnp.asarray(z)
        found = free
        if levels is not None:
            span = np.where(self.high > self.low, self.high - self.low, 1)
            found = jnp.round((free - self.low) / span * (levels - 1)) / (levels - 1) * span + self.low
        if self.dtype.kind in "iub":
            mean, scale = self.scaling.mean, self.scaling.scale
            found = (jnp.round(found * scale + mean) - mean) / scale
        return free + jax.lax.stop_gradient(found.astype(free.dtype) - free)

    def features(self, z: ArrayLike) -> Array:
        """Map z to what the kernel sees; differentiable."""
        return self.whitening.forward(jnp.asarray(z)) if self.whitening else jnp.asarray(z)

    def from_features(self, x: ArrayLike) -> Array:
        """The inverse of `features` (with a unit norm: up to each row's mean and norm)."""
        return self.whitening.inverse(jnp.asarray(x)) if self.whitening else jnp.asarray(x)

    def encode_features(self, rows: Rows) -> np.ndarray:
        """The user's rows -> what the kernel sees, float32, a batch at a time."""
        z = self.encode(rows)
        if self.whitening is None:
            return z
        return np.concatenate([np.asarray(self.features(z[i : i + BATCH])) for i in range(0, max(len(z), 1), BATCH)])


def check_preprocessing(name: str) -> None:
    """Raise an InputError for preprocessing that `fit_encoder` does not know."""
    if name not in PREPROCESSING:
        raise InputError(f"Got preprocess={name!r}; expected one of {', '.join(PREPROCESSING)}.")


def fit_encoder(rows: Rows, preprocessing: str = "standardise") -> FeatureEncoder:
    """The space of these training rows.

    Args:
        rows: (n, d), (n, h, w[, c]) or a DataFrame; checked, finite.
        preprocessing: "standardise" by column or channel; "zca" whitens images as well; "zca-unit-norm" also
            centres each image and divides it by its norm; "none" leaves numbers as they are.
    """
    check_preprocessing(preprocessing)
    if isinstance(rows, pd.DataFrame):
        table, dtype = tables.TableCoder.fit(rows), np.dtype(np.float64)
        numbers = table.encode(rows)
    else:
        table, dtype, numbers = None, rows.dtype, rows
    if preprocessing.startswith("zca") and numbers.ndim == 2:
        raise InputError(f'Got preprocess={preprocessing!r} for rows that are not images; try "standardise".')
    ranges = Ranges.of(numbers)
    scaling = Standardise.fit(ranges)
    if preprocessing == "none":
        ranges.check_single()
        scaling = Standardise(np.zeros_like(scaling.mean), np.ones_like(scaling.scale))
    elif table is not None:
        scaling = Standardise(np.where(table.binary, 0.0, scaling.mean), np.where(table.binary, 1.0, scaling.scale))
    # Vectors and tables keep each column's range; images one range per channel, so that pixels which never vary
    # may still be used.
    low, high = (np.asarray(bound) for bound in scaling.forward(np.stack([ranges.low, ranges.high])))
    whitening = None
    if preprocessing.startswith("zca"):
        whitening = Whiten.fit(scaling.forward(numbers), unit_norm=preprocessing == "zca-unit-norm")
    return FeatureEncoder(table, dtype, scaling, whitening, low, high)


def state(space: FeatureEncoder) -> dict[str, Any]:
    """Return the state from which the space is rebuilt, as JSON types and arrays."""
    return {
        "table": tables.state(space.table) if space.table else None,
        "dtype": str(space.dtype),
        "mean": space.scaling.mean,
        "scale": space.scaling.scale,
        "low": space.low,
        "high": space.high,
        "whitening": None if space.whitening is None else space.whitening.matrix,
        "whitening_inverse": None if space.whitening is None else space.whitening.inverse_matrix,
        "unit_norm": space.whitening is not None and space.whitening.unit_norm,
    }


def from_state(saved: dict[str, Any]) -> FeatureEncoder:
    """The inverse of `state`."""
    whitening = None
    if saved["whitening"] is not None:
        matrix, inverse = np.asarray(saved["whitening"]), np.asarray(saved["whitening_inverse"])
        whitening = Whiten(matrix, inverse, saved["unit_norm"])
    return FeatureEncoder(
        tables.from_state(saved["table"]) if saved["table"] is not None else None,
        np.dtype(saved["dtype"]),
        Standardise(np.asarray(saved["mean"]), np.asarray(saved["scale"])),
        whitening,
        np.asarray(saved["low"]),
        np.asarray(saved["high"]),
    )


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"Space": "FeatureEncoder", "fit_space": "fit_encoder"})
