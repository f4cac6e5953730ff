"""Choosing or averaging rows: the classic summaries."""

from datastill.select.herding import herding, mmd
from datastill.select.k_center import k_center
from datastill.select.selection import Selection

__all__ = ["Selection", "herding", "k_center", "mmd"]
