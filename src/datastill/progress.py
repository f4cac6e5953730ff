"""Progress on standard error: a bar on a terminal, and elsewhere a line every half minute.

Estimators show theirs where `verbose` asks for it; judging shows its own where the logger "datastill" is at the level
INFO, to which the command line sets it.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from datastill._text import printable

SECONDS_BETWEEN_LINES = 30.0

Show = Callable[[float, str], None]
"""Shows how much is done in all, and a few words on how it goes."""


@runtime_checkable
class Steps(Protocol):
    """The progress of a loop; see `distill.loop.Progress`."""

    @property
    def step(self) -> int:
        """Return the number of steps done."""

    @property
    def loss(self) -> float:
        """Return the training loss."""

    @property
    def history(self) -> Sequence[Any]:
        """Return the validations so far, with a `validation_score` each."""


def wanted() -> bool:
    """Return whether the logger "datastill" is at the level INFO."""
    return logging.getLogger("datastill").isEnabledFor(logging.INFO)


@contextmanager
def rows_bar(title: str, rows: int, shown: bool) -> Iterator[Callable[[int], None] | None]:
    """Yield a function that takes how many more rows are done and shows them; None when nothing is to be shown.

    Args:
        title: the work.
        rows: in all.
        shown: whether the user wants it at all.
    """
    with _shown(title, rows, "rows", shown) as show:
        if show is None:
            yield None
            return
        started, total = time.monotonic(), 0

        def watch(done: int) -> None:
            nonlocal total
            total += done
            show(total, f"{total / max(time.monotonic() - started, 1e-9):,.0f} rows/s")

        yield watch


@contextmanager
def count_bar(title: str, total: int, unit: str, shown: bool) -> Iterator[Callable[[], None] | None]:
    """Yield a function that counts one more unit and shows the count; None when nothing is to be shown.

    Args:
        title: the work.
        total: units in all.
        unit: their name, in the plural.
        shown: whether the user wants it at all.
    """
    with _shown(title, total, unit, shown) as show:
        if show is None:
            yield None
            return
        done = 0

        def watch() -> None:
            nonlocal done
            done += 1
            show(done, "")

        yield watch


@contextmanager
def bar(title: str, steps: int, score: str, shown: bool) -> Iterator[Callable[[Steps], None] | None]:
    """Yield a watcher for the loop that shows steps, loss and validation score; None when nothing is to be shown.

    Args:
        title: the work.
        steps: at most.
        score: the name of the validation score.
        shown: whether the user wants it at all.
    """
    with _shown(title, steps, "steps", shown) as show:
        if show is None:
            yield None
            return

        def watch(state: Steps) -> None:
            last = state.history[-1] if state.history else None
            known = last is not None and math.isfinite(last.validation_score)
            text = f", validation {score} {last.validation_score:.3f}" if last and known else ""
            show(state.step, f"loss {state.loss:.4f}{text}")

        yield watch


@contextmanager
def _shown(title: str, total: int, unit: str, shown: bool) -> Iterator[Show | None]:
    """Yield what draws a bar or prints lines; None where nobody wants either."""
    if not shown:
        yield None
    elif sys.stderr.isatty():
        columns = (
            *(TextColumn("{task.description}", markup=False), BarColumn()),
            TextColumn(f"{{task.completed:,.0f}}/{{task.total:,.0f}} {unit}", markup=False),
            *(TextColumn("{task.fields[words]}", markup=False, style="dim"), TimeRemainingColumn()),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(printable(title), total=total, words="")
            yield lambda done, words: progress.update(task, completed=done, words=words)
    else:
        yield _lines(title, total, unit)


def _lines(title: str, total: int, unit: str) -> Show:
    """Return what prints a line when half a minute has passed since the last one."""
    printed = time.monotonic()
    begun: tuple[float, float] | None = None  # a resumed run does not begin at 0, nor does a first step tell the pace

    def show(done: float, words: str) -> None:
        nonlocal printed, begun
        now = time.monotonic()
        begun = (now, done) if begun is None else begun
        if now - printed < SECONDS_BETWEEN_LINES:
            return
        printed = now
        left = (now - begun[0]) * (total - done) / (done - begun[1]) if done > begun[1] else 0.0
        rest = f"about {_duration(left)} left" if left > 0 else ""
        said = ", ".join(part for part in (f"{done:,.0f} of {total:,} {unit}", words, rest) if part)
        sys.stderr.write(f"{printable(title)}: {said}\n")
        sys.stderr.flush()

    return show


def _duration(seconds: float) -> str:
    """Write `40 s`, `12 min` or `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
