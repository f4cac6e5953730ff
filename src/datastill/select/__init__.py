"""Choosing or averaging rows: the classic summaries."""

from datastill.select.discrepancy import mmd
from datastill.select.herding import exchange, herding
from datastill.select.k_center import k_center
from datastill.select.selection import Selection

__all__ = ["Selection", "exchange", "herding", "k_center", "mmd"]
