"""Data sets with a name: those that come with scikit-learn, those in a local folder, and those of openml.org.

A name is looked for in scikit-learn, then as `<name>.npz` or `<name>.parquet` in the folder named by the environment
variable DATASTILL_DATA, then in the cache folder (DATASTILL_CACHE, else that of the platform), and is otherwise
downloaded from openml.org into the cache, with a SHA-256 checksum beside it that later loads verify.
"""

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pandas as pd
from sklearn import datasets

from datastill._errors import InputError
from datastill.data import cache
from datastill.data.archive import make_folder
from datastill.data.arrays import read_npz
from datastill.data.dataset import Dataset
from datastill.data.raw import reason
from datastill.data.tables import read_table

DATA_FOLDER = "DATASTILL_DATA"
SUFFIXES = (".npz", ".parquet")


@dataclass(frozen=True)
class NamedSet:
    """An entry of the registry.

    Attributes:
        name: what to call it by.
        kind: "classification" or "regression".
        rows: how many, the test rows included.
        columns: how many numbers or cells a row has.
        openml: its number on openml.org; None when it comes with scikit-learn.
        image: the shape of a row that is an image.
        planar: whether openml.org stores an image's channels one after the other.
        target: the target column of a table.
        train: how many rows are training rows, the rest being the usual test set; None when there is no such split.
    """

    name: str
    kind: str
    rows: int
    columns: int
    openml: int | None = None
    image: tuple[int, ...] = ()
    planar: bool = False
    target: str | None = None
    train: int | None = None


@dataclass(frozen=True)
class Listing:
    """One line of the list of names.

    Attributes:
        name: what to call it by.
        kind: "classification" or "regression".
        source: where it would be read from: a file, a package or an address.
        rows: how many, the test rows included.
        shape: a row in words.
        on_this_machine: whether it needs no network.
    """

    name: str
    kind: str
    source: str
    rows: int
    shape: str
    on_this_machine: bool


CLASSES, VALUES = "classification", "regression"
REGISTRY = {
    entry.name: entry
    for entry in (
        NamedSet("digits", CLASSES, 1797, 64, image=(8, 8)),
        NamedSet("iris", CLASSES, 150, 4),
        NamedSet("wine", CLASSES, 178, 13),
        NamedSet("breast_cancer", CLASSES, 569, 30),
        NamedSet("diabetes", VALUES, 442, 10),
        NamedSet("mnist", CLASSES, 70_000, 784, 554, image=(28, 28), train=60_000),
        NamedSet("fashion_mnist", CLASSES, 70_000, 784, 40996, image=(28, 28), train=60_000),
        NamedSet("cifar10", CLASSES, 60_000, 3072, 40927, image=(32, 32, 3), planar=True, train=50_000),
        NamedSet("adult", CLASSES, 48_842, 14, 1590, target="class"),
        NamedSet("letter", CLASSES, 20_000, 16, 6, target="class"),
        NamedSet("magic", CLASSES, 19_020, 10, 1120, target="class"),
        NamedSet("shuttle", CLASSES, 58_000, 9, 40685, target="class"),
        NamedSet("diamonds", VALUES, 53_940, 9, 42225, target="price"),
        NamedSet("california_housing", VALUES, 20_640, 8, 44977, target="medianHouseValue"),
    )
}


def as_path(path: Path) -> str:
    """The path as text that is no built-in name: `./digits` for a file or folder of that name."""
    text = str(path)
    return text if find(text) is None else f".{os.sep}{text}"


def find(text: str) -> NamedSet | None:
    """The entry of that name; capitals, and `-` for `_`, do not matter."""
    return REGISTRY.get(text.strip().lower().replace("-", "_"))


def available() -> list[Listing]:
    """Every name, and whether and where its data are on this machine; nothing is read or downloaded."""
    return [_listing(entry) for entry in REGISTRY.values()]


def load_named(entry: NamedSet) -> Dataset:
    """The data set of that entry, from this machine or else from openml.org.

    Raises:
        InputError: if it is not on this machine and cannot be downloaded, or its file is damaged.
        OutputError: if it cannot be written to the cache.
    """
    if entry.openml is None:
        return _bundled(entry)
    path = _local_file(entry)
    if path is not None:
        return _read(entry, path)
    path = _cached_file(entry)
    if _exists(path):
        cache.verify(path)
    else:
        make_folder(path.parent)
        cache.store(path, _download(entry))
    return _read(entry, path)


def _bundled(entry: NamedSet) -> Dataset:
    x, y = getattr(datasets, f"load_{entry.name}")(return_X_y=True)
    return Dataset(entry.name, x.astype(np.float32).reshape(-1, *entry.image) if entry.image else x, y)


def _local_file(entry: NamedSet) -> Path | None:
    folder = os.environ.get(DATA_FOLDER)
    paths = [Path(folder).expanduser() / f"{entry.name}{suffix}" for suffix in SUFFIXES] if folder else []
    return next((path for path in paths if _exists(path)), None)


def _exists(path: Path) -> bool:
    """Return whether the file exists for this user; a folder without permission to look into has no files."""
    try:
        return path.exists()
    except OSError:
        return False


def _cached_file(entry: NamedSet) -> Path:
    return cache.folder() / f"{entry.name}{'.npz' if entry.image else '.parquet'}"


def _listing(entry: NamedSet) -> Listing:
    local = _local_file(entry)
    cached = _cached_file(entry)
    if entry.openml is None:
        source = "scikit-learn"
    elif local is not None or _exists(cached):
        source = str(local or cached)
    else:
        source = f"openml.org/d/{entry.openml}"
    shape = f"{'×'.join(map(str, entry.image))} image" if entry.image else f"{entry.columns} columns"
    here = not source.startswith("openml.org")
    return Listing(entry.name, entry.kind, source, entry.rows, shape, here)


def _read(entry: NamedSet, path: Path) -> Dataset:
    return read_npz(path) if path.suffix == ".npz" else read_table(path, entry.target)


def _download(entry: NamedSet) -> bytes:
    """The content of a .npz file for images, of a Parquet file for tables."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one for each of fetch_openml's retries
            fetched = datasets.fetch_openml(data_id=entry.openml, as_frame=not entry.image, cache=False, parser="auto")
    except HTTPError as error:
        raise _unusable(entry, error) from error
    except OSError as error:
        raise InputError(
            f"Got {entry.name!r}, which is not on this machine (looked in {_places()}), and the network could not be "
            f"reached ({reason(getattr(error, 'reason', None) or error)}); expected openml.org to answer or "
            f"{_expected_file(entry)}; try putting that file in a folder and naming the folder in {DATA_FOLDER}."
        ) from error
    except Exception as error:  # fetch_openml raises whatever its parsers raise for a damaged answer
        raise _unusable(entry, error) from error
    if fetched.data.shape != (entry.rows, entry.columns) or len(fetched.target) != entry.rows:
        raise _unusable(entry, ValueError(f"rows and columns {fetched.data.shape}"))
    buffer = io.BytesIO()
    if entry.image:
        arrays = _image_arrays(entry, np.asarray(fetched.data), np.asarray(fetched.target))
        np.savez(buffer, allow_pickle=False, **arrays)
    else:
        columns = {str(name): _plain(column) for name, column in fetched.data.items()}
        pd.DataFrame({**columns, str(entry.target): _plain(fetched.target)}).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _image_arrays(entry: NamedSet, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """uint8 images (n, h, w[, c]) and integer labels, split as usual."""
    if entry.planar:
        height, width, channels = entry.image
        x = x.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    x, y = np.ascontiguousarray(x.reshape(-1, *entry.image).astype(np.uint8)), y.astype(np.int64)
    return {
        "x_train": x[: entry.train],
        "y_train": y[: entry.train],
        "x_test": x[entry.train :],
        "y_test": y[entry.train :],
    }


def _plain(column: pd.Series) -> pd.Series:
    """Categories as whole numbers where all are, else as text."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    text = column.astype(column.cat.categories.dtype)
    try:
        return text.astype(np.int64)
    except (TypeError, ValueError):
        return text


def _places() -> str:
    return ", ".join(filter(None, (os.environ.get(DATA_FOLDER), str(cache.folder()))))


def _expected_file(entry: NamedSet) -> str:
    if entry.image:
        return f"{entry.name}.npz with x_train, y_train, x_test, y_test"
    return f"{entry.name}.parquet with the target column {entry.target!r}"


def _unusable(entry: NamedSet, error: Exception) -> InputError:
    return InputError(
        f"Got {entry.name!r}, for which openml.org/d/{entry.openml} gave something unusable ({reason(error)}); "
        f"expected {entry.rows} rows of {entry.columns}; try again later, or put {_expected_file(entry)} in a folder "
        f"and name that in {DATA_FOLDER}."
    )
