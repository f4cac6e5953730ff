"""Text with separated cells: CSV and TSV, plain or .gz."""

import codecs
import csv
import gzip
import io
import itertools
import math
import re
import sys
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO, TypeVar

import pandas as pd

from datastill._errors import InputError
from datastill.data.raw import NoRows, listed, read_bytes, unreadable

EXPECTED = "a table as CSV or TSV text in UTF-8, .gz or not"
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")
MISSING_TARGET = ("", "?", "NaN", "nan")

Line = TypeVar("Line", str, bytes)


def read_text(path: Path, target: str | None, text: Collection[str] = ()) -> pd.DataFrame:
    """The table in a file that ends in .csv or .tsv, either with .gz.

    The separator is the usual one for the name, or another that the first line has. Blank cells and those in `MISSING`
    are missing values; blanks around column names and after separators are dropped; a column of nothing but plain
    numbers is numeric, any other is text. In the target column only `MISSING_TARGET` are missing, so that a class may
    be called "None".

    Args:
        path: the file.
        target: the name of the target column, if it is known.
        text: columns to take as text whatever they hold.

    Raises:
        InputError: for a damaged or empty file, a first line that is no column names, a missing or repeated name, or
            rows with more or fewer cells than names.
    """
    content = _decoded(path, read_bytes(path, EXPECTED))
    separator = _separator(path, content)
    try:
        names, rows = _check_shape(path, _records(io.StringIO(content, newline=""), separator))
    except csv.Error as error:
        raise _untold(path, error) from error
    return _parse(path, content, separator, names, rows, target, text, header=0)


class Part(NamedTuple):
    """Some rows of a file of text.

    Attributes:
        byte: where they start.
        line: how many lines are before them.
        rows: how many they are.
    """

    byte: int
    line: int
    rows: int


def parts(path: Path, rows: int) -> list[Part]:
    """The file in parts of so many rows, the last of fewer, not looked at yet; none where it is to be read in one.

    That is: it has no more rows, or is compressed, or has carriage returns that end lines or cells by themselves.

    Raises:
        InputError: where quotation marks leave it unclear which lines make a row.
    """
    if path.name.lower().endswith(".gz"):
        return []
    separator, _ = _header(path)
    starts: list[tuple[int, int]] = []
    n = 0
    with _told(path), path.open("rb") as file:
        if _has_lone_returns(file):
            return []
        places = _places(file, separator)
        next(places, None)  # the names'
        for n, place in enumerate(places, start=1):
            if n % rows == 1 or rows == 1:
                starts.append(place)
    return [Part(*start, min(rows, n - i * rows)) for i, start in enumerate(starts)] if len(starts) > 1 else []


def read_chunks(
    path: Path, target: str | None, size: int, text: Collection[str] = (), part: Part | None = None
) -> Iterator[pd.DataFrame]:
    """The same table, or a part of it, `size` rows at a time; each tells on its own whether a column is numeric.

    Raises:
        InputError: as `read_text`, where the reading comes to it.
    """
    lines: list[str] = []
    separator, names = _header(path)
    with _reading(path, part.byte if part else 0) as file:
        records = _records(_kept(file, lines), separator)
        if part is None:
            next(records, None)
            lines.clear()
        rest, before = (sys.maxsize, 0) if part is None else (part.rows, part.line)
        while held := list(itertools.islice(records, min(size, rest))):
            for line, record in held:
                _check_length(path, before + line, record, names)
            yield _parse(path, "".join(lines), separator, names, len(held), target, text, header=None)
            lines.clear()
            rest -= len(held)
    if part is not None and rest:
        raise InputError(
            f"Got {path} with {rest:,} rows fewer after line {part.line} than there were when it was cut; expected "
            "the same file; try making or copying it again."
        )


def missing(target: bool) -> tuple[str, ...]:
    """Return the cells that stand for missing values, in the target column or in others."""
    return MISSING_TARGET if target else MISSING


def column_names(path: Path) -> list[str]:
    """The first line's."""
    return _header(path)[1]


def _header(path: Path) -> tuple[str, list[str]]:
    """Separator and column names."""
    with _reading(path) as file:
        line = next((line for line in file if line.strip("\r\n")), "")  # blank ones before it are left out
        separator = _separator(path, line)
        _, first = next(_records(itertools.chain([line], file), separator), (0, []))
    return separator, _names(path, first)


def _places(file: BinaryIO, separator: str) -> Iterator[tuple[int, int]]:
    """The byte and the number of lines before each record; only lines with quotation marks are looked into."""
    mark = codecs.BOM_UTF8
    byte = len(mark) if file.read(len(mark)) == mark else 0
    file.seek(byte)
    line = 0
    for first in file:
        taken = [first]
        if b'"' in first:
            others = map(bytes.decode, _kept(file, taken), itertools.repeat("latin-1"))
            next(_records(itertools.chain([first.decode("latin-1")], others), separator))
        if first.strip(b"\r\n"):
            yield byte, line
        byte += sum(map(len, taken))
        line += len(taken)


def _has_lone_returns(file: BinaryIO) -> bool:
    """Return whether a carriage return is not followed by a new line, and rewind the file."""
    last, found = b"", False
    while not found and (block := file.read(2**24)):
        found = re.search(rb"\r[^\n]", last + block) is not None
        last = block[-1:]
    file.seek(0)
    return found


@contextmanager
def _reading(path: Path, byte: int = 0) -> Iterator[TextIO]:
    """The file opened at some byte."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with _told(path), opened(path, "rb") as file:
        file.seek(byte)
        with io.TextIOWrapper(file, "utf-8" if byte else "utf-8-sig", newline="") as text:
            yield text


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise an InputError for whatever goes wrong while the file is read."""
    try:
        yield
    except csv.Error as error:
        raise _untold(path, error) from error
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from None
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error, EXPECTED) from error


def _kept(file: Iterable[Line], lines: list[Line]) -> Iterator[Line]:
    """The lines, each added to the list as it passes."""
    for line in file:
        lines.append(line)
        yield line


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from None


def _no_text(path: Path, error: UnicodeDecodeError) -> InputError:
    return InputError(
        f"Got {path}, which is not UTF-8 text (byte {error.start}); expected {EXPECTED}; try saving it as UTF-8."
    )


def _untold(path: Path, error: Exception) -> InputError:
    return InputError(
        f"Got {path}, whose rows cannot be told apart ({_plain(error)}); expected {EXPECTED}; "
        'try looking for a quotation mark (") without its partner.'
    )


def _parse(
    path: Path,
    content: str,
    separator: str,
    names: list[str],
    rows: int,
    target: str | None,
    text: Collection[str],
    header: int | None,
) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            io.StringIO(content, newline=""),
            sep=separator,
            header=header,
            names=names,
            index_col=False,
            skipinitialspace=True,
            keep_default_na=False,
            na_values={name: list(missing(name == target)) for name in names},
            dtype={name: str for name in names if name in text},
            low_memory=False,
        )
    except ValueError as error:
        raise _untold(path, error) from error
    if len(table) != rows:
        raise InputError(
            f"Got {path} with {rows} or {len(table)} rows, depending on how quotation marks are read; expected "
            f'{EXPECTED}; try looking for a quotation mark (") without its partner.'
        )
    return table


def _records(lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its last line; blank lines are left out."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    return ((reader.line_num, record) for record in reader if record)


def _check_shape(path: Path, records: Iterator[tuple[int, list[str]]]) -> tuple[list[str], int]:
    """The column names and the number of rows; every row must have one cell for each name."""
    _, first = next(records, (0, []))
    names = _names(path, first)
    rows = 0
    for line, record in records:
        rows += 1
        _check_length(path, line, record, names)
    return names, rows


def _names(path: Path, first: list[str]) -> list[str]:
    if not first:
        raise NoRows(f"Got {path}, which is empty; expected {EXPECTED}; try making or copying it again.")
    names = [name.strip() for name in first]
    _check_names(path, names)
    return names


def _check_length(path: Path, line: int, record: list[str], names: list[str]) -> None:
    if len(record) != len(names):
        raise InputError(
            f"Got {path} with {len(record)} cells in line {line}; expected {len(names)}, one for each column name; "
            "try mending that line, or quoting cells that hold the separator."
        )


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
