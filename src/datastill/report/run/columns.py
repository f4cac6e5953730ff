"""One column of a table as text: shared decimals for numbers, categories as they are."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd


def column_text(values: Sequence[Any]) -> tuple[list[str], bool]:
    """The cells of one column, and whether they are numbers.

    Whole numbers are shown whole; others with about three significant digits of the largest; very large and
    very small ones in scientific notation; missing values as a dash.
    """
    present = [value for value in values if not _missing(value)]
    numeric = bool(present) and all(isinstance(v, Real) and not isinstance(v, (bool, np.bool_)) for v in present)
    if not numeric:
        return ["—" if _missing(value) else _label(value) for value in values], False
    scale = max((abs(float(v)) for v in present if math.isfinite(v)), default=0.0)
    if all(isinstance(v, Integral) or float(v).is_integer() for v in present) and scale < 1e15:
        pattern = ",.0f" if scale >= 10_000 else ".0f"
    elif scale >= 1e7 or 0 < scale < 1e-3:
        pattern = ".3g"
    else:
        decimals = 2 - math.floor(math.log10(scale)) if scale > 0 else 0
        pattern = f",.{min(max(decimals, 0), 4)}f"
    return ["—" if _missing(value) else _number(float(value), pattern) for value in values], True


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or value is pd.NA or (isinstance(value, Real) and math.isnan(value))


def _number(value: float, pattern: str) -> str:
    text = format(value, pattern)
    return (text.removeprefix("-") if not text.strip("-0.,") else text).replace("-", "−")


def _label(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    return {True: "yes", False: "no"}[bool(value)] if isinstance(value, (bool, np.bool_)) else str(value)
