"""The types of a table's columns as JSON, and back; and whether a table can be written and read again."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from datastill._errors import InputError

ARROW = "arrow "
VALUES = (str, bool, int, float)
"""Types of the values in columns of objects, and of categories."""


def described(dtype: Any) -> Any:
    """Return a column's type as JSON: its name; for categories all of them in order, those that do not occur too."""
    if isinstance(dtype, pd.CategoricalDtype):
        values = [plain(v) for v in dtype.categories.tolist()]
        return {"categories": values, "of": described(dtype.categories.dtype), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.ArrowDtype):
        return f"{ARROW}{dtype.pyarrow_dtype}"
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        return f"string[{dtype.storage}]"
    return str(dtype)


def restored(saved: Any) -> Any:
    """Return the type of which `described` is given; of older files, too, whose categories stand elsewhere."""
    if isinstance(saved, dict):
        categories = pd.Index(saved["categories"], dtype=restored(saved["of"]))
        return pd.CategoricalDtype(categories, saved["ordered"])
    if saved.startswith(ARROW):
        return pd.ArrowDtype(pa.type_for_alias(saved.removeprefix(ARROW)))
    return pd.api.types.pandas_dtype(saved)


def plain(value: Any) -> Any:
    """Return a scalar as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def rounded(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the nearest whole numbers of a type; beyond its range, its ends.

    The greatest int64 is no float64, and the next one is beyond the range: what reaches it is set apart.
    """
    limits = np.iinfo(dtype)
    whole = np.round(x)
    beyond = whole >= float(limits.max)
    found = np.where(beyond, 0, np.maximum(whole, float(limits.min))).astype(dtype)
    found[beyond] = limits.max
    return found


def check_storable(table: pd.DataFrame) -> None:
    """Raise an InputError for the first column that would not come back from a file as it is.

    Whatever learns from a table asks this first: a set that cannot be saved is not worth hours.
    """
    for i, name in enumerate(table.columns):
        column = table.iloc[:, i]
        if isinstance(column.dtype, pd.CategoricalDtype):
            check_values(name, column.cat.categories.tolist())
        elif column.dtype == object:
            check_values(name, pd.unique(_hashable(name, column.dropna())).tolist())
        try:
            known = restored(json.loads(json.dumps(described(column.dtype)))) == column.dtype
        except (TypeError, ValueError, NotImplementedError):
            known = False
        known = known and _is_of_values(column)
        if not known and not isinstance(column.dtype, pd.StringDtype):  # of which storages differ, and nothing else
            raise unusable(name, str(column.dtype))


def check_values(name: Any, values: list[Any]) -> None:
    """Raise an InputError for values of a column that are neither text nor numbers nor true or false."""
    for value in map(plain, values):
        if not isinstance(value, VALUES) or (isinstance(value, float) and not np.isfinite(value)):
            kind = f"{type(value).__name__}, such as {str(value)[:60]!r}"
            raise unusable(name, kind)


def unusable(name: Any, kind: str) -> InputError:
    """Return the exception for a column of another type, with what to try in its place."""
    low = kind.lower()
    if low.startswith(("date", "time", "period")):
        advice = "numbers in its place, such as the year, the month or days since a first day"
    elif low.startswith(("decimal", "fraction")):
        advice = ".astype(float)"
    elif low.startswith(("list", "tuple", "dict", "set", "ndarray", "array")):
        advice = "a column for each of its values"
    elif low.startswith("complex"):
        advice = "a column for the real part and one for the imaginary part"
    else:
        advice = ".astype(str)"
    return InputError(
        f"Got the column {name!r} of type {kind}; expected numbers, text or categories; try {advice}, or dropping it."
    )


def _is_of_values(column: pd.Series) -> bool:
    """Return whether a column is of a type of numbers, truths, text, categories or objects."""
    kinds = pd.api.types
    if isinstance(column.dtype, pd.CategoricalDtype) or kinds.is_object_dtype(column) or kinds.is_string_dtype(column):
        return True
    return kinds.is_bool_dtype(column) or (kinds.is_numeric_dtype(column) and not kinds.is_complex_dtype(column))


def _hashable(name: Any, column: pd.Series) -> pd.Series:
    """Return the column; raise an InputError for cells, such as lists, that have no hash."""
    for kind in dict.fromkeys(map(type, column.tolist())):
        if kind.__hash__ is None:
            value = next(v for v in column if type(v) is kind)
            raise unusable(name, f"{kind.__name__}, such as {str(value)[:60]!r}")
    return column
