"""Tables as CSV for people and spreadsheets: numbers with no more decimals than they have, text that stays text.

A spreadsheet runs a cell of text that begins like a formula, so such a cell gets an apostrophe in front, by which
spreadsheets know text. Source: OWASP, "CSV Injection".
"""

import csv
import io
import numbers
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from datastill._text import printable
from datastill.data.dataset import SupportSet

FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")
"""Where a formula could begin: at the start of a cell, and after a semicolon, at which some spreadsheets cut."""


def support_csv(support: SupportSet, target: str) -> bytes:
    """Return the examples of a table, their labels, and their weights where they have some, as CSV.

    Args:
        support: a set whose `x` is a DataFrame.
        target: the name of the labels; several outputs are numbered from 1.
    """
    columns = list(_columns(support, target))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_cell(name) for name, _ in columns])
    writer.writerows(zip(*([_cell(value) for value in values] for _, values in columns), strict=True))
    return buffer.getvalue().encode("utf-8", "replace")


def _columns(support: SupportSet, target: str) -> Iterator[tuple[Any, list[Any]]]:
    """Names and values: the columns of the examples, of the labels, of the weights."""
    x, y = support.x, np.asarray(support.y)
    assert isinstance(x, pd.DataFrame)
    taken = {str(name) for name in x.columns}
    for j, name in enumerate(x.columns):
        yield name, _values(x.iloc[:, j])
    outputs = [y] if y.ndim == 1 else list(y.T)
    for i, output in enumerate(outputs):
        yield _free(target if y.ndim == 1 else f"{target}_{i + 1}", taken), list(output)
    if support.weights is not None:
        yield _free("weight", taken), list(np.asarray(support.weights))


def _values(column: pd.Series) -> list[Any]:
    """The values of a column; those of floats keep their precision, which decides how many digits they have."""
    if getattr(column.dtype, "kind", "O") != "f":
        return column.astype(object).tolist()
    return list(column.to_numpy(getattr(column.dtype, "numpy_dtype", column.dtype), na_value=np.nan))


def _free(name: str, taken: set[str]) -> str:
    """The name, or one like it that the table does not have yet."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _cell(value: Any) -> str:
    """A value as a cell: nothing where it is missing, the shortest digits of a number, text that is no formula."""
    if value is None or value is pd.NaT or value is pd.NA:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(value)
    if isinstance(value, (float, np.floating)):
        return _digits(value)
    if isinstance(value, numbers.Number):
        return str(value)
    return FORMULA.sub(r"\1'", printable(str(value)))


def _digits(value: float | np.floating[Any]) -> str:
    """The fewest digits that are read back as the same number of the same precision; nothing for NaN."""
    if np.isnan(value):
        return ""
    text = str(value)  # shortest, in float32 too
    return text.removesuffix(".0")
