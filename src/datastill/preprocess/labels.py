"""Labels as vectors, and back: classes as centred one-hot, real targets standardised."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from datastill import _moved
from datastill._errors import InputError
from datastill._typing import Float
from datastill.data.labels import class_values


@dataclass(frozen=True, eq=False)
class ClassLabels:
    """Class c of C as the vector with 1 − 1/C at c and −1/C elsewhere; back by the largest entry.

    Attributes:
        classes: (C,) the labels, sorted; the order of the columns.
    """

    classes: np.ndarray

    @classmethod
    def fit(cls, y: np.ndarray) -> "ClassLabels":
        """The labels that occur in `y`."""
        return cls(np.unique(y))

    def codes(self, y: np.ndarray) -> np.ndarray:
        """(n,) column of each label; one-hot rows are labels too.

        Raises:
            InputError: for a label that did not occur when this was fitted.
        """
        y = class_values(y)
        unknown = np.setdiff1d(y, self.classes)
        if len(unknown):
            shown = ", ".join(repr(c) for c in unknown[:5].tolist())
            known = ", ".join(repr(c) for c in self.classes[:10].tolist())
            raise InputError(
                f"Got labels that the training data does not have: {shown}; expected some of {known}; "
                "try dropping those rows."
            )
        return np.searchsorted(self.classes, y)

    def encode(self, y: np.ndarray) -> Float[np.ndarray, "n c"]:
        """(n,) labels -> (n, C) centred one-hot, float32."""
        c = len(self.classes)
        return (np.eye(c, dtype=np.float32) - 1 / c).astype(np.float32)[self.codes(y)]

    def decode(self, vectors: Float[np.ndarray, "n c"]) -> np.ndarray:
        """(n, C) scores -> (n,) labels; the first of equal scores wins."""
        return self.classes[np.argmax(vectors, axis=1)]


@dataclass(frozen=True, eq=False)
class TargetScaler:
    """Real targets with mean 0 and standard deviation 1 per column, and back.

    Attributes:
        mean: (k,) column means.
        scale: (k,) column standard deviations; 1 for a constant column.
        flat: whether targets came as (n,) rather than (n, k).
    """

    mean: np.ndarray
    scale: np.ndarray
    flat: bool

    @classmethod
    def fit(cls, y: np.ndarray) -> "TargetScaler":
        """The moments of `y`, (n,) or (n, k)."""
        columns = np.asarray(y, np.float64).reshape(len(y), -1)
        # Squares of numbers below 1e-154 are 0, so a column is divided by a power of two, which rounds nothing.
        unit = np.exp2(np.frexp(np.abs(columns).max(axis=0, initial=0))[1].clip(-1000, 1000).astype(np.float64))
        return cls.of(columns.mean(axis=0), (columns / unit).std(axis=0) * unit, y.ndim == 1)

    @classmethod
    def of(cls, mean: np.ndarray, deviation: np.ndarray, flat: bool) -> "TargetScaler":
        """Standardise targets with these moments by column."""
        # A constant column keeps a deviation of a few ulp of its value; that is rounding, not scale.
        constant = deviation <= 64 * np.finfo(np.float64).eps * np.abs(mean)
        return cls(mean, np.where(constant, 1.0, deviation), flat)

    def encode(self, y: np.ndarray) -> Float[np.ndarray, "n c"]:
        """(n,) or (n, k) targets -> (n, k) standardised, float32.

        Raises:
            InputError: for another number of columns than fitted.
        """
        columns = np.asarray(y, np.float64).reshape(len(y), -1)
        if columns.shape[1] != len(self.mean):
            raise InputError(f"Got targets with {columns.shape[1]} columns; expected {len(self.mean)}, as in training.")
        return ((columns - self.mean) / self.scale).astype(np.float32)

    def decode(self, vectors: Float[np.ndarray, "n c"]) -> np.ndarray:
        """(n, k) standardised -> (n,) or (n, k) in the targets' own units, float64."""
        columns = np.asarray(vectors, np.float64) * self.scale + self.mean
        return columns[:, 0] if self.flat else columns


Labels = ClassLabels | TargetScaler


def state(labels: Labels) -> dict[str, Any]:
    """Return the state from which `labels` is rebuilt, as JSON types and arrays."""
    if isinstance(labels, ClassLabels):
        return {"kind": "classes", "classes": labels.classes}
    return {"kind": "targets", "mean": labels.mean, "scale": labels.scale, "flat": labels.flat}


def from_state(saved: dict[str, Any]) -> Labels:
    """The inverse of `state`."""
    if saved["kind"] == "classes":
        return ClassLabels(np.asarray(saved["classes"]))
    return TargetScaler(np.asarray(saved["mean"]), np.asarray(saved["scale"]), bool(saved["flat"]))


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"RealTargets": "TargetScaler"})
