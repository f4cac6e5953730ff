"""The scikit-learn face of the library: `KIP`, `LabelSolve` and their regressors."""

from datastill.estimators.kip import KIP, KIPRegressor
from datastill.estimators.label_solve import LabelSolve, LabelSolveRegressor

__all__ = ["KIP", "KIPRegressor", "LabelSolve", "LabelSolveRegressor"]
