"""Random rows with the budget of a set: spread over the classes as the set is, and in proportion where that differs.

Where the largest class has many more rows than the smallest, as many random rows of each class are not a random sample,
and learners that count errors do better with one. So both kinds are drawn, and the better one is the rival.
"""

from collections.abc import Callable

import numpy as np

from datastill.data import sampling
from datastill.evaluate.protocol import Examples

RANDOM, PROPORTIONAL = "random rows", "random rows in proportion"
IMBALANCED = 1.5
"""Rows of the largest class for each of the smallest, from which on classes are drawn in proportion, too."""


def draws_of(codes: np.ndarray, budget: np.ndarray) -> dict[str, np.ndarray]:
    """Return kind of random rows -> (C,) rows of each class.

    Args:
        codes: (n,) class of each training row.
        budget: (C,) rows of each class in the set (one entry in regression).
    """
    budget = sampling.of_classes_with_rows(codes, budget)
    found = {RANDOM: budget}
    counts = np.bincount(codes, minlength=len(budget))
    rows, total = counts[counts > 0], int(budget.sum())
    if imbalanced(counts) and total >= len(rows):
        shares = sampling.budget_per_class(counts, None, total, proportional=True)
        if not np.array_equal(shares, budget):
            found[PROPORTIONAL] = shares
    return found


def imbalanced(counts: np.ndarray) -> bool:
    """Return whether classes of so many rows are unlike enough for rows to be drawn in proportion, too."""
    rows = counts[counts > 0]
    return bool(len(rows) > 1 and rows.max() > IMBALANCED * rows.min())


def random_sets(examples: Examples, every: Examples) -> dict[str, Callable[[int], Examples]]:
    """Return kind of random rows -> those of a seed, as many as there are examples, with labels of their own."""
    if examples.codes is None:
        codes, budget = np.zeros(len(every.x), int), np.array([len(examples.x)])
    else:
        codes = every.vectors.argmax(axis=1)
        budget = np.bincount(examples.codes, minlength=every.vectors.shape[1])

    def maker(wanted: np.ndarray) -> Callable[[int], Examples]:
        def drawn(seed: int) -> Examples:
            rows = sampling.rows_per_class(codes, wanted, seed, replace=True)
            return Examples(every.x[rows], every.vectors[rows], None, None if examples.codes is None else codes[rows])

        return drawn

    return {kind: maker(wanted) for kind, wanted in draws_of(codes, budget).items()}
