"""Sieve streaming: a submodular selection from rows that come in batches and are seen once.

For each of a grid of guesses v = (1 + ε)^i at the value of the best set, a sieve keeps a row whose gain is at least
(v/2 − f(A)) / (k − |A|). The best sieve reaches 1/2 − ε of the best set; memory does not depend on how many rows pass.

Source: Badanidiyuru et al. (2014), "Streaming submodular maximization: massive data summarization on the fly".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.select.selection import Selection
from datastill.select.submodular import FacilityLocation, FeatureBased, Objective


@dataclass
class _Sieve:
    guess: float
    state: Any
    value: float = 0.0
    picks: list[int] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)


def sieve(
    batches: Iterable[np.ndarray], k: int, objective: Callable[[np.ndarray], Objective], epsilon: float = 0.1
) -> Selection:
    """At most k rows of a stream.

    Args:
        batches: (b, …) rows each, in the order of the stream.
        k: at most how many.
        objective: makes the objective in which the rows of a batch are the candidates: a `FacilityLocation` of
            similarities between a fixed sample of rows and the batch, or a `FeatureBased` one.
        epsilon: ε: smaller tries more guesses.

    Returns:
        Rows by their number in the stream, in that order; the gains add up to f.

    Raises:
        InputError: for an objective whose state belongs to its candidates, an ε outside 0 … 1, no budget or no rows.
    """
    if k < 1 or not 0 < epsilon < 1:
        raise InputError(f"Got k={k} and epsilon={epsilon}; expected k 1 or more and epsilon between 0 and 1.")
    sieves: dict[int, _Sieve] = {}
    most, seen = 0.0, 0
    for batch in batches:
        part = objective(batch)
        if not isinstance(part, (FacilityLocation, FeatureBased)):
            raise InputError(
                f"Got a {type(part).__name__} for a stream; expected FacilityLocation or FeatureBased, whose state "
                "does not depend on the candidates."
            )
        alone = part.gains(part.start(), np.arange(part.size))
        most = max(most, float(alone.max(initial=0)))
        sieves = _renewed(sieves, most, k, epsilon, part)
        for one in sieves.values():
            _offer(one, part, seen, k)
        seen += part.size
    if not seen:
        raise InputError("Got a stream without rows; expected at least one.")
    best = max(sieves.values(), key=lambda one: one.value, default=_Sieve(0, None, 0, [0], [0.0]))
    return Selection(np.array(best.picks, int), np.ones(len(best.picks)), np.array(best.gains))


def _renewed(sieves: dict[int, _Sieve], most: float, k: int, epsilon: float, part: Objective) -> dict[int, _Sieve]:
    """Sieves for the guesses between the largest gain of one row and 2 k times it; those that exist are kept."""
    if most <= 0:
        return {}
    base = np.log1p(epsilon)
    numbers = range(int(np.ceil(np.log(most) / base)), int(np.floor(np.log(2 * k * most) / base)) + 1)
    return {i: sieves.get(i) or _Sieve((1 + epsilon) ** i, part.start()) for i in numbers}


def _offer(one: _Sieve, part: Objective, before: int, k: int) -> None:
    """Show a sieve the rows of a batch in order; gains are recomputed only after it has kept one."""
    row = 0
    while row < part.size and len(one.picks) < k:
        gains = part.gains(one.state, np.arange(row, part.size))
        passing = np.flatnonzero((gains > 0) & (gains >= (one.guess / 2 - one.value) / (k - len(one.picks))))
        if not len(passing):
            return
        gain, row = float(gains[passing[0]]), row + int(passing[0])
        part.add(one.state, row)
        one.value += gain
        one.picks.append(before + row)
        one.gains.append(gain)
        row += 1
