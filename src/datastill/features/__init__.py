"""Finite feature maps φ, whose inner products are kernels: deterministic from a seed."""

from datastill.features.base import FeatureMap
from datastill.features.conv import RandomConv
from datastill.features.dense import RandomDense
from datastill.features.fourier import RandomFourier
from datastill.features.nystroem import Nystroem
from datastill.features.patches import PatchConv

__all__ = ["FeatureMap", "Nystroem", "PatchConv", "RandomConv", "RandomDense", "RandomFourier"]
