"""A gallery of rows as a table of text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from datastill.data.dataset import Rows
from datastill.report.run.columns import column_text
from datastill.report.run.gallery import Gallery


@dataclass(frozen=True)
class TextColumn:
    """A column's heading, and whether it is set as numbers."""

    name: str
    numeric: bool


@dataclass(frozen=True)
class TextRow:
    """One row: what it is, the state it belongs to (None: all), and its cells."""

    label: str
    state: int | None
    cells: tuple[str, ...]


@dataclass(frozen=True)
class TextGroup:
    """The rows of one panel."""

    name: str
    total: int
    rows: tuple[TextRow, ...]


@dataclass(frozen=True)
class TextTable:
    """A gallery of kind "table", every cell already text."""

    columns: tuple[TextColumn, ...]
    groups: tuple[TextGroup, ...]


def text_table(gallery: Gallery) -> TextTable:
    """Every shown row of a table as text; numbers of a column share their decimals."""
    with_target = any(panel.targets for panel in gallery.panels)
    entries: list[tuple[int, str, int | None, list[Any]]] = []
    for index, panel in enumerate(gallery.panels):
        for block in gallery.blocks(panel):
            values = _values(block.rows, gallery.columns)
            for i, row in enumerate(values):
                label = block.label if block.state is None or len(values) == 1 else f"{block.label} {i + 1}"
                target = panel.targets[i] if panel.targets and block.state is not None else ""
                entries.append((index, label, block.state, [target, *row] if with_target else row))
    names = ("target", *gallery.columns) if with_target else gallery.columns
    texts, columns = [], []
    for j, name in enumerate(names):
        values = [row[j] for *_, row in entries]
        is_target = with_target and j == 0
        cells, numeric = (values, True) if is_target else column_text(values)
        texts.append(cells)
        columns.append(TextColumn(name, numeric))
    rows = list(zip(*texts, strict=True)) if texts else [() for _ in entries]
    groups = tuple(
        TextGroup(
            panel.name,
            panel.total,
            tuple(
                TextRow(label, state, tuple(cells))
                for (of, label, state, _), cells in zip(entries, rows, strict=True)
                if of == index
            ),
        )
        for index, panel in enumerate(gallery.panels)
    )
    return TextTable(tuple(columns), groups)


def _values(rows: Rows, columns: Sequence[str]) -> list[list[Any]]:
    """The rows as lists, cut to the shown columns and in their order."""
    if not isinstance(rows, pd.DataFrame):
        return [list(row[: len(columns)]) for row in np.asarray(rows)]
    renamed = rows.set_axis([str(name) for name in rows.columns], axis="columns")
    width = len(columns)
    if list(renamed.columns[:width]) != list(columns):
        renamed = renamed.loc[:, ~renamed.columns.duplicated()].reindex(columns=list(columns))
    listed = [renamed.iloc[:, j].tolist() for j in range(width)]
    return [list(row) for row in zip(*listed, strict=True)] if listed else [[] for _ in range(len(rows))]
