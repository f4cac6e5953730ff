"""The scikit-learn face of the library: `KIP`, `LabelSolve`, `Coreset` and their regressors."""

from datastill.estimators.coreset import Coreset, CoresetRegressor
from datastill.estimators.kip import KIP, KIPRegressor
from datastill.estimators.label_solve import LabelSolve, LabelSolveRegressor

__all__ = ["KIP", "Coreset", "CoresetRegressor", "KIPRegressor", "LabelSolve", "LabelSolveRegressor"]
