"""The constant prediction: one answer for every row, which any set worth having must beat.

For classes it is the commonest one of the training rows, for real targets their mean, whose R² is about 0. Where the
training rows are not at hand, it is that of the held-out rows, which flatters it.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from datastill.evaluate import metrics
from datastill.evaluate.protocol import Examples, HeldOut, Judged

CONSTANT = "constant prediction"
WORDS = {True: "mean target", False: "commonest class"}
"""Whether in regression -> the answer in words."""


def constant_of(vectors: np.ndarray, regression: bool) -> np.ndarray:
    """Return the constant prediction of these label vectors or targets (n, c): a class number, or (c,) targets."""
    mean = np.asarray(np.mean(vectors, axis=0, dtype=np.float64))
    return mean if regression else np.asarray(int(np.argmax(mean)))


def with_constant(judged: Judged, every: Examples | None, held: HeldOut) -> Judged:
    """Return what the protocol found with the constant prediction as one more set, the same for every learner.

    Args:
        judged: of the protocol.
        every: the training rows; None where they are not at hand.
        held: the held-out rows.
    """
    if every is not None:
        answer = constant_of(every.vectors, held.regression)
    else:
        answer = constant_of(held.y if held.regression else np.eye(held.y.max() + 1)[held.y], held.regression)
    predicted = np.broadcast_to(answer, held.y.shape)
    losses = metrics.losses(held.y, predicted, held.regression)
    measured = metrics.of_targets(held.y, predicted) if held.regression else metrics.of_classes(held.y, predicted)
    use = "targets" if held.regression else "hard"
    row = {
        "set": CONSTANT,
        "seed": 0,
        "n": 0,
        "error": "",
        "labels": use,
        "weighted": False,
        "seconds": 0.0,
        **measured,
    }
    cells = dict.fromkeys(zip(judged.table["learner"], judged.table["asked"], strict=True))
    rows = [row | {"learner": learner, "asked": asked} for learner, asked in cells]
    names = dict.fromkeys([*judged.table.columns, *row])  # where every learner failed, there are no columns of metrics
    table = pd.DataFrame([*judged.table.to_dict(orient="records"), *rows], columns=list(names))
    return replace(judged, table=table, arrays=[*judged.arrays, *({"losses": losses} for _ in cells)])
