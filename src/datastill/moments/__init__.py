"""The sums over rows that stand for all rows: one pass makes them, and they add, subtract and scale."""

from datastill.moments.files import load, save
from datastill.moments.record import Moments, Totals
from datastill.moments.source import Source
from datastill.moments.streaming import moments_of

__all__ = ["Moments", "Source", "Totals", "load", "moments_of", "save"]
