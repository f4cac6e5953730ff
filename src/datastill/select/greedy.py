"""Greedy maximisation of a submodular objective, and how near to the best set it certainly comes.

For a monotone objective the greedy set reaches at least 1 − 1/e of the best of its size (Nemhauser, Wolsey, Fisher,
1978). Afterwards one knows more: for any set A and the best set O of k candidates,

    f(O) ≤ f(A) + Σ of the k largest gains at A

so f(greedy) divided by the least such bound is a ratio that holds for this very data.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from datastill._errors import InputError
from datastill.data import sampling
from datastill.select.selection import Selection, check_budget
from datastill.select.submodular import Objective

OPTIMISERS = ("lazy", "naive", "stochastic", "lazier")
PREFIXES = 8
FIRST, GROWTH = 16, 4
"""Candidates that lazy greedy evaluates at first, and how many times more if none of them leads."""


def maximise(
    objective: Objective,
    k: int,
    optimiser: str = "lazy",
    seed: int = 0,
    epsilon: float = 0.01,
    first: Sequence[int] = (),
) -> Selection:
    """k candidates, each the one with the largest gain (of all, or of a sample) when it is picked.

    Args:
        objective: what to maximise.
        k: how many.
        optimiser: "naive" evaluates every candidate at every pick. "lazy" gives the same picks and evaluates only those
            whose last gain, an upper bound, still leads. "stochastic" looks at a fresh random n/k·ln(1/ε) candidates at
            each pick, "lazier" at the same ones lazily: in expectation at least 1 − 1/e − ε of the best.
        seed: of the samples.
        epsilon: ε.
        first: candidates that are picked before the greedy ones.

    Returns:
        Distinct candidates, each standing for n/k; the gains add up to f. Of equal gains the first candidate is picked.

    Raises:
        InputError: for an unknown optimiser, a budget outside 1 … n, an ε outside 0 … 1, or first picks that are no
            candidates or repeat.

    Source: Minoux (1978), lazy; Mirzasoleiman et al. (2015), arXiv:1409.7938, stochastic.
    """
    check_budget(k, objective.size)
    if optimiser not in OPTIMISERS:
        raise InputError(f"Got optimiser={optimiser!r}; expected one of {', '.join(OPTIMISERS)}.")
    if not 0 < epsilon < 1:
        raise InputError(f"Got epsilon={epsilon}; expected more than 0 and less than 1.")
    if len(set(first)) != len(first) or not all(0 <= i < objective.size for i in first) or len(first) > k:
        raise InputError(
            f"Got first={first!r}; expected at most {k} different candidates from 0 to {objective.size - 1}."
        )
    state = objective.start()
    pairs = []
    for pick in first:
        pairs.append((int(pick), float(objective.gains(state, np.array([pick]))[0])))
        objective.add(state, int(pick))
    left = np.setdiff1d(np.arange(objective.size), first)
    if optimiser == "naive":
        picks = _scan(objective, state, left)
    elif optimiser == "lazy":
        picks = _lazy(objective, state, left)
    else:
        size = int(np.ceil(objective.size / k * np.log(1 / epsilon)))
        picks = _sampled(objective, state, left, size, sampling.rng(seed, 11), lazily=optimiser == "lazier")
    pairs += [next(picks) for _ in range(k - len(first))]
    weights = np.full(k, objective.size / k)
    return Selection(np.array([p for p, _ in pairs]), weights, np.array([g for _, g in pairs]))


def optimum_bound(objective: Objective, picks: np.ndarray, k: int | None = None) -> float:
    """A number that f of no k candidates exceeds; the least over some prefixes of the picks.

    Args:
        objective: monotone.
        picks: any candidates in any order; greedy ones give the tightest bound.
        k: size of the sets that are bounded; that of the picks when left out.

    Raises:
        InputError: for an objective that is not monotone, for which no such bound holds.

    Source: Leskovec et al. (2007), "Cost-effective outbreak detection in networks", section 3.2.
    """
    if not objective.monotone:
        raise InputError(
            "Got an objective that is not monotone; expected a monotone one; try weight=2 for a graph cut."
        )
    k = len(picks) if k is None else k
    every = np.arange(objective.size)
    state, value, bound = objective.start(), 0.0, np.inf
    looks = set(np.linspace(0, len(picks), min(PREFIXES, len(picks)) + 1).astype(int).tolist())
    for number in range(len(picks) + 1):
        if number in looks:
            gains = objective.gains(state, every)
            gains[picks[:number]] = 0
            bound = min(bound, value + float(np.sort(gains)[::-1][:k].sum()))
        if number < len(picks):
            value += float(objective.gains(state, picks[number : number + 1])[0])
            objective.add(state, int(picks[number]))
    return bound


def _scan(objective: Objective, state: Any, left: np.ndarray) -> Iterator[tuple[int, float]]:
    while True:
        gains = objective.gains(state, left)
        best = int(gains.argmax())
        yield int(left[best]), float(gains[best])
        objective.add(state, int(left[best]))
        left = np.delete(left, best)


def _lazy(objective: Objective, state: Any, left: np.ndarray) -> Iterator[tuple[int, float]]:
    bounds = np.full(objective.size, np.inf)
    while True:
        best, gain = _leading(objective, state, left, bounds)
        yield best, gain
        objective.add(state, best)
        left = left[left != best]


def _sampled(
    objective: Objective, state: Any, left: np.ndarray, size: int, draw: np.random.Generator, lazily: bool
) -> Iterator[tuple[int, float]]:
    bounds = np.full(objective.size, np.inf)
    while True:
        sample = np.sort(draw.choice(left, min(size, len(left)), replace=False, shuffle=False))
        best, gain = _leading(objective, state, sample, bounds if lazily else np.full(objective.size, np.inf))
        yield best, gain
        objective.add(state, best)
        left = left[left != best]


def _leading(objective: Objective, state: Any, candidates: np.ndarray, bounds: np.ndarray) -> tuple[int, float]:
    """The candidate with the largest gain, and that gain.

    Earlier gains are never exceeded: candidates are evaluated from the largest down, ever more at once, until one leads
    what is left. `bounds` is brought up to date.
    """
    known, fresh = bounds[candidates], np.zeros(len(candidates), bool)
    size = len(candidates) if np.isinf(known).any() else FIRST
    while True:
        size = min(size, len(candidates))
        order = np.argpartition(-known, size - 1)
        top, rest = order[:size], order[size:]
        stale = top[~fresh[top]]
        known[stale], fresh[stale] = objective.gains(state, candidates[stale]), True
        best = known[top].max()
        if not len(rest) or best > known[rest].max():
            break
        size *= GROWTH
    bounds[candidates] = known
    return int(candidates[top[known[top] == best]].min()), float(best)
