"""Batches of rows from outside: checked, digested, and regrouped into blocks of one size and one class."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np

from datastill._errors import InputError
from datastill.preprocess.labels import ClassLabels, Labels

Batch: TypeAlias = tuple[np.ndarray, np.ndarray]
"""(x, y): rows, and the number of each row's class or its targets."""


def checked(batches: Iterable[Batch], labels: Labels) -> Iterator[Batch]:
    """The batches as float32 rows with int64 classes or float32 targets; those without rows are left out.

    Raises:
        InputError: with the first problem, and the row, counted from 0 over all batches.
    """
    start, row = 0, None
    for x, y in batches:
        x, y = np.asarray(x, np.float32), np.asarray(y)
        if len(x) != len(y):
            raise InputError(f"Got a batch of {len(x)} rows and {len(y)} labels; expected one label for each row.")
        if not len(x):
            continue
        row = x.shape[1:] if row is None else row
        if x.shape[1:] != row:
            raise InputError(f"Got rows of shape {x.shape[1:]} at row {start}; expected {row}, as before.")
        finite = np.isfinite(x.reshape(len(x), -1)).all(axis=1)
        if not finite.all():
            raise InputError(
                f"Got NaN or inf in row {start + int(finite.argmin())}; expected finite numbers; try dropping it."
            )
        yield x, _classes(y, labels, start) if isinstance(labels, ClassLabels) else _targets(y, len(labels.mean), start)
        start += len(x)


class Blocks:
    """Regroup rows from batches of any size into blocks of one size and, if there are several, one group."""

    def __init__(self, groups: int, size: int) -> None:
        """Without rows.

        Args:
            groups: with more than one, a row's y is its group.
            size: rows in a block.
        """
        self._waiting: list[list[Batch]] = [[] for _ in range(groups)]
        self._size = size

    def push(self, x: np.ndarray, y: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(group, x, y) of the blocks that a batch fills."""
        several = len(self._waiting) > 1
        for group in np.unique(y).tolist() if several else [0]:
            part = y == group if several else slice(None)
            held = self._waiting[group]
            held.append((x[part], y[part]))
            if sum(len(rows) for rows, _ in held) >= self._size:
                rows, labels = _joined(held)
                whole = len(rows) // self._size * self._size
                for start in range(0, whole, self._size):
                    yield group, rows[start : start + self._size], labels[start : start + self._size]
                # A copy, or else the whole array would be kept for the sake of its last rows.
                self._waiting[group] = [(rows[whole:].copy(), labels[whole:].copy())]

    def rest(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(group, x, y) of the blocks that are not full."""
        for group, held in enumerate(self._waiting):
            rows, labels = _joined(held) if held else (np.empty(0), np.empty(0))
            if len(rows):
                yield group, rows, labels


class RowDigest:
    """SHA-256 of rows and labels that pass by, however they are cut into batches."""

    def __init__(self) -> None:
        self._parts = (hashlib.sha256(), hashlib.sha256())

    def add(self, *batch: np.ndarray) -> None:
        """Add rows and their labels."""
        for part, array in zip(self._parts, batch, strict=True):
            part.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).data)

    def hexdigest(self) -> str:
        """Return the digest of all rows that were added."""
        return hashlib.sha256(b"".join(part.digest() for part in self._parts)).hexdigest()


def _joined(held: list[Batch]) -> Batch:
    if len(held) == 1:
        return held[0]
    return np.concatenate([x for x, _ in held]), np.concatenate([y for _, y in held])


def _classes(y: np.ndarray, labels: ClassLabels, start: int) -> np.ndarray:
    count = len(labels.classes)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(
            f"Got classes of shape {y.shape} and type {y.dtype}; expected (n,) whole numbers from 0 to {count - 1}; "
            "try labels.codes(y)."
        )
    wrong = (y < 0) | (y >= count)
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(
            f"Got class number {y[at]} in row {start + at}; expected 0 to {count - 1}, for the {count} classes named; "
            "try naming every class before the pass."
        )
    return y.astype(np.int64)


def _targets(y: np.ndarray, outputs: int, start: int) -> np.ndarray:
    if y.ndim != 2 or y.shape[1] != outputs or y.dtype.kind not in "fiu":
        raise InputError(
            f"Got targets of shape {y.shape} and type {y.dtype}; expected (n, {outputs}) numbers; try labels.encode(y)."
        )
    y = y.astype(np.float32)
    finite = np.isfinite(y).all(axis=1)
    if not finite.all():
        raise InputError(f"Got NaN or inf in the targets of row {start + int(finite.argmin())}; expected numbers.")
    return y
