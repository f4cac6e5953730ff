"""Kernels: what is computed on a pair of blocks. How it is computed is `datastill.gram`'s business."""

from datastill.kernels.base import Kernel
from datastill.kernels.classical import RBF, Linear, Polynomial
from datastill.kernels.conv import ConvNet, Myrtle
from datastill.kernels.dense import FullyConnected

__all__ = ["RBF", "ConvNet", "FullyConnected", "Kernel", "Linear", "Myrtle", "Polynomial"]
