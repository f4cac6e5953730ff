"""From target rows to learned examples: batches, validation and the loop put together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array
from datastill.data import sampling
from datastill.distill import kip, loop
from datastill.distill.label_solve import Batch, LabelSolution, label_solve
from datastill.distill.objectives import best_coefficients, normal_equations
from datastill.distill.subspace import Subspace
from datastill.gram.fallback import MemoryBudget, within_memory
from datastill.kernels.base import Kernel, all_of
from datastill.krr import cholesky_solve, float64, support_block
from datastill.preprocess.augment import Augmentation, augment, copies

BATCH = 4096
LEAST_PER_STEP = 5_000
ROWS_PER_EXAMPLE = 20
VALIDATION_TARGETS = 25_000
VALIDATION_ROWS = 10_000
STEP_WORK = 2e9
VALIDATION_WORK = 1e10
LABEL_WORK = 1e11
"""Activations in total of a step, a validation and a label solve: fewer rows than above if the kernel is expensive."""
ROWS_PER_LABEL = 100
"""Targets that label vectors are solved on, at least, for each example."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Target rows as the kernel sees them.

    Attributes:
        x: (t, …) float32.
        y: (t, c) label vectors, float32.
        codes: (t,) class codes; None for regression.
        balanced: whether every class counts the same, rather than every row.
    """

    x: np.ndarray
    y: np.ndarray
    codes: np.ndarray | None = None
    balanced: bool = False

    def take(self, rows: np.ndarray) -> "Targets":
        """The targets at these indices."""
        return Targets(self.x[rows], self.y[rows], None if self.codes is None else self.codes[rows], self.balanced)

    @property
    def weights(self) -> np.ndarray | None:
        """(t,) weights with mean 1 that make classes count the same; None when every row counts the same."""
        if not self.balanced or self.codes is None:
            return None
        counts = np.bincount(self.codes)
        return (len(self.codes) / (np.count_nonzero(counts) * counts[self.codes])).astype(np.float32)


def rows_per_step(examples: int, kernels: Sequence[Kernel], shape: tuple[int, ...]) -> int:
    """Return the default batch size: 5,000, fewer under an expensive kernel, and at least 20 for each example.

    Label vectors that are solved on a batch fit its noise where the batch has few rows for each of them.
    """
    return max(min(LEAST_PER_STEP, _affordable(STEP_WORK, examples, kernels, shape)), ROWS_PER_EXAMPLE * examples)


def validation_rows(examples: int, kernels: Sequence[Kernel], shape: tuple[int, ...]) -> int:
    """Return the largest number of rows of a validation: unbounded, unless the kernel is expensive."""
    return max(_affordable(VALIDATION_WORK, examples, kernels, shape), ROWS_PER_EXAMPLE * examples)


def label_rows(examples: int, kernels: Sequence[Kernel], shape: tuple[int, ...], rows: int) -> int:
    """Return how many targets the labels of a finished set are solved on: all, unless the kernel is expensive."""
    return min(rows, max(_affordable(LABEL_WORK, examples, kernels, shape), ROWS_PER_LABEL * examples))


def _affordable(work: float, examples: int, kernels: Sequence[Kernel], shape: tuple[int, ...]) -> int:
    """Rows of this shape that meet the examples for so many activations, under the dearest of the kernels."""
    return min(kernel.rows_within(work, shape, examples) for kernel in kernels)


def embed(
    problem: kip.Problem, targets: Targets, held: Targets | None, subspace: Subspace, seed: int
) -> tuple[kip.Problem, Targets, Targets | None]:
    """The problem in coordinates of a subspace, and its targets; augmentation is carried out beforehand, in copies.

    Raises:
        InputError: for a kernel that depends on more than inner products.
    """
    d, r = subspace.basis.shape
    kernels = all_of([kernel.embedded(d, r + 1) for kernel in problem.kernels])
    if kernels is None:
        raise InputError("Got components for a kernel that depends on more than inner products; try components=None.")
    versions = [subspace.targets(x) for x in copies(targets.x, problem.augmentation, seed)]
    repeats = len(versions)
    inside = Targets(
        np.concatenate(versions),
        np.tile(targets.y, (repeats, 1)),
        None if targets.codes is None else np.tile(targets.codes, repeats),
        targets.balanced,
    )
    inner = replace(
        problem,
        kernels=kernels,
        features=subspace.support,
        augmentation=Augmentation(),
    )
    outside = None if held is None else replace(held, x=subspace.targets(held.x))
    return inner, inside, outside


def learn(
    problem: kip.Problem,
    z: np.ndarray,
    y: np.ndarray,
    targets: Targets,
    held: Targets | None,
    batch_size: int,
    schedule: loop.Schedule,
    seed: int,
    checkpoint: Path | None = None,
    identity: str = "",
    watch: loop.Watcher | None = None,
) -> loop.Progress:
    """Run KIP from initial examples z (s, …) and label vectors y (s, c).

    Args:
        problem: what is minimised, and how.
        z: initial examples.
        y: initial label vectors.
        targets: what the examples must predict.
        held: validation targets for early stopping and for keeping the best step; None keeps the last.
        batch_size: targets in a step; all of them, in order, when there are no more than that.
        schedule: steps, validations, patience.
        seed: batches, kernels and augmentations are functions of it and of the step.
        checkpoint: file to resume from and write to.
        identity: of the run, so that no other run's checkpoint is resumed.
        watch: told of every step.
    """
    room = MemoryBudget(problem.memory)
    advance = within_memory(lambda memory: kip.step(replace(problem, memory=memory)), room)
    x_all, y_all = jnp.asarray(targets.x), jnp.asarray(targets.y)
    balanced = targets.codes if targets.balanced else None
    keys = jax.random.key(seed)
    whole = balanced is None and batch_size >= len(targets.x)

    def step(state: kip.State, number: int) -> tuple[kip.State, Array]:
        rows = None if whole else jnp.asarray(sampling.batch(len(targets.x), batch_size, seed, number, balanced))
        kernel = int(sampling.rng(seed, 4, number).integers(len(problem.kernels)))
        return advance(state, x_all, y_all, rows, jax.random.fold_in(keys, number), kernel)

    return loop.run(
        kip.init(problem, z, y),
        step,
        lambda state: (np.asarray(state.z), np.asarray(state.y)),
        None if held is None or not len(held.x) else validator(problem, targets, held, x_all, y_all, len(z), room),
        schedule,
        checkpoint,
        identity,
        watch,
    )


def validator(
    problem: kip.Problem,
    targets: Targets,
    held: Targets,
    x_all: Array,
    y_all: Array,
    examples: int,
    room: MemoryBudget | None = None,
) -> loop.Validator:
    """State -> (loss, score) on the held-out rows: accuracy for classes, R² for real targets; the mean over kernels.

    Where every class counts the same, so it does here. Eliminated labels are solved on at most 25,000 evenly spaced
    targets, and at most 10,000 rows are judged; on fewer where the kernel is expensive.
    """
    weights = targets.weights
    most = validation_rows(examples, problem.kernels, targets.x.shape[1:])
    thin = slice(None, None, -(-len(targets.x) // min(VALIDATION_TARGETS, most)))
    root = None if weights is None else jnp.sqrt(jnp.asarray(weights))[thin, None]
    judged = slice(None, None, -(-len(held.x) // min(VALIDATION_ROWS, most)))
    shares = None if held.weights is None else held.weights[judged]
    # As arguments: XLA would take constants into the program, and evaluate for seconds what depends on them alone.
    rows = x_all[thin], y_all[thin], root, jnp.asarray(held.x[judged]), jnp.asarray(held.y[judged]), shares
    classes = held.codes is not None

    def judge(
        memory: int,
        z: Array,
        y: Array,
        x_t: Array,
        y_t: Array,
        root: Array | None,
        x_h: Array,
        y_h: Array,
        shares: Array | None,
    ) -> tuple[Array, Array]:
        x_s = problem.features(z)
        losses, scores = [], []
        for kernel in (kernel.within(memory) for kernel in problem.kernels):
            k_ss = support_block(kernel, x_s, problem.penalties.reg)
            if problem.labels == "solve":
                gram, moment = normal_equations(kernel, x_s, x_t, y_t, memory, root)
                alpha, _ = best_coefficients(k_ss, gram, moment, len(x_t), problem.penalties.ridge)
            else:
                alpha = cholesky_solve(k_ss, y)
            predicted = kernel.block(x_h, x_s) @ alpha.astype(x_h.dtype)
            squares = jnp.sum((predicted - y_h) ** 2, axis=1)
            losses.append(0.5 * jnp.average(squares, weights=shares))
            if classes:
                hits = jnp.argmax(predicted, axis=1) == jnp.argmax(y_h, axis=1)
                scores.append(jnp.average(hits, weights=shares))
            else:
                spread = jnp.mean((y_h - y_h.mean(axis=0)) ** 2, axis=0)
                missed = jnp.mean((predicted - y_h) ** 2, axis=0)
                scores.append(jnp.mean(1 - missed / jnp.where(spread > 0, spread, jnp.nan)))
        return jnp.mean(jnp.stack(losses)), jnp.mean(jnp.stack(scores))

    compiled = within_memory(lambda memory: jax.jit(partial(judge, memory)), room or MemoryBudget(problem.memory))

    def validate(state: kip.State) -> tuple[float, float]:
        with float64(True):
            loss, score = compiled(state.z, state.y, *rows)
        return float(loss), float(score)

    return validate


def solve_labels(
    problem: kip.Problem, x_s: np.ndarray, targets: Targets, seed: int, most: int | None = None
) -> LabelSolution:
    """Label Solve on all targets, or `most` drawn ones (and as many augmented ones), for the problem's kernels."""
    if most is not None and most < len(targets.x):
        targets = targets.take(np.sort(sampling.rng(seed, 9).choice(len(targets.x), most, replace=False)))

    def batches() -> Iterator[Batch]:
        weights = targets.weights
        for start in range(0, len(targets.x), BATCH):
            part = slice(start, start + BATCH)
            share = None if weights is None else weights[part]
            yield targets.x[part], targets.y[part], share
            if problem.augmentation:
                key = jax.random.fold_in(jax.random.key(seed + 1), start)
                x = augment(key, jnp.asarray(targets.x[part]), problem.augmentation)
                yield np.asarray(x), targets.y[part], share

    kernels = [kernel.within(problem.memory) for kernel in problem.kernels]
    return label_solve(kernels, x_s, batches(), problem.penalties.reg, problem.penalties.ridge)
