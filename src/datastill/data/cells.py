"""The cells of a table's columns of text: blanks around them, and numbers that are written as people write them."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from datastill._errors import InputError
from datastill.data import numbers
from datastill.data.labels import MANY_CLASSES
from datastill.data.raw import listed
from datastill.data.reading import Reading

NUMBERS = ("integer", "floating", "mixed-integer-float")


def read_numbers(table: pd.DataFrame, reread: Callable[[set[str]], pd.DataFrame]) -> tuple[pd.DataFrame, Reading]:
    """Return the table with its columns of written numbers as numbers, and how they were written.

    Args:
        table: from text, where columns of anything but plain numbers are text.
        reread: gives the same table with some more columns as text.

    Raises:
        InputError: for a column of which no one can tell the decimal mark from the one between thousands.
    """
    pointed = {name for name in table.columns if _has_decimals(table[name])}
    found = different(table)
    formats = numbers.formats_of(found, bool(pointed))
    if pointed and any(how.decimal == "," for how in formats.values()):  # 1.234 may be a thousand then
        again = reread(pointed)
        found = different(again)
        formats = numbers.formats_of(found, point=False, plain=False)
        plain = {name for name in pointed if formats.get(name, numbers.PLAIN) == numbers.PLAIN}
        formats = {name: how for name, how in formats.items() if name not in plain}
        table = table.assign(**{name: again[name] for name in pointed - plain})
    notes = [numbers.said(name, how, found[name]) for name, how in formats.items()]
    return as_read(table, Reading(formats)), Reading(formats, notes=tuple(filter(None, notes)))


def as_read(table: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """Return the table with written numbers as numbers, as they were read elsewhere."""
    written = {k: how for k, how in reading.numbers.items() if k in table.columns and is_text(table[k])}
    return table.assign(**{name: numbers.parsed(table[name], how) for name, how in written.items()})


def alike(where: Path, table: pd.DataFrame, target: str | None) -> tuple[str, ...]:
    """Return a sentence for each column of text that is numbers but for a few cells, or in a file that has types.

    Raises:
        InputError: for a target of which so many cells are numbers that it cannot be classes.
    """
    notes = []
    for name, cells in different(table).items():
        others = numbers.nearly(cells)
        alike = len(cells) > MANY_CLASSES and name in numbers.formats_of({name: cells}, point=True)
        if not others and not alike:
            continue
        found = f"{len(others)} of its {len(cells)} different cells are not, such as {listed(others, 3)}"
        found = found if others else f"such as {cells[0]!r}"
        if name == target and len(cells) - len(others) > MANY_CLASSES:
            raise InputError(
                f"Got {where}, whose target column {name!r} is text that looks like numbers ({found}); expected "
                "numbers, written alike, or classes; try mending those cells, or dropping their rows."
            )
        notes.append(
            f"The column {name!r} is taken as text although it looks like numbers ({found}); where it should be "
            "numeric, leave cells without a number blank."
        )
    return tuple(notes)


def without_blanks(table: pd.DataFrame, missing: Callable[[str], Collection[str]]) -> tuple[pd.DataFrame, set[str]]:
    """Return the table without blanks around cells of text, and the columns in which there were some.

    Args:
        table: with columns of any kind.
        missing: gives the cells of a column that are missing values once they have no blanks.
    """
    found = {}
    for name in table.columns:
        if not is_text(table[name]):
            continue
        trimmed = table[name].str.strip()
        if (changed := (trimmed != table[name]) & table[name].notna()).any():
            found[name] = trimmed.mask(changed & trimmed.isin(list(missing(name))))
    return (table.assign(**found) if found else table), set(found)


def blanks_said(columns: set[str]) -> str:
    """Return the sentence that says where blanks were dropped."""
    return f"Blanks around the cells of {listed(sorted(map(str, columns)), 5)} are dropped."


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all tables; a column that is missing in some of them altogether has the type of the others."""
    table = pd.concat(frames, ignore_index=True)
    objects = [name for name in table.columns if table[name].dtype == object]
    numeric = [name for name in objects if pd.api.types.infer_dtype(table[name], skipna=True) in NUMBERS]
    return table.assign(**{name: pd.to_numeric(table[name]) for name in numeric}) if numeric else table


def is_text(column: pd.Series) -> bool:
    """Return whether there are cells that are not missing, and all are text."""
    if isinstance(column.dtype, pd.StringDtype):
        return bool(column.notna().any())
    return column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) == "string"


def different(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return the different cells of each column of text."""
    return {name: table[name].dropna().unique().tolist() for name in table.columns if is_text(table[name])}


def _has_decimals(column: pd.Series) -> bool:
    """Return whether a column is floats some of which are not whole."""
    if not pd.api.types.is_float_dtype(column):
        return False
    values = column.to_numpy(np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    return bool((values != np.floor(values)).any())
