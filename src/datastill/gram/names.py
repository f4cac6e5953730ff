"""Kernels by short name, for the command line and for estimators; those of feature maps among them."""

import re
from collections.abc import Sequence
from typing import TypeAlias

from datastill._errors import InputError
from datastill.features.base import FeatureMap
from datastill.features.names import named_map
from datastill.gram.features import kernel_of
from datastill.kernels.base import Kernel
from datastill.kernels.classical import RBF, Linear, Polynomial
from datastill.kernels.conv import ConvNet, Myrtle
from datastill.kernels.dense import FullyConnected

PATTERN = re.compile(
    r"(?:(?P<network>fc|convnet|conv-vec|myrtle)(?P<depth>\d+)?(?P<erf>-erf)?(?P<nngp>-nngp)?)"
    r"|(?P<rbf>rbf(?::(?P<factor>\d*\.?\d+))?)"
    r"|(?P<linear>linear)"
    r"|(?P<poly>poly(?P<degree>\d+)?)"
    r"|(?:features:(?P<features>.+))"
)
KernelLike: TypeAlias = Kernel | FeatureMap | str | Sequence[Kernel | FeatureMap | str]
HELP = (
    "fc1 (any depth), convnet3 (any depth; convnet has a stem), conv-vec3, myrtle5 (7, 10), each with -erf or -nngp, "
    "rbf (rbf:0.5 halves the median length scale), linear, poly2 (any degree), or features: and a feature map, such as "
    "features:fourier"
)


def named(name: str) -> Kernel:
    """The kernel with this short name.

    "fc3" is `FullyConnected(depth=3)`, "fc2-erf-nngp" its NNGP with erf, "convnet3" is `ConvNet(depth=3)`, "convnet"
    the same with a stem, "conv-vec3" without pooling, "myrtle5" is `Myrtle(depth=5)`; "rbf" takes the median heuristic
    and "rbf:0.5" half of it, "poly3" is `Polynomial(degree=3)`, "linear" is `Linear()`;
    "features:conv" is the kernel of a feature map, see `features.names.named_map`.

    Raises:
        InputError: for another name, or a depth or degree that the kernel does not have.
    """
    found = PATTERN.fullmatch(name.strip().lower())
    if not found:
        raise InputError(f"Got the kernel name {name!r}; expected {HELP}.")
    part = found.groupdict()
    if part["features"]:
        return kernel_of(named_map(part["features"]))
    if part["network"]:
        settings = {"activation": "erf" if part["erf"] else "relu", "kind": "nngp" if part["nngp"] else "ntk"}
        return _network(part["network"], int(part["depth"]) if part["depth"] else None, settings)
    if part["rbf"]:
        return RBF(factor=float(part["factor"] or 1))
    return Linear() if part["linear"] else Polynomial(degree=int(part["degree"] or 2))


def _network(architecture: str, depth: int | None, settings: dict[str, str]) -> Kernel:
    deep = {"fc": 1, "myrtle": 5, "conv-vec": 3, "convnet": 3}[architecture] if depth is None else depth
    if architecture == "fc":
        return FullyConnected(deep, **settings)  # type: ignore[arg-type]
    if architecture == "myrtle":
        return Myrtle(deep, **settings)  # type: ignore[arg-type]
    if architecture == "conv-vec":
        return ConvNet(deep, pooling=False, **settings)  # type: ignore[arg-type]
    return ConvNet(deep, stem=depth is None, **settings)  # type: ignore[arg-type]


def as_kernels(kernel: KernelLike) -> tuple[Kernel, ...]:
    """One kernel or feature map, a name, comma-separated names, or a sequence of them, as a tuple of kernels.

    Raises:
        InputError: for no kernel, or a name that `named` does not know.
    """
    if isinstance(kernel, str):
        kernel = kernel.split(",")
    parts = [kernel] if isinstance(kernel, (Kernel, FeatureMap)) else list(kernel)
    if not parts:
        raise InputError(f"Got no kernel; expected {HELP}.")
    return tuple(_one(part) for part in parts)


def _one(part: Kernel | FeatureMap | str) -> Kernel:
    if isinstance(part, FeatureMap):
        return kernel_of(part)
    return part if isinstance(part, Kernel) else named(part)
