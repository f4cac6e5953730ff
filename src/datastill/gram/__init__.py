"""Computation of Gram blocks: a kernel in and a kernel out, or a feature map in and its kernel out."""

from datastill.gram.features import kernel_of
from datastill.gram.sharded import sharded
from datastill.gram.tiled import tiled

__all__ = ["kernel_of", "sharded", "tiled"]
