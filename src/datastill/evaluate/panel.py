"""Learners that the optimiser never saw, trained on a run's set and on random rows: what the set is worth to others."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datastill.data import sampling
from datastill.evaluate.draws import random_sets
from datastill.evaluate.leaderboard import duel_of, score_of
from datastill.evaluate.protocol import Examples, HeldOut, Judged, Maker, protocol
from datastill.evaluate.scores import Score
from datastill.evaluate.verdicts import Duel

PANEL, SEEDS = ("logistic", "knn", "forest"), 3
"""Of every run, unless others are asked for: linear, of neighbours, of trees."""
MOST_TEST = 10_000
"""Rows that the panel is judged on, unless learners are asked for."""
MOST_NUMBERS = 500_000
"""Numbers in a set up to which the panel learns from it in seconds."""


class Panel(NamedTuple):
    """Findings of a panel.

    Attributes:
        scores: of every learner on the set and on random rows.
        duels: the set against the best of the random rows, for every learner that did not fail.
        failures: what learners failed with.
    """

    scores: list[Score]
    duels: list[Duel]
    failures: list[str]


def cheap(examples: Examples) -> bool:
    """Return whether the panel learns from a set, and from as many random rows, in seconds."""
    return examples.x.size <= MOST_NUMBERS


def panel(
    result: Score,
    examples: Examples,
    every: Examples | None,
    held: HeldOut,
    learners: Sequence[str] = PANEL,
    seeds: int = SEEDS,
    folder: Path | None = None,
    beside: Mapping[str, Examples] | None = None,
) -> Panel:
    """Train every learner on the set and on random rows with labels of their own, and judge them on the held-out rows.

    Intervals are over the test rows and the seeds.

    Args:
        result: the score of the set under its own kernel, for its name and metric.
        examples: the set.
        every: the training rows; None where there are none to draw from.
        held: the held-out rows.
        learners: names; see `learners.named_learner`.
        seeds: how many.
        folder: where each row of the protocol is kept, and found again.
        beside: other sets by name, which learners are trained on with the first seed alone.
    """
    sets: dict[str, Maker] = {result.name: partial(_fixed, examples)}
    others = dict(beside or {})
    drawn = {} if every is None else random_sets(examples, every)
    sets |= drawn | {name: partial(_fixed, other) for name, other in others.items()}
    judged = protocol(sets, learners, held, seeds, folder=folder, once=others)
    scores, duels = [], []
    for learner in learners:
        for name in sets:
            rows = judged.of(name, learner)
            if len(rows):
                n = int(judged.table["n"].iloc[rows[0]])
                found = score_of(judged, rows)
                scores.append(Score(f"{learner}: {name}", n, *found, result.metric, learner=learner))
        duels += _duel(judged, result.name, learner, list(drawn))
    return Panel(scores, duels, judged.failures)


def _fixed(examples: Examples, seed: int) -> Examples:
    return examples


def _duel(judged: Judged, name: str, learner: str, baselines: Sequence[str]) -> list[Duel]:
    """Return the set's duel; nothing where there is no rival, or one of the two failed."""
    found = [duel_of(judged, (name, learner, "soft"), baselines)[1]] if baselines else []
    return [duel for duel in found if np.isfinite(duel.difference)]


def fewer(held: HeldOut) -> HeldOut:
    """Return the held-out rows, or 10,000 random ones of more: as many as the panel judges in seconds."""
    if len(held.y) <= MOST_TEST:
        return held
    rows = np.sort(sampling.rng(0, 17).choice(len(held.y), MOST_TEST, replace=False))
    return held._replace(x=held.x[rows], y=held.y[rows])
