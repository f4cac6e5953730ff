"""Feature maps as plain values, and back: what an artefact saves of them."""

from dataclasses import fields
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.features.base import Composed, Concatenated, FeatureMap, Scaled
from datastill.features.conv import RandomConv
from datastill.features.dense import RandomDense
from datastill.features.dictionary import Dictionary
from datastill.features.fourier import RandomFourier
from datastill.features.nystroem import Landmarks, Nystroem
from datastill.features.patches import PatchConv
from datastill.kernels.base import Kernel
from datastill.kernels.classical import RBF, Linear, Polynomial
from datastill.kernels.conv import ConvNet, Myrtle
from datastill.kernels.dense import FullyConnected

MAPS = (Composed, Concatenated, Nystroem, PatchConv, RandomConv, RandomDense, RandomFourier, Scaled)
LEARNT = (Dictionary, Landmarks)
KERNELS = (ConvNet, FullyConnected, Linear, Myrtle, Polynomial, RBF)
KINDS: dict[str, Any] = {kind.__name__: kind for kind in (*MAPS, *LEARNT, *KERNELS)}


def state(map: FeatureMap) -> dict[str, Any]:
    """Return the kind and settings from which the map is rebuilt, as JSON types and arrays.

    Raises:
        InputError: for maps and kernels of kinds that are not saved, such as a user's own or a sum of kernels.
    """
    return _plain(map)


def from_state(saved: dict[str, Any]) -> FeatureMap:
    """The inverse of `state`.

    Raises:
        InputError: for a kind of map that this version does not have, or settings it cannot have.
    """
    try:
        built = _built(saved)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"Got the state of a feature map that cannot be rebuilt ({error}); expected one of the kinds "
            f"{', '.join(sorted(KINDS))}; try upgrading datastill."
        ) from error
    if not isinstance(built, FeatureMap):
        raise InputError(f"Got the state of a {type(built).__name__}; expected that of a feature map.")
    return built


def _plain(value: Any) -> Any:
    if type(value) in KINDS.values():
        return {"type": type(value).__name__} | {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (FeatureMap, Kernel)):
        raise InputError(
            f"Got a map with a {type(value).__name__} in it, which has no saved form; expected one of the kinds "
            f"{', '.join(sorted(KINDS))}."
        )
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def _built(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_built(v) for v in value)
    if not isinstance(value, dict):
        return value
    settings = {name: _built(v) for name, v in value.items() if name != "type"}
    return KINDS[value["type"]](**settings)
