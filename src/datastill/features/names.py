"""Feature maps by short name, for the command line and for estimators."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from itertools import count
from operator import add

from datastill._errors import InputError
from datastill.features.base import Composed, FeatureMap
from datastill.features.conv import RandomConv
from datastill.features.dense import RandomDense
from datastill.features.fourier import RandomFourier
from datastill.features.nystroem import Nystroem
from datastill.features.patches import PatchConv
from datastill.kernels.dense import FullyConnected

HELP = (
    "conv (images: patches of the data; conv5: of 5×5 pixels; conv5g2: pooled over 2×2 cells; conv5o2: over cells that "
    "overlap; conv-flip: means over an image and its mirror image), random-conv, fourier, laplace, relu (relu3: three "
    "layers), ntk (ntk3), nystroem (infinitely wide relu, from rows of the data; nystroem2: two layers), each with a "
    "width after a colon or not, as in fourier:2048, joined by + or, for features of features, by >, as in "
    "conv:256>relu:4096"
)
TERM = re.compile(
    r"(?P<kind>conv-flip|conv|random-conv|fourier|laplace|relu|ntk|nystroem)(?P<number>\d+)?(?:(?P<cells>[go])(?P<grid>\d+))?(?::(?P<width>\d+))?"
)
NUMBERED = ("relu", "ntk", "nystroem", "conv", "conv-flip")
SEEDS = 1000
"""Seeds of the terms of one map are this many times its own, and the next ones."""


def named_map(name: str, seed: int = 0) -> FeatureMap:
    """The map with this short name; several joined by + are beside each other, and by >, one on the other.

    "conv:512" is `PatchConv(words=512)`, "conv5g2" `PatchConv(size=5, grid=2)`, "conv5o2" the same with cells that
    overlap, and "conv-flip" takes means over an image and its mirror image; "random-conv:32" is `RandomConv(width=32)`,
    "fourier:2048" `RandomFourier(2048)`, "laplace" its Laplace kernel, "relu3:1024" `RandomDense(1024, depth=3)`, "ntk"
    its NTK, and "nystroem:1024" `Nystroem(1024)`.

    Raises:
        InputError: for another name, or a width or depth of 0.
    """
    seeds = count(SEEDS * seed)
    return reduce(add, (_chain(part, seeds) for part in name.split("+")))


def _chain(name: str, seeds: Iterator[int]) -> FeatureMap:
    return reduce(Composed, (_term(part, next(seeds)) for part in name.split(">")))


def _term(name: str, seed: int) -> FeatureMap:
    found = TERM.fullmatch(name.strip().lower())
    conv = found is not None and found["kind"] in ("conv", "conv-flip")
    if not found or (found["number"] and found["kind"] not in NUMBERED) or (found["grid"] and not conv):
        raise InputError(f"Got the feature map {name.strip()!r}; expected {HELP}.")
    kind, width, number = found["kind"], found["width"], found["number"]
    if conv:
        size, grid = int(number or PatchConv.size), int(found["grid"] or PatchConv.grid)
        map: FeatureMap = PatchConv(
            size=size, grid=grid, overlap=found["cells"] == "o", mirrored=kind == "conv-flip", seed=seed
        )
    elif kind in ("relu", "ntk"):
        map = RandomDense(depth=int(number or 1), kind="ntk" if kind == "ntk" else "nngp", seed=seed)
    elif kind == "nystroem":
        map = Nystroem(kernel=FullyConnected(depth=int(number or 1), kind="nngp"), seed=seed)
    elif kind == "random-conv":
        map = RandomConv(seed=seed)
    else:
        map = RandomFourier(kernel="laplace" if kind == "laplace" else "rbf", seed=seed)
    if width is None:
        return map
    setting = {RandomFourier: "frequencies", PatchConv: "words", Nystroem: "landmarks"}.get(type(map), "width")
    return replace(map, **{setting: int(width)})  # type: ignore[type-var]
