"""The protocol's table read out: each set and learner beside all rows and beside random rows of the same kind.

Robustness in the sense of DD-Ranking, which asks whether a score is owed to the examples or to labels and augmentation:

    HLR = acc(all rows, hard) − acc(set, hard)           IOR = acc(set, soft) − acc(random, soft)
    LRS = (e^α − e⁻¹)/(e − e⁻¹),   α = ½ IOR − ½ HLR     label-robust score
    ARS = (e^β − e⁻¹)/(e − e⁻¹),   β = ½ (set − random, augmented) + ½ (set − random, plain)     augmentation-robust

with random rows of the same budget whose labels came about in the same way.

Source: Li et al. (2025), DD-Ranking, arXiv:2505.13300.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from datastill.evaluate import intervals
from datastill.evaluate.protocol import Judged
from datastill.evaluate.verdicts import NOTHING, Prior, crossed, holm, in_words, prior_of

COLUMNS = (
    *("set", "learner", "asked", "labels", "n", "mean", "deviation", "low", "high", "relative_to_full"),
    *("rival", "difference", "p", "verdict"),
)


class Rivals(NamedTuple):
    """What a set is compared with.

    Attributes:
        given: random rows of the same budget with their own labels.
        learned: random rows of the same budget whose label vectors came about as the set's did.
    """

    given: str
    learned: str

    def beside(self, labels: str) -> str:
        """The rival of a learner that used labels so."""
        return self.given if labels == "hard" else self.learned


def standings(judged: Judged, rivals: Mapping[str, Rivals], full: str, alpha: float = 0.05) -> pd.DataFrame:
    """One row for each set, learner and way with labels.

    Args:
        judged: of `evaluate.protocol`.
        rivals: set -> its random rows; those with learned labels where the learner took label vectors.
        full: the set of all rows.
        alpha: probability of any wrong "better" or "worse".

    Returns:
        COLUMNS: mean, deviation over seeds and 95 % interval of the score; its ratio to that of all rows; the rival,
        the difference to it, the corrected p-value and the verdict (empty where there is no rival). NaN where it
        failed.
    """
    cells = _cells(judged.table)
    pairs = {cell: _paired(judged, cell, rivals) for cell in cells if cell[0] in rivals}
    prior = _prior([gains for _, _, gains in pairs.values()])
    found = []
    for name, learner, asked in cells:
        own = judged.of(name, learner, asked)
        scores = judged.table[judged.metric].to_numpy(float)[own]
        whole = judged.table[judged.metric].to_numpy(float)[judged.of(full, learner, asked)]
        labels = judged.table["labels"].iloc[own[0]] if len(own) else ""
        row = {"set": name, "learner": learner, "asked": asked, "labels": labels}
        row |= {"n": judged.table.loc[judged.table["set"] == name, "n"].iloc[0], **_score(judged, own)}
        row["deviation"] = scores.std(ddof=1) if len(scores) > 1 else np.nan
        measured = len(scores) and len(whole) and whole.mean() != 0
        row["relative_to_full"] = scores.mean() / whole.mean() if measured else np.nan
        if (name, learner, asked) in pairs:
            rival, difference, gains = pairs[name, learner, asked]
            row |= {"rival": rival, "difference": difference, "p": _p(difference, gains, prior)}
        found.append(row)
    result = pd.DataFrame(found).reindex(columns=COLUMNS)
    asked_of = result["rival"].notna().to_numpy()
    result.loc[asked_of, "p"] = holm(result.loc[asked_of, "p"].to_numpy(float))
    differences, p = (result.loc[asked_of, c].to_numpy(float) for c in ("difference", "p"))
    result["verdict"] = ""
    result.loc[asked_of, "verdict"] = in_words(differences, p, alpha)
    return result


def robustness(
    found: pd.DataFrame, rivals: Mapping[str, Rivals], full: str, variants: Mapping[str, tuple[str, str]]
) -> pd.DataFrame:
    """The label-robust and augmentation-robust scores of every set with a rival.

    Args:
        found: of `standings`, with rows asked for "soft" and for "hard".
        rivals: as there.
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
    for name, rival in rivals.items():
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


def _score(judged: Judged, rows: np.ndarray) -> dict[str, float]:
    """Mean and 95 % interval: of the accuracy, or of R² by way of the squared error."""
    if not len(rows):
        return dict.fromkeys(("mean", "low", "high"), np.nan)
    losses = _losses(judged, rows)
    risk = crossed(losses)
    low, high = risk.interval()  # of the loss: the least is the best
    if judged.metric == "accuracy":
        if np.ptp(losses) == 0:  # none or all wrong: the interval of a proportion does not shrink to a point
            right = losses.shape[1] * int(losses[0, 0] == 0)
            low, high = (1 - end for end in reversed(intervals.proportion(right, losses.shape[1])))
        return {"mean": 1 - risk.mean, "low": max(1 - high, 0.0), "high": min(1 - low, 1.0)}
    mean = float(judged.table[judged.metric].to_numpy(float)[rows].mean())
    spread = (1 - mean) / risk.mean if risk.mean > 0 else 0.0
    best, worst = mean + spread * (risk.mean - low), mean - spread * (high - risk.mean)
    return {"mean": mean, "low": worst, "high": min(best, 1.0)}


def _paired(judged: Judged, cell: tuple[str, str, str], rivals: Mapping[str, Rivals]) -> tuple[str, float, np.ndarray]:
    """(rival, difference of the mean scores, (seeds, rows) losses of the rival less the set's), by common seeds."""
    name, learner, asked = cell
    own = judged.of(name, learner, asked)
    rival = rivals[name].beside(judged.table["labels"].iloc[own[0]] if len(own) else "")
    seeds = judged.table["seed"]
    of = [{seeds[i]: i for i in rows} for rows in (own, judged.of(rival, learner, asked))]
    both = sorted(set(of[0]) & set(of[1]))
    if not both:
        return rival, np.nan, np.zeros((0, 0))
    mine, other = (np.array([rows[s] for s in both]) for rows in of)
    scores = judged.table[judged.metric].to_numpy(float)
    return rival, float(scores[mine].mean() - scores[other].mean()), _losses(judged, other) - _losses(judged, mine)


def _p(difference: float, gains: np.ndarray, prior: Prior) -> float:
    """Of no difference; 1 for one seed, and where the score and the losses, of several targets, point apart."""
    gain = crossed(gains, prior)
    return gain.p if len(gains) > 1 and gain.mean * difference > 0 else 1.0


def _prior(gains: Sequence[np.ndarray]) -> Prior:
    """What the variances over seeds have in common, where all comparisons have the same number of seeds."""
    seeds = {len(g) for g in gains if g.size}
    if len(seeds) != 1 or seeds == {1}:
        return NOTHING
    return prior_of(np.array([g.mean(axis=1).var(ddof=1) for g in gains if g.size]), seeds.pop() - 1)
