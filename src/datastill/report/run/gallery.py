"""The gallery of a support set: its examples by class, at each saved step, within a fixed budget."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from datastill._errors import InputError
from datastill.data.dataset import Rows, SupportSet, row_kind
from datastill.report.pictures import MAX_THUMBNAIL
from datastill.report.run.columns import column_text

MAX_STATES = 8
MAX_CLASSES = 100
MAX_PER_CLASS = 20
MAX_COLUMNS = 24
PICTURE_BYTES = 5_000_000


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that belong together: a class mean, a nearest real row, or the examples at one state.

    Attributes:
        label: what the rows are, in words.
        state: position in `Gallery.states`; None for rows that are the same at every state.
        rows: the rows.
    """

    label: str
    state: int | None
    rows: Rows


@dataclass(frozen=True, eq=False)
class Panel:
    """One class (or, for regression, everything).

    Attributes:
        name: the class; empty for regression.
        total: examples of this class in the support set.
        mean: one row, the class mean; None when it was not given.
        nearest: one row, the real row nearest to the examples; None when it was not given.
        learned: the shown examples at each state.
        targets: the target value of each shown example, as text; empty for classes.
    """

    name: str
    total: int
    mean: Rows | None
    nearest: Rows | None
    learned: tuple[Rows, ...]
    targets: tuple[str, ...] = ()

    @property
    def shown(self) -> int:
        """Examples shown."""
        return len(self.learned[0])


@dataclass(frozen=True, eq=False)
class Gallery:
    """The examples of a support set, ready to be drawn.

    Attributes:
        kind: "images"; "table" (a DataFrame, or vectors of few columns); "strips" (vectors of many columns).
        noun: "learned" or "chosen".
        states: a label for each saved step, oldest first; the last is the finished support set.
        panels: one for each class, in the order of the classes; a single one for regression.
        columns: the shown columns of a table.
        value_range: the values that are drawn black and white in images.
        notes: sentences on what is left out.
    """

    kind: Literal["images", "table", "strips"]
    noun: str
    states: tuple[str, ...]
    panels: tuple[Panel, ...]
    columns: tuple[str, ...]
    value_range: tuple[float, float]
    notes: tuple[str, ...]

    def blocks(self, panel: Panel) -> Iterator[Block]:
        """The rows of a panel in reading order: mean, nearest, then the examples at each state."""
        of = "class mean" if panel.name else "overall mean"
        if panel.mean is not None:
            yield Block(of, None, panel.mean)
        if panel.nearest is not None:
            yield Block("nearest real", None, panel.nearest)
        for state, rows in enumerate(panel.learned):
            yield Block(self.noun, state, rows)


def build_gallery(
    support: SupportSet,
    snapshots: Sequence[tuple[int, Rows]] = (),
    class_means: Rows | None = None,
    nearest: Rows | None = None,
    class_names: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    value_range: tuple[float, float] | None = None,
) -> Gallery:
    """Group a support set by class and keep what fits the budget; arguments as in `summarise`.

    Raises:
        InputError: when a snapshot has another number of rows than the support set, or the references
            another number of rows than there are classes.
    """
    groups = _groups(support, class_names)
    for name, rows in (("class_means", class_means), ("nearest", nearest)):
        if rows is not None and len(rows) != len(groups):
            expected = "one for each class" if support.classes is not None else "one row for regression"
            raise InputError(f"Got {len(rows)} rows of {name}, expected {len(groups)}: {expected}.")
    states = _states(support, snapshots)
    notes = []
    budget = _budget(support.x)
    state_limit = int(np.clip(budget / min(max(len(groups), 1), MAX_CLASSES), 2, MAX_STATES))
    if len(states) > state_limit:
        notes.append(f"{state_limit} of {len(states)} saved steps are shown.")
        states = [states[i] for i in _spread(len(states), state_limit)]
    if len(groups) > MAX_CLASSES:
        notes.append(f"The first {MAX_CLASSES} of {len(groups)} classes are shown.")
    shown_groups = groups[:MAX_CLASSES]
    kind, all_columns = _kind(support.x, columns)
    if kind == "table" and len(all_columns) > MAX_COLUMNS:
        notes.append(f"The first {MAX_COLUMNS} of {len(all_columns)} columns are shown.")
    limit = int(np.clip(budget / max(len(shown_groups) * len(states), 1), 1, MAX_PER_CLASS))
    if any(len(members) > limit for _, members in shown_groups):
        of = "of each class " if support.classes is not None else ""
        notes.append(f"At most {limit} examples {of}are shown, of {len(support):,} in all.")
    panels = []
    for index, (name, members) in enumerate(shown_groups):
        if support.classes is not None:
            kept = members[:limit]
        else:
            kept = members[_spread(len(members), min(limit, len(members)))]
        panels.append(
            Panel(
                name=name,
                total=len(members),
                mean=None if class_means is None else _take(class_means, np.array([index])),
                nearest=None if nearest is None else _take(nearest, np.array([index])),
                learned=tuple(_take(rows, kept) for _, rows in states),
                targets=() if support.classes is not None else _target_texts(np.asarray(support.y)[kept]),
            )
        )
    return Gallery(
        kind=kind,
        noun="learned" if support.indices is None else "chosen",
        states=tuple(label for label, _ in states),
        panels=tuple(panels),
        columns=tuple(all_columns[:MAX_COLUMNS]) if kind == "table" else (),
        value_range=value_range or _value_range(support.x, panels, kind),
        notes=tuple(notes),
    )


def _groups(support: SupportSet, class_names: Sequence[str] | None) -> list[tuple[str, np.ndarray]]:
    """The examples of each class; for regression all of them, by rising (first) target."""
    y = np.asarray(support.y)
    if support.classes is None:
        first = y.reshape(len(y), -1)[:, 0] if len(y) else np.zeros(0)
        return [("", np.argsort(first, kind="stable"))]
    names = [str(label) for label in support.classes] if class_names is None else list(class_names)
    if len(names) != len(support.classes):
        raise InputError(f"Got {len(names)} class_names, expected {len(support.classes)}: one for each class.")
    named = zip(names, support.classes, strict=True)
    return [(name or "(empty)", np.flatnonzero(y == label)) for name, label in named]


def _states(support: SupportSet, snapshots: Sequence[tuple[int, Rows]]) -> list[tuple[str, Rows]]:
    """Labelled snapshots in step order, the finished set last and only once."""
    for step, rows in snapshots:
        if len(rows) != len(support) or isinstance(rows, pd.DataFrame) != isinstance(support.x, pd.DataFrame):
            given, expected = (
                f"{len(rows)} {row_kind(rows)} rows",
                f"{len(support)} {row_kind(support.x)} rows",
            )
            raise InputError(f"Got {given} in the snapshot of step {step}, expected {expected}.")
    ordered = sorted(snapshots, key=lambda snapshot: snapshot[0])
    if ordered and _same(ordered[-1][1], support.x):
        *ordered, (last, _) = ordered
        return [*((f"{step:,}", rows) for step, rows in ordered), (f"{last:,} (kept)", support.x)]
    return [*((f"{step:,}", rows) for step, rows in ordered), ("kept", support.x)]


def _same(a: Rows, b: Rows) -> bool:
    """Return whether two sets of rows would look the same."""
    if isinstance(a, pd.DataFrame) or isinstance(b, pd.DataFrame):
        return bool(np.array_equal(np.asarray(a).astype(str), np.asarray(b).astype(str)))
    if a.shape != b.shape or a.dtype.kind not in "biuf":
        return a.shape == b.shape and bool(np.array_equal(a, b))
    spread = float(np.nanmax(np.abs(b))) if b.size and not np.isnan(b).all() else 0.0
    return bool(np.allclose(a, b, rtol=0.0, atol=spread / 256, equal_nan=True))


def _spread(n: int, k: int) -> np.ndarray:
    """`k` positions spread evenly over `n`, both ends among them."""
    return np.unique(np.linspace(0, n - 1, k).round().astype(int)) if n and k else np.arange(0)


def _kind(x: Rows, columns: Sequence[str] | None) -> tuple[Literal["images", "table", "strips"], list[str]]:
    if isinstance(x, pd.DataFrame):
        return "table", [str(name) for name in x.columns]
    if row_kind(x) == "images" and x.ndim in (3, 4):
        return "images", []
    width = math.prod(x.shape[1:])
    names = [f"x{j}" for j in range(width)] if columns is None else [str(name) for name in columns]
    if len(names) != width:
        raise InputError(f"Got {len(names)} column names, expected {width}: one for each column.")
    return ("table" if x.ndim == 2 and width <= MAX_COLUMNS else "strips"), names


def _budget(x: Rows) -> float:
    """Estimate how many pictures fit into `PICTURE_BYTES` from uncompressed thumbnails."""
    height, width = (x.shape[1], x.shape[2]) if row_kind(x) == "images" else (1, 256)
    channels = 3 if x.ndim == 4 and x.shape[-1] == 3 else 1
    each = 400 + 4 / 3 * channels * min(height, MAX_THUMBNAIL) * min(width, MAX_THUMBNAIL)
    return PICTURE_BYTES / each


def _take(rows: Rows, which: np.ndarray) -> Rows:
    return rows.iloc[which] if isinstance(rows, pd.DataFrame) else np.asarray(rows)[which]


def _target_texts(targets: np.ndarray) -> tuple[str, ...]:
    """Each target as text, several outputs in brackets; the numbers of an output share their decimals."""
    outputs = [column_text(column.tolist())[0] for column in targets.reshape(len(targets), -1).T]
    if len(outputs) == 1:
        return tuple(outputs[0])
    return tuple(f"({', '.join(values)})" for values in zip(*outputs, strict=True))


def _value_range(x: Rows, panels: Sequence[Panel], kind: str) -> tuple[float, float]:
    """0 to 255 for bytes, 0 to 1 for booleans, else what the finished examples and the references span."""
    if kind != "images" or isinstance(x, pd.DataFrame):
        return 0.0, 1.0
    if x.dtype == np.uint8:
        return 0.0, 255.0
    if x.dtype == np.bool_:
        return 0.0, 1.0
    shown = [part for p in panels for part in (p.mean, p.nearest, p.learned[-1]) if part is not None]
    values = np.concatenate([np.asarray(part, dtype=float).ravel() for part in shown])
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
