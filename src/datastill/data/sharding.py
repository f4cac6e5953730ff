"""From names and paths to shards."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from datastill._errors import InputError
from datastill.data import arrays, delimited, idx, images, named, stored, tables
from datastill.data.raw import unreadable, visible
from datastill.data.shards import (
    ImageShard,
    LoadedShard,
    ParquetShard,
    Shard,
    StoredShard,
    TextShard,
    image_files,
    loaded,
)
from datastill.data.stored import Stored

SHARD_ROWS = 50_000
SUFFIXES = (".npz", *tables.SUFFIXES)


def shards_of(
    where: Sequence[str | Path], target: str | None = None, image_size: int | None = None, rows: int = SHARD_ROWS
) -> list[Shard]:
    """The shards of some sources: the training rows, where a source has test rows of its own.

    Args:
        where: built-in names, files, folders of images, and folders of .npz files or of tables.
        target: the target column; for tables.
        image_size: see `sources.load`.
        rows: of a shard, about, where rows can be cut.

    Raises:
        InputError: for a source that is missing or of another format, or given twice; for no rows in a shard.
    """
    if rows < 1:
        raise InputError(f"Got shards of {rows} rows; expected 1 or more; try {SHARD_ROWS:,}.")
    if isinstance(where, (str, Path)):
        where = [where]
    found = [shard for source in where for shard in _shards(str(source), target, image_size, rows)]
    if not found:
        raise InputError("Got no data; expected at least one path or built-in name.")
    seen: set[str] = set()
    for shard in found:
        if shard.name in seen:
            raise InputError(f"Got {shard.name} twice; expected every shard once; try leaving one out.")
        seen.add(shard.name)
    return found


def _shards(source: str, target: str | None, image_size: int | None, rows: int) -> list[Shard]:
    path = Path(source).expanduser()
    if named.find(source) is not None or not path.exists():
        return _loaded(source, rows)
    if path.is_dir():
        return _of_folder(path, target, image_size, rows)
    if tables.is_table(path):
        return _of_table(path, target, rows)
    pair = stored.npz_pair(path) if path.suffix.lower() == ".npz" else None
    return _loaded(str(path), rows) if pair is None else _stored(path, pair, rows)


def _of_folder(path: Path, target: str | None, image_size: int | None, rows: int) -> list[Shard]:
    if idx.is_idx_folder(path):
        files = idx.training_files(path)
        if any(file.suffix == ".gz" for file in files):
            return _loaded(str(path), rows)
        return _stored(path, (idx.stored(files[0]), idx.stored(files[1])), rows)
    pair = stored.npy_pair(path)
    if pair is not None:
        return _stored(path, (stored.npy(pair[0]), stored.npy(pair[1])), rows)
    entries = visible(path)
    if any(entry.is_dir() for entry in entries):
        return _of_images(path, image_size, rows)
    if entries and all(entry.name.lower().endswith(SUFFIXES) for entry in entries):
        return [shard for entry in entries for shard in _shards(str(entry), target, image_size, rows)]
    return _loaded(str(path), rows)  # which says what is wrong


def _of_table(path: Path, target: str | None, rows: int) -> list[Shard]:
    if not path.name.lower().endswith(".parquet"):
        tables.check_target(path, target, delimited.column_names(path))
        return _of_text(path, str(target), rows)
    try:
        with pq.ParquetFile(path) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            names = file.schema_arrow.names
    except Exception as error:  # pyarrow raises some ten types for damaged files
        raise unreadable(path, error, "a Parquet file") from error
    tables.check_target(path, target, names)
    found: list[Shard] = []
    start = held = 0
    for group, size in enumerate(sizes):
        held += size
        if held >= rows or group == len(sizes) - 1:
            found.append(ParquetShard(str(path), start, group + 1, str(target)))
            start, held = group + 1, 0
    return found


def _of_text(path: Path, target: str, rows: int) -> list[Shard]:
    parts = enumerate(delimited.parts(path, rows))
    cut: list[Shard] = [TextShard(str(path), rows * i, rows * i + part.rows, target, part) for i, part in parts]
    return cut or [TextShard(str(path), 0, 1, target)]


def _of_images(path: Path, image_size: int | None, rows: int) -> list[Shard]:
    folder = str(images.training_folder(path))
    files = image_files(folder)
    if len({file.parent for file in files}) < 2:
        return _loaded(str(path), rows)  # which says what is wrong
    colours = images.have_colours(files)
    return [ImageShard(folder, a, b, image_size, colours) for a, b in _ranges(len(files), rows)]


def _stored(path: Path, pair: tuple[Stored, Stored], rows: int) -> list[Shard]:
    x, y = pair
    arrays.paired(path, x.mapped(), y.mapped())
    return [StoredShard(str(path), a, b, x, y) for a, b in _ranges(y.shape[0], rows)]


def _loaded(source: str, rows: int) -> list[Shard]:
    return [LoadedShard(source, a, b) for a, b in _ranges(len(loaded(source).y), rows)]


def _ranges(n: int, rows: int) -> Iterator[tuple[int, int]]:
    """Equal parts of n rows, of at most `rows` each."""
    parts = max(-(-n // rows), 1)
    return ((n * i // parts, n * (i + 1) // parts) for i in range(parts))
