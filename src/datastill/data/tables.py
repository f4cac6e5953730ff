"""Tables with mixed columns: CSV and TSV, plain or .gz, and Parquet."""

import difflib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from datastill._errors import InputError
from datastill.data import bounds, delimited
from datastill.data.dataset import Dataset
from datastill.data.raw import listed, unreadable

SUFFIXES = (*delimited.SUFFIXES, ".parquet")
LIKELY_TARGETS = ("target", "class", "label")
CELLS = ("string", "boolean", "integer", "floating", "mixed-integer-float", "empty", "categorical")


def is_table(path: Path) -> bool:
    """Whether the file's name ends like a table's."""
    return path.name.lower().endswith(SUFFIXES)


def read_table(path: Path, target: str | None, like: Dataset | None = None) -> Dataset:
    """The columns as a DataFrame and the target column as an array.

    Args:
        path: the file.
        target: the name of the target column.
        like: the training table, when this is the test table that belongs to it: its columns are taken in its order,
            further ones are left out, and what was text stays text.

    Raises:
        InputError: for a damaged file or one without rows, a missing target or column, cells that are neither numbers
            nor text, or a test column of another kind than in training.
    """
    if path.name.lower().endswith(".parquet"):
        table = _read_parquet(path)
    else:
        table = delimited.read_text(path, target, text_columns(like, target))
    check_target(path, target, list(table.columns))
    if len(table) == 0:
        raise InputError(f"Got {path}, which has columns but no rows; expected at least one row; try another file.")
    name = path.name.split(".")[0] or path.name
    return Dataset(name, *split(path, table, str(target), like), target=str(target))


def split(path: Path, table: pd.DataFrame, target: str, like: Dataset | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """The columns and the target column of a table, checked; see `read_table`."""
    x = table.drop(columns=target)
    if like is not None:
        x = _aligned(path, x, like.x)
    x = pd.DataFrame({name: _column(path, x[name]) for name in x.columns}, index=x.index)
    return x, target_values(path, table[target])


def _read_parquet(path: Path) -> pd.DataFrame:
    """The table without its index."""
    try:
        # pandas is given the open file, since it would take a path for a folder or an address
        with path.open("rb") as file:
            bounds.check_room(path, bounds.check_parquet(path, pq.ParquetFile(file).metadata))
            file.seek(0)
            table = pd.read_parquet(file).reset_index(drop=True)
    except InputError:
        raise
    except Exception as error:  # pyarrow and pandas raise some ten types for damaged files
        raise unreadable(path, error, "a Parquet file") from error
    if not all(isinstance(name, str) for name in table.columns) or table.columns.has_duplicates:
        raise InputError(
            f"Got {path} with the columns {listed([str(c) for c in table.columns])}; expected text names, each once; "
            "try renaming them."
        )
    return table


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
    """The training table's columns that hold text, whose test cells are text even where all look like numbers."""
    if like is None or not isinstance(like.x, pd.DataFrame):
        return set()
    text = {name for name in like.x.columns if pd.api.types.infer_dtype(like.x[name], skipna=True) == "string"}
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
        if _is_numeric(train[name]) is (not _is_numeric(x[name])):
            present = x[name].dropna()
            wrong = present[pd.to_numeric(present, errors="coerce").isna()]
            raise InputError(
                f"Got {(wrong if len(wrong) else present).iloc[0]!r} in the column {name!r} of the test table {path}; "
                f"expected {'numbers' if _is_numeric(train[name]) else 'text'}, as in the training table; "
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
    if kind == "decimal":
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
    values = _column(path, column).to_numpy()
    if values.dtype == object and not column.isna().any():
        kind = pd.api.types.infer_dtype(column)
        values = values.astype(str) if kind == "string" else np.array(values.tolist())
    if values.dtype.kind not in "biufUO":
        raise InputError(
            f"Got {path}, whose target column {column.name!r} is of type {column.dtype}; expected numbers or text; "
            "try converting it."
        )
    return values
