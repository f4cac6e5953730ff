"""Moments: all that the loss needs of a dataset, in sums over its rows that add, subtract and scale."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import scipy.linalg

from datastill._errors import InputError
from datastill._typing import ArrayLike, Float
from datastill.moments import triangle
from datastill.moments.source import Source
from datastill.preprocess.labels import ClassLabels

ROUNDING = 1e-6
"""Of a trace or a count: what may be missing in a remainder, because products are float32."""


class Totals(NamedTuple):
    """The sums that an objective reads, with y the label vectors: centred one-hot, or standardised targets.

    Attributes:
        second: C = Σ φφᵀ, (F, F).
        cross: B = Σ φyᵀ, (F, c).
        square: c = Σ ‖y‖².
        size: n, or the sum of the weights.
    """

    second: ArrayLike
    cross: ArrayLike
    square: ArrayLike
    size: ArrayLike


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over rows, in float64.

    They add (`a + b`: the moments of the rows of both), subtract (`a - b`: of the rows of a without those of b) and
    scale (`0.5 * a`: every row counts half), in any order and grouping to rounding.

    Attributes:
        source: of what.
        second: Σ φφᵀ by upper triangles, one for each class or one in all.
        cross: Σ φtᵀ; t is the one-hot vector of the class, so that column k is Σ φ over class k, or the targets.
        first: Σ φ.
        square: Σ ‖t‖².
        counts: rows of each class; of regression, their number.
        shards: for each shard, by the digest of its rows, how often it counts.
    """

    source: Source
    second: Float[np.ndarray, "g e"]
    cross: Float[np.ndarray, "f c"]
    first: Float[np.ndarray, " f"]
    square: float
    counts: Float[np.ndarray, " k"]
    shards: dict[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> int:
        """F."""
        return len(self.first)

    @property
    def count(self) -> float:
        """n."""
        return float(self.counts.sum())

    @property
    def by_class(self) -> bool:
        """Return whether Σ φφᵀ is kept by class."""
        return len(self.second) > 1

    def pooled(self) -> "Moments":
        """The same with one Σ φφᵀ for all classes."""
        return replace(self, second=self.second.sum(axis=0, keepdims=True))

    def totals(self, class_weights: Float[np.ndarray, " k"] | None = None) -> Totals:
        """C, B, c and n with every row of class k counted class_weights[k] times (once, when left out).

        Raises:
            InputError: for weights of another number, or unequal ones where Σ φφᵀ is not kept apart by class.
        """
        if class_weights is None:
            weights = np.ones(len(self.counts))
        else:
            weights = np.asarray(class_weights, np.float64)
            if weights.shape != self.counts.shape or not (weights >= 0).all():
                raise InputError(
                    f"Got class weights {weights.tolist()}; expected {len(self.counts)} numbers, 0 or more."
                )
        if self.by_class:
            second = weights @ self.second
        elif np.ptp(weights) == 0:
            second = weights[0] * self.second[0]
        else:
            raise InputError(
                "Got unequal class weights for moments that are not kept apart by class; expected equal ones; "
                "try making the moments with by_class=True."
            )
        counts = weights * self.counts
        if isinstance(self.source.labels, ClassLabels):
            # tᵀ ↦ (t − 1/C)ᵀ: the one-hot columns, centred.
            cross = self.cross * weights
            cross = cross - cross.sum(axis=1, keepdims=True) / len(weights)
            square = counts.sum() * (1 - 1 / len(weights))
        else:
            cross, square = weights[0] * self.cross, weights[0] * self.square
        return Totals(triangle.full(second), cross, np.asarray(square), np.asarray(counts.sum()))

    def balanced(self) -> Float[np.ndarray, " k"]:
        """Class weights with which every class that occurs counts the same, and n stays."""
        occurring = np.count_nonzero(self.counts)
        return np.divide(self.count / occurring, self.counts, out=np.zeros_like(self.counts), where=self.counts > 0)

    def __add__(self, other: "Moments") -> "Moments":
        self._require_alike(other)
        twice = sorted(self.shards.keys() & other.shards.keys())
        if twice:
            raise InputError(
                f"Got the shard {twice[0][:12]} in both of two moments to be added; expected every shard once; "
                "try leaving it out of one."
            )
        return self._combine(other, np.add, {**self.shards, **other.shards})

    def __sub__(self, other: "Moments") -> "Moments":
        """Without the rows of `other`.

        Raises:
            InputError: where it can be told that they were never added: by their shards, by their number, or because
                no rows could have the sums that remain.
        """
        self._require_alike(other)
        shards = dict(self.shards)
        for shard, times in other.shards.items():
            left = shards.pop(shard, 0.0) - times
            if left < -ROUNDING:
                raise InputError(
                    f"Got the shard {shard[:12]} to be subtracted, which was never added; expected one of "
                    f"{', '.join(name[:12] for name in sorted(self.shards)[:5]) or 'none'}; for some of a shard's "
                    "rows, try moments made with named=False."
                )
            if left > ROUNDING:
                shards[shard] = left
        rest = self._combine(other, np.subtract, shards)
        if (rest.counts < -ROUNDING).any():
            place = int(rest.counts.argmin())
            raise InputError(
                f"Got {other.counts[place]:g} rows{self._of_class(place)} to be subtracted from "
                f"{self.counts[place]:g}; expected rows that were added."
            )
        if not other.shards and other.count:
            rest._require_possible(triangle.diagonal(self.second).sum(axis=-1))
        return rest

    def __mul__(self, factor: float) -> "Moments":
        if not 0 <= factor < np.inf:
            raise InputError(f"Got moments to be scaled by {factor}; expected 0 or more; try subtracting.")
        return replace(
            self,
            second=factor * self.second,
            cross=factor * self.cross,
            first=factor * self.first,
            square=factor * self.square,
            counts=factor * self.counts,
            shards={name: factor * times for name, times in self.shards.items() if factor},
        )

    __rmul__ = __mul__

    def _combine(self, other: "Moments", f: Callable[..., np.ndarray], shards: dict[str, float]) -> "Moments":
        return Moments(
            self.source,
            f(self.second, other.second),
            f(self.cross, other.cross),
            f(self.first, other.first),
            float(f(self.square, other.square)),
            f(self.counts, other.counts),
            shards,
        )

    def _require_alike(self, other: "Moments") -> None:
        self.source.require_same(other.source)
        if len(self.second) != len(other.second):
            kept = ("kept apart by class", "pooled")
            mine, theirs = kept if self.by_class else kept[::-1]
            raise InputError(f"Got moments {mine} and moments {theirs}; expected both alike; try .pooled().")

    def _require_possible(self, traces: np.ndarray) -> None:
        """InputError unless every Σ φφᵀ is positive semidefinite, to rounding of what it was before.

        Args:
            traces: (g,) of Σ φφᵀ before.
        """
        for place, (packed, trace) in enumerate(zip(self.second, traces, strict=True)):
            matrix = triangle.full(packed)
            matrix[np.diag_indices(self.columns)] += max(ROUNDING * trace, np.finfo(np.float64).tiny)
            if scipy.linalg.lapack.dpotrf(matrix, lower=1, overwrite_a=1)[1] != 0:
                raise InputError(
                    f"Got rows{self._of_class(place) if self.by_class else ''} to be subtracted that were never "
                    "added: no rows have the sums that would remain; expected rows that were added."
                )

    def _of_class(self, place: int) -> str:
        labels = self.source.labels
        return f" of class {labels.classes[place]}" if isinstance(labels, ClassLabels) else ""
