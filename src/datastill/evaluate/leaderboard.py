"""The protocol's table read out: each set and learner beside all rows and beside random rows of the same kind.

Robustness in the sense of DD-Ranking, which asks whether a score is owed to the examples or to labels and augmentation:

    HLR = acc(all rows, hard) − acc(set, hard)           IOR = acc(set, soft) − acc(random, soft)
    LRS = (e^α − e⁻¹)/(e − e⁻¹),   α = ½ IOR − ½ HLR     label-robust score
    ARS = (e^β − e⁻¹)/(e − e⁻¹),   β = ½ (set − random, augmented) + ½ (set − random, plain)     augmentation-robust

with random rows of the same budget whose labels came about in the same way.

Source: Li et al. (2025), DD-Ranking, arXiv:2505.13300.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from datastill import _moved
from datastill.evaluate import intervals
from datastill.evaluate.protocol import Judged
from datastill.evaluate.verdicts import Duel, holm, in_words, p_of, shared_prior

COLUMNS = (
    *("set", "learner", "asked", "labels", "n", "mean", "deviation", "low", "high", "relative_to_full"),
    *("rival", "difference", "p", "verdict"),
)


class Baselines(NamedTuple):
    """The random rows that a set is compared with; the best of those that apply is the rival.

    Attributes:
        given: random rows of the same budget with their own labels.
        learned: random rows of the same budget whose label vectors came about as the set's did.
        drawn: other random rows of the same number with their own labels, drawn in proportion to the classes.
    """

    given: str
    learned: str
    drawn: tuple[str, ...] = ()

    def beside(self, labels: str) -> str:
        """Return the rival, with the set's own budgets, of a learner that used labels so."""
        return self.given if labels == "hard" else self.learned

    def all_beside(self, labels: str) -> tuple[str, ...]:
        """Return all baselines of a learner that used labels so."""
        return (self.beside(labels), *self.drawn)

    def taught(self, ending: str) -> "Baselines":
        """Return the baselines of the same set with a teacher's labels, whose names end so."""
        return Baselines(self.given + ending, self.given + ending, tuple(name + ending for name in self.drawn))


def leaderboard(judged: Judged, baselines: Mapping[str, Baselines], full: str, alpha: float = 0.05) -> pd.DataFrame:
    """One row for each set, learner and way with labels.

    Args:
        judged: of `evaluate.protocol`.
        baselines: set -> its random rows; those with learned labels where the learner took label vectors.
        full: the set of all rows.
        alpha: probability of any wrong "better" or "worse".

    Returns:
        COLUMNS: mean, deviation over seeds and 95 % interval of the score; its ratio to that of all rows; the rival,
        the difference to it, the corrected p-value and the verdict (empty where there is no rival). NaN where it
        failed.
    """
    cells = _cells(judged.table)
    pairs = {}
    for cell in cells:
        if cell[0] in baselines:
            rows = judged.of(*cell)
            labels = judged.table["labels"].iloc[rows[0]] if len(rows) else ""
            pairs[cell] = duel_of(judged, cell, baselines[cell[0]].all_beside(labels))
    prior = shared_prior([duel.gains for _, duel in pairs.values()])
    found = []
    for name, learner, asked in cells:
        own = judged.of(name, learner, asked)
        scores = judged.table[judged.metric].to_numpy(float)[own]
        whole = judged.table[judged.metric].to_numpy(float)[judged.of(full, learner, asked)]
        labels = judged.table["labels"].iloc[own[0]] if len(own) else ""
        row = {"set": name, "learner": learner, "asked": asked, "labels": labels}
        measured = score_of(judged, own)
        row |= {"n": judged.table.loc[judged.table["set"] == name, "n"].iloc[0]}
        row |= {"mean": measured.value, "low": measured.low, "high": measured.high}
        row["deviation"] = scores.std(ddof=1) if len(scores) > 1 else np.nan
        known = len(scores) and len(whole) and whole.mean() != 0
        row["relative_to_full"] = scores.mean() / whole.mean() if known else np.nan
        if (name, learner, asked) in pairs:
            rival, (_, difference, gains) = pairs[name, learner, asked]
            row |= {"rival": rival, "difference": difference, "p": p_of(difference, gains, prior)}
        found.append(row)
    result = pd.DataFrame(found).reindex(columns=COLUMNS)
    asked_of = result["rival"].notna().to_numpy()
    result.loc[asked_of, "p"] = holm(result.loc[asked_of, "p"].to_numpy(float))
    differences, p = (result.loc[asked_of, c].to_numpy(float) for c in ("difference", "p"))
    result["verdict"] = ""
    result.loc[asked_of, "verdict"] = in_words(differences, p, alpha)
    return result


def robustness(
    found: pd.DataFrame, baselines: Mapping[str, Baselines], full: str, variants: Mapping[str, tuple[str, str]]
) -> pd.DataFrame:
    """The label-robust and augmentation-robust scores of every set with a rival.

    Args:
        found: of `leaderboard`, with rows asked for "soft" and for "hard".
        baselines: as there.
        full: as there.
        variants: learner -> its names without and with augmentation, for learners that have both.

    Returns:
        set, learner, hlr, ior, lrs, ars; NaN where a score is missing. For a learner that takes no label vectors soft
        labels are hard ones, and the label-robust score says so by itself.
    """
    means, labels = (found.set_index(["set", "learner", "asked"])[column] for column in ("mean", "labels"))

    def mean(name: str, learner: str, asked: str) -> float:
        return float(means.get((name, learner, asked), np.nan))

    rows = []
    for name, rival in baselines.items():
        for learner in dict.fromkeys(found["learner"]):
            hlr = mean(full, learner, "hard") - mean(name, learner, "hard")
            ior = mean(name, learner, "soft") - mean(rival.beside(labels[name, learner, "soft"]), learner, "soft")
            gains = [mean(name, of, "soft") - mean(rival.learned, of, "soft") for of in variants.get(learner, ())]
            beta = sum(gains) / 2 if gains else np.nan
            rows.append((name, learner, hlr, ior, normalised((ior - hlr) / 2), normalised(beta)))
    return pd.DataFrame(rows, columns=["set", "learner", "hlr", "ior", "lrs", "ars"])


def normalised(alpha: float) -> float:
    """(e^α − e⁻¹)/(e − e⁻¹): 0 at α = −1, 1 at α = 1."""
    return float((np.exp(alpha) - np.exp(-1)) / (np.exp(1) - np.exp(-1)))


def _cells(table: pd.DataFrame) -> Sequence[tuple[str, str, str]]:
    return list(dict.fromkeys(zip(table["set"], table["learner"], table["asked"], strict=True)))


def _losses(judged: Judged, rows: np.ndarray) -> np.ndarray:
    """(seeds, held-out rows)."""
    return np.array([judged.arrays[i]["losses"] for i in rows], np.float64)


def score_of(judged: Judged, rows: np.ndarray) -> intervals.Measured:
    """Return the mean score of these rows of the table with its 95 % interval over seeds and held-out rows."""
    if not len(rows):
        return intervals.NOT_MEASURED
    if judged.metric == "accuracy":
        return intervals.of_errors(_losses(judged, rows))
    return intervals.of_squares(_losses(judged, rows), float(judged.table[judged.metric].to_numpy(float)[rows].mean()))


def duel_of(judged: Judged, cell: tuple[str, str, str], baselines: Sequence[str]) -> tuple[str, Duel]:
    """Return the rival with the best mean score over the seeds that both have, and the duel of the set with it.

    Args:
        judged: of `evaluate.protocol`.
        cell: set, learner and way with labels.
        baselines: sets of random rows.
    """
    name, learner, asked = cell
    seeds, scores = judged.table["seed"], judged.table[judged.metric].to_numpy(float)
    own = {seeds[i]: i for i in judged.of(name, learner, asked)}
    found = [(baselines[0], Duel(learner, np.nan, np.zeros((0, 0))))]
    best = -np.inf
    for rival in baselines:
        other = {seeds[i]: i for i in judged.of(rival, learner, asked)}
        both = sorted(set(own) & set(other))
        mine, theirs = (np.array([rows[s] for s in both], int) for rows in (own, other))
        if both and scores[theirs].mean() > best:
            best = scores[theirs].mean()
            difference = float(scores[mine].mean() - best)
            found.append((rival, Duel(learner, difference, _losses(judged, theirs) - _losses(judged, mine))))
    return found[-1]


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"standings": "leaderboard", "Rivals": "Baselines"})
