"""Numbers as people write them in a column of text: `12,5`, `1.234,50 €`, `(1,200)`, `5-`, `12 %`.

A format is a decimal mark, a mark between thousands, and a sign of currency or percent. A column has the format that
reads all its cells; where two formats read them as different numbers, the column does not say which it has.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from datastill._errors import InputError

GLANCE = 1000
"""Different cells that decide whether a column is worth reading as numbers."""

LEAST_NUMBERS = 10
"""Different numbers in a column of text that make one wonder about its other cells."""

MOSTLY = 0.8
SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "’": "'", "−": "-"})


class Format(NamedTuple):
    """A way to write numbers.

    Attributes:
        decimal: the mark before decimals, "." or ",".
        thousands: the mark between groups of three digits: "", ",", ".", " ", "'" or "_".
        affix: what is before or after every number: "", "%" or a sign of currency.
    """

    decimal: str = "."
    thousands: str = ""
    affix: str = ""

    def __str__(self) -> str:
        shown = f"1{self.thousands}234{self.decimal}5"
        return f"{shown} {self.affix}".strip()


PLAIN = Format()
MARKS = tuple(Format(d, t) for t in ("", ",", ".", " ", "'", "_") for d in (".", ",") if d != t)


def formats_of(columns: Mapping[str, Sequence[str]], point: bool, plain: bool = True) -> dict[str, Format]:
    """Return the formats of those columns whose every cell is a number.

    Args:
        columns: the different cells of each column of text, blanks around them dropped.
        point: whether other columns have decimals after a point.
        plain: whether cells such as 1.234 are taken as programs write numbers, whatever else they may be.

    Raises:
        InputError: for a column of which neither its cells nor the other columns tell a decimal mark from one between
            thousands.
    """
    fitting = {name: found for name, cells in columns.items() if (found := _fitting(cells, plain))}
    settled = {name: found[0] for name, found in fitting.items() if len(found) == 1}
    marks = {"."} if point else set()
    marks |= {f.decimal for name, f in settled.items() if any(f.decimal in cell for cell in columns[name])}
    for name, found in fitting.items():
        if name not in settled:
            agreeing = [f for f in found if {f.decimal} == marks]
            if len(agreeing) != 1:
                raise _ambiguous(name, columns[name], found)
            settled[name] = agreeing[0]
    return {name: settled[name] for name in fitting}


def parsed(column: pd.Series, how: Format) -> pd.Series:
    """Return a column of text as float64, or int64 where all are whole and none is missing.

    Raises:
        InputError: naming the first cell that is no number of this format.
    """
    codes, cells = pd.factorize(column)
    values = {cell: _value(cell, how) for cell in cells}
    wrong = next((cell for cell, value in values.items() if value is None), None)
    if wrong is not None:
        raise InputError(
            f"Got {wrong!r} in the column {column.name!r}, whose other numbers are like {str(how)!r}; expected numbers "
            "written alike; try mending those cells."
        )
    numbers = np.append(np.array([values[cell] for cell in cells], np.float64), np.nan)[codes]
    whole = not any(how.decimal in cell for cell in cells) and (codes >= 0).all() and len(codes) > 0
    if whole and np.all(np.abs(numbers) < 2**53):
        return pd.Series(numbers.astype(np.int64), index=column.index, name=column.name)
    return pd.Series(numbers, index=column.index, name=column.name)


def nearly(cells: Sequence[str]) -> list[str]:
    """Return the cells that keep a column of text from being numbers, if nearly all others are."""
    if not _glance(cells):
        return []
    others = [cell for cell in cells if not _looks_like_number(cell)]
    numbers = len(cells) - len(others)
    if numbers < LEAST_NUMBERS or numbers < MOSTLY * len(cells):
        return []
    return others or _unlike(cells)


def said(name: str, how: Format, cells: Sequence[str]) -> str:
    """Return the sentence that says how a column was read; nothing where all are as programs write them."""
    parts = [
        "decimal commas" if how.decimal == "," else "",
        f"{how.thousands!r} between thousands" if how.thousands else "",
        f"{how.affix!r} beside the numbers" if how.affix else "",
        "brackets for a minus" if any(cell.startswith("(") for cell in cells) else "",
        "a minus after the number" if any(cell.endswith("-") for cell in cells) else "",
        "a minus sign of typography" if any("−" in cell for cell in cells) else "",
    ]
    found = " and ".join(part for part in parts if part)
    odd = next((cell for cell in cells if not _pattern(PLAIN).fullmatch(cell)), "")
    return f"The column {name!r} is read as numbers with {found}, such as {odd!r}." if found else ""


def _fitting(cells: Sequence[str], plain: bool) -> list[Format]:
    """Return the formats that read all cells, one of those that agree, the simplest first; none for words."""
    if not len(cells) or not _glance(cells):
        return []
    split = [_split(cell) for cell in cells]
    affixes = {affix for _, _, affix in split}
    if len(affixes) > 1 or all(bracketed for _, bracketed, _ in split):
        return []
    (affix,) = affixes
    found: list[Format] = []
    seen: list[list[str]] = []
    for marks in MARKS:
        how = marks._replace(affix=affix)
        pattern = _pattern(marks)
        if not all(pattern.fullmatch(body) for body, _, _ in split):
            continue
        read = [_plain(body, how) for body, _, _ in split]
        if read not in seen:
            found.append(how)
            seen.append(read)
    if plain and found and found[0].decimal == "." and not found[0].thousands:
        return found[:1]
    if affix and affix != "%" and len(found) > 1:  # money has no three decimals
        found = [how for how in found if how.thousands]
    return found


def _glance(cells: Sequence[str]) -> bool:
    """Return whether the first cells look like numbers for the most part, so that all are worth reading."""
    first = cells[:GLANCE]
    return sum(map(_looks_like_number, first)) >= MOSTLY * len(first) > 0


def _looks_like_number(cell: str) -> bool:
    body, _, _ = _split(cell)
    return any(_pattern(marks).fullmatch(body) for marks in MARKS)


def _unlike(cells: Sequence[str]) -> list[str]:
    """Return the numbers that are not of the most frequent format among these cells."""
    best: list[str] = list(cells)
    for affix in {_split(cell)[2] for cell in cells}:
        for marks in MARKS:
            left = [cell for cell in cells if _value(cell, marks._replace(affix=affix)) is None]
            best = min(best, left, key=len)
    return best


def _split(cell: str) -> tuple[str, bool, str]:
    """Return (number with its sign in front, whether its minus is a pair of brackets, affix)."""
    body = cell.translate(SPACES).strip()
    bracketed = len(body) > 2 and body[0] == "(" and body[-1] == ")"
    if bracketed:
        body = body[1:-1].strip()
    sign, body = _signed(body)
    body, affix = _without_affix(body)
    if not sign:
        sign, body = _signed(body)
    minus = bracketed != (sign == "-") if bracketed and not sign else sign == "-"
    return (f"-{body}" if minus else body), bracketed, affix


def _signed(body: str) -> tuple[str, str]:
    """Return a sign before or after, and the rest."""
    if body[:1] in ("-", "+") and body:
        return body[0], body[1:].strip()
    if body[-1:] == "-" and len(body) > 1:
        return "-", body[:-1].strip()
    return "", body


def _without_affix(body: str) -> tuple[str, str]:
    for at, rest in ((0, body[1:]), (-1, body[:-1])):
        if body and (body[at] == "%" or unicodedata.category(body[at]) == "Sc"):
            return rest.strip(), body[at]
    return body, ""


@cache
def _pattern(how: Format) -> re.Pattern[str]:
    d, t = re.escape(how.decimal), re.escape(how.thousands)
    whole = rf"(?:[1-9]\d{{0,2}}(?:{t}\d{{3}})+|\d+)" if t else r"\d+"
    return re.compile(rf"-?(?:{whole}(?:{d}\d*)?|{d}\d+)(?:[eE][+-]?\d{{1,3}})?", re.ASCII)


def _plain(body: str, how: Format) -> str:
    """Return the number as programs write it."""
    return (body.replace(how.thousands, "") if how.thousands else body).replace(how.decimal, ".")


def _value(cell: str, how: Format) -> float | None:
    """Return the number in a cell of this format; None where there is none."""
    body, _, affix = _split(cell)
    if affix != how.affix or _pattern(how._replace(affix="")).fullmatch(body) is None:
        return None
    return float(_plain(body, how))


def _ambiguous(name: str, cells: Sequence[str], found: Sequence[Format]) -> InputError:
    cell = next(c for c in cells if len({_value(c, how) for how in found}) > 1)
    readings = " or ".join(f"{_value(cell, how):.15g}" for how in found)
    return InputError(
        f"Got the column {name!r} with cells such as {cell!r}, which may "
        f"be {readings}; expected numbers that can be read in one way; try writing them "
        "without marks between thousands and with a decimal point."
    )
