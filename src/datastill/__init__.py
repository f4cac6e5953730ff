"""datastill: compress a dataset into a handful of learned examples, and prove that they are good enough.

Names are imported when they are first used, so that `datastill --help` need not load JAX and scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from datastill import _moved

if TYPE_CHECKING:
    from datastill.data.dataset import Dataset, SupportSet
    from datastill.data.sources import load
    from datastill.estimators import (
        KIP,
        RCIG,
        RFAD,
        Coreset,
        CoresetRegressor,
        FRePo,
        KIPRegressor,
        LabelSolve,
        LabelSolveRegressor,
        NetworkKIP,
        Universal,
        UniversalRegressor,
    )

__all__ = [
    "KIP",
    "RCIG",
    "RFAD",
    "Coreset",
    "CoresetRegressor",
    "Dataset",
    "FRePo",
    "KIPRegressor",
    "LabelSolve",
    "LabelSolveRegressor",
    "NetworkKIP",
    "SupportSet",
    "Universal",
    "UniversalRegressor",
    "load",
]

ELSEWHERE = {"Dataset": "data.dataset", "SupportSet": "data.dataset", "load": "data.sources"}
"""Modules of the public names that are no estimators."""

_moved.install()


def __getattr__(name: str) -> Any:
    """Import a public name, or a module of the package, when it is first used (PEP 562)."""
    if name in __all__:
        found = getattr(import_module(f"{__name__}.{ELSEWHERE.get(name, 'estimators')}"), name)
    else:
        try:
            found = import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names before they are imported, too."""
    return sorted({*globals(), *__all__})
