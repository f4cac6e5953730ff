"""IDX files, the format of MNIST: a big-endian header, then the values of one array."""

import math
import re
from pathlib import Path

import numpy as np

from datastill._errors import InputError
from datastill.data.arrays import paired
from datastill.data.dataset import Dataset
from datastill.data.labels import plain
from datastill.data.raw import listed, read_bytes, visible
from datastill.data.stored import Stored

EXPECTED = "an IDX file such as MNIST's"
MOST_AXES = 32
LONGEST_HEADER = 4 + 4 * MOST_AXES
FILE_NAME = re.compile(r"(train|t10k)-(images|labels)[-.]idx\d-ubyte(\.gz)?")
DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> np.ndarray:
    """The array of one file, .gz or not, in the machine's byte order.

    The header is two zero bytes, a type code, the number of axes, and each axis's length as 32 bits.

    Raises:
        InputError: for another format, or more or fewer bytes than the header promises.
    """
    content = read_bytes(path, EXPECTED)
    dtype, start, shape = _header(path, content)
    _check_size(path, len(content), dtype, start, shape)
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def stored(path: Path) -> Stored:
    """The array of a file that is not compressed, not yet read."""
    with path.open("rb") as file:
        dtype, start, shape = _header(path, file.read(LONGEST_HEADER))
    _check_size(path, path.stat().st_size, dtype, start, shape)
    return Stored(str(path), start, dtype.str, shape)


def _header(path: Path, content: bytes) -> tuple[np.dtype, int, tuple[int, ...]]:
    """The type of the values, where they start, and the shape of the array."""
    kind = content[:2] == b"\0\0" and len(content) >= 4 and content[2] in DTYPES
    if not kind or not 0 < content[3] <= MOST_AXES:
        raise InputError(
            f"Got {path}, which begins with the bytes {content[:4].hex(' ')}; expected {EXPECTED} (00 00, a type code "
            "and 1 to {MOST_AXES} axes); try downloading it again."
        )
    dtype, start = np.dtype(DTYPES[content[2]]), 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if 0 in shape:  # and others may be beyond all numbers
        raise InputError(f"Got {path} of shape {shape}, which has no values; expected {EXPECTED}; try another file.")
    return dtype, start, shape


def _check_size(path: Path, size: int, dtype: np.dtype, start: int, shape: tuple[int, ...]) -> None:
    """InputError unless a file has as many bytes as its header promises."""
    expected = start + math.prod(shape) * dtype.itemsize
    if size != expected:
        raise InputError(
            f"Got {path} with {size} bytes; expected {expected} from its header (shape {shape}); "
            "try downloading it again."
        )


def is_idx_folder(folder: Path) -> bool:
    """Return whether any file in the folder has one of MNIST's names."""
    return any(FILE_NAME.fullmatch(entry.name) for entry in visible(folder))


def read_folder(folder: Path) -> Dataset:
    """The dataset in a folder of MNIST's files: `train-…` is needed, `t10k-…` is the test set where there is one.

    Raises:
        InputError: for a missing or damaged file, or another number of labels than of images.
    """
    files = _files(folder)
    train, *test = (_pair(images, labels) for images, labels in files.values())
    return Dataset(folder.resolve().name, *train, *(test[0] if test else ()))


def training_files(folder: Path) -> tuple[Path, Path]:
    """The files of the training images and of their labels."""
    return _files(folder)["train"]


def _files(folder: Path) -> dict[str, tuple[Path, Path]]:
    """The files of images and of labels, for "train" and, where there is one, "t10k"."""
    files: dict[tuple[str, str], Path] = {}
    for entry in visible(folder):
        match = FILE_NAME.fullmatch(entry.name)
        if match:
            # sorted order puts a plain file before its .gz twin, and the plain one is faster
            files.setdefault((match[1], match[2]), entry)
    parts = ["train", "t10k"] if any(part == "t10k" for part, _ in files) else ["train"]
    missing = [
        f"{part}-{kind}-idx*-ubyte" for part in parts for kind in ("images", "labels") if (part, kind) not in files
    ]
    if missing:
        raise InputError(
            f"Got {folder}, which holds {listed([file.name for file in files.values()])} but lacks {listed(missing)}; "
            "expected images and labels, each .gz or not; try downloading them."
        )
    return {part: (files[part, "images"], files[part, "labels"]) for part in parts}


def _pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    x, y = read_idx(images), read_idx(labels)
    if x.ndim < 2 or plain(y).ndim > 2:
        raise InputError(
            f"Got {images.name} of shape {x.shape} and {labels.name} of shape {y.shape}; expected (n, h, w) images and "
            "(n,) labels; try exchanging the two files."
        )
    return paired(images, x, y)
