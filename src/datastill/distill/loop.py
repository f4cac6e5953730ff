"""The loop around an algorithm: schedule, validation, early stopping, checkpoint and resume, history.

An interrupted run that is started again continues from its checkpoint and ends in the same bits as one that was
never stopped: every random choice is a function of (seed, step), and nothing depends on time.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from datastill._errors import SolveError
from datastill.distill.checkpoints import Progress, Record
from datastill.distill.checkpoints import resume as _resume
from datastill.distill.checkpoints import save as _save

SECONDS_BETWEEN_CHECKPOINTS = 2.0
SAVINGS_BETWEEN = 10  # time between two checkpoints, in times of writing one: a pool of networks is large
SNAPSHOTS = 10


class _NotFinite(Exception):
    """A loss, or an example, is no number any more."""


@dataclass(frozen=True)
class Schedule:
    """When the loop does what.

    Attributes:
        steps: at most.
        every: steps between validations.
        patience: validations without improvement before stopping; None never stops early.
    """

    steps: int
    every: int
    patience: int | None


Watcher = Callable[[Progress], None]
"""Called after each step with the progress so far."""


Validator = Callable[[Any], tuple[float, float]]
"""State -> (loss, score) on held-out rows."""


def run(
    state: Any,
    step: Callable[[Any, int], tuple[Any, Any]],
    examples: Callable[[Any], tuple[np.ndarray, ...]],
    validate: Validator | None,
    schedule: Schedule,
    checkpoint: Path | None = None,
    identity: str = "",
    watch: Watcher | None = None,
) -> Progress:
    """Run to the end, from the checkpoint if there is one.

    Args:
        state: a pytree of arrays, before the first step.
        step: (state, step number) -> (state, loss).
        examples: the arrays of a state that are worth keeping, examples first.
        validate: state -> (loss, score) on held-out rows; None keeps the last step.
        schedule: when to do what.
        checkpoint: file to resume from and to write to; None keeps nothing.
        identity: what the run is (its settings and data); a checkpoint of another run is not resumed.
        watch: told of every step.

    Raises:
        SolveError: when the loss stops being finite; the checkpoint keeps the best examples so far. Also when a device
            fails; the checkpoint has the state before that step.
    """
    progress = Progress()
    if checkpoint is not None:
        state, progress = _resume(checkpoint, state, identity)
    moments = snapshot_steps(schedule.steps)
    written, saving = time.monotonic(), 0.0
    with interrupt_at_step_boundary() as interrupted:
        while True:
            due = progress.step % schedule.every == 0 or progress.step == schedule.steps
            if due and not (progress.history and progress.history[-1].step == progress.step):
                with _failing(state, progress, checkpoint, identity):
                    _validate(state, progress, examples, validate)
            if progress.step in moments and not any(at == progress.step for at, _ in progress.snapshots):
                progress.snapshots.append((progress.step, np.array(examples(state)[0])))
            progress.converged = validate is not None and _stale(progress, schedule.patience)
            finished = progress.step >= schedule.steps or progress.converged
            elapsed = time.monotonic() - written
            late = elapsed > SECONDS_BETWEEN_CHECKPOINTS + SAVINGS_BETWEEN * saving
            if checkpoint is not None and (finished or interrupted() or late):
                began = time.monotonic()
                _save(checkpoint, state, progress, identity)
                written = time.monotonic()
                saving = written - began
            if finished:
                return progress
            if interrupted():
                raise KeyboardInterrupt
            with _failing(state, progress, checkpoint, identity):
                moved, loss = step(state, progress.step)
                progress.loss = float(loss)
            state, progress.step = moved, progress.step + 1
            if watch is not None:
                watch(progress)


@contextmanager
def interrupt_at_step_boundary() -> Iterator[Callable[[], bool]]:
    """Ctrl-C sets what the yielded function tells, so that state and step number are never saved out of step.

    A second Ctrl-C interrupts at once. Signals are left alone outside the main thread, and where Ctrl-C is ignored, as
    shells have it for jobs in the background.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield lambda: False
        return
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _failing(state: Any, progress: Progress, checkpoint: Path | None, identity: str) -> Iterator[None]:
    """Turn a failure within the run, of a loss or a device, into a SolveError that says what is kept."""
    try:
        yield
    except _NotFinite as error:
        kept = ""
        if checkpoint is not None:
            _save(checkpoint, state, progress, identity)
            kept = f"; {checkpoint} has the examples of step {progress.best_step}"
        raise SolveError(
            f"Got a non-finite loss at step {progress.step}; expected a number{kept}; try a larger reg or ridge, or a "
            "smaller learning_rate."
        ) from error
    except jax.errors.JaxRuntimeError as error:
        kept = "nothing is kept without a checkpoint"
        if checkpoint is not None:
            _save(checkpoint, state, progress, identity)
            kept = f"{checkpoint} has the steps before"
        how = "fewer processes" if jax.process_count() > 1 else "smaller batches, tiles (memory) or networks (width)"
        said = str(error).splitlines()[0]
        raise SolveError(f"Got an error at step {progress.step}: {said}; {kept}; try again with {how}.") from error


def snapshot_steps(steps: int) -> set[int]:
    """0, the last step, and steps between them evenly spaced in log(1 + step)."""
    return {round(x) for x in np.expm1(np.linspace(0, np.log1p(steps), SNAPSHOTS))}


def _validate(
    state: Any,
    progress: Progress,
    examples: Callable[[Any], tuple[np.ndarray, ...]],
    validate: Validator | None,
) -> None:
    """Add a record, and keep the examples if they are the best so far (the latest, without validation)."""
    kept = tuple(np.array(a) for a in examples(state))
    if (progress.step and not math.isfinite(progress.loss)) or not all(np.isfinite(a).all() for a in kept):
        raise _NotFinite
    held_loss, score = validate(state) if validate else (math.nan, math.nan)
    if validate and not math.isfinite(held_loss):
        raise _NotFinite
    progress.history.append(Record(progress.step, progress.loss, held_loss, score))
    if validate is None or held_loss < progress.best_loss:
        progress.best_step, progress.best = progress.step, kept
        progress.best_loss = held_loss if validate else progress.loss


def _stale(progress: Progress, patience: int | None) -> bool:
    since_best = sum(record.step > progress.best_step for record in progress.history)
    return patience is not None and since_best >= patience
