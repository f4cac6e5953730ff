"""Data too large for memory, as shards that are read a few rows at a time.

A shard is a value: what to read, not what was read, so that it can be sent to where it is read. Stored arrays (.npy,
uncompressed .npz and IDX) are memory-mapped and cut by rows, Parquet by row groups, image folders by files, CSV by
rows unless it is compressed; whatever else `sources.load` takes is loaded whole and cut by rows.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from datastill._validate import doubles
from datastill.data import cells, delimited, images, named, sources, tables
from datastill.data.dataset import Dataset, Rows, take
from datastill.data.labels import plain
from datastill.data.raw import NoRows, unreadable
from datastill.data.stored import Stored

LABELS_AT_ONCE = 1 << 17
GLANCE = 4096
Batch: TypeAlias = tuple[Rows, np.ndarray]


@dataclass(frozen=True)
class Shard(ABC):
    """Rows of one file or folder.

    Attributes:
        path: of the file or folder; for built-in data its name.
        start: the first row, or row group.
        stop: the one after the last.
    """

    path: str
    start: int
    stop: int

    @property
    @abstractmethod
    def count(self) -> int:
        """Return the number of rows, found without reading them where the format allows."""

    @abstractmethod
    def labels(self, like: Dataset | None = None) -> np.ndarray:
        """(n,) labels or targets of all its rows, without the rows where the format allows; `like` as for `batches`."""

    @abstractmethod
    def batches(self, size: int, like: Dataset | None = None) -> Iterator[Batch]:
        """(rows, labels), at most `size` at a time, in order.

        Args:
            size: rows.
            like: some rows of the whole data: what is text in it is read as text, images in its size.

        Raises:
            InputError: for a file that is truncated or damaged, or rows of another kind.
        """

    def sample(self, count: int, like: Dataset | None = None) -> Batch:
        """About so many rows, evenly spaced over the shard; `like` as for `batches`."""
        kept: list[Batch] = []
        step, start = max(self.count // max(count, 1), 1), 0
        for x, y in self.batches(max(step, 4096), like):
            chosen = np.arange(-start % step, len(y), step)
            kept.append((take(x, chosen), y[chosen]))
            start += len(y)
        return joined([x for x, _ in kept]), np.concatenate([y for _, y in kept])

    def blanks(self) -> set[str]:
        """Return the columns in whose first rows blanks around cells are dropped."""
        return set()

    @property
    def name(self) -> str:
        """The path and, of a part, which part."""
        return f"{self.path}[{self.start}:{self.stop}]"

    def absolute(self) -> Self:
        """The same shard, wherever it is read from."""
        return replace(self, path=_absolute(self.path))

    @property
    def key(self) -> str:
        """A digest of what is read: its place, the part, and size and time of change of every file."""
        parts = [type(self).__name__, asdict(self.absolute()), _changed(self._files())]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def _files(self) -> list[Path]:
        """Return the path that holds its rows."""
        return [Path(self.path)]


class _Indexed(Shard):
    """A shard any of whose rows can be read on their own."""

    @property
    def count(self) -> int:
        """See `Shard.count`."""
        return self.stop - self.start

    @abstractmethod
    def rows(self, chosen: np.ndarray, like: Dataset | None = None) -> Batch:
        """The rows at these indices, counted from the start of the file."""

    def batches(self, size: int, like: Dataset | None = None) -> Iterator[Batch]:
        """See `Shard.batches`."""
        for start in range(self.start, self.stop, size):
            yield self.rows(np.arange(start, min(start + size, self.stop)), like)

    def sample(self, count: int, like: Dataset | None = None) -> Batch:
        """See `Shard.sample`."""
        return self.rows(np.arange(self.start, self.stop, max(self.count // max(count, 1), 1)), like)


@dataclass(frozen=True)
class StoredShard(_Indexed):
    """Rows of two memory-mapped arrays."""

    x: Stored
    y: Stored

    def absolute(self) -> Self:
        """See `Shard.absolute`."""
        x, y = (replace(array, path=_absolute(array.path)) for array in (self.x, self.y))
        return replace(super().absolute(), x=x, y=y)

    def _files(self) -> list[Path]:
        return [Path(self.x.path), Path(self.y.path)]

    def labels(self, like: Dataset | None = None) -> np.ndarray:
        """See `Shard.labels`."""
        return _plain(self.y.mapped()[self.start : self.stop])

    def rows(self, chosen: np.ndarray, like: Dataset | None = None) -> Batch:
        """See `_Indexed.rows`."""
        part = slice(chosen[0], chosen[-1] + 1, chosen[1] - chosen[0] if len(chosen) > 1 else 1)
        return _native(self.x.mapped()[part]), _plain(self.y.mapped()[part])


@dataclass(frozen=True)
class LoadedShard(_Indexed):
    """Rows of data that can only be loaded whole: compressed arrays, built-in names."""

    def _files(self) -> list[Path]:
        return _files_of(self.path)

    def labels(self, like: Dataset | None = None) -> np.ndarray:
        """See `Shard.labels`."""
        return loaded(self.path).y[self.start : self.stop]

    def rows(self, chosen: np.ndarray, like: Dataset | None = None) -> Batch:
        """See `_Indexed.rows`."""
        data = loaded(self.path)
        return take(data.x, chosen), data.y[chosen]


@dataclass(frozen=True)
class ImageShard(_Indexed):
    """Images of a folder with one subfolder for each class."""

    image_size: int | None
    colours: bool
    bits: int | None = None

    def _files(self) -> list[Path]:
        return image_files(self.path)[self.start : self.stop]

    def labels(self, like: Dataset | None = None) -> np.ndarray:
        """See `Shard.labels`."""
        return np.array([file.parent.name for file in image_files(self.path)[self.start : self.stop]])

    def rows(self, chosen: np.ndarray, like: Dataset | None = None) -> Batch:
        """See `_Indexed.rows`."""
        files = image_files(self.path)
        size = None if like is None else np.shape(like.x)[1:3]
        bits = self.bits if like is None or like.reading.bits is None else like.reading.bits
        return images.read_files([files[i] for i in chosen], self.image_size, self.colours, size, bits)


@dataclass(frozen=True)
class ParquetShard(Shard):
    """Row groups of a Parquet file."""

    target: str

    @property
    def count(self) -> int:
        """See `Shard.count`."""
        with self._opened() as file:
            return sum(file.metadata.row_group(i).num_rows for i in range(self.start, self.stop))

    def labels(self, like: Dataset | None = None) -> np.ndarray:
        """See `Shard.labels`."""
        return _labels(self.path, self.target, self._frames(LABELS_AT_ONCE, [self.target]), like)

    def batches(self, size: int, like: Dataset | None = None) -> Iterator[Batch]:
        """See `Shard.batches`."""
        for frame in self._frames(size):
            yield tables.split(Path(self.path), frame, self.target, like)

    def blanks(self) -> set[str]:
        """See `Shard.blanks`."""
        return _blanks(self._frames(GLANCE))

    def _frames(self, size: int, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
        with self._opened() as file:
            groups = list(range(self.start, self.stop))
            batches = file.iter_batches(size, groups, columns, use_threads=False)
            yield from (part.to_pandas() for part in batches if len(part))

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self.path) as file:
                yield file
        except Exception as error:  # pyarrow raises some ten types for damaged files
            raise unreadable(Path(self.path), error, "a Parquet file") from error


@dataclass(frozen=True)
class TextShard(Shard):
    """A CSV or TSV file, or rows of it."""

    target: str
    part: delimited.Part | None = None

    @property
    def name(self) -> str:
        """See `Shard.name`."""
        return super().name if self.part else self.path

    @property
    def count(self) -> int:
        """See `Shard.count`."""
        return self.part.rows if self.part else len(self.labels())

    def labels(self, like: Dataset | None = None) -> np.ndarray:
        """See `Shard.labels`."""
        return _labels(self.path, self.target, self._frames(LABELS_AT_ONCE, like), like)

    def batches(self, size: int, like: Dataset | None = None) -> Iterator[Batch]:
        """See `Shard.batches`."""
        for frame in self._frames(size, like):
            yield tables.split(Path(self.path), frame, self.target, like)

    def blanks(self) -> set[str]:
        """See `Shard.blanks`."""
        return _blanks(self._frames(GLANCE, None))

    def _frames(self, size: int, like: Dataset | None) -> Iterator[pd.DataFrame]:
        text = tables.text_columns(like, self.target)
        return delimited.read_chunks(Path(self.path), self.target, size, text, self.part)


def _blanks(frames: Iterator[pd.DataFrame]) -> set[str]:
    first = next(frames, None)
    return set() if first is None else cells.without_blanks(first, lambda _: ())[1]


def joined(parts: list[Rows]) -> Rows:
    """The rows of all parts, in order."""
    if isinstance(parts[0], pd.DataFrame):
        return cells.stacked(parts)
    return np.concatenate(parts)


def loaded(source: str) -> Dataset:
    """Load data with `sources.load`; the last result is kept as long as its files do not change."""
    return _loaded(source, _changed(_files_of(source)))


@lru_cache(maxsize=1)
def _loaded(source: str, changed: tuple[tuple[int, int], ...]) -> Dataset:
    return sources.load(source)


def _changed(files: list[Path]) -> tuple[tuple[int, int], ...]:
    """Size and time of change of those that are there."""
    return tuple((found.st_size, found.st_mtime_ns) for found in (file.stat() for file in files if file.exists()))


def _files_of(source: str) -> list[Path]:
    """The file, or those in the folder; none of a built-in name."""
    path = Path(source).expanduser()
    if named.find(source) is not None or not path.exists():
        return []
    return sorted(path.iterdir()) if path.is_dir() else [path]


def image_files(folder: str) -> list[Path]:
    """List a folder of images by class and name; the last few lists are kept as long as no file comes or goes."""
    path = Path(folder)
    changed = sorted(entry.stat().st_mtime_ns for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
    return _image_files(folder, tuple(changed))


@lru_cache(maxsize=4)
def _image_files(folder: str, changed: tuple[int, ...]) -> list[Path]:
    return images.image_files(Path(folder))


def _absolute(path: str) -> str:
    """The path from the root; a built-in name stays."""
    return path if named.find(path) is not None else str(Path(path).absolute())


def _labels(path: str, target: str, frames: Iterator[pd.DataFrame], like: Dataset | None) -> np.ndarray:
    found = [frame[[target]] for frame in frames]
    if not found:
        raise NoRows(f"Got {path}, which has columns but no rows; expected at least one row; try another file.")
    table, _ = cells.without_blanks(pd.concat(found, ignore_index=True), lambda _: delimited.missing(target=True))
    if like is not None:
        table = cells.as_read(table, like.reading)
    return tables.target_values(Path(path), table[target])


def _native(part: np.ndarray) -> np.ndarray:
    """A copy in the machine's byte order, no wider than float64."""
    return doubles(np.array(part, part.dtype.newbyteorder("=")))


def _plain(part: np.ndarray) -> np.ndarray:
    """A copy of labels; see `arrays.paired`."""
    y = plain(np.array(part, part.dtype.newbyteorder("=")))
    return np.strings.strip(y) if y.dtype.kind == "U" else y
