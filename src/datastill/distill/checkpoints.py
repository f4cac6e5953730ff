"""Checkpoints: what a run has produced so far, as a file that is checked before it is trusted, and the one before it.

Each save moves the file to `NAME.previous` and writes a new one, so that whatever happens to one of them, a killed
write or a bad sector, the other is whole.
"""

import json
import math
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from datastill._errors import DatastillWarning, InputError, OutputError
from datastill.data.archive import parse_json, read_tensors, sweep, write_tensors

NAME = "checkpoint.safetensors"
"""Of a run's; whatever it holds may be written over."""
MARKS = (b'{\\"identity\\"', b'"state.0"')
"""Of checkpoints, in their first LONGEST_START bytes, unless there are fewer than SHORTEST."""
LONGEST_START, SHORTEST = 2**20, 64


class Record(NamedTuple):
    """One line of the history: a step, the training loss then, and the validation loss and score (NaN if none)."""

    step: int
    loss: float
    validation_loss: float
    validation_score: float


@dataclass
class Progress:
    """Everything a run has produced so far; this, and the state, is what a checkpoint holds.

    Attributes:
        step: steps done.
        loss: the training loss before the last of them; NaN at first.
        best_step: the step whose examples are kept.
        best_loss: the validation loss there (the training loss, without validation rows).
        best: the examples and labels there.
        history: a record for each validation.
        snapshots: (step, examples) at about SNAPSHOTS steps, evenly spaced in log(1 + step).
        converged: whether early stopping ended the run.
    """

    step: int = 0
    loss: float = math.nan
    best_step: int = 0
    best_loss: float = math.inf
    best: tuple[np.ndarray, ...] = ()
    history: list[Record] = field(default_factory=list)
    snapshots: list[tuple[int, np.ndarray]] = field(default_factory=list)
    converged: bool = False


def save(path: Path, state: Any, progress: Progress, identity: str) -> None:
    """Write a checkpoint, and keep the one before it: arrays as tensors, the rest as JSON in the header.

    Raises:
        OutputError: if it cannot be written; the one before it is still there then.
    """
    tensors = {f"state.{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    tensors |= {f"best.{i}": array for i, array in enumerate(progress.best)}
    tensors |= {f"snapshot.{i}": array for i, (_, array) in enumerate(progress.snapshots)}
    header = {
        "identity": identity,
        "step": progress.step,
        "loss": progress.loss,
        "best_step": progress.best_step,
        "best_loss": progress.best_loss,
        "history": progress.history,
        "snapshots": [at for at, _ in progress.snapshots],
        "converged": progress.converged,
    }
    try:
        if path.exists():
            path.replace(_previous(path))
    except OSError as error:
        raise OutputError(f"Could not keep {path} as {_previous(path).name}: {error.strerror}; try another.") from error
    write_tensors(path, tensors, json.dumps(header))


def resume(path: Path, state: Any, identity: str) -> tuple[Any, Progress]:
    """Read the state and progress that the checkpoint holds, or the one before it where it is damaged.

    What was given comes back, with no progress, where there is none, or only those of another run. A damaged file is
    said in a warning and deleted, lest it takes the place of a whole one.

    Raises:
        InputError: for a file that is no checkpoint, which would be written over.
    """
    sweep(path.parent, path.name)
    damaged: list[str] = []
    for candidate in (path, _previous(path)):
        if not candidate.exists():
            continue
        try:
            found = _read(candidate, state, identity)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if not _was_one(candidate):
                what = f"Got the checkpoint {candidate}, which is another kind of file"
                raise InputError(f"{what}; expected one of a run; try another.") from error
            damaged.append(candidate.name)
            candidate.unlink(missing_ok=True)
            continue
        if found is not None:
            _warn(path, damaged, f"goes on after step {found[1].step}, from the one before")
            return found
    _warn(path, damaged, "begins again")
    return state, Progress()


def discard(path: Path) -> None:
    """Delete a checkpoint, the one before it, and those of coarse starts, as far as they can be deleted."""
    for file in path.parent.glob(f"{path.name}*"):
        with suppress(OSError):
            file.unlink()


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def _warn(path: Path, damaged: list[str], so: str) -> None:
    if damaged:
        warnings.warn(
            f"Got {' and '.join(damaged)} in {path.parent} damaged; the run {so}.",
            DatastillWarning,
            stacklevel=4,
        )


def _read(path: Path, state: Any, identity: str) -> tuple[Any, Progress] | None:
    """The state and progress in a checkpoint; None where it is another run's."""
    tensors, text = read_tensors(path)
    header = parse_json(text)
    if header["identity"] != identity:
        return None
    leaves, tree = jax.tree.flatten(state)
    restored = [jax.numpy.asarray(tensors[f"state.{i}"]) for i in range(len(leaves))]
    count = sum(name.startswith("best.") for name in tensors)
    return jax.tree.unflatten(tree, restored), Progress(
        step=header["step"],
        loss=header["loss"],
        best_step=header["best_step"],
        best_loss=header["best_loss"],
        best=tuple(tensors[f"best.{i}"] for i in range(count)),
        history=[Record(*record) for record in header["history"]],
        snapshots=[(at, tensors[f"snapshot.{i}"]) for i, at in enumerate(header["snapshots"])],
        converged=header["converged"],
    )


def _was_one(path: Path) -> bool:
    """Tell, as far as it can be told, a damaged checkpoint from a user's own file, which is left alone."""
    try:
        with path.open("rb") as file:
            start = file.read(LONGEST_START)
    except OSError as error:
        raise InputError(f"Got the checkpoint {path}, which cannot be read: {error.strerror}; try another.") from error
    if path.name.startswith(NAME) or not start.strip(b"\0") or any(mark in start for mark in MARKS):
        return True
    return len(start) < SHORTEST and not start[4:8].strip(b"\0") and start[9:10] in (b"", b'"')
