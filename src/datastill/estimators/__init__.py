"""The scikit-learn face of the library: `Universal`, `KIP`, `LabelSolve`, `Coreset` and their regressors."""

from datastill.estimators.coreset import Coreset, CoresetRegressor
from datastill.estimators.frepo import FRePo
from datastill.estimators.kip import KIP, KIPRegressor
from datastill.estimators.label_solve import LabelSolve, LabelSolveRegressor
from datastill.estimators.network_kip import NetworkKIP
from datastill.estimators.rcig import RCIG
from datastill.estimators.rfad import RFAD
from datastill.estimators.universal import Universal, UniversalRegressor

__all__ = [
    "KIP",
    "RCIG",
    "RFAD",
    "Coreset",
    "CoresetRegressor",
    "FRePo",
    "KIPRegressor",
    "LabelSolve",
    "LabelSolveRegressor",
    "NetworkKIP",
    "Universal",
    "UniversalRegressor",
]
