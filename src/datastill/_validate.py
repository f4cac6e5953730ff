"""Strangers' arrays to checked arrays: the one border where values are inspected."""

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from datastill._errors import InputError
from datastill._memory import memory_left

LARGEST = 1e100
"""Beyond this, squares and sums of squares overflow even float64."""

MOST_CHANNELS = 4
"""Of images, where sides are larger: what has more in its last axis, and no more in its first, has channels first."""

COPIES = 2
"""Of the data in float32 that are held at once: all rows, and those not held out for validation."""


def check_rows(estimator: Any, X: Any, y: Any = None, *, fitting: bool) -> tuple[Any, Any]:
    """Rows as a finite array (n, d) or (n, h, w[, c]) or a DataFrame, and y as an array of the same length.

    Also sets (when fitting) or checks scikit-learn's `n_features_in_` and `feature_names_in_` on the estimator.

    Args:
        estimator: the estimator that asks.
        X: what the user gave; scipy sparse rows are made dense, if they fit in memory. Arrays come back in C order and
            the machine's own order of bytes: sums of equal data are then equal to the last bit.
        y: what the user gave; left out when predicting.
        fitting: whether this is `fit`, which defines what `predict` expects.

    Raises:
        InputError: with the first problem found.
    """
    if issparse(X):
        X = _dense(X)
    table = isinstance(X, pd.DataFrame)
    if fitting and y is None:
        raise InputError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None; try fit(X, y)."
        )
    if table:
        check_names(X.columns)
        _check_alike(X.columns)
    elif getattr(getattr(X, "dtype", None), "kind", "") == "O":
        if _holds_arrays(X):
            raise InputError("Got an object array of arrays; expected one array of numbers; try np.stack(X).")
        X = np.where(pd.isna(X), np.nan, X)
    settings = (
        {"skip_check_array": True} if table else {"dtype": "numeric", "allow_nd": True, "ensure_all_finite": False}
    )
    try:
        checked = validate_data(estimator, X, reset=fitting, **settings)
    except ValueError as error:
        if str(error).startswith("Expected 2D array"):  # whose message goes on with the numbers
            raise InputError(
                f"Got X of shape {np.shape(X)}; expected rows (n, d) or images (n, h, w[, c]). Reshape your data: try "
                "X.reshape(-1, 1) for one column, X.reshape(1, -1) for one row."
            ) from error
        raise InputError(" ".join(str(error).split())) from error
    if table:
        checked = _usual_types(checked.reset_index(drop=True))
    else:
        check_shape(checked.shape)
        checked = _plain(doubles(checked))
        check_numbers(checked)
    if len(checked) < (2 if fitting else 0):
        raise InputError(f"Got n_samples={len(checked)}; expected at least 2 rows; try more data.")
    if table and checked.shape[1] == 0:
        raise InputError("Got a table with 0 feature(s) (columns); expected at least one.")
    if y is None:
        return checked, None
    y = _plain(_as_array(y))
    if len(y.shape) == 0 or len(y) != len(checked):
        raise InputError(
            f"Got {len(checked)} rows in X and {y.shape[0] if y.ndim else 1} in y: inconsistent numbers of samples; "
            "expected one label for each row."
        )
    return checked, y


def check_between(name: str, value: Any, low: float, high: float = np.inf) -> None:
    """InputError unless low ≤ value ≤ high."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or not low <= value <= high:
        span = f"{low:g} or more" if high == np.inf else f"a number from {low:g} to {high:g}"
        raise InputError(f"Got {name}={value!r}; expected {span}.")


def check_whole(name: str, value: Any, low: int) -> None:
    """InputError unless value is a whole number, low or more."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise InputError(f"Got {name}={value!r}; expected a whole number, {low} or more.")


def check_shape(shape: tuple[int, ...], name: str = "X") -> None:
    """InputError for what is not the shape of vectors (n, d), or of images (n, h, w) or (n, h, w, c)."""
    if len(shape) < 2:
        raise InputError(
            f"Got {name} of shape {shape}; expected rows (n, d) or images (n, h, w[, c]); try x.reshape(-1, 1) for "
            "rows of one number."
        )
    if len(shape) > 4 or 0 in shape[1:]:
        raise InputError(
            f"Got {name} of shape {shape}; expected rows (n, d) or images (n, h, w[, c]), none of them empty; try "
            "x.reshape(len(x), -1)."
        )
    check_channels_last(shape[1:])


def check_channels_last(row: tuple[int, ...]) -> None:
    """InputError for the shape of an image that has its channels first, as it looks."""
    if len(row) == 3 and row[0] <= MOST_CHANNELS < min(row[1:]):
        raise InputError(
            f"Got images of shape {row}, which looks like channels first; expected (n, h, w, c); try "
            "x.transpose(0, 2, 3, 1)."
        )


def check_memory(rows: int, columns: int, sparse: int = 0) -> None:
    """Refuse, with the numbers, rows whose float32 copies do not fit in the memory that is left.

    Args:
        rows: n.
        columns: numbers in a row.
        sparse: bytes of a number, of sparse rows that are yet to be made dense.
    """
    needed, left = (COPIES * 4 + sparse) * rows * columns, memory_left()
    if needed > left:
        what, way = (" sparse", "or sklearn.decomposition.TruncatedSVD") if sparse else ("", "or smaller images")
        raise InputError(
            f"Got {rows}{what} rows of {columns} numbers, which need {needed / 2**30:.1f} GiB while they are learned "
            f"from; {left / 2**30:.1f} GiB are left; try fewer rows {way}."
        )


def _plain(x: np.ndarray) -> np.ndarray:
    """The array in C order and in the machine's order of bytes; itself, if it is so already."""
    return np.asarray(x, x.dtype.newbyteorder("="), order="C")


def _dense(x: Any) -> np.ndarray:
    """Sparse rows as an array, of float32 where that holds their numbers.

    Raises:
        InputError: if it, and the copies that are learned from, do not fit in memory.
    """
    if x.dtype == np.float64 and _in_single(x.tocsr().data):
        x = x.astype(np.float32)
    check_memory(x.shape[0], math.prod(x.shape[1:]), x.dtype.itemsize)
    return x.toarray()


def _in_single(values: np.ndarray) -> bool:
    """Tell whether float32 holds the numbers, to its precision."""
    with np.errstate(over="ignore"):
        return bool(np.allclose(values.astype(np.float32), values, rtol=1e-6, atol=0, equal_nan=True))


def check_names(columns: pd.Index) -> None:
    """InputError for names of columns that a file cannot hold, or that are not told apart."""
    names = list(columns)
    odd = [name for name in names if not isinstance(name, (str, int, float, np.number)) or name != name]
    if isinstance(columns, pd.MultiIndex) or odd:
        shown = ", ".join(repr(name)[:60] for name in (odd or names)[:3])
        raise InputError(
            f"Got a table whose columns are called {shown}; expected text, each name once; try "
            "X.columns = [str(name) for name in X.columns]."
        )
    if not columns.is_unique:
        repeated = columns[columns.duplicated()].unique().tolist()
        raise InputError(f"Got repeated column names {repeated}; expected each once; try renaming them.")


def _check_alike(columns: pd.Index) -> None:
    """InputError for names some of which are text, which scikit-learn does not take."""
    kinds = {isinstance(name, str): name for name in columns}
    if len(kinds) > 1:
        raise InputError(
            f"Got a table whose columns are called by text and by numbers ({kinds[True]!r}, {kinds[False]!r}); "
            "expected text; try X.columns = X.columns.astype(str)."
        )


def _usual_types(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its numbers in the machine's byte order, no wider than float64."""
    odd = {}
    for name in table.columns:
        dtype = table[name].dtype
        if isinstance(dtype, np.dtype) and dtype.kind in "iuf" and (dtype.itemsize > 8 or not dtype.isnative):
            values = table[name].to_numpy()
            odd[name] = doubles(values.astype(dtype.newbyteorder("=")), f"the column {name!r}")
    return pd.DataFrame({name: odd.get(name, table[name]) for name in table.columns}) if odd else table


def _as_array(y: Any) -> np.ndarray:
    """The labels; a list of text and numbers as objects, where NumPy would make text of the numbers."""
    array = np.asarray(y)
    if array.dtype.kind == "U" and isinstance(y, (list, tuple)) and not all(isinstance(v, str) for v in y):
        return np.asarray(y, dtype=object)
    return array


def _holds_arrays(X: Any) -> bool:
    return bool(np.size(X)) and isinstance(np.ravel(X)[0], (np.ndarray, list, tuple))


def check_numbers(x: np.ndarray, name: str = "X") -> None:
    """InputError for floats that are not finite, or so large that their squares overflow."""
    if x.dtype.kind not in "fc":
        return
    check_finite(x, name)
    greatest = float(np.abs(x).max(initial=0))
    if greatest > LARGEST:
        raise InputError(
            f"Got {name} with numbers as large as {greatest:.0e}; expected at most {LARGEST:.0e}; "
            "try dividing them, or dropping the rows that hold them."
        )


def doubles(x: np.ndarray, name: str = "X") -> np.ndarray:
    """Return wider floats, which no file of ours can hold, as float64; others as they are.

    Raises:
        InputError: for a finite number that is infinite in float64.
    """
    if x.dtype.kind != "f" or x.dtype.itemsize <= 8:
        return x
    with np.errstate(over="ignore"):
        narrow = x.astype(np.float64)
    if (np.isinf(narrow) & np.isfinite(x)).any():
        raise InputError(f"Got {name} with numbers beyond the range of float64; expected smaller ones; try scaling it.")
    return narrow


def check_finite(x: np.ndarray, name: str = "X") -> None:
    """InputError for NaN and infinity, with the place of the first, and for what are not real numbers."""
    if x.dtype.kind in "cOSUMm":  # others may be numbers of JAX's, such as bfloat16
        raise InputError(f"Got {name} of {x.dtype}; expected real numbers; try {name}.astype(float).")
    wrong = ~np.isfinite(x)
    if wrong.any():
        kind = "NaN" if np.isnan(x).any() else "inf"
        place = ", ".join(str(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"Got {name} with {int(wrong.sum())} entries that are {kind}, the first at [{place}]; expected finite "
            "numbers; try removing those rows, or a DataFrame, whose missing values are handled."
        )


def check_squares(x: np.ndarray, name: str = "X") -> None:
    """InputError for rows of floats whose squared norms are infinite in float32, or in float64 if they are that."""
    largest = float(np.abs(x).max(initial=0))
    precision = "float64" if x.dtype == np.float64 else "float32"
    bound = float(np.sqrt(float(np.finfo(precision).max) / max(1, x[:1].size)))
    if largest >= bound:
        raise InputError(
            f"Got {name} with numbers up to {largest:.3g}; expected less than {bound:.3g}, so that squares of a row "
            f"add up in {precision}; try standardising the rows."
        )


def check_present(y: np.ndarray) -> None:
    """InputError unless every row has a label."""
    missing = pd.isna(y)
    if missing.any():
        raise InputError(
            f"Got {int(missing.sum())} labels in y that are NaN or missing, the first in row {int(missing.argmax())}; "
            "expected a label for every row; try dropping those rows."
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise InputError("Got labels in y that are inf; expected finite labels; try dropping those rows.")
