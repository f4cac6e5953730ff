"""The layers of a network of infinite width."""

import math
from dataclasses import dataclass, replace

from datastill._errors import InputError
from datastill.kernels.dual import ACTIVATIONS, Dual
from datastill.kernels.tiles import ARRAYS


@dataclass(frozen=True)
class Network:
    """3×3 convolutions padded with zeros, each followed by the activation, a head and a linear output.

    Attributes:
        stages: convolutions in each stage; a mean over 2×2 pixels ends a stage, if there is pooling.
        pooling: whether there is.
        head: "flatten", or "mean" over all pixels, which takes the place of the last stage's pooling.
        activation: "relu" or "erf".
        w2: variance of the weights, times the fan-in.
        b2: variance of the biases.
        ntk: whether the NTK is wanted, or the NNGP kernel.
    """

    stages: tuple[int, ...]
    pooling: bool
    head: str
    activation: str
    w2: float
    b2: float
    ntk: bool

    @property
    def dual(self) -> Dual:
        """Return the dual of the activation."""
        return ACTIVATIONS[self.activation]

    @property
    def layers(self) -> int:
        """Return the number of convolutions."""
        return sum(self.stages)

    @property
    def least_side(self) -> int:
        """Return the smallest side of an image in pixels."""
        return 2 ** (len(self.stages) - (self.head == "mean")) if self.pooling else 1

    def activations(self, h: int, w: int) -> float:
        """Return the activations for a pair of images of h × w pixels."""
        total = 0
        for layers in self.stages:
            total += layers * ((h * w) ** 2 if self.pooling else h * w)
            h, w = (h // 2, w // 2) if self.pooling else (h, w)
        return float(total)

    def pair_bytes(self, h: int, w: int) -> int:
        """Return the bytes of a pair of images in float32, as compiled: about ARRAYS of its largest maps."""
        if not self.pooling:
            return 0
        pixels = (h // 2) * (w // 2) if self.stages[0] == 1 else h * w
        return ARRAYS * 4 * pixels**2

    @property
    def nngp(self) -> "Network":
        """The same without the NTK."""
        return replace(self, ntk=False)


def check_settings(activation: str, kind: str, w_std: float, b_std: float) -> None:
    """InputError for what no network of infinite width can have."""
    if activation not in ACTIVATIONS:
        raise InputError(f"Got activation={activation!r}; expected one of {', '.join(ACTIVATIONS)}.")
    if kind not in ("ntk", "nngp"):
        raise InputError(f'Got kind={kind!r}; expected "ntk" or "nngp".')
    if not (0 < w_std < math.inf and 0 <= b_std < math.inf):
        raise InputError(f"Got w_std={w_std}, b_std={b_std}; expected w_std above 0 and b_std 0 or more, both finite.")
