"""Arrays in a .npz file: keys x_train, y_train[, x_test, y_test], or X, y[, X_test, y_test]."""

from pathlib import Path
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill._validate import check_shape, doubles
from datastill.data import bounds
from datastill.data.dataset import Dataset
from datastill.data.labels import plain
from datastill.data.raw import NoRows, listed, unreadable
from datastill.data.reading import Reading

EXPECTED = "an .npz file with the arrays x_train, y_train[, x_test, y_test] or X, y[, X_test, y_test]"
TRAIN_KEYS = (("x_train", "y_train"), ("x", "y"))
TEST_KEYS = ("x_test", "y_test")
ZIP_MAGIC = b"PK"


def read_npz(path: Path) -> Dataset:
    """The dataset in a .npz file; capitals in the keys do not matter, other keys are ignored.

    Raises:
        InputError: for a file that is damaged or of another format, holds pickled objects where arrays are expected,
            lacks a key, or whose rows and labels do not pair up.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != ZIP_MAGIC:
                raise InputError(f"Got {path}, which is no .npz file; expected {EXPECTED}; try `np.savez`.")
            file.seek(0)
            bounds.check_zip(path)
            with np.load(file, allow_pickle=False) as archive:
                keys = _keys(path, archive.files)
                parts = {part: _array(path, archive, key) for part, key in keys.items()}
    except InputError:
        raise
    except Exception as error:  # NumPy and zipfile raise some ten types for damaged files
        raise unreadable(path, error, EXPECTED) from error
    x, y = paired(path, parts["x"], parts["y"])
    said = y.dtype.kind == "U" and bool((plain(parts["y"]) != y).any())
    reading = Reading(notes=("Blanks around the labels are dropped.",) if said else ())
    x_test, y_test = paired(path, parts["x_test"], parts["y_test"]) if "x_test" in parts else (None, None)
    return Dataset(path.stem, x, y, x_test, y_test, reading=reading)


def paired(where: Path, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same rows and labels, one label to each row; see `labels.plain`.

    Args:
        where: the file or folder they are from, for the message.
        x: n rows, numbers.
        y: n labels or targets; blanks around text are dropped.

    Raises:
        InputError: for no rows, rows that are neither vectors nor images of numbers, channels first, or another number
            of labels.
    """
    if x.ndim == 0 or y.ndim == 0 or x.size == 0:
        raise NoRows(
            f"Got {where}, whose arrays have the shapes {x.shape} and {y.shape}: no rows; "
            "expected (n, …) and (n,) with n ≥ 1; try making it again."
        )
    if len(x) != len(y):
        raise InputError(
            f"Got {where} with {len(x)} rows and {len(y)} labels (shapes {x.shape} and {y.shape}); expected one label "
            "for each row; try making both from the same rows."
        )
    if x.dtype.kind not in "biuf":
        raise InputError(
            f"Got {where} with rows of type {x.dtype} and labels of type {y.dtype}; expected numbers, and labels that "
            "are numbers or text; try a CSV or Parquet file for mixed columns."
        )
    check_shape(x.shape, str(where))
    y = plain(y)
    return doubles(x, str(where)), np.strings.strip(y) if y.dtype.kind == "U" else y


def _keys(path: Path, files: list[str]) -> dict[str, str]:
    """The file's key for each of x, y and, where there are any, x_test, y_test."""
    found: dict[str, str] = {}
    for key in files:
        if key.lower() in found and key.lower() in {"x", "y", "x_train", "y_train", *TEST_KEYS}:
            raise InputError(
                f"Got {path} with the arrays {found[key.lower()]!r} and {key!r}; expected one of them; "
                "try renaming one."
            )
        found[key.lower()] = key
    train = next((keys for keys in TRAIN_KEYS if all(key in found for key in keys)), None)
    tests = [key for key in TEST_KEYS if key in found]
    if train is None or len(tests) == 1:
        raise InputError(
            f"Got {path}, which holds {listed(files)}; expected {EXPECTED.split(' with ')[1]}; "
            "try `np.savez(file, x_train=…, y_train=…)`."
        )
    return {"x": found[train[0]], "y": found[train[1]], **{key: found[key] for key in tests}}


def _array(path: Path, archive: Any, key: str) -> np.ndarray:
    try:
        array = archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise InputError(
            f"Got {path}, whose array {key!r} is of type object, stored as a pickle; expected plain numbers or text, "
            "since reading a pickle can run any code; try `.astype(float)` or `.astype(str)` before saving."
        ) from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"Got {path}, whose {key!r} is no array; expected {EXPECTED}; try `np.savez`.")
    return array
