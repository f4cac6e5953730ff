"""One progress bar on standard error: loss, validation score, time left. Silent when that is not a terminal."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from datastill._text import printable
from datastill.distill import loop


@contextmanager
def rows_bar(title: str, rows: int, shown: bool) -> Iterator[Callable[[int], None] | None]:
    """What is to be told of rows as they are done, and draws a bar of them; None when it is not to be shown.

    Args:
        title: what is being done.
        rows: in all.
        shown: whether the user wants it at all.
    """
    columns = (
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} rows"),
        TextColumn("[dim]{task.fields[rate]}[/]"),
    )
    with _drawn(title, rows, shown, columns, rate="") as drawn:
        if drawn is None:
            yield None
            return
        progress, task = drawn

        def watch(done: int) -> None:
            progress.advance(task, done)
            speed = progress.tasks[task].speed
            progress.update(task, rate=f"{speed:,.0f} rows/s" if speed else "")

        yield watch


@contextmanager
def bar(title: str, steps: int, score: str, shown: bool) -> Iterator[loop.Watcher | None]:
    """A watcher for the loop that draws the bar; None when it is not to be shown.

    Args:
        title: what is being done.
        steps: at most.
        score: the name of the validation score.
        shown: whether the user wants it at all.
    """
    columns = (
        MofNCompleteColumn(),
        TextColumn("[dim]loss[/] {task.fields[loss]}"),
        TextColumn("{task.fields[score]}"),
    )
    with _drawn(title, steps, shown, columns, loss="…", score="") as drawn:
        if drawn is None:
            yield None
            return
        progress, task = drawn

        def watch(state: loop.Progress) -> None:
            last = state.history[-1] if state.history else None
            known = last is not None and math.isfinite(last.validation_score)
            text = f"[dim]validation {score}[/] {last.validation_score:.3f}" if last and known else ""
            progress.update(task, completed=state.step, loss=f"{state.loss:.4f}", score=text)

        yield watch


@contextmanager
def _drawn(
    title: str, total: int, shown: bool, middle: tuple[ProgressColumn, ...], **fields: Any
) -> Iterator[tuple[Progress, TaskID] | None]:
    """A bar on standard error and its task; None where there is no terminal or nobody wants it."""
    if not (shown and sys.stderr.isatty()):
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *middle, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield progress, progress.add_task(printable(title), total=total, **fields)
