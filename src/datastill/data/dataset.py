"""The two records everything else passes around: a dataset, and the small set that stands for it."""

import hashlib
import platform
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd

from datastill._errors import InputError
from datastill._validate import check_names
from datastill.data import archive, dtypes
from datastill.data.raw import reason
from datastill.data.reading import Reading

SCHEMA = "datastill.support/1"

Rows: TypeAlias = np.ndarray | pd.DataFrame
"""Rows in the user's own space: (n, d) vectors, (n, h, w[, c]) images, or a table."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """The target set, as the user gave it.

    Attributes:
        name: a short name for folders and titles.
        x: n rows: an array (n, d), images (n, h, w) or (n, h, w, c), or a DataFrame.
        y: (n,) class labels or real targets, or (n, k) real targets.
        x_test: held-out rows of the same kind, or None.
        y_test: their labels or targets, or None.
        target: what the labels are called, where they are a column of a table.
        reading: how they were read from files.
    """

    name: str
    x: Rows
    y: np.ndarray
    x_test: Rows | None = None
    y_test: np.ndarray | None = None
    target: str = "target"
    reading: Reading = field(default_factory=Reading)


def digest(rows: Rows) -> str:
    """SHA-256 of the rows' shape, type and values; equal for equal data on every platform.

    Args:
        rows: an array (object arrays are hashed by their text) or a DataFrame.
    """
    hasher = hashlib.sha256()
    if isinstance(rows, pd.DataFrame):
        for name, column in rows.items():
            hasher.update(repr((str(name), str(column.dtype))).encode())
            hasher.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    else:
        array = np.asarray(rows)
        if array.dtype == object:
            array = array.astype(str)
        hasher.update(repr((array.shape, array.dtype.newbyteorder("<").str)).encode())
        hasher.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes())
    return hasher.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a result."""
    return {"python": platform.python_version(), **_packages()}


@cache
def _packages() -> dict[str, str]:
    """Looked up once: a pass writes them into the file of each shard."""
    return {name: version(name) for name in ("datastill", "jax", "numpy", "scikit-learn")}


def row_kind(rows: Rows) -> str:
    """Either "table", "images" or "vectors"."""
    if isinstance(rows, pd.DataFrame):
        return "table"
    return "vectors" if rows.ndim == 2 else "images"


def take(rows: Rows, indices: np.ndarray) -> Rows:
    """Return the rows at these indices; those of a table are renumbered."""
    return rows.iloc[indices].reset_index(drop=True) if isinstance(rows, pd.DataFrame) else rows[indices]


@dataclass(frozen=True, eq=False)
class SupportSet:
    """A few examples that stand for a dataset; what every distiller and selector returns.

    Attributes:
        x: s rows in the user's own space and dtype: (s, d), (s, h, w[, c]) or a DataFrame.
        y: (s,) class labels, or (s,) or (s, k) real target values.
        classes: the sorted class labels, in the order of the columns of `soft_labels`; None for regression.
        soft_labels: (s, C) label vectors for classes (centred one-hot when they were not learned), (s, k)
            standardised targets for regression: what kernel ridge regression is trained on.
        weights: (s,) non-negative row weights.
        indices: (s,) rows of the original data when rows were selected; None when they were learned.
        preprocessing: the maps between x, y and the numbers the learner sees, with their inverses, as plain values
            and arrays.
        provenance: how it was made: method, settings, seed, digests, versions, timings (JSON types only).
    """

    x: Rows
    y: np.ndarray
    classes: np.ndarray | None = None
    soft_labels: np.ndarray | None = None
    weights: np.ndarray | None = None
    indices: np.ndarray | None = None
    preprocessing: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def save(self, folder: str | Path) -> None:
        """Write `support.safetensors` and `manifest.json` into the folder, each atomically; no pickle.

        Raises:
            InputError: for a table with a column that would not come back as it is.
            OutputError: if the folder cannot be made or written.
        """
        folder = Path(folder)
        if isinstance(self.x, pd.DataFrame):
            check_names(self.x.columns)
            dtypes.check_storable(self.x)
        archive.make_folder(folder)
        parts = {name: getattr(self, name) for name in PARTS}
        described, tensors = archive.pack(parts)
        described = {"schema": SCHEMA, "rows": row_kind(self.x), **described}
        archive.write_tensors(folder / "support.safetensors", tensors, _digest_of(described))
        archive.write_json(folder / "manifest.json", {**described, "provenance": self.provenance})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: if the folder is not that of a run, or its files are damaged or of a newer schema.
        """
        folder = Path(folder)
        manifest = archive.read_object(folder / "manifest.json")
        if manifest.get("schema") != SCHEMA:
            raise InputError(
                f"Got {folder}, whose manifest is not of the schema {SCHEMA!r}; expected a folder written by "
                "`SupportSet.save` or `datastill distill`; try upgrading datastill."
            )
        tensors, digest = archive.read_tensors(folder / "support.safetensors")
        provenance = manifest.pop("provenance", {})
        try:
            if digest not in ("", _digest_of(manifest)):  # "": of a set that was saved before there were digests
                raise ValueError("one is newer than the other")
            parts = archive.unpack({name: manifest[name] for name in PARTS}, tensors)
            _check_parts(parts, provenance)
        except archive.DAMAGED as error:
            raise InputError(
                f"Got {folder}, whose manifest and tensors do not belong together ({reason(error)}); expected those of "
                "one run; try making it again."
            ) from error
        return cls(**parts, provenance=provenance)


PARTS = ("x", "y", "classes", "soft_labels", "weights", "indices", "preprocessing")


def _check_parts(parts: dict[str, Any], provenance: Any) -> None:
    """Raise a ValueError unless the parts of a set are of their kinds, and have as many rows as each other."""
    x, y, classes, preprocessing = (parts[name] for name in ("x", "y", "classes", "preprocessing"))
    rest = [parts[name] for name in ("soft_labels", "weights", "indices") if parts[name] is not None]
    rows = isinstance(x, pd.DataFrame) or (isinstance(x, np.ndarray) and x.ndim > 1)
    if not rows or not all(isinstance(array, np.ndarray) and array.ndim for array in (y, *rest)):
        raise ValueError("parts that are no arrays")
    if classes is not None and not (isinstance(classes, np.ndarray) and classes.ndim == 1):
        raise ValueError("classes that are no list")
    if not (isinstance(preprocessing, dict) and isinstance(provenance, dict)):
        raise ValueError("preprocessing or provenance that are no tables of names")
    if any(len(array) != len(x) for array in (y, *rest)) or (len(x) and not (np.size(x) and y.size)):
        raise ValueError("parts of different lengths, or empty ones")


def _digest_of(described: dict[str, Any]) -> str:
    """SHA-256 of a manifest without its provenance: the header of the tensors that belong to it."""
    return archive.tree_digest(archive.finite(described))
