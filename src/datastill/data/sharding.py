"""From names and paths to shards."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from datastill._errors import InputError
from datastill.data import arrays, bounds, delimited, idx, images, named, sources, stored, tables
from datastill.data.raw import NoRows, unreadable, visible
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
    if not where:
        raise InputError("Got no data; expected at least one path or built-in name.")
    found = _of_all(list(where), target, image_size, rows)
    seen: set[str] = set()
    for shard in found:
        if shard.name in seen:
            raise InputError(f"Got {shard.name} twice; expected every shard once; try leaving one out.")
        seen.add(shard.name)
    return found


def _of_all(where: Sequence[str | Path], target: str | None, image_size: int | None, rows: int) -> list[Shard]:
    """The shards of those sources that have rows; NoRows where none has."""
    found: list[Shard] = []
    empty: NoRows | None = None
    for source in where:
        try:
            found += _shards(source, target, image_size, rows)
        except NoRows as error:
            empty = error
    if not found and empty is not None:
        raise empty
    return found


def _shards(source: str | Path, target: str | None, image_size: int | None, rows: int) -> list[Shard]:
    entry = named.find(source) if isinstance(source, str) else None
    if entry is not None:
        sources.refuse_target(entry.name, target if target != entry.target else None)
        sources.refuse_size(entry.name, image_size)
        return _loaded(str(source), rows)
    path = sources.existing(source)
    if path.is_dir():
        return _of_folder(path, target, image_size, rows)
    if tables.is_table(path):
        sources.refuse_size(path, image_size)
        return _of_table(path, target, rows)
    pair = None
    if path.suffix.lower() == ".npz":
        sources.refuse_size(path, image_size)
        sources.refuse_target(path, target)
        pair = stored.npz_pair(path)
    return _loaded(named.as_path(path), rows) if pair is None else _stored(path, pair, rows)


def _of_folder(path: Path, target: str | None, image_size: int | None, rows: int) -> list[Shard]:
    pair, entries = _mapped(path), visible(path)
    if pair is None and entries and all(entry.name.lower().endswith(SUFFIXES) for entry in entries):
        files = tables.part_files(path)[0] if all(map(tables.is_table, entries)) else entries
        return _of_all(files, target, image_size, rows)
    sources.refuse_target(path, target)
    if pair is None and not idx.is_idx_folder(path) and any(entry.is_dir() for entry in entries):
        return _of_images(path, image_size, rows)
    sources.refuse_size(path, image_size)
    return _loaded(named.as_path(path), rows) if pair is None else _stored(path, pair, rows)


def _mapped(folder: Path) -> tuple[Stored, Stored] | None:
    """The rows and labels in a folder of IDX files, not compressed, or of .npy files; None where there are no such."""
    if idx.is_idx_folder(folder):
        files = idx.training_files(folder)
        return None if any(file.suffix == ".gz" for file in files) else (idx.stored(files[0]), idx.stored(files[1]))
    pair = stored.npy_pair(folder)
    return None if pair is None else (stored.npy(pair[0]), stored.npy(pair[1]))


def _of_table(path: Path, target: str | None, rows: int) -> list[Shard]:
    if not path.name.lower().endswith(".parquet"):
        tables.check_target(path, target, delimited.column_names(path))
        return _of_text(path, str(target), rows)
    try:
        with pq.ParquetFile(path) as file:
            bounds.check_parquet(path, file.metadata)
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            names = file.schema_arrow.names
    except InputError:
        raise
    except Exception as error:  # pyarrow raises some ten types for damaged files
        raise unreadable(path, error, "a Parquet file") from error
    tables.check_names(path, names)
    tables.check_target(path, target, names)
    found: list[Shard] = []
    start = held = 0
    for group, size in enumerate(sizes):
        held += size
        if held >= rows or (held and not any(sizes[group + 1 :])):
            found.append(ParquetShard(str(path), start, group + 1, str(target)))
            start, held = group + 1, 0
    return found or _none(path)


def _of_text(path: Path, target: str, rows: int) -> list[Shard]:
    parts = enumerate(delimited.parts(path, rows))
    cut: list[Shard] = [TextShard(str(path), rows * i, rows * i + part.rows, target, part) for i, part in parts]
    if not cut and next(delimited.read_chunks(path, target, 1), None) is None:
        return _none(path)
    return cut or [TextShard(str(path), 0, 1, target)]


def _none(path: Path) -> list[Shard]:
    raise NoRows(f"Got {path}, which has columns but no rows; expected at least one row; try another file.")


def _of_images(path: Path, image_size: int | None, rows: int) -> list[Shard]:
    images.check_size(image_size)
    folder = named.as_path(images.training_folder(path))
    files = image_files(folder)
    if len({file.parent for file in files}) < 2:
        return _loaded(named.as_path(path), rows)  # which says what is wrong
    colours, bits = images.have_colours(files), images.bits_of(files)
    return [ImageShard(folder, a, b, image_size, colours, bits) for a, b in _ranges(len(files), rows)]


def _stored(path: Path, pair: tuple[Stored, Stored], rows: int) -> list[Shard]:
    x, y = pair
    arrays.paired(path, x.mapped(), y.mapped())
    return [StoredShard(named.as_path(path), a, b, x, y) for a, b in _ranges(y.shape[0], rows)]


def _loaded(source: str, rows: int) -> list[Shard]:
    return [LoadedShard(source, a, b) for a, b in _ranges(len(loaded(source).y), rows)]


def _ranges(n: int, rows: int) -> Iterator[tuple[int, int]]:
    """Equal parts of n rows, of at most `rows` each."""
    parts = max(-(-n // rows), 1)
    return ((n * i // parts, n * (i + 1) // parts) for i in range(parts))
