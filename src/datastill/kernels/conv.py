"""NNGP and NTK of infinitely wide convolutional networks: the ConvNet of dataset distillation, and Myrtle."""

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from types import ModuleType

import jax.numpy as jnp

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill._validate import check_channels_last
from datastill.kernels import pooled, unpooled
from datastill.kernels.base import Kernel
from datastill.kernels.network import Network, check_settings

MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}
"""Convolutions in each stage, by depth, the linear output counted."""


@dataclass(frozen=True)
class _Convolutional(Kernel):
    """The kernel of a `Network`: a recursion over pairs of pixels, or over pixels where nothing is pooled."""

    memory: int | None = field(default=None, kw_only=True, repr=False)

    @property
    @abstractmethod
    def _network(self) -> Network:
        """The network whose kernel it is."""

    @property
    def _recursion(self) -> ModuleType:
        return pooled if self._network.pooling else unpooled

    def block(self, x1: Float[Array, "n1 *hwc"], x2: Float[Array, "n2 *other"]) -> Float[Array, "n1 n2"]:
        """See `Kernel.block`.

        Raises:
            InputError: for rows that are no images, or too small for the pooling.
        """
        x1, x2 = _images(self._network, x1), _images(self._network, x2)
        if x1.shape[1:] != x2.shape[1:]:
            raise InputError(f"Got images of shapes {x1.shape[1:]} and {x2.shape[1:]}; expected the same (h, w, c).")
        return self._recursion.block(self._network, x1, x2, self.memory)

    def self_block(self, x: Float[Array, "n *hwc"]) -> Float[Array, " n"]:
        """See `Kernel.self_block`."""
        return self._recursion.diagonal(self._network, _images(self._network, x))

    def activations(self, shape: tuple[int, ...]) -> float:
        """See `Kernel.activations`: pairs of pixels in every layer, or pixels where nothing is pooled."""
        _check_image(self._network, shape)
        return self._network.activations(*shape[:2])

    def pair_bytes(self, shape: tuple[int, ...]) -> int:
        """See `Kernel.pair_bytes`: eight maps of all pairs of pixels, of windows where the first stage is one layer."""
        _check_image(self._network, shape)
        return self._network.pair_bytes(*shape[:2])

    def within(self, memory: int) -> "_Convolutional":
        """See `Kernel.within`."""
        return replace(self, memory=memory)


@dataclass(frozen=True)
class ConvNet(_Convolutional):
    """The kernel of a network of `depth` blocks [3×3 convolution, activation, mean over 2×2] and one linear output.

    The recursion over pairs of pixels is in `kernels.pooled`, and without pooling in `kernels.unpooled`. Convolutions
    are padded with zeros, pooling drops a last odd row or column, and the output reads all pixels ("flatten").

    Args:
        depth: blocks, 1 or more.
        stem: whether a block without pooling comes first.
        pooling: whether blocks end in pooling; "Conv-Vec" has none, and is about fifty times cheaper.
        w_std: standard deviation of the weights, times the root of the fan-in.
        b_std: standard deviation of the biases.
        kind: "ntk" or "nngp".
        activation: "relu" or "erf".
        memory: bytes that a tile of pairs may take; None takes what suits the device. No part of what is computed.

    Source: Nguyen, Novak, Xiao, Lee (2021), arXiv:2107.13034; Arora et al. (2019), arXiv:1904.11955.
    """

    depth: int = 3
    stem: bool = False
    pooling: bool = True
    w_std: float = 2**0.5
    b_std: float = 0.1
    kind: str = "ntk"
    activation: str = "relu"

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise InputError(f"Got depth={self.depth}; expected 1 or more blocks; try depth=3.")
        check_settings(self.activation, self.kind, self.w_std, self.b_std)

    def coarser(self) -> "ConvNet | None":
        """See `Kernel.coarser`: with one block less, which pools once less."""
        return replace(self, depth=self.depth - 1) if self.pooling and self.depth > 1 else None

    @property
    def _network(self) -> Network:
        stages = (1 + self.stem, *(1,) * (self.depth - 1))
        return _network(self, stages, "flatten", self.pooling)


@dataclass(frozen=True)
class Myrtle(_Convolutional):
    """The kernel of a Myrtle network: 3×3 convolutions in three stages, two poolings, a mean of all pixels, an output.

    Its stages have 2, 1, 1 convolutions at depth 5, 2, 2, 2 at depth 7, and 3, 3, 3 at depth 10.

    Args:
        depth: 5, 7 or 10.
        w_std: standard deviation of the weights, times the root of the fan-in.
        b_std: standard deviation of the biases.
        kind: "ntk" or "nngp".
        activation: "relu" or "erf".
        memory: bytes that a tile of pairs may take; None takes what suits the device. No part of what is computed.

    Source: Shankar et al. (2020), arXiv:2003.02237.
    """

    depth: int = 5
    w_std: float = 2**0.5
    b_std: float = 0.1
    kind: str = "ntk"
    activation: str = "relu"

    def __post_init__(self) -> None:
        if self.depth not in MYRTLE:
            raise InputError(f"Got depth={self.depth}; expected one of {', '.join(map(str, MYRTLE))}.")
        check_settings(self.activation, self.kind, self.w_std, self.b_std)

    @property
    def _network(self) -> Network:
        return _network(self, MYRTLE[self.depth], "mean", True)


def _network(kernel: ConvNet | Myrtle, stages: tuple[int, ...], head: str, pooling: bool) -> Network:
    return Network(stages, pooling, head, kernel.activation, kernel.w_std**2, kernel.b_std**2, kernel.kind == "ntk")


def _check_image(network: Network, shape: tuple[int, ...]) -> None:
    """InputError for rows that are no images, with channels first, or too small for the pooling."""
    if len(shape) not in (2, 3) or 0 in shape:
        raise InputError(
            f"Got rows of shape {shape}; expected images, (n, h, w) or (n, h, w, c); try x.reshape(n, h, w, c), or "
            "another kernel."
        )
    check_channels_last(shape)
    least = network.least_side
    if min(shape[:2]) < least:
        raise InputError(
            f"Got images of {shape[0]}×{shape[1]} pixels; expected {least}×{least} or more for {len(network.stages)} "
            "stages with pooling; try a smaller depth, pooling=False, or larger images."
        )


def _images(network: Network, x: Array) -> Array:
    """(n, h, w) or (n, h, w, c) -> (n, h, w, c)."""
    shape = tuple(x.shape)
    _check_image(network, shape[1:])
    return jnp.asarray(x).reshape(*shape[:3], *(shape[3:] or (1,)))
