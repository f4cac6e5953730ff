"""The sums over rows that stand for all rows: one pass makes them, and they add, subtract and scale."""

from datastill.moments.collected import Collected, Recipe
from datastill.moments.files import load, save
from datastill.moments.passing import collect, collect_all
from datastill.moments.record import Moments, Totals
from datastill.moments.sample import Sample
from datastill.moments.source import Source
from datastill.moments.streaming import moments_of
from datastill.moments.survey import survey

__all__ = [
    "Collected",
    "Moments",
    "Recipe",
    "Sample",
    "Source",
    "Totals",
    "collect",
    "collect_all",
    "load",
    "moments_of",
    "save",
    "survey",
]
