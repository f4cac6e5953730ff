"""Whether each set is better than random rows for each learner, in words, corrected for how many are asked.

    d_s = score of the set − score of random rows, seed s        t = mean d / √(var d / m + noise of the test rows)

Two scores from the same test rows differ by chance; for accuracies a and b on n rows that noise is at most
(a(1 − a) + b(1 − b))/n, since both are right on the same rows more often than independent ones would be. p-values are
Holm's over all comparisons, so that with probability 1 − α none of the verdicts "better" and "worse" is wrong.

Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from datastill._typing import Float

BETTER, WORSE, UNCLEAR = "better than random", "worse than random", "not distinguishable from random"


def verdicts(
    table: pd.DataFrame, rivals: Mapping[str, str], n_test: int, metric: str = "accuracy", alpha: float = 0.05
) -> pd.DataFrame:
    """One row for each set with a rival and each learner.

    Args:
        table: of `evaluate.protocol`.
        rivals: set -> the random set it is compared with: same budget, same labels.
        n_test: held-out rows; 0 leaves their noise out, as for R².
        metric: a column of the table; more is better.
        alpha: probability of any wrong "better" or "worse".

    Returns:
        set, learner, difference (mean over seeds), p (corrected), verdict. Without two seeds the noise of the test rows
        alone decides; a learner that failed is "not distinguishable".
    """
    found = []
    for name, rival in rivals.items():
        for learner in dict.fromkeys(table["learner"]):
            of = [
                table[(table["set"] == s) & (table["learner"] == learner)].set_index("seed")[metric]
                for s in (name, rival)
            ]
            paired = pd.concat(of, axis=1, keys=["set", "random"]).dropna()
            found.append({"set": name, "learner": learner, **_compared(paired, n_test)})
    result = pd.DataFrame(found, columns=["set", "learner", "difference", "p"])
    result["p"] = holm(result["p"].to_numpy(np.float64))
    clear = result["p"] < alpha
    result["verdict"] = np.select([clear & (result["difference"] > 0), clear], [BETTER, WORSE], UNCLEAR)
    return result


def holm(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """p-values corrected for their number: the i-th smallest times n − i + 1, none below that of a smaller one."""
    order = np.argsort(p)
    scaled = np.minimum(p[order] * np.arange(len(p), 0, -1), 1)
    out = np.empty(len(p))
    out[order] = np.maximum.accumulate(scaled)
    return out


def _compared(paired: pd.DataFrame, n_test: int) -> dict[str, float]:
    if not len(paired):
        return {"difference": np.nan, "p": 1.0}
    difference = paired["set"] - paired["random"]
    mean, seeds = float(difference.mean()), len(difference)
    noise = sum(m * (1 - m) for m in paired.mean()) / n_test if n_test else 0.0
    variance = (float(difference.var(ddof=1)) / seeds if seeds > 1 else 0.0) + noise
    if variance <= 0:
        return {"difference": mean, "p": 1.0 if mean == 0 or seeds == 1 else 0.0}
    ratio = abs(mean) / np.sqrt(variance)
    p = 2 * (stats.t.sf(ratio, seeds - 1) if seeds > 1 else stats.norm.sf(ratio))
    return {"difference": mean, "p": float(p)}
