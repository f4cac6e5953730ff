"""The interface of a kernel: a frozen value that maps two blocks of rows to a block of the Gram matrix."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from datastill._typing import Array, ArrayLike
from datastill._validate import check_finite, check_squares


class Kernel(ABC):
    """A positive semidefinite function k(x, x') on rows of vectors or images.

    Kernels are frozen and hashable, so they are static under `jit`. They add (`k1 + k2`) and scale (`2.0 * k`),
    and wrappers such as `tiled(kernel)` are kernels again.
    """

    def __call__(self, x1: ArrayLike, x2: ArrayLike | None = None) -> Array:
        """The Gram block k(x1, x2).

        Args:
            x1: (n1, …) rows.
            x2: (n2, …) rows; `x1` when left out.

        Returns:
            (n1, n2). Float64 NumPy input is computed in float64 whatever JAX's global precision, and integers as
            floats.

        Raises:
            InputError: for NaN and infinity in NumPy input, with the place of the first, and other than real numbers.
        """
        x1 = _checked(x1, "x1")
        x2 = x1 if x2 is None else _checked(x2, "x2")
        with precision_of(x1, x2):
            return self._jitted(_real(x1), _real(x2))

    def diagonal(self, x: ArrayLike) -> Array:
        """The n values k(x_i, x_i), without the other n² − n.

        Raises:
            InputError: for NaN and infinity in NumPy input, with the place of the first, and other than real numbers.
        """
        x = _checked(x, "x")
        with precision_of(x):
            return self.self_block(_real(x))

    @partial(jax.jit, static_argnums=0)
    def _jitted(self, x1: Array, x2: Array) -> Array:
        return self.block(x1, x2)

    @abstractmethod
    def block(self, x1: Array, x2: Array) -> Array:
        """The block itself, traced and unchecked: (n1, …), (n2, …) -> (n1, n2)."""

    @abstractmethod
    def self_block(self, x: Array) -> Array:
        """The diagonal, traced and unchecked: (n, …) -> (n,)."""

    def resolve(self, x: np.ndarray) -> Self:
        """This kernel with every setting that is left to the data filled in from the rows `x`."""
        return self

    def embedded(self, d: int, width: int) -> "Kernel | None":
        """The kernel with the same values after rows of d numbers are rotated and scaled by √(width/d) into width.

        None for a kernel that depends on more than inner products, such as the place of a pixel.
        """
        return None

    def coarser(self) -> "Kernel | None":
        """The kernel that sees images of half the size much as this one sees the whole ones; None where none does."""
        return None

    def activations(self, shape: tuple[int, ...]) -> float:
        """Return the activations, or their equivalent, for one pair of rows of this shape: the price of the kernel."""
        return 1.0

    def rows_within(self, work: float, shape: tuple[int, ...], others: int) -> int:
        """Return how many rows of this shape fit with `others` rows into so many activations; 1 or more."""
        return max(1, int(work / (self.activations(shape) * max(others, 1))))

    def pair_bytes(self, shape: tuple[int, ...]) -> int:
        """Working memory of one pair of rows of this shape in float32, which no smaller tile takes less of."""
        return 0

    def within(self, memory: int) -> "Kernel":
        """The same kernel, which takes no more than so many bytes for its own tiles, where it works in tiles."""
        return self

    def __add__(self, other: "Kernel") -> "Sum":
        return Sum((self, other))

    def __mul__(self, factor: float) -> "Scaled":
        return Scaled(self, float(factor))

    __rmul__ = __mul__


@dataclass(frozen=True)
class Sum(Kernel):
    """k(x, x') = Σᵢ kᵢ(x, x')."""

    terms: tuple[Kernel, ...]

    def block(self, x1: Array, x2: Array) -> Array:
        """See `Kernel.block`."""
        return sum((k.block(x1, x2) for k in self.terms[1:]), self.terms[0].block(x1, x2))

    def self_block(self, x: Array) -> Array:
        """See `Kernel.self_block`."""
        return sum((k.self_block(x) for k in self.terms[1:]), self.terms[0].self_block(x))

    def resolve(self, x: np.ndarray) -> "Sum":
        """See `Kernel.resolve`."""
        return Sum(tuple(k.resolve(x) for k in self.terms))

    def embedded(self, d: int, width: int) -> "Sum | None":
        """See `Kernel.embedded`."""
        terms = all_of([k.embedded(d, width) for k in self.terms])
        return None if terms is None else Sum(terms)

    def coarser(self) -> "Sum | None":
        """See `Kernel.coarser`."""
        terms = all_of([k.coarser() for k in self.terms])
        return None if terms is None else Sum(terms)

    def activations(self, shape: tuple[int, ...]) -> float:
        """See `Kernel.activations`."""
        return sum(k.activations(shape) for k in self.terms)

    def pair_bytes(self, shape: tuple[int, ...]) -> int:
        """See `Kernel.pair_bytes`."""
        return max(k.pair_bytes(shape) for k in self.terms)

    def within(self, memory: int) -> "Sum":
        """See `Kernel.within`."""
        return Sum(tuple(k.within(memory) for k in self.terms))


@dataclass(frozen=True)
class Wrapper(Kernel):
    """A kernel made of another one, which answers all questions but that for the block."""

    kernel: Kernel

    def self_block(self, x: Array) -> Array:
        """See `Kernel.self_block`."""
        return self.kernel.self_block(x)

    def resolve(self, x: np.ndarray) -> "Wrapper":
        """See `Kernel.resolve`."""
        return replace(self, kernel=self.kernel.resolve(x))

    def embedded(self, d: int, width: int) -> "Wrapper | None":
        """See `Kernel.embedded`."""
        inner = self.kernel.embedded(d, width)
        return None if inner is None else replace(self, kernel=inner)

    def coarser(self) -> "Wrapper | None":
        """See `Kernel.coarser`."""
        inner = self.kernel.coarser()
        return None if inner is None else replace(self, kernel=inner)

    def activations(self, shape: tuple[int, ...]) -> float:
        """See `Kernel.activations`."""
        return self.kernel.activations(shape)

    def pair_bytes(self, shape: tuple[int, ...]) -> int:
        """See `Kernel.pair_bytes`."""
        return self.kernel.pair_bytes(shape)

    def within(self, memory: int) -> "Wrapper":
        """See `Kernel.within`."""
        return replace(self, kernel=self.kernel.within(memory))


@dataclass(frozen=True)
class Scaled(Wrapper):
    """factor · k(x, x')."""

    factor: float

    def block(self, x1: Array, x2: Array) -> Array:
        """See `Kernel.block`."""
        return self.factor * self.kernel.block(x1, x2)

    def self_block(self, x: Array) -> Array:
        """See `Kernel.self_block`."""
        return self.factor * self.kernel.self_block(x)


def all_of(kernels: Sequence[Kernel | None]) -> tuple[Kernel, ...] | None:
    """The kernels, if there is none missing."""
    found = tuple(k for k in kernels if k is not None)
    return found if len(found) == len(kernels) else None


def flat(x: Array) -> Array:
    """(n, …) -> (n, d): images read as vectors."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def precision_of(*arrays: ArrayLike) -> AbstractContextManager:
    """A context in which float64 NumPy input stays float64; the caller's own precision for everything else."""
    wants_float64 = any(isinstance(x, np.ndarray) and x.dtype == np.float64 for x in arrays)
    return jax.enable_x64(True) if wants_float64 else nullcontext()


def _checked(x: ArrayLike, name: str) -> ArrayLike:
    """The rows; InputError for NaN, infinity and infinite squares. Arrays of JAX's pass as they are."""
    if isinstance(x, jax.Array):
        return x
    x = np.asarray(x)
    check_finite(x, name)
    if jnp.issubdtype(x.dtype, jnp.floating):
        check_squares(x, name)
    return x


def _real(x: ArrayLike) -> Array:
    """Convert to floating-point numbers: integers would wrap around."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
