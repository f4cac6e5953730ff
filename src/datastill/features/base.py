"""The interface of a feature map: a frozen value that maps rows to F numbers, whose inner products are a kernel."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Self, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array, ArrayLike

Weights: TypeAlias = Any
"""A tree of float32 arrays: the random numbers of a map, for rows of one shape."""

WORKING_ARRAYS = 6  # arrays of the block's size alive at once while it is computed
MOST_ROWS = 4096
RESOLVING_ROWS = 1_000
KEPT = 4  # maps whose weights are kept between calls


class FeatureMap(ABC):
    """A function φ on rows of vectors or images, k(x, x') = φ(x)·φ(x').

    Maps are frozen and hashable, so they are static under `jit`, and functions of their settings alone: equal
    settings, seed included, are equal maps. They add (`a + b` has the columns of both, and its kernel is the sum of
    theirs) and scale (`2.0 * a` doubles the kernel).
    """

    def __call__(self, x: ArrayLike, memory: float = 2**28) -> Array:
        """φ of the rows.

        Args:
            x: (n, …) rows.
            memory: bytes for working arrays; rows are taken in blocks that fit.

        Returns:
            (n, F) float32.
        """
        blocks = list(self.blocks(x, memory))
        return jnp.concatenate(blocks) if blocks else jnp.zeros((0, self.columns(x.shape[1:])), jnp.float32)

    def blocks(self, x: ArrayLike, memory: float = 2**28) -> Iterator[Array]:
        """φ of the rows, a block of rows at a time: (b, F) float32 each."""
        weights, rows = drawn(self, x.shape[1:]), self.rows_within(x.shape[1:], memory)
        for start in range(0, len(x), rows):
            part = jnp.asarray(x[start : start + rows], jnp.float32)
            short = min(rows, len(x)) - len(part)
            # The last block is filled up, so that all have one shape and are compiled once.
            padded = jnp.concatenate([part, jnp.zeros((short, *part.shape[1:]), part.dtype)]) if short else part
            yield self.compiled(weights, padded)[: len(part)]

    def rows_within(self, row: tuple[int, ...], memory: float) -> int:
        """Rows of this shape in a block whose working arrays fit in `memory` bytes; between 1 and 4,096."""
        if not memory > 0:
            raise InputError(f"Got memory={memory}; expected a number of bytes above 0, such as 2**28.")
        return int(max(1, min(MOST_ROWS, memory // (4 * WORKING_ARRAYS * self.columns(row)))))

    def compiled(self, weights: Weights, x: Array) -> Array:
        """`block`, compiled: once for maps that differ only in their seed."""
        return self.formula()._jitted(weights, x)

    @partial(jax.jit, static_argnums=0)
    def _jitted(self, weights: Weights, x: Array) -> Array:
        return self.block(weights, x)

    @abstractmethod
    def columns(self, row: tuple[int, ...]) -> int:
        """F, for rows of this shape."""

    @abstractmethod
    def draw(self, row: tuple[int, ...]) -> Weights:
        """The random numbers for rows of this shape; the same on every platform."""

    @abstractmethod
    def formula(self) -> Self:
        """This map without what is in its weights, such as the seed: a `block` that many maps share."""

    @abstractmethod
    def block(self, weights: Weights, x: Array) -> Array:
        """φ with these weights, traced and unchecked, in the precision of `x`: (n, …) -> (n, F)."""

    @property
    def wanted(self) -> int:
        """Return how many rows are enough to `resolve` this map where rows are expensive, as features of a map are."""
        return RESOLVING_ROWS

    def resolve(self, x: np.ndarray) -> Self:
        """This map with every setting that is left to the data filled in from the rows `x`."""
        return self

    def __add__(self, other: "FeatureMap") -> "Concatenated":
        return Concatenated((self, other))

    def __mul__(self, factor: float) -> "Scaled":
        return Scaled(self, float(factor))

    __rmul__ = __mul__


@dataclass(frozen=True)
class Concatenated(FeatureMap):
    """φ(x) = [φ₁(x), φ₂(x), …]; its kernel is Σᵢ kᵢ(x, x'). Maps of one kind want different seeds."""

    terms: tuple[FeatureMap, ...]

    def columns(self, row: tuple[int, ...]) -> int:
        """See `FeatureMap.columns`."""
        return sum(term.columns(row) for term in self.terms)

    def draw(self, row: tuple[int, ...]) -> Weights:
        """See `FeatureMap.draw`."""
        return tuple(term.draw(row) for term in self.terms)

    def block(self, weights: Weights, x: Array) -> Array:
        """See `FeatureMap.block`."""
        return jnp.concatenate([term.block(w, x) for term, w in zip(self.terms, weights, strict=True)], axis=1)

    def formula(self) -> "Concatenated":
        """See `FeatureMap.formula`."""
        return Concatenated(tuple(term.formula() for term in self.terms))

    @property
    def wanted(self) -> int:
        """See `FeatureMap.wanted`."""
        return max(term.wanted for term in self.terms)

    def resolve(self, x: np.ndarray) -> "Concatenated":
        """See `FeatureMap.resolve`."""
        return Concatenated(tuple(term.resolve(x) for term in self.terms))


@dataclass(frozen=True)
class Scaled(FeatureMap):
    """φ(x) = √factor · φ₁(x); its kernel is factor · k₁(x, x')."""

    map: FeatureMap
    factor: float

    def __post_init__(self) -> None:
        if not 0 < self.factor < np.inf:
            raise InputError(f"Got a feature map scaled by {self.factor}; expected a number above 0.")

    def columns(self, row: tuple[int, ...]) -> int:
        """See `FeatureMap.columns`."""
        return self.map.columns(row)

    def draw(self, row: tuple[int, ...]) -> Weights:
        """See `FeatureMap.draw`."""
        return self.map.draw(row)

    def block(self, weights: Weights, x: Array) -> Array:
        """See `FeatureMap.block`."""
        return self.factor**0.5 * self.map.block(weights, x)

    def formula(self) -> "Scaled":
        """See `FeatureMap.formula`."""
        return Scaled(self.map.formula(), self.factor)

    @property
    def wanted(self) -> int:
        """See `FeatureMap.wanted`."""
        return self.map.wanted

    def resolve(self, x: np.ndarray) -> "Scaled":
        """See `FeatureMap.resolve`."""
        return Scaled(self.map.resolve(x), self.factor)


@dataclass(frozen=True)
class Composed(FeatureMap):
    """φ(x) = φ₂(√F₁ · φ₁(x)): features of features, which are given a scale of about 1 each before.

    Source: compositions of kernels' feature maps: Cho and Saul (2009), "Kernel methods for deep learning".
    """

    inner: FeatureMap
    outer: FeatureMap

    def columns(self, row: tuple[int, ...]) -> int:
        """See `FeatureMap.columns`."""
        return self.outer.columns((self.inner.columns(row),))

    def draw(self, row: tuple[int, ...]) -> Weights:
        """See `FeatureMap.draw`."""
        return self.inner.draw(row), self.outer.draw((self.inner.columns(row),))

    def block(self, weights: Weights, x: Array) -> Array:
        """See `FeatureMap.block`."""
        phi = self.inner.block(weights[0], x)
        return self.outer.block(weights[1], phi.shape[1] ** 0.5 * phi)

    def formula(self) -> "Composed":
        """See `FeatureMap.formula`."""
        return Composed(self.inner.formula(), self.outer.formula())

    @property
    def wanted(self) -> int:
        """See `FeatureMap.wanted`."""
        return max(self.inner.wanted, self.outer.wanted)

    def resolve(self, x: np.ndarray) -> "Composed":
        """See `FeatureMap.resolve`."""
        inner = self.inner.resolve(x)
        places = np.linspace(0, len(x) - 1, min(self.outer.wanted, len(x))).round().astype(int)
        some = np.asarray(inner(x[places]))
        return Composed(inner, self.outer.resolve(some.shape[1] ** 0.5 * some))


@lru_cache(maxsize=KEPT)
def drawn(map: FeatureMap, row: tuple[int, ...]) -> Weights:
    """The map's weights for rows of this shape, as JAX arrays; those used last are kept."""
    with jax.ensure_compile_time_eval():  # what is kept must outlive a trace
        return jax.tree.map(jnp.asarray, map.draw(row))
