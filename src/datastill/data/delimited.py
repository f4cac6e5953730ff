"""Text with separated cells: CSV and TSV, plain or .gz."""

import csv
import io
import itertools
import math
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from datastill._errors import InputError
from datastill.data.raw import listed, read_bytes

EXPECTED = "a table as CSV or TSV text in UTF-8, .gz or not"
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")
MISSING_TARGET = ("", "?", "NaN", "nan")


def read_text(path: Path, target: str | None, text: Collection[str] = ()) -> pd.DataFrame:
    """The table in a file that ends in .csv or .tsv, either with .gz.

    The separator is the usual one for the name, or another that the first line has. Blank cells and those in `MISSING`
    are missing values; blanks around column names and after separators are dropped; a column of nothing but numbers
    is numeric, any other is text. In the target column only `MISSING_TARGET` are missing, so that a class may be
    called "None".

    Args:
        path: the file.
        target: the name of the target column, if it is known.
        text: columns to take as text whatever they hold.

    Raises:
        InputError: for a damaged or empty file, a first line that is no column names, a missing or repeated name, or
            rows with more or fewer cells than names.
    """
    try:
        content = read_bytes(path, EXPECTED).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"Got {path}, which is not UTF-8 text (byte {error.start}); expected {EXPECTED}; try saving it as UTF-8."
        ) from None
    separator = _separator(path, content)
    try:
        names, rows = _check_shape(path, _records(content, separator))
        table = pd.read_csv(
            io.StringIO(content, newline=""),
            sep=separator,
            header=0,
            names=names,
            index_col=False,
            skipinitialspace=True,
            keep_default_na=False,
            na_values={name: list(MISSING_TARGET if name == target else MISSING) for name in names},
            dtype={name: str for name in names if name in text},
            low_memory=False,
        )
    except InputError:
        raise
    except (csv.Error, ValueError) as error:
        raise InputError(
            f"Got {path}, whose rows cannot be told apart ({_plain(error)}); expected {EXPECTED}; "
            'try looking for a quotation mark (") without its partner.'
        ) from error
    if len(table) != rows:
        raise InputError(
            f"Got {path} with {rows} or {len(table)} rows, depending on how quotation marks are read; expected "
            f'{EXPECTED}; try looking for a quotation mark (") without its partner.'
        )
    return table


def _records(content: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its last line; blank lines are left out."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, skipinitialspace=True)
    return ((reader.line_num, record) for record in reader if record)


def _check_shape(path: Path, records: Iterator[tuple[int, list[str]]]) -> tuple[list[str], int]:
    """The column names and the number of rows; every row must have one cell for each name."""
    _, first = next(records, (0, []))
    if not first:
        raise InputError(f"Got {path}, which is empty; expected {EXPECTED}; try making or copying it again.")
    names = [name.strip() for name in first]
    _check_names(path, names)
    rows = 0
    for line, record in records:
        rows += 1
        if len(record) != len(names):
            raise InputError(
                f"Got {path} with {len(record)} cells in line {line}; expected {len(names)}, one for each column name; "
                "try mending that line, or quoting cells that hold the separator."
            )
    return names, rows


def _check_names(path: Path, names: list[str]) -> None:
    numbers = [float(name) for name in names if _is_number(name)]
    # names such as 0, 1, 2 or 2019, 2020 are numbers too, but whole ones that increase
    if any(n != round(n) for n in numbers) or any(b <= a for a, b in itertools.pairwise(numbers)):
        raise InputError(
            f"Got {path}, whose first line ({listed(names, 4)}) looks like data; expected the column names; "
            f"try adding a first line of {len(names)} names."
        )
    if "" in names:
        advice = "`to_csv(index=False)`" if names[0] == "" else "naming it"
        raise InputError(
            f"Got {path}, whose column {names.index('') + 1} has no name; expected a name for every column; "
            f"try {advice}."
        )
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise InputError(f"Got {path} with the column names {listed(repeated)} more than once; try renaming them.")


def _separator(path: Path, content: str) -> str:
    """The usual one for the file's name where the first line has it, else the first of the others that it has."""
    usual = "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
    header = content.lstrip().split("\n", 1)[0]
    return next((s for s in (usual, ";", "\t", ",") if s in header), usual)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _plain(error: Exception) -> str:
    return " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
