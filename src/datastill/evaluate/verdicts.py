"""Say whether each set is better than random rows for each learner, corrected for how many are asked.

    d_si = loss of random rows − loss of the set, seed s, held-out row i

The mean of d over seeds and held-out rows is estimated by `means.crossed`: rows are paired, since the same ones judge
both. One seed says nothing of the draw of a set, one row nothing of rows: then p = 1. p-values are Holm's over all
comparisons, so that with probability 1 − α none of the verdicts "better" and "worse" is wrong. This one rule serves
the table of `compare` and the report of `distill`.

Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from datastill import _moved
from datastill._typing import Float
from datastill.evaluate.means import NOTHING, Prior, crossed, prior_of

BETTER, WORSE, UNCLEAR = "better than random", "worse than random", "not distinguishable from random"
ALPHA = 0.05
"""Probability that any verdict of one table or report is wrong."""


class Duel(NamedTuple):
    """A set against random rows under one learner.

    Attributes:
        learner: its name.
        difference: of the scores, more is better.
        gains: (m, n) losses of the rival less those of the set, by draw or seed and held-out row.
    """

    learner: str
    difference: float
    gains: Float[np.ndarray, "m n"]


def verdicts_of(duels: Sequence[Duel]) -> dict[str, str]:
    """Return learner -> the verdict; with probability 1 − ALPHA none of those that claim something is wrong."""
    p = holm(np.array([p_of(duel.difference, duel.gains) for duel in duels]))
    said = in_words(np.array([duel.difference for duel in duels]), p)
    return dict(zip([duel.learner for duel in duels], said, strict=True))


def p_of(difference: float, gains: Float[np.ndarray, "m n"], prior: Prior = NOTHING) -> float:
    """Return the p-value of no difference; 1 for one seed, and where the score and the losses point apart.

    Args:
        difference: of the scores, more is better.
        gains: losses of the rival less those of the set, by seed and held-out row.
        prior: of the variance over seeds.
    """
    gain = crossed(gains, prior)
    return gain.p if len(gains) > 1 and gain.mean * difference > 0 else 1.0


def shared_prior(gains: Sequence[np.ndarray]) -> Prior:
    """Return what the variances over seeds have in common, where all comparisons have the same number of seeds."""
    seeds = {len(g) for g in gains if g.size}
    if len(seeds) != 1 or seeds == {1}:
        return NOTHING
    return prior_of(np.array([g.mean(axis=1).var(ddof=1) for g in gains if g.size]), seeds.pop() - 1)


def in_words(differences: Float[np.ndarray, " k"], p: Float[np.ndarray, " k"], alpha: float = ALPHA) -> list[str]:
    """Return the verdict on each difference (more is better), given corrected p-values."""
    clear = p < alpha
    return np.select([clear & (differences > 0), clear], [BETTER, WORSE], UNCLEAR).tolist()


def holm(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return p-values corrected for their number: the i-th smallest times n − i + 1, none below a smaller one's."""
    order = np.argsort(p)
    scaled = np.minimum(p[order] * np.arange(len(p), 0, -1), 1)
    out = np.empty(len(p))
    out[order] = np.maximum.accumulate(scaled)
    return out


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"settle": "verdicts_of"})
