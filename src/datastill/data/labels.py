"""Labels: classes or real targets. Files, shards, estimators and the command line all ask this module."""

import warnings
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from datastill._errors import InputError
from datastill._validate import check_numbers, check_present, doubles

MANY_CLASSES = 100
LONGEST_LABEL = 1000
"""Characters. Text has a fixed width in an array: one long label would make all as long."""

BYTES_OF_CHARACTER = 4
SUM_TOLERANCE = 1e-3


def plain(y: Any) -> np.ndarray:
    """Return labels as an array of numbers, booleans or text; one column of them as (n,).

    Byte strings become text. Labels some of which are missing stay an array of objects, for `check_present` to find
    the first.

    Raises:
        InputError: for dates and other types, text among numbers, or text of more than `LONGEST_LABEL` characters.
    """
    y = np.asarray(y)
    if y.ndim > 1 and y.size == len(y):
        y = y.reshape(len(y))
    if y.dtype.kind == "O":
        y = _typed(y)
    if y.dtype.kind == "U" and y.dtype.itemsize > BYTES_OF_CHARACTER * LONGEST_LABEL:
        _check_length(y.ravel().tolist())
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind not in "biufUO":
        raise InputError(
            f"Got labels of type {y.dtype}, such as {y.ravel()[:1].tolist()}; expected numbers or text; try "
            "y.astype(str) for classes."
        )
    return doubles(y, "y")


def is_one_hot(y: np.ndarray) -> bool:
    """Return whether every row has one 1 and otherwise zeros, in two columns or more."""
    if y.ndim != 2 or y.shape[1] < 2 or len(y) == 0 or y.dtype.kind not in "biuf":
        return False
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def guess_task(y: np.ndarray) -> tuple[str, str]:
    """("classification" or "regression", why), from the labels alone."""
    y = plain(y)
    if y.ndim > 1:
        return _task_of_rows(y)
    if y.dtype.kind in "OUb":
        return "classification", "the labels are true or false" if y.dtype.kind == "b" else "the labels are text"
    if type_of_target(y).startswith("continuous"):
        return "regression", "the targets are real numbers"
    distinct = len(np.unique(y))
    if distinct > MANY_CLASSES:
        return "regression", f"the targets take {distinct} different whole values"
    return "classification", f"the labels take {distinct} different values"


def _task_of_rows(y: np.ndarray) -> tuple[str, str]:
    columns = y.shape[1]
    if is_one_hot(y):
        return "classification", f"the labels are one-hot rows of {columns} classes"
    if _adds_to_one(y):
        advice = "`y.argmax(axis=1)` would make classes of them"
        return "regression", f"the targets are rows of {columns} numbers that add up to 1 ({advice})"
    return "regression", f"the targets are rows of {columns} numbers"


def class_values(y: Any) -> np.ndarray:
    """Return (n,) labels as classes: one-hot rows as the numbers of their columns.

    Raises:
        InputError: for other rows, and as `plain`.
    """
    y = plain(y)
    if y.ndim == 1:
        return y
    if is_one_hot(y):
        return y.argmax(axis=1)
    if y.ndim == 2 and _adds_to_one(y):
        found = f"rows of {y.shape[1]} numbers that add up to 1: soft labels"
        advice = "y.argmax(axis=1)"
    elif y.ndim == 2 and y.dtype.kind in "biuf" and ((y == 0) | (y == 1)).all():
        found = "rows with several ones, or none"
        advice = "a set for each column, y[:, 0] and so on"
    else:
        found = f"of shape {y.shape}"
        advice = "one column of them, or --task regression (KIPRegressor)"
    raise InputError(f"Got labels that are {found}; expected (n,), one class for each row; try {advice}.")


def check_classes(y: Any) -> np.ndarray:
    """Return (n,) class labels, at least two different; warn where they came as a column or one-hot.

    Raises:
        InputError: for real-valued or missing labels, one class, and as `class_values`.
    """
    given, y = np.asarray(y), class_values(y)
    if given.ndim == 2 and given.shape[1] == 1:
        column_or_1d(given, warn=True)
    elif given.ndim == 2:
        _warn(f"Got one-hot labels of shape {given.shape}, taken as the classes 0 to {given.shape[1] - 1}")
    check_present(y)
    kind = type_of_target(y)
    if kind not in ("binary", "multiclass"):
        raise InputError(
            f"Unknown label type: {kind}. Got real-valued labels; expected classes; try KIPRegressor or "
            "LabelSolveRegressor (on the command line: --task regression)."
        )
    classes = np.unique(y)
    if len(classes) < 2:
        raise InputError(
            f"Got 1 class ({classes.tolist()[0]!r}); expected at least 2; try data with every class you mean."
        )
    if y.dtype.kind == "U" and len(np.unique(np.strings.strip(classes))) < len(classes):
        _warn("Got labels that differ by blanks around them alone, taken as classes of their own; try y.str.strip()")
    return y


def check_targets(y: Any) -> np.ndarray:
    """Return (n,) or (n, k) finite real targets, float64.

    Raises:
        InputError: for text, missing or infinite targets.
    """
    y = np.asarray(y)
    if y.ndim not in (1, 2):
        raise InputError(f"Got targets of shape {y.shape}; expected (n,) or (n, k).")
    if y.dtype.kind in "cMm":
        raise InputError(f"Got targets of type {y.dtype}; expected real numbers; try converting them.")
    try:
        y = doubles(y, "y").astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"Got targets such as {str(y.ravel()[0])[:60]!r}; expected numbers; try KIP or LabelSolve for classes."
        ) from None
    check_numbers(y, "y")
    return y


def _typed(y: np.ndarray) -> np.ndarray:
    """Return the same labels in an array of one type, unless some are missing."""
    values = y.ravel().tolist()
    if pd.isna(y.ravel()).any():
        return y
    of = {kind: next(v for v in values if type(v) is kind) for kind in dict.fromkeys(map(type, values))}
    if all(issubclass(kind, str) for kind in of):
        _check_length(values)
        return y.astype(str)
    if all(issubclass(kind, bytes) for kind in of):
        _check_length(values)
        return np.array([v.decode("utf-8", "replace") for v in values]).reshape(y.shape)
    numbers = [issubclass(kind, (Real, Decimal, np.bool_)) for kind in of]
    if all(numbers):
        return _numeric(values).reshape(y.shape)
    if len(of) > 1 and any(numbers) and any(issubclass(kind, (str, bytes)) for kind in of):
        shown = " and ".join(repr(v)[:60] for v in of.values())
        raise InputError(f"Got labels of several types, such as {shown}; expected all numbers or all text.")
    strange = next(kind for kind, number in zip(of, numbers, strict=True) if not (number or issubclass(kind, str)))
    raise InputError(
        f"Got labels of type {strange.__name__}, such as {repr(of[strange])[:60]}; expected numbers or text; try "
        "[str(label) for label in y]."
    )


def _numeric(values: list[Any]) -> np.ndarray:
    whole = all(isinstance(v, (int, np.integer, np.bool_)) for v in values)
    numbers = np.array(values) if whole else np.array([v if isinstance(v, bool) else float(v) for v in values])
    if whole and numbers.dtype.kind not in "biu":
        raise InputError("Got labels that are whole numbers beyond 64 bits; expected smaller ones, or text.")
    return numbers


def _check_length(values: list[Any]) -> None:
    longest = max(map(len, values), default=0)
    if longest > LONGEST_LABEL:
        raise InputError(
            f"Got a label of {longest:,} characters; expected at most {LONGEST_LABEL:,}; try shorter names for the "
            "classes, or another target."
        )


def _adds_to_one(y: np.ndarray) -> bool:
    """Return whether the rows could be probabilities of classes."""
    if y.ndim != 2 or y.shape[1] < 2 or y.dtype.kind != "f" or len(y) == 0:
        return False
    return bool((y >= 0).all() and (np.abs(y.sum(axis=1) - 1) < SUM_TOLERANCE).all())


def _warn(text: str) -> None:
    warnings.warn(f"{text}.", DataConversionWarning, stacklevel=3)
