"""Tables with numeric, categorical and missing values as rows of numbers, and back to readable rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from datastill._errors import InputError
from datastill._typing import Array
from datastill._validate import LARGEST
from datastill.data import dtypes

MAX_CATEGORIES = 1000
MOST_DECIMALS = 6


@dataclass(frozen=True, eq=False)
class NumericColumn:
    """A numeric column: its value, missing ones at the median, and an indicator when some were missing.

    Attributes:
        name: the column's name.
        dtype: the column's dtype, as `dtypes.described`, to which values are cast on the way back (integers rounded).
        median: what stands for a missing value.
        has_missing: whether the training data missed any; decides whether there is an indicator.
        decimals: digits after the point that every training value makes do with, to which values are rounded on the
            way back; None when they take more than MOST_DECIMALS.
    """

    name: Any
    dtype: str
    median: float
    has_missing: bool
    decimals: int | None

    @property
    def width(self) -> int:
        """Numbers per row."""
        return 2 if self.has_missing else 1

    @property
    def binary(self) -> np.ndarray:
        """Return the mask of the numbers that are 0/1 flags."""
        return np.array([False, True])[: self.width]

    @classmethod
    def fit(cls, column: pd.Series) -> "NumericColumn":
        """From the training column."""
        values = _numbers(column)
        present = values[~np.isnan(values)]
        median = float(np.median(present)) if len(present) else 0.0
        enough = (k for k in range(MOST_DECIMALS + 1) if np.all(present == np.round(present, k)))
        decimals = next(enough, None) if len(present) else None
        return cls(column.name, dtypes.described(column.dtype), median, len(present) < len(values), decimals)

    def encode(self, column: pd.Series) -> np.ndarray:
        """(n, width) numbers."""
        values = _numbers(column)
        missing = np.isnan(values)
        filled = np.where(missing, self.median, values)
        return np.column_stack([filled, missing]) if self.has_missing else filled[:, None]

    def decode(self, numbers: np.ndarray, in_range: bool = True) -> pd.Series:
        """(n, width) numbers -> the column, of floats unless `in_range`; an indicator above ½ is a missing value."""
        values = numbers[:, 0] if self.decimals is None else np.round(numbers[:, 0], self.decimals)
        absent = numbers[:, 1] > 0.5 if self.has_missing else np.zeros(len(values), bool)
        dtype = dtypes.restored(self.dtype)
        nullable = not isinstance(dtype, np.dtype)
        if not pd.api.types.is_integer_dtype(dtype):
            return pd.Series(np.where(absent, np.nan, values), name=self.name).astype(dtype)
        if not in_range or (absent.any() and not nullable):
            return pd.Series(np.where(absent, np.nan, values), name=self.name)
        whole = pd.Series(dtypes.rounded(values, _whole_type(dtype)), name=self.name).astype(dtype)
        return whole.mask(absent) if absent.any() else whole

    def straight_through_round(self, numbers: Array) -> Array:
        """`encode(decode(numbers))`, to be traced."""
        values = numbers[:, :1] if self.decimals is None else jnp.round(numbers[:, :1], self.decimals)
        if not self.has_missing:
            return values
        missing = numbers[:, 1:] > 0.5
        return jnp.concatenate([jnp.where(missing, self.median, values), missing.astype(values.dtype)], axis=1)


@dataclass(frozen=True, eq=False)
class CategoricalColumn:
    """A categorical column as one-hot numbers; a missing value is a category of its own.

    Attributes:
        name: the column's name.
        dtype: the column's dtype, as `dtypes.described`.
        categories: the values that occur, in the order of the numbers; None stands for missing.
    """

    name: Any
    dtype: Any
    categories: tuple[Any, ...]

    @property
    def width(self) -> int:
        """Numbers per row."""
        return len(self.categories)

    @property
    def binary(self) -> np.ndarray:
        """Return the mask of the numbers that are 0/1 flags: all."""
        return np.ones(self.width, bool)

    @classmethod
    def fit(cls, column: pd.Series) -> "CategoricalColumn":
        """From the training column."""
        _, present = _factorised(column)
        ordered = sorted(present, key=lambda v: (str(type(v)), v))
        missing = [None] if column.isna().any() else []
        return cls(column.name, dtypes.described(column.dtype), (*ordered, *missing))

    def encode(self, column: pd.Series) -> np.ndarray:
        """(n, width) one-hot; all zero for a value that training did not have."""
        place = {value: i for i, value in enumerate(self.categories)}
        codes, present = _factorised(column)
        places = np.array([*(place.get(v, -1) for v in present), place.get(None, -1)], int)[codes]
        return (places[:, None] == np.arange(self.width)).astype(np.float64)

    def decode(self, numbers: np.ndarray, in_range: bool = True) -> pd.Series:
        """(n, width) numbers -> the category with the largest, in the column's dtype; there is no other range."""
        values = pd.Series([self.categories[i] for i in numbers.argmax(axis=1)], name=self.name, dtype=object)
        if self.dtype == "category":  # of sets that were saved before categories were kept in full
            return values.astype(pd.CategoricalDtype([c for c in self.categories if c is not None]))
        dtype = dtypes.restored(self.dtype)
        return values if self.dtype == "bool" and values.isna().any() else values.astype(dtype)

    def straight_through_round(self, numbers: Array) -> Array:
        """`encode(decode(numbers))`, to be traced."""
        return jax.nn.one_hot(numbers.argmax(axis=1), self.width, dtype=numbers.dtype)


Column = NumericColumn | CategoricalColumn


@dataclass(frozen=True, eq=False)
class TableCoder:
    """A DataFrame as an (n, d) array of numbers, column by column, and back.

    Attributes:
        columns: how each column is coded, in the table's order.
    """

    columns: tuple[Column, ...]

    @classmethod
    def fit(cls, table: pd.DataFrame) -> "TableCoder":
        """From the training table.

        Raises:
            InputError: as `check_columns`.
        """
        check_columns(table)
        return cls(tuple(_fit_column(table[name]) for name in table.columns))

    @property
    def binary(self) -> np.ndarray:
        """(d,) which of the numbers are 0/1 flags rather than measurements."""
        return np.concatenate([column.binary for column in self.columns])

    def encode(self, table: pd.DataFrame) -> np.ndarray:
        """(n, d) float64 numbers.

        Raises:
            InputError: for missing columns, or text where training had numbers.
        """
        absent = [c.name for c in self.columns if c.name not in table.columns]
        if absent:
            raise InputError(
                f"Got a table without the columns {absent}; expected every column of the training data "
                f"({len(self.columns)}); try adding them."
            )
        return np.concatenate([c.encode(table[c.name]) for c in self.columns], axis=1)

    def decode(self, numbers: np.ndarray, in_range: bool = True) -> pd.DataFrame:
        """(n, d) numbers -> a table with the training table's columns and dtypes, categories as themselves.

        Columns of integers are floats unless `in_range`.
        """
        return pd.concat([c.decode(part, in_range) for c, part in self._parts(numbers)], axis=1)

    def straight_through_round(self, numbers: Array) -> Array:
        """`encode(decode(numbers))`, to be traced: the rows that these numbers will be handed out as."""
        return jnp.concatenate([c.straight_through_round(part) for c, part in self._parts(numbers)], axis=1)

    def _parts(self, numbers: Any) -> Iterator[tuple[Column, Any]]:
        """Each column with its numbers."""
        edges = np.cumsum([0, *(c.width for c in self.columns)])
        return ((c, numbers[:, a:b]) for c, a, b in zip(self.columns, edges[:-1], edges[1:], strict=True))


def check_columns(table: pd.DataFrame) -> None:
    """Raise an InputError for columns of which no set can be learned and saved.

    That is: of a type that is neither numeric nor categorical, with repeated names, or of so many different texts that
    they are names of rows rather than categories.
    """
    if not table.columns.is_unique:
        repeated = table.columns[table.columns.duplicated()].tolist()
        raise InputError(f"Got repeated column names {repeated}; expected each once; try renaming them.")
    dtypes.check_storable(table)
    crowded = {}
    for name in table.columns:
        column = table[name]
        if _is_numeric(column):
            continue
        if (different := column.nunique()) > MAX_CATEGORIES:
            crowded[name] = different
    if crowded:
        found = ", ".join(f"{n} different values in the text column {name!r}" for name, n in crowded.items())
        raise InputError(
            f"Got {found}; expected at most {MAX_CATEGORIES} categories; try dropping "
            f"{'the column' if len(crowded) == 1 else 'these columns'}."
        )


def _is_categorical(column: pd.Series) -> bool:
    categories = isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_object_dtype(column)
    return categories or pd.api.types.is_bool_dtype(column)


def _is_numeric(column: pd.Series) -> bool:
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)
    return numeric and not _is_categorical(column)


def _fit_column(column: pd.Series) -> Column:
    return NumericColumn.fit(column) if _is_numeric(column) else CategoricalColumn.fit(column)


def _numbers(column: pd.Series) -> np.ndarray:
    """(n,) float64, NaN where missing; an InputError names the first value that is no number."""
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
    else:
        converted = pd.to_numeric(column, errors="coerce")
        wrong = column[converted.isna() & column.notna()]
        if len(wrong):
            raise InputError(
                f"Got {str(wrong.iloc[0])!r} in the numeric column {column.name!r}; expected numbers; "
                "try mending those cells or reading the column as text in training too."
            )
        values = converted.to_numpy(np.float64, na_value=np.nan)
    if (np.abs(values) > LARGEST).any():
        raise InputError(
            f"Got values that are infinite or above {LARGEST:.0e} in the column {column.name!r}; expected smaller "
            "numbers or missing ones; try replacing them."
        )
    return values


def _factorised(column: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """(n,) places in a list of the different values as Python objects; -1 where missing."""
    try:
        codes, values = pd.factorize(column.astype(object))
    except TypeError:
        raise dtypes.unusable(column.name, "list, or another that has no hash") from None
    return codes, [dtypes.plain(v) for v in values]


def _whole_type(dtype: Any) -> np.dtype:
    """NumPy's type of a column of whole numbers."""
    if isinstance(dtype, pd.ArrowDtype):
        return np.dtype(dtype.pyarrow_dtype.to_pandas_dtype())
    if isinstance(dtype, pd.SparseDtype):
        return np.dtype(dtype.subtype)
    return np.dtype(getattr(dtype, "numpy_dtype", dtype))


def state(coder: TableCoder) -> list[dict[str, Any]]:
    """Return the state from which the coder is rebuilt, as JSON types."""
    return [{"kind": "numeric" if isinstance(c, NumericColumn) else "categorical", **vars(c)} for c in coder.columns]


def from_state(saved: list[dict[str, Any]]) -> TableCoder:
    """The inverse of `state`."""

    def column(record: dict[str, Any]) -> Column:
        fields = {k: v for k, v in record.items() if k != "kind"}
        if record["kind"] == "numeric":
            return NumericColumn(**fields)
        return CategoricalColumn(**{**fields, "categories": tuple(fields["categories"])})

    return TableCoder(tuple(column(record) for record in saved))
