"""Draw rows: splits, initial supports and target batches, each a function of a seed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from datastill._errors import InputError

LEAST = 100
"""Rows that a class keeps, if it has them, where only some of all rows are drawn."""


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
    groups = [np.arange(n)] if y is None else [rows for rows in rows_of_classes(y) if len(rows)]
    held = [
        draw.permutation(rows)[: min(int(np.floor(fraction * len(rows) + draw.random())), len(rows) - 1)]
        for rows in groups
    ]
    chosen = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(n), chosen), chosen


def class_counts(codes: np.ndarray | None, n: int) -> np.ndarray:
    """Rows of each class; of n rows without classes, their number."""
    return np.array([n]) if codes is None else np.bincount(codes)


def rows_of_classes(codes: np.ndarray, classes: int = 0) -> list[np.ndarray]:
    """The rows of each class, in order, in one pass however many classes there are.

    Args:
        codes: (n,) class of each row.
        classes: how many there are at least.
    """
    counts = np.bincount(codes, minlength=classes)
    return np.split(np.argsort(codes, kind="stable"), counts.cumsum()[:-1])


def fewer(codes: np.ndarray | None, n: int, most: int, seed: int) -> np.ndarray:
    """Draw at most so many of n rows, in order: the classes in proportion, but of a small class at least 100 rows.

    Args:
        codes: (n,) class of each row; None draws without classes.
        n: rows.
        most: 1 for each class, or more.
        seed: the same seed gives the same rows.
    """
    if n <= most:
        return np.arange(n)
    draw, counts = rng(seed, 16), class_counts(codes, n)
    least = np.minimum(counts, max(min(LEAST, most // (2 * len(counts))), 1))
    share = least + (counts - least) * (most - least.sum()) // max((counts - least).sum(), 1)
    share[counts.argmax()] += most - share.sum()
    of_class = rows_of_classes(np.zeros(n, int) if codes is None else codes)
    return np.sort(np.concatenate([draw.permutation(rows)[:k] for rows, k in zip(of_class, share, strict=True)]))


Budget = int | float | Mapping[Any, int | float]
"""Examples: a number, a fraction of the rows (below 1), or either for each class label."""


def check_budgets(ipc: Budget | None, n_support: int | float | None) -> None:
    """Raise an InputError for a budget that suits no data, or for two of them."""
    if ipc is not None and n_support is not None:
        raise InputError(f"Got ipc={ipc} and n_support={n_support}; expected exactly one of them; try ipc=10.")
    for value in ipc.values() if isinstance(ipc, Mapping) else [] if ipc is None else [ipc]:
        as_count("ipc", value, 1)
    if n_support is not None:
        as_count("n_support", n_support, 1)


def budget_per_class(
    counts: np.ndarray,
    ipc: Budget | None,
    n_support: int | float | None,
    labels: np.ndarray | None = None,
    proportional: bool = False,
) -> np.ndarray:
    """(C,) support rows for each class, from one of the two budgets; at least 1 each, none of a class without rows.

    Args:
        counts: (C,) rows of each class in the data.
        ipc: examples per class: a number, a fraction of each class's rows, or a mapping from labels to either.
        n_support: examples in all: a number or a fraction of all rows.
        labels: (C,) class labels, for a mapping; its keys may be their text.
        proportional: whether `n_support` is spread in proportion to the classes' rows rather than as evenly as it goes;
            what is left over goes to the largest remainders, or the largest classes. Spread evenly, a class gets no
            more than its rows while others have some left.
    """
    if (ipc is None) == (n_support is None):
        raise InputError(f"Got ipc={ipc} and n_support={n_support}; expected exactly one of them; try ipc=10.")
    occurring = counts > 0
    if not occurring.all():
        budget = np.zeros(len(counts), int)
        names = None if labels is None else labels[occurring]
        budget[occurring] = budget_per_class(counts[occurring], ipc, n_support, names, proportional)
        return budget
    classes = len(counts)
    if isinstance(ipc, Mapping):
        named = {str(label): value for label, value in ipc.items()}
        known = [str(label) for label in (range(classes) if labels is None else labels)]
        if set(named) != set(known):
            wrong = ", ".join(sorted(set(named) ^ set(known)))
            raise InputError(
                f"Got ipc for {', '.join(named)}; expected one for every class; try adding or dropping {wrong}."
            )
        return np.array([as_count("ipc", named[label], int(n)) for label, n in zip(known, counts, strict=True)])
    if ipc is not None:
        return np.array([as_count("ipc", ipc, int(n)) for n in counts])
    assert n_support is not None
    total = as_count("n_support", n_support, int(counts.sum()), classes)
    return _spread(total, counts, proportional)


def _spread(total: int, counts: np.ndarray, proportional: bool) -> np.ndarray:
    """Spread a total over classes: evenly or in proportion to their rows, and no more for a class than it has rows.

    What a small class cannot take goes to the others; a total above all rows is spread as if no class were small.
    """
    classes = len(counts)
    if proportional:
        share = 1 + (total - classes) * counts / counts.sum()
        budget = np.floor(share).astype(int)
        order = np.argsort(budget - share, kind="stable")
        budget[order[: total - budget.sum()]] += 1
        return budget
    budget = np.zeros(classes, int)
    room = counts if total <= counts.sum() else np.full(classes, total)
    while left := total - budget.sum():
        open_classes = np.flatnonzero(budget < room)
        each = left // len(open_classes)
        if each:
            budget[open_classes] = np.minimum(budget[open_classes] + each, room[open_classes])
        else:
            largest = open_classes[np.argsort(-counts[open_classes], kind="stable")]
            budget[largest[:left]] += 1
    return budget


def below_rows(budget: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Cut a budget of learned examples, (C,), to the rows of each class.

    Raises:
        InputError: if nothing would be compressed, since no class has more rows than examples.
    """
    if (budget >= counts).all():
        least = max(int(counts[counts > 0].min()) // 2, 1)
        advice = f"ipc={least}" if len(counts) > 1 else f"n_support={least}"
        raise InputError(
            f"Got a budget of {budget.sum():,} examples for {counts.sum():,} rows; expected fewer examples than rows; "
            f"try {advice}."
        )
    return np.minimum(budget, counts)


def as_count(name: str, value: Any, rows: int, least: int = 1) -> int:
    """A number of examples: itself, or a fraction of the rows, rounded, and then at least `least`.

    Raises:
        InputError: for what is neither a whole number from `least` on nor a fraction between 0 and 1.
    """
    if isinstance(value, (float, np.floating)) and 0 < value < 1:
        return max(least, round(float(value) * rows))
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not np.isfinite(value) or value != int(value) or value < least:
        each = "" if least == 1 else " (one for each class)"
        raise InputError(
            f"Got {name}={value!r}; expected {least} or more{each}, or a fraction between 0 and 1; try {name}={least}."
        )
    return int(value)


def of_classes_with_rows(codes: np.ndarray, budget: np.ndarray) -> np.ndarray:
    """The budget, (C,), and nothing for a class that has no rows."""
    return np.where(np.bincount(codes, minlength=len(budget)) > 0, budget, 0)


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
    of_class = rows_of_classes(codes, len(budget))
    for c, wanted in enumerate(budget):
        rows = of_class[c]
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
    classes = [rows for rows in rows_of_classes(codes) if len(rows)]
    share = -(-min(size, n) // len(classes))
    picks = [draw.choice(rows, share, replace=share > len(rows)) for rows in classes]
    return np.sort(np.concatenate(picks))
