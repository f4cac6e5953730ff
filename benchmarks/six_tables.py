"""Six tables, for the benchmarks that look at tables alone."""

from collections.abc import Callable
from pathlib import Path

from judge import adult, table

from datastill.data.dataset import Dataset

TABLES: dict[str, tuple[str, Callable[[Path], Dataset]]] = {
    "adult": ("classification", adult),
    "letter": ("classification", lambda folder: table(folder, "letter.tsv.gz", "\t", "target")),
    "magic": ("classification", lambda folder: table(folder, "magic.tsv.gz", "\t", "target")),
    "shuttle": ("classification", lambda folder: table(folder, "shuttle.tsv.gz", "\t", "target")),
    "diamonds": ("regression", lambda folder: table(folder, "diamonds.csv.gz", ",", "price")),
    "california_housing": (
        "regression",
        lambda folder: table(folder, "california_housing_ageron.csv.gz", ",", "median_house_value"),
    ),
}
