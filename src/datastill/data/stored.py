"""Arrays as their bytes lie in files, so that they can be memory-mapped: .npy, and .npz that is not compressed."""

import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.data import arrays
from datastill.data.raw import unreadable

ZIP_HEADER = 30
"""Bytes before a member's name in a zip file, the last four of them the lengths of the name and of what follows it."""


@dataclass(frozen=True)
class Stored:
    """One array in a file.

    Attributes:
        path: of the file.
        offset: of the first byte.
        dtype: of the entries, with their byte order.
        shape: of the array.
    """

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]

    def mapped(self) -> np.ndarray:
        """The array, read where it is touched.

        Raises:
            InputError: for a file that is missing, or shorter than its header promises.
        """
        needed = self.offset + math.prod(self.shape) * np.dtype(self.dtype).itemsize
        try:
            found = Path(self.path).stat().st_size
            if found >= needed:
                return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        except (OSError, ValueError, OverflowError) as error:
            raise unreadable(Path(self.path), error, "an array with values") from error
        raise InputError(
            f"Got {self.path} with {found} bytes; expected {needed} from its header (shape {self.shape}): it is "
            "truncated; try making or copying it again."
        )


def npy_pair(folder: Path) -> tuple[Path, Path] | None:
    """The files x_train.npy and y_train.npy, or X.npy and y.npy; None where the folder has neither pair."""
    by_name = {entry.name.lower(): entry for entry in folder.iterdir()}
    pairs = [(f"{x}.npy", f"{y}.npy") for x, y in arrays.TRAIN_KEYS]
    return next(((by_name[x], by_name[y]) for x, y in pairs if x in by_name and y in by_name), None)


def npy(path: Path) -> Stored:
    """The array of a .npy file.

    Raises:
        InputError: for another format, Fortran's order, or objects, which would be stored as a pickle.
    """
    try:
        with path.open("rb") as file:
            return _after_header(file, str(path), 0)
    except Exception as error:  # NumPy raises some ten types for damaged headers
        raise unreadable(path, error, "a .npy file of numbers or text, in C order") from error


def npz_pair(path: Path) -> tuple[Stored, Stored] | None:
    """The training rows and labels of a .npz file; None where they cannot be mapped: compressed, or not there."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.lower().removesuffix(".npy"): info for info in archive.infolist()}
            for x, y in arrays.TRAIN_KEYS:
                if x in members and y in members:
                    return _member(archive, members[x], path), _member(archive, members[y], path)
    except Exception:  # zipfile and NumPy raise some ten types for damaged files, which who loads it whole tells
        return None
    return None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Stored:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("compressed")
    with path.open("rb") as raw:
        raw.seek(info.header_offset)
        name, extra = struct.unpack("<HH", raw.read(ZIP_HEADER)[-4:])
    with archive.open(info) as member:
        return _after_header(member, str(path), info.header_offset + ZIP_HEADER + name + extra)


def _after_header(file: Any, path: str, start: int) -> Stored:
    """The array whose .npy header begins at the file's position, `start` bytes into the file at `path`."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"its header promises the shape {shape}")
    if dtype.hasobject or (fortran and len(shape) > 1):
        raise ValueError("it holds objects" if dtype.hasobject else "its order is Fortran's")
    return Stored(path, start + file.tell(), dtype.str, shape)
