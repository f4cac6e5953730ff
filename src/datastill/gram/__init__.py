"""How a Gram block is computed: kernel in, kernel out; or feature map in, its kernel out."""

from datastill.gram.features import kernel_of
from datastill.gram.sharded import sharded
from datastill.gram.tiled import tiled

__all__ = ["kernel_of", "sharded", "tiled"]
