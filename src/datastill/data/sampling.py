"""Which rows: splits, initial supports and target batches, each a function of a seed."""

import numpy as np

from datastill._errors import InputError


def rng(seed: int, *purpose: int) -> np.random.Generator:
    """A generator for one purpose (and step) of a run; independent of every other purpose."""
    return np.random.default_rng([seed, *purpose])


def split(y: np.ndarray | None, n: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random (rest, held) row indices: of a class's n rows, fraction · n are held out, rounded up or down at random.

    Args:
        y: (n,) class codes; None splits without classes.
        n: rows.
        fraction: of the rows to hold out; a class keeps at least one row in the rest.
        seed: the same seed gives the same split.
    """
    draw = rng(seed, 1)
    groups = [np.arange(n)] if y is None else [np.flatnonzero(y == c) for c in np.unique(y)]
    held = [
        draw.permutation(rows)[: min(int(np.floor(fraction * len(rows) + draw.random())), len(rows) - 1)]
        for rows in groups
    ]
    chosen = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(n), chosen), chosen


def budget_per_class(counts: np.ndarray, ipc: int | None, n_support: int | None) -> np.ndarray:
    """(C,) support rows for each class, from one of the two budgets.

    Args:
        counts: (C,) rows of each class in the data.
        ipc: examples per class.
        n_support: total; spread as evenly as it goes, the larger classes taking the remainder.
    """
    if (ipc is None) == (n_support is None):
        raise InputError(f"Got ipc={ipc} and n_support={n_support}; expected exactly one of them; try ipc=10.")
    classes = len(counts)
    if ipc is not None:
        _at_least("ipc", ipc, 1)
        return np.full(classes, ipc)
    assert n_support is not None
    _at_least("n_support", n_support, classes)
    budget = np.full(classes, n_support // classes)
    budget[np.argsort(-counts, kind="stable")[: n_support % classes]] += 1
    return budget


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"Got {name}={value}; expected {least} or more (one for each class); try {name}={least}.")


def rows_per_class(codes: np.ndarray, budget: np.ndarray, seed: int, replace: bool = False) -> np.ndarray:
    """Random row indices, budget[c] of class c, grouped by class.

    Args:
        codes: (n,) class of each row.
        budget: (C,) how many of each.
        seed: the same seed gives the same rows.
        replace: whether a class with too few rows may repeat them (an initial support may; a selection may not).
    """
    draw = rng(seed, 2)
    chosen = []
    for c, wanted in enumerate(budget):
        rows = np.flatnonzero(codes == c)
        if len(rows) < wanted and not replace:
            raise InputError(
                f"Got a budget of {wanted} rows for class number {c}, which has {len(rows)}; expected at most that "
                f"many when rows are selected; try ipc={len(rows)}."
            )
        distinct = draw.permutation(rows)[:wanted]
        chosen.append(np.concatenate([distinct, draw.choice(rows, wanted - len(distinct))]))
    return np.concatenate(chosen).astype(np.int64)


def batch(n: int, size: int, seed: int, step: int, codes: np.ndarray | None = None) -> np.ndarray:
    """Target rows of one step, without repeats within a batch unless balancing needs them.

    Args:
        n: rows to draw from; all of them, in order, when size ≥ n and classes are not balanced.
        size: rows in a batch.
        seed: of the run.
        step: the batch depends on (seed, step) alone, so a resumed run draws what an uninterrupted one would.
        codes: (n,) class codes to draw every class equally often; None draws rows uniformly.
    """
    draw = rng(seed, 3, step)
    if codes is None:
        return np.arange(n) if size >= n else np.sort(draw.choice(n, size, replace=False, shuffle=False))
    classes = np.unique(codes)
    share = -(-min(size, n) // len(classes))
    picks = [
        draw.choice(rows, share, replace=share > len(rows)) for rows in (np.flatnonzero(codes == c) for c in classes)
    ]
    return np.sort(np.concatenate(picks))
