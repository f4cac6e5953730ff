"""Strangers' arrays to checked arrays: the one border where values are inspected."""

import math
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d, validate_data

from datastill._errors import InputError

LARGEST = 1e100
"""Beyond this, squares and sums of squares overflow even float64."""

MOST_CHANNELS = 4
"""Of images, where sides are larger: what has more in its last axis, and no more in its first, has channels first."""

CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says what a container may have: version 2 of its control groups, and version 1."""

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
    if not table and getattr(getattr(X, "dtype", None), "kind", "") == "O" and _holds_arrays(X):
        raise InputError("Got an object array of arrays; expected one array of numbers; try np.stack(X).")
    settings = (
        {"skip_check_array": True} if table else {"dtype": "numeric", "allow_nd": True, "ensure_all_finite": False}
    )
    try:
        checked = validate_data(estimator, X, reset=fitting, **settings)
    except ValueError as error:
        raise InputError(" ".join(str(error).split())) from error
    if table:
        checked = checked.reset_index(drop=True)
    else:
        checked = _plain(checked)
        _check_numbers(checked)
    if len(checked) < (2 if fitting else 0):
        raise InputError(f"Got n_samples={len(checked)}; expected at least 2 rows; try more data.")
    if table and checked.shape[1] == 0:
        raise InputError("Got a table with 0 feature(s) (columns); expected at least one.")
    if y is None:
        return checked, None
    y = _plain(np.asarray(y))
    if len(y.shape) == 0 or len(y) != len(checked):
        raise InputError(
            f"Got {len(checked)} rows in X and {y.shape[0] if y.ndim else 1} in y: inconsistent numbers of samples; "
            "expected one label for each row."
        )
    return checked, y


def check_classes(y: np.ndarray) -> np.ndarray:
    """(n,) class labels, at least two different.

    Raises:
        InputError: for real-valued, missing or two-dimensional labels, or one class.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    if y.ndim != 1:
        raise InputError(f"Got labels of shape {y.shape}; expected (n,), one class for each row; try y.argmax(axis=1).")
    check_present(y)
    kind = type_of_target(y)
    if kind not in ("binary", "multiclass"):
        raise InputError(
            f"Unknown label type: {kind}. Got real-valued labels; expected classes; try KIPRegressor or "
            "LabelSolveRegressor (on the command line: --task regression)."
        )
    if y.dtype == object:
        y = y.astype(str) if all(isinstance(v, str) for v in y.tolist()) else np.array(y.tolist())
    if len(np.unique(y)) < 2:
        raise InputError(
            f"Got 1 class ({np.unique(y).tolist()[0]!r}); expected at least 2; try data with every class you mean."
        )
    return y


def check_targets(y: np.ndarray) -> np.ndarray:
    """(n,) or (n, k) finite real targets, float64.

    Raises:
        InputError: for text, missing or infinite targets.
    """
    if y.ndim not in (1, 2):
        raise InputError(f"Got targets of shape {y.shape}; expected (n,) or (n, k).")
    try:
        y = y.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"Got targets such as {y.ravel()[0]!r}; expected numbers; try KIP or LabelSolve for classes."
        ) from None
    _check_numbers(y, name="y")
    return y


def check_between(name: str, value: Any, low: float, high: float = np.inf) -> None:
    """InputError unless low ≤ value ≤ high."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or not low <= value <= high:
        span = f"{low:g} or more" if high == np.inf else f"a number from {low:g} to {high:g}"
        raise InputError(f"Got {name}={value!r}; expected {span}.")


def check_whole(name: str, value: Any, low: int) -> None:
    """InputError unless value is a whole number, low or more."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise InputError(f"Got {name}={value!r}; expected a whole number, {low} or more.")


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


def memory_present() -> int:
    """Bytes of memory that this process may have: the machine's, or less where a container or a limit says so."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for place in CONTAINERS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            limits.append(int(Path(place).read_text()))
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min(*limits, space) if space != resource.RLIM_INFINITY else min(limits)


def memory_left() -> int:
    """Bytes of memory that this process may still take: of what it may have, and of what no process uses."""
    left = memory_present()
    with suppress(OSError, IndexError, ValueError):  # where there are no such files, as on a Mac
        left -= os.sysconf("SC_PAGE_SIZE") * int(Path("/proc/self/statm").read_text().split()[1])
        lines = Path("/proc/meminfo").read_text().splitlines()
        left = min([left, *(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))])
    return max(left, 0)


def peak_memory() -> int:
    """Bytes of memory that this process has held at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


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
    """Whether float32 holds the numbers, to its precision."""
    with np.errstate(over="ignore"):
        return bool(np.allclose(values.astype(np.float32), values, rtol=1e-6, atol=0, equal_nan=True))


def _holds_arrays(X: Any) -> bool:
    return bool(np.size(X)) and isinstance(np.ravel(X)[0], (np.ndarray, list, tuple))


def _check_numbers(x: np.ndarray, name: str = "X") -> None:
    if x.dtype.kind not in "fc":
        return
    check_finite(x, name)
    greatest = float(np.abs(x).max(initial=0))
    if greatest > LARGEST:
        raise InputError(
            f"Got {name} with numbers as large as {greatest:.0e}; expected at most {LARGEST:.0e}; "
            "try dividing them, or dropping the rows that hold them."
        )


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
