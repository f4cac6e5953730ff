"""Tables with mixed columns: CSV and TSV, plain or .gz, and Parquet."""

import difflib
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from datastill._errors import InputError
from datastill.data import bounds, cells, delimited
from datastill.data.dataset import Dataset
from datastill.data.dtypes import plain as plain_value
from datastill.data.labels import plain
from datastill.data.raw import NoRows, listed, unreadable, visible
from datastill.data.reading import Reading

SUFFIXES = (*delimited.SUFFIXES, ".parquet")
PART_NAME = re.compile(r"(train|test|val|valid|validation|dev)(?=[-_.])", re.IGNORECASE)
LIKELY_TARGETS = ("target", "class", "label")
CELLS = ("string", "boolean", "empty", "categorical")


def is_table(path: Path) -> bool:
    """Return whether the file has the suffix of a table."""
    return path.name.lower().endswith(SUFFIXES)


def read_table(path: Path, target: str | None, like: Dataset | None = None) -> Dataset:
    """Read the columns as a DataFrame and the target column as an array.

    Args:
        path: the file.
        target: the name of the target column.
        like: the training table, when this is the test table that belongs to it: its columns are taken in its order,
            further ones are left out, what was text stays text, and numbers are written as there.

    Raises:
        InputError: for a damaged file or one without rows, a missing target or column, cells that are neither numbers
            nor text, or a test column of another kind than in training.
    """
    return _read(path, [path], target, like)


def read_folder(folder: Path, target: str | None, like: Dataset | None = None) -> Dataset:
    """Read the files of a folder as parts of one table; see `part_files` and `read_table`."""
    train, test = part_files(folder)
    data = _read(folder, train, target, like)
    if not test:
        return data
    held = _read(folder, test, target, data)
    return replace(data, x_test=held.x, y_test=held.y)


def is_folder_of_parts(folder: Path) -> bool:
    """Return whether a folder holds tables of one kind and nothing else."""
    entries = visible(folder)
    kinds = {_is_parquet(entry) for entry in entries if is_table(entry)}
    return len(kinds) == 1 and all(is_table(entry) and not entry.is_dir() for entry in entries)


def part_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files of the training rows and those of the test rows, by name.

    Only where some names begin with `train` are those that begin with `test` test rows, and `val` is left out.
    """
    files = [entry for entry in visible(folder) if is_table(entry)]
    named = [(PART_NAME.match(file.name), file) for file in files]
    parts = [(found[1].lower() if found else "", file) for found, file in named]
    if not any(part == "train" for part, _ in parts):
        return files, []
    return [f for part, f in parts if part in ("train", "")], [f for part, f in parts if part == "test"]


def _read(where: Path, files: list[Path], target: str | None, like: Dataset | None) -> Dataset:
    text = text_columns(like, target)
    table, blanks = _joined(where, files, target, text)
    if like is not None:
        table, reading = cells.as_read(table, like.reading), like.reading
    elif any(map(_is_parquet, files)):
        reading = Reading()
    else:
        table, reading = cells.read_numbers(table, lambda more: _joined(where, files, target, text | more)[0])
    notes = [] if like is not None else [*reading.notes, *cells.alike(where, table, target)]
    if blanks:
        notes.append(cells.blanks_said(blanks))
    name = where.name if where.is_dir() else where.name.split(".")[0] or where.name
    rows = _divided(where, table, str(target), like)
    return Dataset(name, *rows, target=str(target), reading=replace(reading, notes=tuple(notes)))


def _joined(where: Path, files: list[Path], target: str | None, text: set[str]) -> tuple[pd.DataFrame, set[str]]:
    """The rows of all files, and the columns in which blanks around cells were dropped."""
    frames: list[pd.DataFrame] = []
    blanks: set[str] = set()
    for file in files:
        try:
            frame = _read_parquet(file) if _is_parquet(file) else delimited.read_text(file, target, text)
        except NoRows:  # Spark writes parts without even names
            if len(files) == 1:
                raise
            continue
        check_target(file, target, list(frame.columns))
        frame, changed = cells.without_blanks(frame, _missing(file, target))
        blanks |= changed
        if frames and set(frame.columns) != set(frames[0].columns):
            odd = sorted(set(frame.columns) ^ set(frames[0].columns))
            raise InputError(
                f"Got {file}, which has other columns than {files[0].name} ({listed(odd, 5)}); expected parts of one "
                "table; try giving the file by itself."
            )
        if len(frame) or len(files) == 1:
            frames.append(frame)
    if not any(map(len, frames)):
        raise NoRows(f"Got {where}, which has columns but no rows; expected at least one row; try another file.")
    table = frames[0] if len(frames) == 1 else cells.stacked(frames)
    mixed = set(mixed_columns(table)) - text if len(frames) > 1 and not any(map(_is_parquet, files)) else set()
    return _joined(where, files, target, text | mixed) if mixed else (table, blanks)


def split(path: Path, table: pd.DataFrame, target: str, like: Dataset | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """The columns and the target column of a table as a file has it, checked; see `read_table`."""
    table, _ = cells.without_blanks(table, _missing(path, target))
    return _divided(path, table if like is None else cells.as_read(table, like.reading), target, like)


def _divided(path: Path, table: pd.DataFrame, target: str, like: Dataset | None) -> tuple[pd.DataFrame, np.ndarray]:
    x = table.drop(columns=target)
    if like is not None:
        x = _aligned(path, x, like.x)
    x = pd.DataFrame({name: _column(path, x[name]) for name in x.columns}, index=x.index)
    return x, target_values(path, table[target])


def _missing(path: Path, target: str | None) -> Callable[[str], Collection[str]]:
    """For each column, the cells that stand for missing values in a file of text."""
    return lambda name: () if _is_parquet(path) else delimited.missing(name == target)


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(".parquet")


def _read_parquet(path: Path) -> pd.DataFrame:
    """The table without its index."""
    try:
        # pandas is given the open file, since it would take a path for a folder or an address
        with path.open("rb") as file:
            opened = pq.ParquetFile(file)
            bounds.check_room(path, bounds.check_parquet(path, opened.metadata))
            check_names(path, opened.schema_arrow.names)
            file.seek(0)
            table = pd.read_parquet(file).reset_index(drop=True)
    except InputError:
        raise
    except Exception as error:  # pyarrow and pandas raise some ten types for damaged files
        raise unreadable(path, error, "a Parquet file") from error
    if not all(isinstance(name, str) for name in table.columns):
        raise InputError(
            f"Got {path} with the columns {listed([str(c) for c in table.columns])}; expected text names; "
            "try renaming them."
        )
    return table


def check_names(path: Path, names: list[str]) -> None:
    """InputError for names of columns that are not told apart."""
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise InputError(f"Got {path} with the column names {listed(repeated)} more than once; try renaming them.")


def check_target(path: Path, target: str | None, names: list[str]) -> None:
    """InputError unless the target is one of the columns' names."""
    if target in names:
        return
    likely = [name for name in names if name.lower() in LIKELY_TARGETS] or names[-1:]
    if target is None:
        given, advice = "no target column", likely
    else:
        given, advice = f"the target column {target!r}", difflib.get_close_matches(target, names, 1) or likely
    raise InputError(
        f"Got {given} for {path}; expected one of its columns: {listed(names)}"
        + (f"; try --target {advice[0]!r} (`target={advice[0]!r}`)." if advice else ".")
    )


def text_columns(like: Dataset | None, target: str | None) -> set[str]:
    """The training table's columns that were text, whose test cells are text even where all look like numbers."""
    if like is None or not isinstance(like.x, pd.DataFrame):
        return set()
    text = {name for name in like.x.columns if cells.is_text(like.x[name])} | set(like.reading.numbers)
    return text | ({target} if target is not None and like.y.dtype.kind == "U" else set())


def mixed_columns(x: pd.DataFrame) -> list[str]:
    """Columns with text in some rows and other values in others, as parts of a file give where each looks alone."""
    kinds = {name: pd.api.types.infer_dtype(x[name], skipna=True) for name in x.columns}
    return [name for name, kind in kinds.items() if kind.startswith("mixed")]


def _aligned(path: Path, x: pd.DataFrame, train: object) -> pd.DataFrame:
    """The test columns that training has, in its order."""
    if not isinstance(train, pd.DataFrame):
        return x
    missing = [name for name in train.columns if name not in x.columns]
    if missing:
        raise InputError(
            f"Got the test table {path} without the columns {listed(missing)}; expected every column of the training "
            "table; try adding them."
        )
    for name in train.columns:
        kinds = _is_numeric(train[name]), _is_numeric(x[name])
        if None not in kinds and kinds[0] != kinds[1]:
            present = x[name].dropna()
            wrong = present[pd.to_numeric(present, errors="coerce").isna()]
            raise InputError(
                f"Got {plain_value((wrong if len(wrong) else present).iloc[0])!r} in the column {name!r} of {path}; "
                f"expected {'numbers' if kinds[0] else 'text'}, as in the training table; "
                "try mending those cells."
            )
    return x[list(train.columns)]


def _is_numeric(column: pd.Series) -> bool | None:
    """None where the column could be either: no cells but missing ones, or yes and no."""
    if column.dtype.kind in "iuf" and len(column) and not pd.isna(column.iloc[0]):  # most are, and a pass asks often
        return True
    if column.isna().all() or pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return None
    return pd.api.types.is_numeric_dtype(column)


def _column(path: Path, column: pd.Series) -> pd.Series:
    """The same column; decimal numbers become float64."""
    if column.dtype != object:
        return column
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "decimal" or kind in cells.NUMBERS:  # whole numbers beyond 64 bits
        return column.astype(np.float64)
    if kind not in CELLS:
        raise InputError(
            f"Got {path}, whose column {column.name!r} holds cells of type {kind}; expected numbers or text; "
            "try dropping or converting it."
        )
    return column


def target_values(path: Path, column: pd.Series) -> np.ndarray:
    """(n,) numbers, or text; with missing values text stays an object array, for validation to find them."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if cells.is_text(column):
        column = column.str.strip()
    values = _column(path, column).to_numpy()
    if values.dtype.kind not in "biufUO":
        raise InputError(
            f"Got {path}, whose target column {column.name!r} is of type {column.dtype}; expected numbers or text; "
            "try converting it."
        )
    return plain(values)
