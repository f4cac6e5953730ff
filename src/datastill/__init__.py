"""datastill: compress a dataset into a handful of learned examples, and prove that they are good enough."""

from datastill.data.dataset import Dataset, SupportSet
from datastill.data.sources import load
from datastill.estimators import (
    KIP,
    RFAD,
    BestOf,
    BestOfRegressor,
    Coreset,
    CoresetRegressor,
    KIPRegressor,
    LabelSolve,
    LabelSolveRegressor,
    NetworkKIP,
)

__all__ = [
    "KIP",
    "RFAD",
    "BestOf",
    "BestOfRegressor",
    "Coreset",
    "CoresetRegressor",
    "Dataset",
    "KIPRegressor",
    "LabelSolve",
    "LabelSolveRegressor",
    "NetworkKIP",
    "SupportSet",
    "load",
]
