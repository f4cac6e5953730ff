"""Differentiable stand-ins for families of learners, one module for each, and which learners each stands for."""

from datastill.distill.surrogates.base import Pair, Surrogate, loss_of, losses, standardised
from datastill.distill.surrogates.logistic import Logistic
from datastill.distill.surrogates.margin import LargeMargin
from datastill.distill.surrogates.neighbours import Neighbours
from datastill.distill.surrogates.panel import FAMILIES, families_of, surrogates
from datastill.distill.surrogates.regression import KernelRegression, Ridge

__all__ = [
    "FAMILIES",
    "KernelRegression",
    "LargeMargin",
    "Logistic",
    "Neighbours",
    "Pair",
    "Ridge",
    "Surrogate",
    "families_of",
    "loss_of",
    "losses",
    "standardised",
    "surrogates",
]
