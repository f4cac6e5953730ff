"""datastill: compress a dataset into a handful of learned examples, and prove that they are good enough."""

from datastill.data.dataset import Dataset, SupportSet
from datastill.data.sources import load
from datastill.estimators import (
    KIP,
    RCIG,
    RFAD,
    BestOf,
    BestOfRegressor,
    Coreset,
    CoresetRegressor,
    FRePo,
    KIPRegressor,
    LabelSolve,
    LabelSolveRegressor,
    NetworkKIP,
)

__all__ = [
    "KIP",
    "RCIG",
    "RFAD",
    "BestOf",
    "BestOfRegressor",
    "Coreset",
    "CoresetRegressor",
    "Dataset",
    "FRePo",
    "KIPRegressor",
    "LabelSolve",
    "LabelSolveRegressor",
    "NetworkKIP",
    "SupportSet",
    "load",
]
