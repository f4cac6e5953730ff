"""NNGP and NTK of infinitely wide convolutional networks."""

from dataclasses import dataclass

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill.kernels import pixels
from datastill.kernels.base import Kernel
from datastill.kernels.dual import ACTIVATIONS

MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}


@dataclass(frozen=True)
class ConvNet(Kernel):
    depth: int = 3
    stem: bool = False
    pooling: bool = True
    w_std: float = 2**0.5
    b_std: float = 0.1
    kind: str = "ntk"
    activation: str = "relu"

    def block(self, x1, x2):
        return pixels.block(self._network(), _img(x1), _img(x2))

    def self_block(self, x):
        return pixels.diagonal(self._network(), _img(x))

    def _network(self):
        stages = (2 if self.stem else 1, *(1,) * (self.depth - 1))
        return pixels.Network(stages, "flatten", self.activation, self.w_std**2, self.b_std**2, self.kind == "ntk")


@dataclass(frozen=True)
class Myrtle(Kernel):
    depth: int = 5
    w_std: float = 2**0.5
    b_std: float = 0.1
    kind: str = "ntk"
    activation: str = "relu"

    def block(self, x1, x2):
        return pixels.block(self._network(), _img(x1), _img(x2))

    def self_block(self, x):
        return pixels.diagonal(self._network(), _img(x))

    def _network(self):
        return pixels.Network(MYRTLE[self.depth], "mean", self.activation, self.w_std**2, self.b_std**2, self.kind == "ntk")


def _img(x):
    return x[..., None] if x.ndim == 3 else x
