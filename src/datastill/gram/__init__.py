"""How a Gram block is computed: kernel in, kernel out."""

from datastill.gram.sharded import sharded
from datastill.gram.tiled import tiled

__all__ = ["sharded", "tiled"]
